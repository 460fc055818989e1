--- The front of records: their fields that are scalars.
-- @module shmseg.front.record

local core = require "shmseg.core"
local layout = require "shmseg.front.layout"
local scalars = require "shmseg.front.scalar"
local template = require "shmseg.front.template"

local record = {}

local locals = [[
local class, shape, sort = env.class, env.shape, env.sort
]]

-- The shortcut is that of a record of this shape which is there as a whole.
local find = [[
  if type(self) == "userdata" and getmetatable(self) == class then
    local view, now = cast(view_pointer, self), state.key
    if view.key - now == sort and IS_GOOD then
      local at = view.base + OFFSET
]]

local get = locals .. [[
return function(...)
  local self = ...
]] .. find .. [[
LOAD
    end
  end
  return c(...)
end]]

local set = locals .. [[
return function(...)
  local self, _, value = ...
  if TAKES then
]] .. find .. [[
STORE
    end
  end
  end
  return c(...)
end]]

local get_text = locals .. [[
local read, buffer, make_string = env.read, env.buffer, env.make_string
return function(...)
  local self = ...
  if type(self) == "userdata" and getmetatable(self) == class then
    local reads = read(state, self, shape, OFFSET, SIZE)
    if reads ~= 0 then
      local result = make_string(buffer, state.length)
      if state.reads == reads then
        return result
      end
    end
  end
  return c(...)
end]]

local set_text = locals .. [[
local write = env.write
return function(...)
  local self, _, text = ...
  if type(self) == "userdata" and getmetatable(self) == class and type(text) == "string"
      and write(self, shape, OFFSET, SIZE, text, #text) then
    return
  end
  return c(...)
end]]

local index = [[
local functions = env.functions
return function(...)
  local _, key = ...
  if recording then
    local fn = functions[key]
    if fn then
      return fn(...)
    end
  end
  return c(...)
end]]

-- A table of the functions of fields, each made when it is first asked for: that takes time.
local function make_functions(fields, make)
  return setmetatable({}, { __index = function(functions, key)
    local field = key ~= nil and fields[key]
    local fn = field and make(field)
    if fn then
      functions[key] = fn
    end
    return fn
  end })
end

local function replace(class, name, fields, make)
  local functions = make_functions(fields, make)
  class[name] = template.make(index, class[name], { functions = functions })
end

--- Puts the front in the place of the metamethods of a shape's records.
-- @tparam userdata shape
-- @tparam {table,...} list of the fields, as core.shape takes it
local function install(shape, list)
  local class = core.front.record_class(shape)
  local ffi = layout.ffi
  local address, views = ffi.cast("const void *", shape), layout.state.views
  local env = {
    class = class, shape = address, sort = ffi.cast("int64_t", ffi.cast("intptr_t", address)),
    buffer = layout.state.buffer, read = views.read_text, write = views.write_text,
  }
  local fields = {}
  for _, field in ipairs(list) do
    if not field.is_array and not field.shape then
      fields[field.name] = { type = field.type, offset = field.offset, size = field.size }
    end
  end
  local function make(text, of_text, c, is_good)
    return function(field)
      local scalar = scalars[field.type]
      local values = { OFFSET = field.offset, SIZE = field.size }
      if scalar then
        values.TAKES = scalar.takes
        values.LOAD, values.STORE = template.load(field.type), template.store(field.type, "")
        values.IS_GOOD = is_good
      end
      return template.make(template.fill(scalar and text or of_text, values), c, env)
    end
  end
  local get_c, set_c = class.__index, class.__newindex
  replace(class, "__index", fields, make(get, get_text, get_c, "true"))
  replace(class, "__newindex", fields, make(set, set_text, set_c, "view.limit_to_change > 0"))
end

function record.install()
  local make_shape = core.shape
  function core.shape(size, list)
    local shape, functions = make_shape(size, list)
    install(shape, list)
    return shape, functions
  end
end

return record
