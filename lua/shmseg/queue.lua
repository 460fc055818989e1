--- A queue: each message goes to one consumer.
-- @module shmseg.queue

local object = require "shmseg.object"

local queue, methods = object.module("queue", true)

--- Takes messages until the queue is shut down and empty, or a signal of shmseg.signals comes.
-- @treturn function an iterator: message
function methods:messages()
  return object.iterator(function()
    return self:pop()
  end)
end

return queue
