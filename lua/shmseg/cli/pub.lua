--- shmseg pub: messages for a broadcast.
-- @module shmseg.cli.pub

local data = require "shmseg.cli.data"
local feed = require "shmseg.cli.feed"
local framing = require "shmseg.cli.framing"

-- A list goes in pieces, each of which is published as a whole. Then it is known how many of the
-- messages were published when the next one fails.
local function publish(broadcast, capacity, list)
  local piece, size = {}, 0
  for i, message in ipairs(list) do
    local record = #message + 24 -- at most
    if size + record > capacity and #piece > 0 then
      local number, wrong, code = broadcast:publish_many(piece)
      if not number then
        return i - 1 - #piece, wrong, code
      end
      piece, size = {}, 0
    end
    piece[#piece + 1], size = message, size + record
  end
  local number, wrong, code = broadcast:publish_many(piece)
  return number and #list or #list - #piece, wrong, code
end

return {
  summary = "publishes messages on a broadcast",
  usage = "NAME [MESSAGE]...",
  operands = { "name:broadcast", "text", "..." },
  least = 1,
  catches = true,
  options = {
    framing.options[1], framing.options[2], data.create_option,
    { nil, "--shutdown", nil, "then shuts the broadcast: no more messages, and subs end" },
  },
  detail = [[
Each MESSAGE is one message. Without any, or with - alone, they come from
standard input, as those of push. Publishing does not wait for subscribers: one
that is slow loses the oldest messages.]],
  run = function(context, options, operands)
    local broadcast = data.open(context, table.remove(operands, 1), "broadcast", options)
    local capacity = broadcast:capacity()
    feed.run(context, options, operands, {
      name = broadcast:segment():name(), limit = capacity, done = "published",
      send = function(list)
        return publish(broadcast, capacity, list)
      end,
    })
    if options.shutdown then
      context:check(broadcast:shutdown())
    end
  end,
}
