--- Functions of the front that differ in little: made from one text, each with code of its own, since
-- the compiler specialises code.
-- @module shmseg.front.template

local layout = require "shmseg.front.layout"

local template = {}

-- Around each access. The address is computed and checked, then put into state.at; if no mapping
-- has moved since (state.moves), it is used. If it is then still there, it was used, else
-- something came between: a hook or a finalizer that closed a handle, or that used the front. The copy
-- takes the address back and is a barrier: without one the compiler takes loads out of loops, and
-- neither a peer's store nor the guard's code would be seen. The code is loaded behind it.
local pieces = {
  BEGIN = "local moves = state.moves",
  ARMED = "state.at = at\n    if state.moves == moves then",
  END = "local was_there = state.at == at\n      copy(at_pointer, home_pointer, POINTER)",
}

local head = [[
local c, env = ...
local cast, copy, floor, getmetatable, tonumber, type, state, at_pointer, home_pointer =
  env.cast, env.copy, env.floor, env.getmetatable, env.tonumber, env.type, env.state,
  env.at_pointer, env.home_pointer
]]

local function replace(text, values)
  return (text:gsub("%f[%w_]%u[%u_]+%f[^%w_]", values))
end

--- Makes a function.
-- @tparam string text of Lua code that returns the function; words in capitals are replaced
-- @tparam table values for these words
-- @tparam function c the function that is replaced
-- @tparam table env what the text takes from env
function template.make(text, values, c, env)
  local ffi = layout.ffi
  local all = setmetatable({ cast = ffi.cast, copy = ffi.copy, floor = math.floor,
    getmetatable = getmetatable, tonumber = tonumber, type = type, state = layout.state,
    at_pointer = layout.at, home_pointer = layout.home }, { __index = env })
  text = replace(replace(text, values), pieces)
  text = text:gsub("POINTER", ffi.sizeof "void *")
  return assert(loadstring(head .. text, "=shmseg.front"))(c, all)
end

return template
