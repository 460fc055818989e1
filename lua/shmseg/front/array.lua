--- The front of arrays: a[i] and a[i] = value, of scalars; and the names of methods.
-- @module shmseg.front.array

local core = require "shmseg.core"
local layout = require "shmseg.front.layout"
local scalars = require "shmseg.front.scalar"
local template = require "shmseg.front.template"

local array = {}

local locals = [[
local class, pointer, tag, methods = env.class, env.pointer, env.tag, env.methods
]]

-- The element's number is there if all of the array is. A closed segment has the size 0.
local find = [[
    local array = cast(pointer, self)
    local moves = state.moves
    local segment, i = array.view.segment, cast(int64, key)
    local kind = array.type
    if array.view.tag == tag and segment ~= nil and i >= 1 and i <= array.count
        and array.view.offset <= segment.size - array.view.size and WRITABLE then
      local base, at = segment.data + array.view.offset
]]

local get = locals .. [[
return function(...)
  local self, key = ...
  if recording and type(key) == "string" then
    local method = methods[key]
    if method and type(self) == "userdata" and getmetatable(self) == class
        and cast(pointer, self).view.tag == tag then
      return method
    end
  elseif recording and type(key) == "number" and type(self) == "userdata" and getmetatable(self) == class
      and floor(key) == key then
]] .. find .. [[
BRANCHES
    end
  end
  return c(...)
end]]

local set = locals .. [[
return function(...)
  local self, key, value = ...
  if recording and type(key) == "number" and type(self) == "userdata" and getmetatable(self) == class
      and floor(key) == key then
]] .. find .. [[
BRANCHES
    end
  end
  return c(...)
end]]

-- One branch for each of the types first to last, found in a few steps.
local function branches(first, last, leaf)
  if first == last then
    return leaf(core.front.scalars[first])
  end
  local middle = math.floor((first + last) / 2)
  return ("if kind <= %d then\n%s\nelse\n%s\nend"):format(middle - 1,
    branches(first, middle, leaf), branches(middle + 1, last, leaf))
end

local function all_branches(leaf)
  local count = #core.front.scalars
  return ("if kind < %d then\n%s\nend"):format(count, branches(1, count, leaf))
end

local function at(name)
  return ("at = base + (i - 1) * %d\n"):format(scalars[name].size)
end

function array.install()
  local class = core.front.class "shmseg.array"
  local env = { class = class, pointer = layout.type "array *", tag = layout.state.array_tag,
    methods = core.front.array_methods }
  local loads = all_branches(function(name)
    return at(name) .. template.load(name)
  end)
  local stores = all_branches(function(name)
    return ("if %s then\n%s%s\nend"):format(scalars[name].takes, at(name), template.store(name, ""))
  end)
  class.__index = template.make(template.fill(get, { BRANCHES = loads, WRITABLE = "true" }),
    class.__index, env)
  class.__newindex = template.make(
    template.fill(set, { BRANCHES = stores, WRITABLE = "segment.writable" }), class.__newindex, env)
end

return array
