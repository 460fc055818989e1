--- A cell: the latest value, never torn.
-- @module shmseg.cell

local object = require "shmseg.object"

local cell, methods = object.module("cell", true)

--- Iterates over the present value, if there is one, and then each new one; values that others have
-- replaced meanwhile are left out. Ends when a signal of shmseg.signals comes.
-- @treturn function an iterator: value, version (integer)
function methods:changes()
  local seen
  return object.iterator(function()
    local value, version, code = self:wait(seen)
    if value ~= nil then -- else it was interrupted, and the iterator may be called again
      seen = version
    end
    return value, version, code
  end)
end

return cell
