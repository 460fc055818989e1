--- A mutex whose owner may die.
-- @module shmseg.mutex

local object = require "shmseg.object"

local mutex, methods = object.module("mutex")

-- The results of pcall, after the lock was given back.
local function finish(self, ok, ...)
  if self:is_held() then
    self:unlock()
  end
  if not ok then
    error((...), 0)
  end
  return ...
end

--- Calls fn while the mutex is locked. It is unlocked when fn returns or raises.
-- @tparam function fn is given nil, or "abandoned" when the last owner died while holding
-- @return what fn returns
function methods:with(fn)
  local _, abandoned = self:lock()
  return finish(self, pcall(fn, abandoned))
end

return mutex
