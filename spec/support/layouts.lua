-- SPDX-License-Identifier: MIT
-- Random structs: their definitions, their fields' paths in Lua and in C, and values for them.

local shmseg = require "shmseg"
local scalars = require "spec.support.scalars"

local layouts = {}

local random = math.random
local serial = 0
local small = {} -- structs to be fields of others

local function count()
  return random(3) == 1 and random(4) or nil
end

local function random_field(name, depth)
  local kind = random(10)
  if kind == 1 then
    return { name = name, type = "char", length = random(20), count = count() }
  elseif kind == 2 then
    return { name = name, type = "pad", length = random(9) }
  elseif kind <= 4 and depth > 0 then
    local inner = #small > 20 and small[random(#small)] or layouts.random(depth - 1)
    return { name = name, type = inner.struct, inner = inner, count = count() }
  end
  return { name = name, type = scalars[random(#scalars)].name, count = count() }
end

--- A struct of random fields; `struct`, `fields`, and whether it is `packed`.
function layouts.random(depth)
  local self = { fields = {}, packed = random(4) == 1 }
  local definition = {}
  for i = 1, random(6) do
    local field = random_field("f" .. i, depth)
    local length_or_count = field.length or field.count
    self.fields[i] = field
    definition[i] = { field.name, field.type, length_or_count, field.length and field.count }
  end
  serial = serial + 1
  local options = (self.packed or random(2) == 1) and { packed = self.packed } or nil
  self.struct = shmseg.struct("S" .. serial, definition, options)
  if self.struct.size <= 64 then
    small[#small + 1] = self
  end
  return self
end

--- The paths of all fields, elements and fields of inner structs, each in Lua and in C, with the
-- field that is there; `is_leaf` when it is one scalar or string.
function layouts.paths(self)
  local list = {}
  local function add(lua, c, field, is_array)
    local is_leaf = not is_array and not field.inner
    list[#list + 1] = { lua = lua, c = c, field = field, is_leaf = is_leaf }
  end
  local function visit(layout, prefix_lua, prefix_c)
    for _, field in ipairs(layout.fields) do
      local lua, c = prefix_lua .. field.name, prefix_c .. field.name
      add(lua, c, field, field.count ~= nil)
      for i = 1, field.count or 0 do
        add(("%s[%d]"):format(lua, i), ("%s[%d]"):format(c, i - 1), field)
        if field.inner then
          visit(field.inner, ("%s[%d]."):format(lua, i), ("%s[%d]."):format(c, i - 1))
        end
      end
      if field.inner and not field.count then
        visit(field.inner, lua .. ".", c .. ".")
      end
    end
  end
  visit(self, "", "")
  return list
end

local function random_string(length)
  local bytes = {}
  for i = 1, random(0, length) do
    bytes[i] = string.char(random(97, 122))
  end
  return table.concat(bytes)
end

local function random_leaf(field)
  local kind = field.type
  if kind == "char" then
    return random_string(field.length)
  elseif kind == "bool" then
    return random(2) == 1
  elseif kind == "f32" or kind == "f64" then
    return random(-1000, 1000) / 4
  end
  local bits = math.min(tonumber(kind:match("%d+")), 48)
  local most = 2 ^ (bits - 1) - 1
  local value = math.floor(random() * most)
  return kind:find("^i") and random(2) == 1 and -value - 1 or value
end

local function random_element(field)
  return field.inner and layouts.value(field.inner) or random_leaf(field)
end

--- A table with a random value in every field.
function layouts.value(self)
  local value = {}
  for _, field in ipairs(self.fields) do
    if field.count then
      value[field.name] = {}
      for i = 1, field.count do
        value[field.name][i] = random_element(field)
      end
    elseif field.type ~= "pad" then
      value[field.name] = random_element(field)
    end
  end
  return value
end

--- What is at a path of a table or record.
function layouts.at(value, path)
  for name, index in path:gmatch("([%a_][%w_]*)%[?(%d*)") do
    value = value[name]
    if index ~= "" then
      value = value[tonumber(index)]
    end
  end
  return value
end

return layouts
