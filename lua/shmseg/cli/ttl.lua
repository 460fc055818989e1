--- shmseg ttl: the time that a key of a dict has to live.
-- @module shmseg.cli.ttl

local data = require "shmseg.cli.data"
local text = require "shmseg.cli.text"

local function show(context, name, key)
  local dict = data.open_dict(context, name)
  local seconds = data.check_dict(context, dict, key, dict:ttl(key))
  if seconds < 0 then
    context:fail(("%s: %s: it has expired"):format(dict:segment():name(), text.escape(key)))
  elseif context.json then
    return context:json_out { name = dict:segment():name(), key = key, ttl = seconds }
  end
  context:out("%s\n", data.shown(seconds))
end

return {
  summary = "prints or sets the seconds that a key of a dict has to live",
  usage = "NAME KEY [SECONDS]",
  operands = { "name:dict", "text", "text" },
  least = 2,
  json = true,
  detail = [[
0 is for ever. A key that is not there, or has expired, is a failure.]],
  run = function(context, _, operands)
    local key = operands[2]
    if not operands[3] then
      return show(context, operands[1], key)
    end
    local seconds = context:seconds("SECONDS", operands[3])
    local dict = context:open(operands[1], "dict", "rw")
    data.check_dict(context, dict, key, dict:expire(key, seconds))
  end,
}
