--- A broadcast: each message goes to every subscriber.
-- @module shmseg.broadcast

local core = require "shmseg.core"
local object = require "shmseg.object"

local broadcast = object.module("broadcast", true)

--- Takes messages until the broadcast is shut down, or a signal of shmseg.signals comes.
-- @function subscription:messages
-- @treturn function an iterator: message, its sequence number, how many were lost before it
function core.subscription_methods:messages()
  return object.iterator(function()
    return self:next()
  end)
end

return broadcast
