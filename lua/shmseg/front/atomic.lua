--- The front of atomics, through functions of C that check everything, and return what is no number
-- when the method has to do it.
-- @module shmseg.front.atomic

local core = require "shmseg.core"
local layout = require "shmseg.front.layout"
local template = require "shmseg.front.template"

local atomic = {}

local change = [[
local class, call = env.class, env.call
return function(...)
  local self, operand = ...
  if recording and INTEGER(operand) and type(self) == "userdata"
      and getmetatable(self) == class then
    local old = call(self, operand)
    if old == old then
      return old
    end
  end
  return c(...)
end]]

local load = [[
local class, call = env.class, env.call
return function(...)
  local self = ...
  if recording and type(self) == "userdata" and getmetatable(self) == class then
    local value = call(self)
    if value == value then
      return value
    end
  end
  return c(...)
end]]

local store = [[
local class, call = env.class, env.call
return function(...)
  local self, value = ...
  if recording and INTEGER(value) and type(self) == "userdata"
      and getmetatable(self) == class and call(self, value) then
    return true
  end
  return c(...)
end]]

local cas = [[
local class, call, done = env.class, env.call, env.done
return function(...)
  local self, expected, value = ...
  if recording and INTEGER(expected) and INTEGER(value)
      and type(self) == "userdata" and getmetatable(self) == class then
    local seen = call(self, expected, value)
    if seen == done then
      return true
    elseif seen == seen then
      return false, seen
    end
  end
  return c(...)
end]]

-- An operand that the C function takes: an integer that a number holds whatever its neighbours are.
local integer = [[type(%1) == "number" and %1 >= -0x20000000000000 and %1 <= 0x20000000000000
      and floor(%1) == %1]]

local texts = {
  add = change, sub = change, band = change, bor = change, bxor = change, swap = change,
  load = load, store = store, cas = cas,
}

function atomic.install()
  local class = core.front.class "shmseg.atomic"
  for name, text in pairs(texts) do
    local env = { class = class, call = layout.state.views[name], done = math.huge }
    text = text:gsub("INTEGER%((%w+)%)", integer)
    class.__index[name] = template.make(text, class.__index[name], env)
  end
end

return atomic
