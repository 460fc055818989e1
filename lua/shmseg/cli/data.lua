--- What the commands that work with values and messages have in common.
-- @module shmseg.cli.data

local core = require "shmseg.core"
local json = require "shmseg.cli.json"
local shmseg = require "shmseg"
local text = require "shmseg.cli.text"

local data = {}

-- Does this Lua have integers of its own?
local has_integers = tostring(1.0) ~= "1"

-- What is read at once, at most: as much as a pipe holds.
local BLOCK = 65536

-- Others may make and remove an object meanwhile.
local ROUNDS = 100

data.create_option = {
  "-c", "--create", "CAPACITY", "makes it when it is not there, for so many bytes",
}

-- Opens what is there, whatever its capacity is, or makes it.
local function open_or_make(name, noun, capacity)
  local object, message, code
  for _ = 1, ROUNDS do
    object, message, code = shmseg[noun].open(name, "rw")
    if object or code ~= "ENOENT" then
      break
    end
    object, message, code = shmseg[noun].open(name, "x", { capacity = capacity })
    if object or code ~= "EEXIST" then
      break
    end
  end
  return object, message, code
end

-- Has nobody put anything into it yet?
local is_unused = {
  cell = function(cell)
    return select(3, cell:get()) == "empty"
  end,
  queue = function(queue)
    return #queue == 0
  end,
  broadcast = function(broadcast)
    return broadcast:stats().next == 1
  end,
  dict = function(dict)
    return #dict == 0
  end,
}

--- Opens an object for reading and writing. With --create it is made when it is not there; it goes
-- again when the command fails before it has put anything into it.
function data.open(context, operand, noun, options)
  local name = context:name(operand)
  if not options.create then
    if select(3, shmseg.stat(name)) == "ENOENT" then
      context:fail(("%s: it is not there, and --create makes it"):format(name), "ENOENT")
    end
    return (context:open(name, noun, "rw"))
  end
  local capacity = context:bytes("--create", options.create)
  local ok, object, created, code = pcall(open_or_make, name, noun, capacity)
  if not ok then
    context:misuse(text.without_place(object))
  elseif context:check(object, created, code) and created then
    context:has_made(object, name, is_unused[noun])
  end
  return object
end

--- Ends a command that has done a part of its work: the message tells how much, also at a signal.
function data.fail_partly(context, message, code)
  if context:signal() then
    context:error(message)
    message = nil
  end
  context:fail(message, code)
end

--- The kind of what has a name. Its failure ends the command, and so does a kind that is not among
-- those that the command can work with.
-- @tparam {string,...} kinds
function data.kind(context, operand, kinds)
  local name = context:name(operand)
  local kind = context:check(shmseg.kind(name))
  for _, each in ipairs(kinds) do
    if kind == each then
      return kind, name
    end
  end
  local article = kind:find "^[aeiou]" and "an" or "a"
  context:fail(("%s: %s %s is there, and no %s"):format(name, article, kind,
    table.concat(kinds, " or ")), "incompatible")
end

-- What a codec has made of a value: this tool has none, and shows the bytes.
local function as_bytes(bytes)
  return bytes
end

--- Opens a dict to look at it. Values that a codec has made are the bytes that it has made of them.
function data.open_dict(context, operand)
  return context:open(operand, "dict", "r", { codec = { encode = as_bytes, decode = as_bytes } })
end

--- The results of a method of a dict. Its failure ends the command.
function data.check_dict(context, dict, key, value, word, ...)
  if value == nil and word or value == false and type(word) == "string" then
    context:fail(("%s: %s: %s"):format(dict:segment():name(), text.escape(key), word), word)
  end
  return value, word, ...
end

--- A value as text: a string as it is, an integer with all its digits.
function data.shown(value)
  if type(value) == "number" and (value ~= value or value - value ~= 0) then
    return tostring(value)
  elseif type(value) == "string" then
    return value
  end
  return json.encode(value)
end

-- Is the word an integer that this Lua has not? It would become another number: a decimal one is
-- rounded, and a hexadecimal one loses its first digits.
local function is_beyond_integers(word, number)
  local digits = word:match "^[+-]?0[xX]0*(%x*)$"
  if not digits and not word:find "^[+-]?%d+$" then
    return false
  elseif not has_integers then
    return math.abs(number) > 2 ^ 53
  end
  return digits and #digits > 16 or not digits and rawget(math, "type")(number) == "float"
end

--- The number that a word is.
function data.number(context, what, word)
  local number = word:find "^%S+$" and tonumber(word)
  if not number or number ~= number or number - number ~= 0 then
    context:misuse(("%s: a number expected, got %s"):format(what, text.quote { word }))
  elseif is_beyond_integers(word, number) then
    context:misuse(("%s: this Lua has no number that is exactly %s"):format(what, word))
  end
  return number
end

--- The bytes that have come on standard input, "" at its end; nil, message, code when that fails.
-- What is there is given at once, and not when a buffer is full.
function data.read_block(context)
  if context.is_test then
    return context.streams.input:read(BLOCK) or ""
  end
  return core.read(0, BLOCK)
end

--- Reads standard input to its end; more bytes than the most end the command.
function data.read_input(context, most)
  local parts, size = {}, 0
  repeat
    local block = context:check(data.read_block(context))
    parts[#parts + 1], size = block, size + #block
    if size > most then
      context:fail(("standard input is too long: %.0f bytes are the most"):format(most))
    end
  until block == ""
  return table.concat(parts)
end

--- A deadline, so many seconds from now; nil is none.
function data.deadline(seconds)
  return seconds and core.now() + seconds
end

--- The seconds of --timeout, or nil.
function data.timeout(context, options)
  return options.timeout and context:seconds("--timeout", options.timeout)
end

--- Seconds until the deadline, at most so many.
function data.left(deadline, most)
  return deadline and math.max(0, math.min(most, deadline - core.now())) or most
end

return data
