--- The front of LuaJIT: Lua functions in the place of hot methods, which its compiler can see through.
--
-- Each checks its arguments and the handle, and reaches the bytes by the FFI. Whatever is not as it
-- should be is left to the C function that it replaces, which is called with the same arguments by a
-- tail call: so the results and the errors are that function's, and blame the same caller.
-- @module shmseg.front

local core = require "shmseg.core"

local front = {}

local parts = {
  "segment", "array", "record", "atomic", "cell", "queue", "broadcast", "dict",
}

-- Is this a LuaJIT whose compiler is on and whose FFI is there, and does nobody want to do without?
local function is_wanted()
  if not core.front or os.getenv "SHMSEG_FFI" == "0" then
    return false
  end
  local has_jit, jit = pcall(require, "jit")
  return has_jit and jit.status() and pcall(require, "ffi")
end

--- Puts the front in the place of the methods, once in a Lua state.
-- @treturn boolean whether it is there
function front.install()
  if not is_wanted() then
    return false
  elseif core.front.installed == nil then
    local layout = require("shmseg.front.layout").check()
    core.front.installed = layout ~= nil
    if layout then
      require("shmseg.front.recording").start()
    end
    for _, part in ipairs(layout and parts or {}) do
      require("shmseg.front." .. part).install(layout)
    end
  end
  return core.front.installed
end

return front
