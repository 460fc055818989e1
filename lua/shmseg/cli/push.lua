--- shmseg push: messages for a queue.
-- @module shmseg.cli.push

local data = require "shmseg.cli.data"
local feed = require "shmseg.cli.feed"
local framing = require "shmseg.cli.framing"

return {
  summary = "pushes messages to a queue",
  usage = "NAME [MESSAGE]...",
  operands = { "name:queue", "text", "..." },
  least = 1,
  catches = true,
  options = {
    framing.options[1], framing.options[2], data.create_option,
    { "-t", "--timeout", "SECONDS", "gives up when there was no room for so long" },
    { nil, "--shutdown", nil, "then shuts the queue: no more messages, and pops end" },
  },
  detail = [[
Each MESSAGE is one message. Without any, or with - alone, they come from
standard input: a line each, without its newline. A last line without one is a
message, too. They are pushed as they come, many at once where many are there.
When the queue is full, push waits. A failure or Ctrl-C tells how many messages
were pushed; these stay in the queue.]],
  run = function(context, options, operands)
    local timeout = data.timeout(context, options)
    local queue = data.open(context, table.remove(operands, 1), "queue", options)
    feed.run(context, options, operands, {
      name = queue:segment():name(), limit = queue:capacity(), done = "pushed",
      send = function(list)
        return queue:push_many(list, timeout)
      end,
    })
    if options.shutdown then
      context:check(queue:shutdown())
    end
  end,
}
