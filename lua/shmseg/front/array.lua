--- The front of arrays: a[i] and a[i] = value, of scalars; and the names of methods.
-- @module shmseg.front.array

local core = require "shmseg.core"
local layout = require "shmseg.front.layout"
local scalars = require "shmseg.front.scalar"
local template = require "shmseg.front.template"

local array = {}

local locals = [[
local class, methods = env.class, env.methods
]]

-- The shortcut is that of an array which is there as a whole; its sort is 2 + 256 * the type.
local find = [[
    local view, now, i = cast(view_pointer, self), state.key, cast(int64, key)
    local sort = view.key - now
    if i >= 1 and i <= view.LIMIT then
      local at
BRANCHES
    end
  end
  return c(...)
end]]

local get = locals .. [[
return function(...)
  local self, key = ...
  if recording and type(key) == "string" then
    local method = methods[key]
    if method and type(self) == "userdata" and getmetatable(self) == class
        and cast(view_pointer, self).tag == env.tag then
      return method
    end
  elseif recording and type(key) == "number" and type(self) == "userdata"
      and getmetatable(self) == class and floor(key) == key then
]] .. find

local set = locals .. [[
return function(...)
  local self, key, value = ...
  if recording and type(key) == "number" and type(self) == "userdata"
      and getmetatable(self) == class and floor(key) == key then
]] .. find

-- One branch for each type. What is usual comes first.
local order = { "f64", "i32", "u8", "f32", "i64", "u32", "i16", "u16", "u64", "i8", "bool" }

local function all_branches(leaf)
  local numbers, list = {}, {}
  for number, name in ipairs(core.front.scalars) do
    numbers[name] = number - 1
  end
  for i, name in ipairs(order) do
    list[i] = ("if sort == %d then\n%s\n"):format(2 + 256 * numbers[name], leaf(name))
  end
  return table.concat(list, "else") .. "end"
end

local function at(name)
  return ("at = view.base + i * %d\n"):format(scalars[name].size)
end

function array.install()
  local class = core.front.class "shmseg.array"
  local env = { class = class, tag = layout.state.array_tag, methods = core.front.array_methods }
  local loads = all_branches(function(name)
    return at(name) .. template.load(name)
  end)
  local stores = all_branches(function(name)
    return ("if %s then\n%s%s\nend"):format(scalars[name].takes, at(name), template.store(name, ""))
  end)
  class.__index = template.make(template.fill(get, { BRANCHES = loads, LIMIT = "limit" }),
    class.__index, env)
  class.__newindex = template.make(
    template.fill(set, { BRANCHES = stores, LIMIT = "limit_to_change" }), class.__newindex, env)
end

return array
