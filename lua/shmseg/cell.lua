--- A cell: the latest value, never torn.
-- @module shmseg.cell

local object = require "shmseg.object"

local cell, methods = object.module("cell", true)

--- The value now, if any, then each change that is seen: the latest one, none is queued. Ends when
-- a signal of shmseg.signals comes.
-- @return an iterator: value, version
function methods:changes()
  local seen
  return object.iterator(function()
    local value, version, code = self:wait(seen)
    if value ~= nil then -- else after an interruption the loop may be taken up again
      seen = version
    end
    return value, version, code
  end)
end

return cell
