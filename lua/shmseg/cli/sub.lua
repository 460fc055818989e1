--- shmseg sub: messages of a broadcast.
-- @module shmseg.cli.sub

local outlet = require "shmseg.cli.outlet"
local subscribe = require "shmseg.cli.subscribe"
local take = require "shmseg.cli.take"

local function numbered(list, first)
  local lines = {}
  for i, message in ipairs(list) do
    lines[i] = ("%.0f\t%s"):format(first + i - 1, message)
  end
  return lines
end

-- Writes a list, whose first message has the number first; so many were lost before it.
local function give(context, options, out, name, list, first, lost)
  if lost > 0 then
    context:error(subscribe.lost_text(name, lost, first))
  end
  local lines = out:prepare(list, function(message, i)
    return { message = message, sequence = first + i - 1, lost = i == 1 and lost or 0 }
  end)
  if options.sequence and not context.json then
    lines = numbered(lines, first)
  end
  out:write(lines, name .. ": %d messages were read and not written")
end

return {
  summary = "prints the messages of a broadcast",
  usage = "NAME",
  operands = { "name:broadcast" },
  json = true,
  catches = true,
  options = {
    subscribe.options[1], { "-n", "--count", "N", "so many messages, and no more" },
    take.options[3],
    { "-s", "--sequence", nil, "the message's number and a tab come first" },
    take.options[1], take.options[2], subscribe.options[2],
  },
  detail = [[
A line for each message, with control characters escaped on a terminal, until
the broadcast is shut. When messages were lost, since they came faster than they
were written, stderr tells how many. The broadcast is opened for reading, and
looked at every few milliseconds; with --wake, messages come at once. When the
reader of a pipe has gone, sub ends.]],
  run = function(context, options, operands)
    local out = outlet.new(context, options)
    local subscription, broadcast = subscribe.open(context, operands[1], options)
    local name = broadcast:segment():name()
    return take.run(context, options, {
      name = name, outlet = out, count = math.huge,
      draw = function(max, timeout)
        return subscription:drain(max, timeout)
      end,
      give = function(...)
        give(context, options, out, name, ...)
      end,
    })
  end,
}
