--- Whether LuaJIT's compiler is recording a trace at this moment.
--
-- What the front does through the FFI is quick when it is compiled, and slow in the interpreter, 20
-- times as slow as the C function. So a function of the front does it when it is being recorded,
-- and else calls the C function. Its test costs nothing in compiled code: it looks at an upvalue
-- that no code assigns, which the compiler takes for a constant. Here it is changed all the same,
-- by the debug library, when the compiler tells that it begins and ends; an attempt shows whether
-- that works.
-- @module shmseg.front.recording

local recording = {}

-- Kept, since a program may take debug from its own code after it has loaded the module.
local gethook, getregistry, getupvalue, setupvalue, upvaluejoin =
  debug.gethook, debug.getregistry, debug.getupvalue, debug.setupvalue, debug.upvaluejoin

local flag = false

local function cell()
  return flag
end

-- Attaches the function to the compiler's events. There is one function for them: another one that
-- was there, jit.v's for example, is called after it.
local function attach(fn)
  local previous
  local function handle(what, ...)
    fn(what)
    if previous then
      pcall(previous, what, ...)
    end
  end
  jit.off(handle)
  local events = getregistry()._VMEVENTS
  local before = {}
  for key, value in pairs(type(events) == "table" and events or {}) do
    before[key] = value
  end
  jit.attach(handle, "trace")
  for key, value in pairs(getregistry()._VMEVENTS) do
    if value == handle then
      previous = before[key]
    end
  end
end

-- How often, of so many times, the code is not one that was recorded.
local function count_misses(times)
  local misses = 0
  for _ = 1, times do
    if not flag then
      misses = misses + 1
    end
  end
  return misses
end

-- A hook of C can suspend a coroutine in the middle of a method, and then another one. They would
-- use the one place where an address is kept at once.
local function is_hooked()
  local _, mask, count = gethook() -- the first may be one that C has taken away
  return mask ~= "" or count ~= 0
end

--- Begins to watch the compiler.
-- @treturn boolean whether it can be known when it is recording
function recording.start()
  if not (gethook and getregistry and getupvalue and setupvalue and upvaluejoin and jit.attach) then
    return false
  end
  local is_tried = false -- until then a hook that may soon be gone does no harm
  attach(function(what)
    setupvalue(cell, 1, what == "start" and not (is_tried and is_hooked()))
  end)
  count_misses(1000) -- is compiled
  is_tried = true
  return count_misses(1000) < 100
end

--- Has the function, which has an upvalue "recording", know it.
function recording.join(fn)
  local i = 1
  repeat
    local name = getupvalue(fn, i)
    if name == "recording" then
      upvaluejoin(fn, i, cell, 1)
    end
    i = i + 1
  until not name
end

return recording
