--- Segments: opening and naming them. Their methods are the core's.
-- @module shmseg.segment

local check = require "shmseg.check"
local core = require "shmseg.core"

local segment = {}

-- Options that shmseg.open and shmseg.map have besides those of all segments.
local open_options = { grow = "boolean", init = "function", temporary = check.temporary }
for name, expected in pairs(check.segment_options) do
  open_options[name] = expected
end
local map_options = { offset = "number", length = "number", private = "boolean" }
for name, expected in pairs(open_options) do
  map_options[name] = expected
end

-- Raises misuse, and blames the caller of the public function that calls this.
local function misuse(message, ...)
  error(message:format(...), 3)
end

-- The name without its slash, for the public function that calls this. Blames its caller, too.
local function bare_name(name, method)
  local wrong = check.colon(name, method)
  local bare
  if not wrong then
    bare, wrong = check.name(name)
  end
  return bare or error(wrong, 3)
end

-- The size, the options as the core takes them, and init; or nil and what is wrong.
local function check_arguments(size, given, known)
  local wrong
  if size ~= nil then
    size, wrong = check.bytes("size", size)
  end
  local options, checked
  if not wrong then
    options, wrong = check.options(given, known)
  end
  if not wrong then
    checked, wrong = check.segment(options)
  end
  if wrong then
    return nil, wrong
  end
  return { size = size, options = checked, init = options.init, given = options }
end

-- What is wrong with the option grow, or nil.
local function grow_error(mode, size, options)
  if not options.grow then
    return nil
  elseif mode == "r" then
    return "option \"grow\": needs a mode that may write"
  elseif not size then
    return "option \"grow\": needs a size"
  elseif options.offset or options.length or options.private then
    return "option \"grow\": is for all of a file, and not for a window or a private mapping"
  end
end

-- What is wrong with the options of a window, or nil. size: of the file, if it is given.
local function window_error(mode, size, options)
  local offset, length = options.offset or 0, options.length
  if offset >= 2 ^ 53 and offset < math.huge then
    return ("option \"offset\": too large: %s bytes"):format(tostring(options.offset))
  elseif offset < 0 or offset % 64 ~= 0 or offset == math.huge then
    return ("option \"offset\": multiple of 64 expected, got %s"):format(tostring(options.offset))
  end
  if length then
    local _, wrong = check.bytes("option \"length\"", length)
    if wrong then
      return wrong
    end
  end
  if (options.offset or length) and options.max then
    return "option \"max\": a window does not grow"
  elseif (mode == "c" or mode == "x") and size and offset + (length or 1) > size then
    return ("option \"%s\": the window ends behind the size, %s"):format(
      length and "length" or "offset", tostring(size))
  end
end

-- What is wrong with a private mapping, or nil.
local function private_error(mode, options)
  if options.private and (mode == "c" or mode == "x") then
    return ("option \"private\": a file cannot be made by it, with mode %q"):format(mode)
  elseif options.private and options.temporary then
    return "option \"temporary\": a private mapping leaves the file as it is"
  end
end

-- The same for a function that opens, with its mode.
local function check_opening(mode, size, options, known)
  local wrong = check.mode(mode, "the size comes")
  if not wrong and mode == "x" and size == nil then
    wrong = "size: needed to create"
  end
  local checked
  if not wrong then
    checked, wrong = check_arguments(size, options, known)
  end
  wrong = wrong or window_error(mode, checked.size, checked.given)
    or grow_error(mode, checked.size, checked.given) or private_error(mode, checked.given)
  if wrong then
    return nil, wrong
  end
  return checked
end

-- Opens shared memory or a file; the results are those of shmseg.open.
local function open(name, is_file, mode, checked)
  local perm, reserve, max, populate, pin, temporary = check.unpack(checked.options)
  local given = checked.given
  local opened, created, code = core.open(name, is_file, mode, checked.size, perm, reserve, max,
    populate, pin, temporary, checked.init, given.grow, given.offset, given.length, given.private)
  if not opened and code == "EINVAL" and mode == "c" and not checked.size then
    error("size: needed to create " .. name, 3)
  end
  return opened, created, code
end

--- Opens a shared memory object. Raises misuse.
-- @tparam ?string name "memory.bin" or "/memory.bin"; nil with mode "x" picks a free one
-- @tparam[opt="rw"] string mode "r", "rw", "c" (create when absent) or "x" (create only)
-- @tparam[opt] integer size bytes: of a new one, or the least that will do
-- @tparam[opt] table options perm ("600" or "rw-------"), max (bytes), init (function, given the
-- segment); temporary (boolean or "last"); reserve, populate, pin, grow (booleans)
-- @return the segment, or nil
-- @return whether it was created (boolean), or the error message
-- @return the error code: "ENOENT", "EEXIST", "EACCES", "ENOSPC", "too small", …
function segment.open(name, mode, size, options)
  mode = mode or "rw"
  local wrong = check.colon(name, "open")
  local checked, bare
  if not wrong then
    checked, wrong = check_opening(mode, size, options, open_options)
  end
  if not wrong and not (name == nil and mode == "x") then
    bare, wrong = check.name(name)
  end
  if wrong then
    misuse("%s", wrong)
  end
  return open(bare, false, mode, checked)
end

--- Maps an ordinary file, or a window of it.
-- @tparam string path
-- @param mode as for shmseg.open
-- @param size as for shmseg.open
-- @param options as for shmseg.open; and offset (a multiple of 64), length (bytes), private
-- (boolean)
-- @return as shmseg.open
function segment.map(path, mode, size, options)
  mode = mode or "rw"
  local wrong = check.colon(path, "map")
  local checked
  if not wrong then
    checked, wrong = check_opening(mode, size, options, map_options)
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
-- @tparam[opt] table options reserve, max, populate, pin, as for shmseg.open
-- @return the segment, or nil, message, code
function segment.anonymous(size, options)
  local wrong = check.colon(size, "anonymous") or size == nil and "size: needed to create"
  local checked
  if not wrong then
    checked, wrong = check_arguments(size, options, check.segment_options)
  end
  if wrong then
    misuse("%s", wrong)
  end
  return core.anonymous(checked.size, check.unpack(checked.options))
end

--- Maps what a file descriptor leads to. The descriptor is duplicated and stays the caller's.
-- @tparam integer fd
-- @tparam[opt] string mode "r" or "rw"; by default what the descriptor allows
-- @return the segment, or nil, message, code
segment.from_fd = core.from_fd

--- Removes a name. Processes that have the segment open keep it.
-- @tparam string name
-- @treturn boolean true; or nil, message, code
function segment.unlink(name)
  return core.unlink(bare_name(name, "unlink"))
end

--- Tells about shared memory without opening it.
-- @tparam string name
-- @treturn table size, allocated (bytes), perm ("600"), uid, gid, links, device, inode, accessed,
-- modified, changed (seconds since 1970); or nil, message, code
function segment.stat(name)
  return core.stat(bare_name(name, "stat"))
end

--- Tells what is behind a name, without opening it: the kind of object that is there.
-- @tparam string name
-- @treturn string "queue" …, or "segment" for plain bytes and what other programs have made; or
-- nil, message, code: "incompatible" for an object that this version cannot open
function segment.kind(name)
  return core.kind(bare_name(name, "kind"))
end

--- Tells who has shared memory open, as far as this process may see it.
-- @tparam string name
-- @treturn integer how many handles of this library; or nil, message, code
-- @treturn {integer,...} the processes that have it mapped or locked, sorted; other programs, too
function segment.users(name)
  return core.users(bare_name(name, "users"))
end

--- Lists the names of all shared memory objects, other programs' too.
-- @tparam[opt] string pattern Lua pattern that a name must match
-- @treturn {string,...} sorted; or nil, message, code
function segment.list(pattern)
  local wrong = check.colon(pattern, "list")
  if wrong then
    misuse("%s", wrong)
  elseif pattern ~= nil and type(pattern) ~= "string" then
    wrong = ("string expected, got %s"):format(type(pattern))
  end
  wrong = wrong or pattern and check.pattern(pattern)
  if wrong then
    misuse("pattern: %s", wrong)
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
