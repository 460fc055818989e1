--- shmseg keys: the keys of a dict.
-- @module shmseg.cli.keys

local data = require "shmseg.cli.data"
local json = require "shmseg.cli.json"
local text = require "shmseg.cli.text"

local function escaped_value(value)
  if type(value) ~= "table" then
    return text.escape(data.shown(value))
  end
  local shown = {}
  for i, element in ipairs(value) do
    shown[i] = text.escape(data.shown(element))
  end
  return table.concat(shown, " ")
end

local function line(context, options, key, value)
  if context.json then
    local list = type(value) == "table" and json.array(value)
    return json.encode { key = key, value = options.values and (list or value) or nil } .. "\n"
  elseif options.null then
    return key .. "\0"
  elseif options.values then
    return text.escape(key) .. "\t" .. escaped_value(value) .. "\n"
  end
  return text.escape(key) .. "\n"
end

return {
  summary = "prints the keys of a dict",
  usage = "NAME [PREFIX]",
  operands = { "name:dict", "text" },
  least = 1,
  json = true,
  options = {
    { "-0", "--null", nil, "the key as it is and a NUL byte, and not a line" },
    { "-v", "--values", nil, "behind each key a tab and its value" },
  },
  detail = [[
Those that begin with PREFIX, in no order, as they are found: a line for each,
with control characters and backslashes escaped; with --json an object in each
line. What comes or goes meanwhile is printed or not.]],
  run = function(context, options, operands)
    if options.null and (options.values or context.json) then
      context:misuse(("--null and --%s exclude each other"):format(
        context.json and "json" or "values"))
    end
    local dict = data.open_dict(context, operands[1])
    local next_pair = dict:pairs(operands[2])
    while true do
      local ok, key, value = pcall(next_pair)
      if not ok then
        context:fail(text.without_place(key))
      elseif key == nil then
        break
      end
      context:write(line(context, options, key, value))
    end
  end,
}
