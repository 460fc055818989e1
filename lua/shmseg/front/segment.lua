--- The front of segments and slices: get_ and set_ of all scalars.
-- @module shmseg.front.segment

local core = require "shmseg.core"
local layout = require "shmseg.front.layout"
local scalars = require "shmseg.front.scalar"
local template = require "shmseg.front.template"

local segment = {}

-- The integer from is what the processor makes of offset: of infinity a negative one on x64, and on
-- others the largest, to which nothing may be added.
local bound = jit.arch == "x64" and "from + COUNT <= view.LIMIT" or "from <= view.LIMIT - COUNT"

local find = [[
  if recording and type(self) == "userdata" and type(offset) == "number"
      and floor(offset) == offset then
    local class = getmetatable(self)
    if class == whole or class == part then
      local view, now, from = cast(view_pointer, self), state.key, cast(int64, offset)
      if view.key == now and from >= 0 and BOUND then
        local at = view.base + from
]]

local locals = [[
local whole, part = env.whole, env.part
]]

local get = locals .. [[
return function(...)
  local self, offset = ...
]] .. find .. [[
LOAD
      end
    end
  end
  return c(...)
end]]

local set = locals .. [[
return function(...)
  local self, offset, value = ...
  if TAKES then
]] .. find .. [[
STORE
      end
    end
  end
  end
  return c(...)
end]]

-- A string is copied to the buffer of the state, and is made of it if nobody else has used the
-- buffer.
local read = locals .. [[
local read, buffer, make_string, most = env.read, env.buffer, env.make_string, env.most
return function(...)
  local self, offset, count = ...
  if recording and type(offset) == "number" and type(count) == "number" and count <= most
      and type(self) == "userdata" then
    local class, now = getmetatable(self), state.key
    if class == whole or class == part then
      local reads = read(state, self, offset, count)
      if reads ~= 0 then
        local result = make_string(buffer, count)
        if state.reads == reads and state.key == now then
          return result
        end
      end
    end
  end
  return c(...)
end]]

local write = locals .. [[
local write = env.write
return function(...)
  local self, offset, bytes = ...
  if recording and type(offset) == "number" and type(bytes) == "string"
      and type(self) == "userdata" then
    local class = getmetatable(self)
    if (class == whole or class == part) and write(self, offset, bytes, #bytes) then
      return offset + #bytes
    end
  end
  return c(...)
end]]

function segment.install()
  local class = core.front.class
  local env = {
    whole = class "shmseg.segment", part = class "shmseg.slice",
    read = layout.state.views.read_bytes, write = layout.state.views.write_bytes,
    buffer = layout.state.buffer, most = layout.ffi.sizeof(layout.state.buffer),
  }
  local methods = env.whole.__index
  local function replace(method, text, values)
    text = template.fill(text, { BOUND = bound })
    methods[method] = template.make(template.fill(text, values), methods[method], env)
  end
  replace("read", read, {})
  replace("write", write, {})
  for name, scalar in pairs(scalars) do
    replace("get_" .. name, get, { LOAD = template.load(name), COUNT = scalar.size,
      LIMIT = "limit" })
    replace("set_" .. name, set, { STORE = template.store(name, "offset + " .. scalar.size),
      COUNT = scalar.size, TAKES = scalar.takes, LIMIT = "limit_to_change" })
  end
end

return segment
