--- Writes JSON. A string that is not UTF-8 becomes { "base64": … }: nothing is lost, and nothing
-- looks like what it is not.
-- @module shmseg.cli.json

local text = require "shmseg.cli.text"

local json = {}

--- Stands for null in a table.
json.null = setmetatable({}, { __tostring = function() return "null" end })

local arrays, raws = {}, {}

--- Marks a table as a list, also when it is empty.
function json.array(list)
  return setmetatable(list, arrays)
end

--- A value whose JSON is known.
function json.raw(encoded)
  return setmetatable({ encoded = encoded }, raws)
end

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function four(a, b, c)
  local sum = a * 65536 + (b or 0) * 256 + (c or 0)
  local letters = {}
  for i = 1, 4 do
    local digit = math.floor(sum / 64 ^ (4 - i)) % 64
    letters[i] = alphabet:sub(digit + 1, digit + 1)
  end
  return letters[1] .. letters[2] .. (b and letters[3] or "=") .. (c and letters[4] or "=")
end

-- Two letters for each 12 bits; made when they are needed first.
local two

local function make_two()
  two = {}
  for bits = 0, 4095 do
    local first, second = math.floor(bits / 64) + 1, bits % 64 + 1
    two[bits] = alphabet:sub(first, first) .. alphabet:sub(second, second)
  end
end

local function four_of_three(part)
  local a, b, c = part:byte(1, 3)
  local low = b % 16 * 256 + c
  return two[a * 16 + (b - b % 16) / 16] .. two[low]
end

--- The bytes in base64.
function json.base64(bytes)
  if not two then
    make_two()
  end
  local rest = #bytes % 3
  local all = bytes:sub(1, #bytes - rest):gsub("...", four_of_three)
  return rest > 0 and all .. four(bytes:byte(-rest, -1)) or all
end

local short = {
  ["\""] = "\\\"", ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r",
  ["\t"] = "\\t",
}

local function escaped(char)
  return short[char] or ("\\u%04x"):format(char:byte())
end

local function encode_string(value)
  if not value:find "[%c\"\\\127-\255]" then
    return "\"" .. value .. "\""
  elseif not text.is_utf8(value) then
    return ("{\"base64\":\"%s\"}"):format(json.base64(value))
  end
  return "\"" .. value:gsub("[%c\"\\\127]", escaped) .. "\""
end

-- The keys of objects, which are few and come again, as JSON.
local known_keys = {}

local function encode_key(key)
  local encoded = known_keys[key]
  if not encoded then
    encoded = encode_string(key) .. ":"
    known_keys[key] = encoded
  end
  return encoded
end

local kind_of_number = rawget(math, "type")

-- The shortest text that reads as the same number. Integers are exact.
local function encode_number(value)
  if value ~= value or value == 1 / 0 or value == -1 / 0 then
    return "null"
  elseif kind_of_number and kind_of_number(value) == "integer" then
    return ("%d"):format(value)
  elseif value == math.floor(value) and value > -2 ^ 63 and value < 2 ^ 63 then
    return ("%.0f"):format(value)
  end
  for digits = 14, 17 do
    local shown = ("%." .. digits .. "g"):format(value)
    if tonumber(shown) == value then
      return shown
    end
  end
end

local encode

local function encode_list(list)
  local parts = {}
  for i, element in ipairs(list) do
    parts[i] = encode(element)
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

-- The keys in order, so that the same value is always the same text.
local function encode_object(object)
  local keys, parts = {}, {}
  for key in pairs(object) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for i, key in ipairs(keys) do
    parts[i] = encode_key(key) .. encode(object[key])
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

--- Is this table a list?
function json.is_array(value)
  return type(value) == "table" and (getmetatable(value) == arrays or value[1] ~= nil)
end

--- The JSON text of a value: nil, boolean, number, string, 64-bit integer of LuaJIT, json.null, a
-- list or a table with strings as keys. NaN and the infinities are null.
function encode(value)
  local kind = type(value)
  if value == nil or value == json.null then
    return "null"
  elseif kind == "string" then
    return encode_string(value)
  elseif kind == "number" then
    return encode_number(value)
  elseif kind == "cdata" then
    return (tostring(value):gsub("U?LL$", ""))
  elseif getmetatable(value) == raws then
    return value.encoded
  elseif kind == "table" then
    return json.is_array(value) and encode_list(value) or encode_object(value)
  end
  return tostring(value)
end

json.encode = encode

return json
