--- What all kinds of objects have in common: their options, and how they are opened.
-- @module shmseg.object

local check = require "shmseg.check"
local core = require "shmseg.core"

local object = {}

-- Options of shmseg.open that an object with a segment of its own may be given.
local segment_options = { temporary = check.temporary }
for name, expected in pairs(check.segment_options) do
  segment_options[name] = expected
end

-- The number that one of the words stands for; or nil and what is wrong.
local function check_word(words, name, given)
  local quoted = {}
  for number, word in ipairs(words) do
    if given == word then
      return number
    end
    quoted[number] = ("%q"):format(word)
  end
  return nil, ("option %q: %s expected, got %s"):format(name, table.concat(quoted, " or "),
    check.quoted(given))
end

-- How to write "10m", which other programs take as a size.
local function unit_hint(given)
  local count, unit = tostring(given):lower():match "^(%d+) ?([kmg])i?b?$"
  local powers = { k = 10, m = 20, g = 30 }
  return count and (": write %s * 2^%d"):format(count, powers[unit]) or ""
end

-- What is wrong with a switch, or nil.
local function switch_error(name, given)
  if type(given) ~= "boolean" then
    return ("option %q: boolean expected, got %s"):format(name, type(given))
  end
end

-- The numbers of the kind's switches, by name: 2 is on, 1 off. One that is not given is off where
-- the kind's first number is given.
local function switches(class, options)
  local numbers = {}
  local is_sized = class.core.numbers[1] and rawget(options, class.core.numbers[1]) ~= nil
  for _, name in ipairs(class.core.numbers) do
    local given = rawget(options, name)
    if class.core.words[name] == true and (given ~= nil or is_sized) then
      numbers[name] = given and 2 or 1
    end
  end
  return numbers
end

-- A number that sizes the object, capacity for example; or nil and what is wrong. switched: the
-- switches that it goes with.
local function check_size_option(class, name, given, switched)
  if class.core.words[name] then
    return check_word(class.core.words[name], name, given)
  end
  local value = check.number(given)
  if type(value) ~= "number" then
    return nil, ("option %q: number expected, got %s%s"):format(name,
      type(value) == "string" and check.quoted(value) or type(value), unit_hint(value))
  elseif value ~= math.floor(value) or value < 1 then
    return nil, ("option %q: out of range: %s"):format(name, tostring(given))
  end
  switched[name] = value
  local possible = value < 2 ^ 53 and class.core.size_for(switched)
  switched[name] = nil
  if not possible then
    return nil, ("option %q: out of range: too large: %s"):format(name, tostring(given))
  end
  return value
end

-- What is wrong with a codec, or nil.
local function codec_error(codec)
  if type(codec) ~= "table" or type(codec.encode) ~= "function"
    or type(codec.decode) ~= "function" then
    return "option \"codec\": table with functions encode and decode expected"
  end
end

-- What each option is for: the segment, or the object itself.
local function known_options(class)
  local known = {}
  for name in pairs(segment_options) do
    known[name] = "segment"
  end
  for _, name in ipairs(class.core.numbers) do
    known[name] = class.core.words[name] == true and "switch" or "size"
  end
  known.codec = class.has_codec and "codec" or nil
  return known
end

-- What is wrong with options that are no table, or nil.
local function table_error(class, options)
  local wrong = check.options_table(options)
  local first = class.core.numbers[1]
  if wrong and first and type(check.number(options)) == "number" then
    wrong = ("%s: write { %s = %s }"):format(wrong, first, tostring(options))
  end
  return wrong
end

-- The options of the segment as they are, the numbers that size the object, and its codec; or nil
-- and what is wrong with them.
local function split(class, options)
  local wrong = table_error(class, options)
  options = not wrong and options or {}
  local switched = switches(class, options)
  local own, numbers, codec = {}, {}, nil
  for name, value in pairs(options) do
    local known = class.known[name]
    if known == "size" then
      numbers[name], wrong = check_size_option(class, name, value, switched)
    elseif known == "switch" then
      wrong = switch_error(name, value)
    elseif known == "codec" then
      codec, wrong = value or nil, value and codec_error(value)
    elseif known then
      own[name] = value
    elseif name == "grow" then
      wrong = "option \"grow\": an object has the size that it has"
    else
      wrong = check.unknown_option(name, class.known)
    end
    if wrong then
      break
    end
  end
  if wrong then
    return nil, wrong
  end
  for name, number in pairs(switched) do
    numbers[name] = number
  end
  return own, numbers, codec or {}
end

-- The number that is missing to size a new object, or nil. Only the first one has no default.
local function missing_number(class, numbers)
  local name = class.core.numbers[1]
  return name and not numbers[name] and name or nil
end

-- What the core takes to open on a name: the name without its slash and the segment's options; or
-- nil and what is wrong.
local function check_named(class, name, mode, own, numbers)
  local wrong = check.mode(mode, "the options, { capacity = … }, come")
  local bare, options, checked
  if not wrong and not (name == nil and mode == "x") then
    bare, wrong = check.name(name)
  end
  if not wrong then
    options, wrong = check.options(own, segment_options)
  end
  if not wrong then
    checked, wrong = check.segment(options)
  end
  local missing = (mode == "c" or mode == "x") and missing_number(class, numbers)
  if not wrong and missing then
    wrong = ("option %q: needed to create it: { %s = … }"):format(missing, missing)
  end
  if wrong then
    return nil, wrong
  end
  return { name = bare, options = checked }
end

-- Opens on a name: the object lies in a segment of its own. Raises misuse, without file and line.
local function open_named(class, name, mode, own, numbers, codec)
  local checked, wrong = check_named(class, name, mode, own, numbers)
  if wrong then
    error(wrong, 0)
  end
  return class.core.open_named(checked.name, mode, numbers, codec.encode, codec.decode,
    check.unpack(checked.options))
end

-- Opens on a name, or on a segment or slice. Raises misuse, without file and line.
local function open(class, where, mode, options)
  local wrong = check.colon(where, "open")
  if wrong then
    error(wrong, 0)
  end
  local own, numbers, codec = split(class, options)
  if not own then
    error(numbers, 0)
  elseif type(where) ~= "userdata" then
    return open_named(class, where, mode or "rw", own, numbers, codec)
  elseif next(own) then
    error(("option %q: the segment is there already"):format(next(own)), 0)
  end
  return class.core.open(where, mode, numbers, codec.encode, codec.decode)
end

--- An error without the file and line of this library that it begins with.
function object.without_position(message)
  if type(message) ~= "string" then
    return message
  end
  return (message:gsub("^[^:]*shmseg/%w+%.lua:%d+: ", "", 1))
end

-- The results of a pcall. An error that it caught is raised anew, and blames the caller of the
-- public function, two levels up: so that function makes no tail call of this one.
local function results(ok, ...)
  if not ok then
    error(object.without_position((...)), 3)
  end
  return ...
end

--- An iterator. It ends at "shutdown" and "interrupted", and raises all other failures.
-- @tparam function wait waits for the next values and gives them; or nil, message, code
-- @treturn function
function object.iterator(wait)
  return function()
    local ok, value, message, code = pcall(wait)
    if not ok then
      error(object.without_position(value), 2)
    elseif value == nil and code ~= "shutdown" and code ~= "interrupted" then
      error(message, 2)
    end
    return value, message, code
  end
end

--- Makes the public module of a kind of object, with open and size_for.
-- @tparam string noun the name of the kind
-- @tparam[opt] boolean has_codec its values go through a codec: open takes that option
-- @treturn table the module; and a second table, the methods of the kind's handles
function object.module(noun, has_codec)
  local class = { core = core[noun], has_codec = has_codec }
  local module = {}
  class.known = known_options(class)
  check.add_module("shmseg." .. noun, module)

  --- Opens the object: attaches to it, or creates it. Raises misuse.
  -- @param where a name (string), a segment or a slice
  -- @tparam[opt] string mode as for shmseg.open; on a segment, by default the segment's
  -- @tparam[opt] table options capacity (bytes) or permits, codec, a semaphore's signal, a dict's
  --   evict and items; with a name shmseg.open's, too
  -- @return the object, or nil
  -- @return whether it was created (boolean), or the message
  -- @return the error code: "ENOENT", "EEXIST", "incompatible", "too small", "timeout", …
  function module.open(where, mode, options)
    local opened, created, code = results(pcall(open, class, where, mode, options))
    return opened, created, code
  end

  --- The bytes that an object takes. Raises when a number that sizes it is missing.
  -- @tparam table options as for open
  -- @treturn integer bytes
  function module.size_for(options)
    local own, numbers
    local wrong = check.colon(options, "size_for")
    if not wrong then
      own, numbers = split(class, options)
      wrong = not own and numbers
    end
    local missing = not wrong and missing_number(class, numbers)
    if wrong or missing then
      error(wrong or ("option %q: needed"):format(missing), 2)
    end
    return class.core.size_for(numbers)
  end

  --- Removes the name of the object's segment: true; or nil, message, code.
  function class.core.methods.unlink(self)
    local function unlink()
      return class.core.methods.segment(self):unlink()
    end
    local done, message, code = results(pcall(unlink))
    return done, message, code
  end

  return module, class.core.methods
end

return object
