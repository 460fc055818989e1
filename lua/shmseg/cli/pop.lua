--- shmseg pop: messages of a queue.
-- @module shmseg.cli.pop

local outlet = require "shmseg.cli.outlet"
local take = require "shmseg.cli.take"

return {
  summary = "takes messages from a queue and prints them",
  usage = "NAME",
  operands = { "name:queue" },
  json = true,
  catches = true,
  options = {
    { "-n", "--count", "N", "so many messages; 1 is the default" },
    { "-f", "--follow", nil, "all that come, until the queue is shut" },
    take.options[3], take.options[1], take.options[2],
  },
  detail = [[
A line for each message, with control characters escaped on a terminal. Waits
for messages; -f -t 0 takes what is there. They are written in batches of 64 KiB
or less, each at once. What this process has taken is nobody else's: when it is
killed, or its output fails, the batch in hand is lost, and the failure tells how
many messages that are. When the reader of a pipe has gone, pop ends.]],
  run = function(context, options, operands)
    if options.follow and options.count then
      context:misuse "--count and --follow exclude each other"
    end
    local out = outlet.new(context, options)
    local queue = context:open(operands[1], "queue", "rw")
    return take.run(context, options, {
      name = queue:segment():name(), outlet = out, count = options.follow and math.huge or 1,
      draw = function(max, timeout)
        return queue:drain(max, timeout)
      end,
      give = function(list)
        out:write(out:prepare(list, function(message)
          return { message = message }
        end), queue:segment():name() .. ": %d messages were taken and not written")
      end,
    })
  end,
}
