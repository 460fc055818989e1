--- The front of broadcasts: publish, and a subscription's next.
-- @module shmseg.front.broadcast

local core = require "shmseg.core"
local layout = require "shmseg.front.layout"
local compiler = require "shmseg.front.recording"

local broadcast = {}

local function install_publish()
  local recording = false
  local getmetatable, type = getmetatable, type
  local class, publish = core.front.class "shmseg.broadcast", layout.calls.broadcast_publish
  local c_publish = class.__index.publish

  function class.__index.publish(...)
    local self, value = ...
    if recording and type(self) == "userdata" and getmetatable(self) == class
      and type(value) == "string" then
      local sequence = publish(self, value, #value)
      if sequence > 0 then
        return sequence
      end
    end
    return c_publish(...)
  end
  compiler.join(class.__index.publish)
end

local function install_next()
  local recording = false
  local getmetatable, string_of, type = getmetatable, layout.ffi.string, type
  local class, scratch, bytes = core.front.class "shmseg.subscription", layout.scratch, layout.bytes
  local see, advance = layout.calls.subscription_see, layout.calls.subscription_advance
  local c_next = class.__index.next

  -- The subscription moves on when the message is a string, as a queue's is taken.
  function class.__index.next(...)
    local self, timeout = ...
    if recording and type(self) == "userdata" and getmetatable(self) == class
      and (type(timeout) == "nil" or type(timeout) == "number" and timeout == timeout) then
      local serial = see(self, scratch)
      if serial > 0 then
        local value, sequence, lost = string_of(bytes, scratch.size), scratch.number, scratch.lost
        if advance(self, scratch, serial) > 0 then
          return value, sequence, lost
        end
      end
    end
    return c_next(...)
  end
  compiler.join(class.__index.next)
end

function broadcast.install()
  install_publish()
  install_next()
end

return broadcast
