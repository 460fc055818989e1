--- shmseg incr: adds to a number in a dict.
-- @module shmseg.cli.incr

local data = require "shmseg.cli.data"

return {
  summary = "adds to a number in a dict, and prints what it is then",
  usage = "NAME KEY [N]",
  operands = { "name:dict", "text", "text" },
  least = 2,
  json = true,
  options = {
    { nil, "--init", "N", "what it was when it is not there; without, that is a failure" },
    { "-t", "--ttl", "SECONDS", "the time to live when it was not there" },
    data.create_option,
  },
  detail = [[
N is 1 when it is left out. A negative one comes behind --: incr NAME KEY -- -1.]],
  run = function(context, options, operands)
    local key, step = operands[2], data.number(context, "N", operands[3] or "1")
    local init = options.init and data.number(context, "--init", options.init)
    local ttl = options.ttl and context:seconds("--ttl", options.ttl)
    if ttl and not init then
      context:misuse "--ttl needs --init: the time to live of a number that is there stays"
    end
    local dict = data.open(context, operands[1], "dict", options)
    local number = data.check_dict(context, dict, key, dict:incr(key, step, init, ttl))
    if context.json then
      return context:json_out { name = dict:segment():name(), key = key, value = number }
    end
    context:out("%s\n", data.shown(number))
  end,
}
