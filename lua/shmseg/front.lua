--- The front of LuaJIT: Lua functions in the place of hot methods, which its compiler sees through.
--
-- Each checks its arguments and the handle, and reaches the bytes by the FFI. Whatever is not as it
-- should be is left to the C function that it replaces: that is called with the same arguments, by
-- a tail call, so that the results and the errors are that function's, and blame the same caller.
-- Whether an argument was left out is asked of its type: a pointer of the FFI that is NULL is an
-- argument, and yet it == nil.
-- All are functions of (...): so C gets as many arguments as the caller gave, and complains of the
-- one that is missing.
-- @module shmseg.front

local core = require "shmseg.core"

local front = {}

-- The first two are for the others.
local parts = {
  "layout", "recording",
  "segment", "array", "record", "atomic", "cell", "queue", "broadcast", "dict",
}

-- Without any of these the compiler makes an object of each pointer: slower than the C functions.
local optimizations = { "fold", "cse", "dce", "fwd", "sink" }

local function has_optimizations(is_on, ...)
  local on = {}
  for i = 1, select("#", ...) do
    on[(select(i, ...))] = true
  end
  for _, name in ipairs(optimizations) do
    is_on = is_on and on[name]
  end
  return is_on
end

-- Is this a LuaJIT whose compiler is on, and optimizes, and does nobody refuse the front? A sandbox
-- may have taken away what it is made with.
local function is_wanted()
  if not core.front or not (jit and debug and os and loadstring) then
    return false
  end
  return os.getenv "SHMSEG_FFI" ~= "0" and has_optimizations(jit.status())
    and pcall(require, "ffi")
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
  if not modules or not modules[1].check() or not modules[2].start() then
    return false
  end
  for i = 3, #modules do
    modules[i].install()
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
