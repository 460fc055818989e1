--- A mutex whose owner may die.
-- @module shmseg.mutex

local core = require "shmseg.core"
local object = require "shmseg.object"

local mutex, methods = object.module("mutex")

--- Waits for the mutex, and calls fn while it is locked. Raises what fn raises, and "interrupted".
-- @function mutex:with
-- @tparam function fn is given nil, or "abandoned" when the last owner died while holding
-- @return what fn returns; the mutex is unlocked then

-- LuaJIT lets a coroutine yield across its pcall, and not across a function in C. There `with` is
-- written in Lua. A hook that raises while the lock is held does so in the inner pcall, or after it
-- and in the outer one.
if package.loaded.jit then
  local with, lock, finish = methods.with, methods.lock, core.mutex.finish
  local CALLER = 6 -- the level of the caller of `with`, from within call_locked

  local function call_locked(self, fn)
    local ok, guard, abandoned = pcall(lock, self)
    if not ok then
      error(guard, CALLER)
    end
    return fn(abandoned)
  end

  local function call_once(self, fn)
    return finish(self, pcall(call_locked, self, fn))
  end

  function methods:with(fn)
    if fn == nil or not coroutine.running() or self:is_held() then -- then it raises
      return with(self, fn)
    end
    return finish(self, pcall(call_once, self, fn))
  end
end

return mutex
