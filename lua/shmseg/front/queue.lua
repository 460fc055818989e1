--- The front of queues: pop and push.
-- @module shmseg.front.queue

local core = require "shmseg.core"
local layout = require "shmseg.front.layout"
local compiler = require "shmseg.front.recording"

local queue = {}

function queue.install()
  local recording = false
  local getmetatable, string_of, type = getmetatable, layout.ffi.string, type
  local class, scratch, bytes = core.front.class "shmseg.queue", layout.scratch, layout.bytes
  local push, see, take = layout.calls.queue_push, layout.calls.queue_see, layout.calls.queue_take
  local c_pop, c_push = class.__index.pop, class.__index.push

  -- The message is taken when it is a string: so none is lost when there is no memory for one.
  function class.__index.pop(...)
    local self, timeout = ...
    if recording and type(self) == "userdata" and getmetatable(self) == class
      and (type(timeout) == "nil" or type(timeout) == "number" and timeout == timeout) then
      local serial = see(self, scratch)
      if serial > 0 then
        local value = string_of(bytes, scratch.size)
        if take(self, scratch, serial) > 0 then
          return value
        end
      end
    end
    return c_pop(...)
  end
  compiler.join(class.__index.pop)

  function class.__index.push(...)
    local self, value, timeout = ...
    if recording and type(self) == "userdata" and getmetatable(self) == class
      and type(value) == "string"
      and (type(timeout) == "nil" or type(timeout) == "number" and timeout == timeout)
      and push(self, value, #value) > 0 then
      return true
    end
    return c_push(...)
  end
  compiler.join(class.__index.push)
end

return queue
