--- What is wrong with arguments and options, in words. Nothing here raises: the callers do.
-- @module shmseg.check

local check = {}

-- The names of the modules whose functions check.colon knows, by the module's table.
local modules = setmetatable({}, { __mode = "k" })

--- Makes a module known to check.colon: its functions get it as first argument after a colon.
function check.add_module(name, module)
  modules[module] = name
end

--- What is wrong when value, the first argument of the function of that name, is a module; or nil.
function check.colon(value, name)
  local module = type(value) == "table" and modules[value]
  if module then
    return ("%s:%s(...): call it with a dot, %s.%s(...)"):format(module, name, module, name)
  end
end

function check.quoted(value)
  return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

--- The number that a string reads as, as Lua's own functions take it, or a 64-bit integer of LuaJIT
-- is; another value as it is.
function check.number(value)
  local is_integer = type(value) == "cdata" and tostring(value):find "^%-?%d+U?LL$"
  return (is_integer or type(value) == "string") and tonumber(value) or value
end

--- A number of bytes; or nil and what is wrong. what names the argument.
function check.bytes(what, value)
  local number = check.number(value)
  if type(number) ~= "number" or number ~= math.floor(number) or number < 1 then
    local hint = type(value) == "table" and ": the options come after the size" or ""
    return nil, ("%s: positive number of bytes expected, got %s%s"):format(what,
      hint == "" and check.quoted(value) or "table", hint)
  elseif number >= 2 ^ 62 then
    return nil, ("%s: too large: %s bytes"):format(what, tostring(value))
  end
  return number
end

-- How many letters are to be changed, added or left out to make one word of another.
local function distance(a, b)
  local row = {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local above = row[j]
      local same = a:byte(i) == b:byte(j)
      row[j] = math.min(above + 1, row[j - 1] + 1, diagonal + (same and 0 or 1))
      diagonal = above
    end
  end
  return row[#b]
end

-- The name that was perhaps meant, or nil.
local function nearest(name, names)
  local best, least
  for _, each in ipairs(names) do
    local changes = distance(name:lower(), each)
    if each:find(name:lower(), 1, true) == 1 then
      changes = 1 -- an abbreviation
    end
    if not least or changes < least then
      best, least = each, changes
    end
  end
  return least and least <= #name / 2 and best or nil
end

--- What is wrong with an option that is none of the known ones, which are the keys of a table.
function check.unknown_option(name, known)
  local names = {}
  for each in pairs(known) do
    names[#names + 1] = each
  end
  table.sort(names)
  local meant = type(name) == "string" and #name <= 64 and nearest(name, names)
  return ("unknown option %q: %sthere are %s"):format(tostring(name),
    meant and ("%q? "):format(meant) or "", table.concat(names, ", "))
end

--- What is wrong with options that are no table, or nil.
function check.options_table(options)
  if options ~= nil and type(options) ~= "table" then
    return ("options: table expected, got %s"):format(type(options))
  end
end

--- The type of the option temporary.
check.temporary = 'boolean or "last"'

-- What is wrong with an option's value, or nil.
local function misfit(value, expected)
  if value == nil or type(value) == expected then
    return nil
  elseif expected ~= check.temporary then
    return ("%s expected, got %s"):format(expected, type(value))
  elseif type(value) ~= "boolean" and value ~= "last" then
    return ("%s expected, got %s"):format(expected,
      type(value) == "string" and check.quoted(value) or type(value))
  end
end

--- The options as a table without metatable; known has the type of each. Or nil and what is wrong.
function check.options(options, known)
  local wrong = check.options_table(options)
  if wrong then
    return nil, wrong
  end
  local plain = {}
  for name in pairs(options or {}) do
    if not known[name] then
      return nil, check.unknown_option(name, known)
    end
  end
  for name, expected in pairs(known) do
    local value = options and options[name] -- once: a metatable may have it
    if expected == "number" then
      value = check.number(value)
    end
    local unfit = misfit(value, expected)
    if unfit then
      return nil, ("option %q: %s"):format(name, unfit)
    end
    plain[name] = value
  end
  return plain
end

-- The number that "rw-r-----" and its like stand for; or nil.
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

--- The options of shmseg.open that all segments have, and their types.
check.segment_options = {
  max = "number",
  perm = "string",
  pin = "boolean",
  populate = "boolean",
  reserve = "boolean",
}

--- What the core takes for these options: a list of perm, reserve, max, populate, pin, temporary.
-- Or nil and what is wrong.
function check.segment(options)
  local perm = parse_perm(options.perm or "600")
  if not perm then
    return nil,
      ("option \"perm\": \"600\" or \"rw-------\" expected, got %q"):format(options.perm)
  end
  local max, wrong = nil, nil
  if options.max ~= nil then
    max, wrong = check.bytes("option \"max\"", options.max)
  end
  if wrong then
    return nil, wrong
  end
  return {
    perm, options.reserve ~= false, max, options.populate, options.pin, options.temporary,
  }
end

--- The elements of that list.
function check.unpack(list)
  return list[1], list[2], list[3], list[4], list[5], list[6]
end

local modes = { r = true, rw = true, c = true, x = true }

--- What is wrong with a mode, or nil; follows says in the message what comes after a mode.
function check.mode(mode, follows)
  if not modes[mode] then
    local hint = type(mode) == "table" and ": the options come last"
      or type(check.number(mode)) == "number" and (": %s after the mode"):format(follows) or ""
    return ("mode: \"r\", \"rw\", \"c\" or \"x\" expected, got %s%s"):format(
      type(mode) == "table" and "table" or check.quoted(mode), hint)
  end
end

--- The name without its slash, or nil and what is wrong.
function check.name(name)
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
    return nil, ("name: too large: %d bytes are more than 255"):format(#bare)
  end
  return bare
end

-- The index behind the class that begins with the [ at i, or nil when it does not end.
local function behind_class(pattern, i)
  i = i + (pattern:sub(i + 1, i + 1) == "^" and 2 or 1)
  repeat
    if i > #pattern then
      return nil
    end
    i = i + (pattern:sub(i, i) == "%" and 2 or 1)
  until pattern:sub(i, i) == "]"
  return i + 1
end

-- The index behind what begins with the % at i; or nil and what is wrong. closed: ended captures.
local function behind_escape(pattern, i, closed)
  local char = pattern:sub(i + 1, i + 1)
  if char == "" then
    return nil, "malformed pattern (ends with '%')"
  elseif char == "b" then
    return i + 4, i + 3 > #pattern and "malformed pattern (missing arguments to '%b')" or nil
  elseif char == "f" then
    if pattern:sub(i + 2, i + 2) ~= "[" then
      return nil, "missing '[' after '%f' in pattern"
    end
    local behind = behind_class(pattern, i + 2)
    return behind, not behind and "malformed pattern (missing ']')" or nil
  elseif char:find("%d") and not closed[tonumber(char)] then
    return nil, ("invalid capture index %%%s"):format(char)
  end
  return i + 2
end

--- What is wrong with a Lua pattern, or nil. string.find tells only when it gets so far.
function check.pattern(pattern)
  local open, closed, count = {}, {}, 0
  local i, wrong = pattern:sub(1, 1) == "^" and 2 or 1, nil
  while i <= #pattern do
    local char = pattern:sub(i, i)
    if char == "%" then
      i, wrong = behind_escape(pattern, i, closed)
    elseif char == "[" then
      i = behind_class(pattern, i)
      wrong = not i and "malformed pattern (missing ']')" or nil
    elseif char == ")" then
      local capture = table.remove(open)
      wrong = not capture and "invalid pattern capture" or nil
      closed[capture or 0] = capture and true or nil
      i = i + 1
    else
      if char == "(" then
        count = count + 1
        open[#open + 1] = count
        wrong = count > 32 and "too many captures" or nil
      end
      i = i + 1
    end
    if wrong then
      return wrong
    end
  end
  return #open > 0 and "unfinished capture" or nil
end

return check
