--- The front of LuaJIT: Lua functions in the place of hot methods, which its compiler sees through.
--
-- Each checks its arguments and the handle, and reaches the bytes by the FFI. Whatever is not as it
-- should be is left to the C function that it replaces: that is called with the same arguments, by
-- a tail call, so that the results and the errors are that function's, and blame the same caller.
-- @module shmseg.front

local core = require "shmseg.core"

local front = {}

-- The first three are for the others.
local parts = {
  "layout", "recording", "template",
  "segment", "array", "record", "atomic", "cell", "queue", "broadcast", "dict",
}

-- Is this a LuaJIT whose compiler is on and whose FFI is there, and does nobody refuse the front?
local function is_wanted()
  if not core.front or os.getenv "SHMSEG_FFI" == "0" then
    return false
  end
  local has_jit, jit = pcall(require, "jit")
  return has_jit and jit.status() and pcall(require, "ffi")
end

-- The modules; or nil where a program carries the library without them.
local function load_parts()
  local modules = {}
  for i, part in ipairs(parts) do
    local ok, module = pcall(require, "shmseg.front." .. part)
    if not ok and not module:find("^module '[^']*' not found") then
      error(module, 0)
    elseif not ok then
      return nil
    end
    modules[i] = module
  end
  return modules
end

local function install()
  local modules = load_parts()
  local layout = modules and modules[1].check()
  if not layout or not modules[3].is_possible() or not modules[2].start() then
    return false
  end
  for i = 4, #modules do
    modules[i].install(layout)
  end
  return true
end

--- Puts the front in the place of the methods, once in a Lua state.
-- @treturn boolean whether it is there
function front.install()
  if not is_wanted() then
    return false
  elseif core.front.installed == nil then
    core.front.installed = install()
  end
  return core.front.installed
end

return front
