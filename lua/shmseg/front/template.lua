--- Functions of the front that differ in little: made from one text, each with code of its own,
-- since the compiler specialises code. Functions that share code would share its traces, too, and
-- what each has from outside would be no constant any more.
--
-- Words in capitals stand for other text. This is what becomes of segment.lua's for get_i32:
--
--   return function(...)
--     local self, offset = ...
--     if recording and type(self) == "userdata" and type(offset) == "number"
--         and floor(offset) == offset then
--       local class = getmetatable(self)
--       if class == whole or class == part then
--         local view, now, from = cast(view_pointer, self), state.key, cast(int64, offset)
--         if view.key == now and from >= 0 and from + 4 <= view.limit then
--           local at = view.base + from
--           local code = view.code
--           state.at = at
--           if state.key == now then
--             local bits = access_i32.value
--             local was_there = state.at == at
--             copy(at_pointer, home_pointer, 8)
--             local value, is_good = bits, true
--             if was_there and is_good and code[0] == 0 then
--               return value
--             end
--           end
--         end
--       end
--     end
--     return c(...)
--   end
--
-- recording is true only while the compiler records (recording.lua), c is the C function. view is
-- the userdata, whose tag need not be looked at: only a view of ours has such a key. The shortcut
-- (base, limit, code) is explained at view.h, state at front.h, access at layout.lua.
-- @module shmseg.front.template

local layout = require "shmseg.front.layout"
local recording = require "shmseg.front.recording"
local scalars = require "shmseg.front.scalar"

local template = {}

local loadstring = loadstring -- kept: a program may take it from its own code later

-- Around each access; the checks that the shortcut is good, and that the access is inside, come
-- before it. The address is put into state.at; if no mapping has changed since (state.key), it is
-- used. If it is then still there, it was used, else something came between: a hook or a finalizer
-- that closed a handle, or that used the front. The copy takes the address back and is a barrier:
-- without one the compiler takes loads out of loops, and neither a peer's store nor the guard's
-- code would be seen. The code is loaded behind it.
local load = [[
      local code = view.code
      state.at = at
      if state.key == now then
        local bits = ACCESS.value
        local was_there = state.at == at
        copy(at_pointer, home_pointer, POINTER)
CONVERT
        if was_there and is_good and code[0] == 0 then
          return value
        end
      end]]

local store = [[
      local code = view.code
      state.at = at
      if state.key == now then
        ACCESS.value = STORED
        local was_there = state.at == at
        copy(at_pointer, home_pointer, POINTER)
        if was_there and code[0] == 0 then
          return RETURNED
        end
      end]]

local head = [[
local c, env, access = ...
local cast, copy, floor, getmetatable, tonumber, type, state, at_pointer, home_pointer, int64,
  view_pointer =
  env.cast, env.copy, env.floor, env.getmetatable, env.tonumber, env.type, env.state,
  env.at_pointer, env.home_pointer, env.int64, env.view_pointer
local recording = false
]]

--- Puts other text in the place of words in capitals, of two letters at least. Words that have none
-- stay: they may get it from a later call.
-- @tparam string text
-- @tparam table values by word
function template.fill(text, values)
  return (text:gsub("%f[%w_]%u[%u_]+%f[^%w_]", values))
end

--- Text that loads a scalar from at and returns it, or goes on if that cannot be.
-- @tparam string name of the type
function template.load(name)
  local scalar = scalars[name]
  return template.fill(load, { ACCESS = "access." .. scalar.loads, CONVERT = scalar.load })
end

--- Text that stores value at at and returns, or goes on if that cannot be.
-- @tparam string name of the type
-- @tparam string returned an expression
function template.store(name, returned)
  local scalar = scalars[name]
  return template.fill(store, { ACCESS = "access." .. scalar.stores, STORED = scalar.stored,
    RETURNED = returned })
end

--- Makes a function.
-- @tparam string text of Lua code that returns the function; it sees what head declares
-- @tparam function c the function that is replaced
-- @tparam table own what the text takes from env, beside what head takes
function template.make(text, c, own)
  local ffi = layout.ffi
  local env = setmetatable({
    cast = ffi.cast, copy = ffi.copy, floor = math.floor, getmetatable = getmetatable,
    tonumber = tonumber, make_string = ffi.string, type = type, state = layout.state,
    at_pointer = layout.at, home_pointer = layout.home, int64 = ffi.typeof "int64_t",
    view_pointer = layout.type "view *",
  }, { __index = own })
  local used, locals = {}, {} -- each access that the text has, as an upvalue of its own
  for name in text:gmatch "access%.([uif]%d+)%.value" do
    if not used[name] then
      used[name] = true
      locals[#locals + 1] = ("local access_%s = access.%s\n"):format(name, name)
    end
  end
  text = text:gsub("access%.([uif]%d+)%.value", "access_%1.value")
  text = head .. table.concat(locals) .. text:gsub("POINTER", ffi.sizeof "void *")
  local fn = assert(loadstring(text, "=shmseg.front"))(c, env, layout.access)
  recording.join(fn)
  return fn
end

return template
