--- A mutex whose owner may die.
-- @module shmseg.mutex

local object = require "shmseg.object"

local mutex, methods = object.module("mutex")

-- The results of pcall, after the lock was given back; fn may have done that itself.
local function finish(self, ok, ...)
  local unlocked, message = true, nil
  if self:is_held() then
    unlocked, message = self:unlock()
  end
  if not ok then
    error((...), 0)
  elseif not unlocked then
    error(message, 3)
  end
  return ...
end

--- Calls fn while the mutex is locked. It is unlocked when fn returns or raises.
-- @tparam function fn is given nil, or "abandoned" when the last owner died while holding
-- @return what fn returns
function methods:with(fn)
  if fn == nil then
    error("bad argument #1 to 'with' (function expected, got nil)", 2)
  end
  local ok, guard, abandoned = pcall(methods.lock, self)
  if not ok then
    error(type(guard) == "string" and guard:gsub("'%?'", "'with'", 1) or guard, 2)
  end
  return finish(self, pcall(fn, abandoned))
end

return mutex
