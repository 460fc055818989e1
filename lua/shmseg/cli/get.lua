--- shmseg get: the value of a cell, or of a key of a dict.
-- @module shmseg.cli.get

local data = require "shmseg.cli.data"
local json = require "shmseg.cli.json"
local outlet = require "shmseg.cli.outlet"
local text = require "shmseg.cli.text"

local function print_value(context, options, value)
  local shown = data.shown(value)
  local is_cut = type(value) ~= "string" or options.newline
    or context.columns and not value:find "\n$"
  if context.columns and not options.raw then
    shown = outlet.shown(shown)
  end
  context:write(is_cut and shown .. "\n" or shown)
end

local function get_cell(context, options, name)
  local cell = context:open(name, "cell", "r")
  local value, version, code = cell:get()
  if value == nil then
    context:fail(code == version and name .. ": " .. version or version, code)
  elseif context.json then
    return context:json_out { name = name, value = value, version = version }
  end
  print_value(context, options, value)
end

-- The elements of a list; nil if the key has none by now.
local function list_of(dict, key)
  for each, value in dict:pairs(key) do
    if each == key then
      return type(value) == "table" and json.array(value) or nil
    end
  end
end

local function print_list(context, options, list)
  for _, value in ipairs(list) do
    print_value(context, { newline = true, raw = options.raw }, value)
  end
end

local function get_key(context, options, name, key)
  local dict = data.open_dict(context, name)
  local value, word = dict:get(key)
  if value == nil and word == "value is a list" then
    value, word = list_of(dict, key), nil
  elseif value == nil then
    word = word or "not found"
  end
  if value == nil then
    context:fail(("%s: %s: %s"):format(name, text.escape(key), word or "not found"), word)
  elseif context.json then
    return context:json_out { name = name, key = key, value = value, flags = word or 0,
      ttl = dict:ttl(key) }
  elseif type(value) == "table" then
    return print_list(context, options, value)
  end
  print_value(context, options, value)
end

return {
  summary = "prints the value of a cell, or of a key of a dict",
  usage = "NAME [KEY]",
  operands = { "name:cell,dict", "text" },
  least = 1,
  json = true,
  options = {
    { "-n", "--newline", nil, "a newline comes behind the value" },
    { "-r", "--raw", nil, "control characters go to a terminal as they are" },
  },
  detail = [[
A string is written as it is, as by cat. On a terminal its control characters
are escaped, and a newline comes behind it. Numbers and booleans are a line, and
so is each element of a list. What a codec has made is shown as the bytes that
lie there. Without a value the exit code is 1.]],
  run = function(context, options, operands)
    local kind, name = data.kind(context, operands[1], { "cell", "dict" })
    local key = operands[2]
    if kind == "cell" and key then
      context:misuse(("%s is a cell, and has no keys"):format(name))
    elseif kind == "dict" and not key then
      context:misuse(("%s is a dict: a KEY is missing"):format(name))
    elseif kind == "cell" then
      return get_cell(context, options, name)
    end
    return get_key(context, options, name, key)
  end,
}
