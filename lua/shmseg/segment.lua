--- Segments: opening and naming them. Their methods are the core's.
-- @module shmseg.segment

local core = require "shmseg.core"

local segment = {}

-- Options: what each function takes, and what type it must have.

local segment_options = {
  max = "number",
  perm = "string",
  pin = "boolean",
  populate = "boolean",
  reserve = "boolean",
}

local open_options = { init = "function", temporary = "boolean" }
for name, kind in pairs(segment_options) do
  open_options[name] = kind
end

local modes = { r = "attach", rw = "attach", c = "create", x = "create" }

-- Raises misuse of the public function, which is two calls up from here.
local function misuse(message, ...)
  error(message:format(...), 3)
end

local function quoted(value)
  return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

-- A plain table of the known options, or nil and what is wrong.
local function known_options(options, known)
  if options == nil then
    return {}
  elseif type(options) ~= "table" then
    return nil, ("options: table expected, got %s"):format(type(options))
  end
  for name in pairs(options) do
    if not known[name] then
      return nil, ("unknown option %s"):format(quoted(name))
    end
  end
  local plain = {}
  for name, kind in pairs(known) do
    local value = options[name] -- once: a metatable may have it
    if value ~= nil and type(value) ~= kind then
      return nil, ("option %q: %s expected, got %s"):format(name, kind, type(value))
    end
    plain[name] = value
  end
  return plain
end

local function bytes_error(what, value)
  if type(value) ~= "number" or value ~= math.floor(value) or value < 1 or value >= 2 ^ 62 then
    return ("%s: positive number of bytes expected, got %s"):format(what, quoted(value))
  end
end

-- Each of rwxrwxrwx, or - in its place, is a bit.
local function symbolic_perm(text)
  local bits, value = "rwxrwxrwx", 0
  for i = 1, #bits do
    local char = text:sub(i, i)
    if char == bits:sub(i, i) then
      value = value + 2 ^ (9 - i)
    elseif char ~= "-" then
      return nil
    end
  end
  return value
end

local function parse_perm(text)
  if text:find("^0?[0-7][0-7][0-7]$") then
    return tonumber(text, 8)
  end
  return #text == 9 and symbolic_perm(text) or nil
end

-- The arguments that the core takes for size and options, or nil and what is wrong.
local function check(size, given, known)
  local options, wrong = known_options(given, known)
  wrong = wrong or size ~= nil and bytes_error("size", size)
    or options.max ~= nil and bytes_error("option \"max\"", options.max)
  local perm = not wrong and parse_perm(options.perm or "600")
  if not wrong and not perm then
    wrong = ("option \"perm\": \"600\" or \"rw-------\" expected, got %q"):format(options.perm)
  end
  if wrong then
    return nil, wrong
  end
  return {
    size, perm, options.reserve ~= false, options.max, options.populate, options.pin,
    options.temporary, options.init,
  }
end

local function unpack_checked(list)
  return list[1], list[2], list[3], list[4], list[5], list[6], list[7], list[8]
end

local function mode_error(mode, size)
  if not modes[mode] then
    return ("mode: \"r\", \"rw\", \"c\" or \"x\" expected, got %s"):format(quoted(mode))
  elseif mode == "x" and size == nil then
    return "size: needed to create"
  end
end

-- The name without its slash, or nil and what is wrong.
local function check_name(name)
  if type(name) ~= "string" then
    return nil, ("name: string expected, got %s"):format(type(name))
  end
  local bare = name:gsub("^/", "", 1)
  if bare == "" or bare == "." or bare == ".." then
    return nil, ("name: %q names nothing"):format(name)
  elseif bare:find("/", 1, true) then
    return nil, ("name: %q has a slash inside"):format(name)
  elseif bare:find("%z") or bare:find("\0", 1, true) then
    return nil, "name: a zero byte inside"
  elseif #bare > 255 then
    return nil, ("name: %d bytes are more than 255"):format(#bare)
  end
  return bare
end

-- Opens the object or file; the results are those of shmseg.open.
local function open(name, is_file, mode, checked)
  local opened, created, code = core.open(name, is_file, mode, unpack_checked(checked))
  if not opened and code == "EINVAL" and mode == "c" and not checked[1] then
    error("size: needed to create " .. name, 3)
  end
  return opened, created, code
end

--- Opens a shared memory object.
-- @tparam ?string name "memory.bin" or "/memory.bin"; nil with mode "x" picks a free one
-- @tparam[opt="rw"] string mode "r", "rw", "c" (create when absent) or "x" (create only)
-- @tparam[opt] integer size bytes: of a new object, or the least that will do
-- @tparam[opt] table options perm, reserve, init, temporary, max, populate, pin
-- @return the segment, or nil
-- @return whether it was created, or the error message
-- @return the error code: "ENOENT", "EEXIST", "EACCES", "ENOSPC", "too small", …
function segment.open(name, mode, size, options)
  mode = mode or "rw"
  local wrong = mode_error(mode, size)
  local checked, bare
  if not wrong then
    checked, wrong = check(size, options, open_options)
  end
  if not wrong and not (name == nil and mode == "x") then
    bare, wrong = check_name(name)
  end
  if wrong then
    misuse("%s", wrong)
  end
  return open(bare, false, mode, checked)
end

--- Maps an ordinary file.
-- @tparam string path
-- @param mode as for shmseg.open
-- @param size as for shmseg.open
-- @param options as for shmseg.open
-- @return as shmseg.open
function segment.map(path, mode, size, options)
  mode = mode or "rw"
  local wrong = mode_error(mode, size)
  local checked
  if not wrong then
    checked, wrong = check(size, options, open_options)
  end
  if not wrong and type(path) ~= "string" then
    wrong = ("path: string expected, got %s"):format(type(path))
  elseif not wrong and (path == "" or path:find("%z") or path:find("\0", 1, true)) then
    wrong = "path: empty, or a zero byte inside"
  end
  if wrong then
    misuse("%s", wrong)
  end
  return open(path, true, mode, checked)
end

--- Makes a segment without a name, for this process, its children and whoever is given its
-- descriptor. It is sealed against shrinking where the platform can do that.
-- @tparam integer size bytes
-- @tparam[opt] table options reserve, max, populate, pin
-- @return the segment, or nil, message, code
function segment.anonymous(size, options)
  if size == nil then
    misuse("size: needed to create")
  end
  local checked, wrong = check(size, options, segment_options)
  if wrong then
    misuse("%s", wrong)
  end
  return core.anonymous(unpack_checked(checked))
end

--- Maps what a file descriptor leads to. The descriptor is duplicated and stays the caller's.
-- @tparam integer fd
-- @tparam[opt] string mode "r" or "rw"; by default what the descriptor allows
-- @return the segment, or nil, message, code
segment.from_fd = core.from_fd

--- Removes a name. Whoever has the object open keeps it.
-- @tparam string name
-- @return true, or nil, message, code
function segment.unlink(name)
  local bare, wrong = check_name(name)
  if wrong then
    misuse("%s", wrong)
  end
  return core.unlink(bare)
end

--- Tells about an object without opening it.
-- @tparam string name
-- @treturn table size, allocated, perm, uid, gid, links, device, inode, accessed, modified,
-- changed; or nil, message, code
function segment.stat(name)
  local bare, wrong = check_name(name)
  if wrong then
    misuse("%s", wrong)
  end
  return core.stat(bare)
end

--- Lists the names of all shared memory objects, other programs' too.
-- @tparam[opt] string pattern Lua pattern that a name must match
-- @treturn {string,...} sorted; or nil, message, code
function segment.list(pattern)
  if pattern ~= nil and type(pattern) ~= "string" then
    misuse("pattern: string expected, got %s", type(pattern))
  end
  local names, message, code = core.list()
  if not names then
    return nil, message, code
  end
  local matching = {}
  for _, name in ipairs(names) do
    local ok, found = pcall(string.find, name, pattern or "")
    if not ok then
      misuse("pattern: %s", found)
    elseif found then
      matching[#matching + 1] = name
    end
  end
  table.sort(matching)
  return matching
end

return segment
