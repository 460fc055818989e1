--- The front of segments and slices: get_ and set_ of all scalars.
-- @module shmseg.front.segment

local core = require "shmseg.core"
local layout = require "shmseg.front.layout"
local scalars = require "shmseg.front.scalar"
local template = require "shmseg.front.template"

local segment = {}

-- Sets at, the address of COUNT bytes at offset, if the handle has them. A closed segment has the size
-- 0. The integer from is what the compiler makes of offset on any machine, also of infinity.
local find = [[
  if recording and type(self) == "userdata" and type(offset) == "number" and floor(offset) == offset then
    local kind, moves = getmetatable(self), state.moves
    local at, segment
    local from = cast(int64, offset)
    if kind == whole then
      local root = cast(root_pointer, self)
      segment = root.segment
      if root.tag == tag and from >= 0 and from <= segment.size - COUNT and WRITABLE then
        at = segment.data + from
      end
    elseif kind == part then
      local slice = cast(slice_pointer, self)
      segment = slice.segment
      if slice.tag == tag and segment ~= nil and from >= 0 and from <= slice.size - COUNT
          and from <= segment.size - COUNT - slice.offset and WRITABLE then
        at = segment.data + (slice.offset + from)
      end
    end]]

local locals = [[
local whole, part, root_pointer, slice_pointer, tag =
  env.whole, env.part, env.root_pointer, env.slice_pointer, env.tag
]]

local get = locals .. [[
return function(...)
  local self, offset = ...
]] .. find .. [[

    if at then
LOAD
    end
  end
  return c(...)
end]]

local set = locals .. [[
return function(...)
  local self, offset, value = ...
  if recording and TAKES then
]] .. find .. [[

    if at then
STORE
    end
  end
  end
  return c(...)
end]]

-- A string is copied to the buffer of the state, and is made of it if nobody else has used the buffer.
local read = locals .. [[
local read, buffer, make_string, most = env.read, env.buffer, env.make_string, env.most
return function(...)
  local self, offset, count = ...
  if recording and type(offset) == "number" and type(count) == "number" and count <= most
      and type(self) == "userdata" then
    local kind, moves = getmetatable(self), state.moves
    if kind == whole or kind == part then
      local reads = read(state, self, offset, count)
      if reads ~= 0 then
        local result = make_string(buffer, count)
        if state.reads == reads and state.moves == moves then
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
    local kind = getmetatable(self)
    if (kind == whole or kind == part) and write(self, offset, bytes, #bytes) then
      return offset + #bytes
    end
  end
  return c(...)
end]]

function segment.install()
  local class = core.front.class
  local env = {
    whole = class "shmseg.segment", part = class "shmseg.slice",
    root_pointer = layout.type "root *", slice_pointer = layout.type "slice *",
    tag = layout.state.segment_tag,
    read = layout.state.views.read_bytes, write = layout.state.views.write_bytes,
    buffer = layout.state.buffer, most = layout.ffi.sizeof(layout.state.buffer),
  }
  local methods = env.whole.__index
  local function replace(method, text, values)
    methods[method] = template.make(template.fill(text, values), methods[method], env)
  end
  replace("read", read, {})
  replace("write", write, {})
  for name, scalar in pairs(scalars) do
    replace("get_" .. name, get, { LOAD = template.load(name), COUNT = scalar.size,
      WRITABLE = "true" })
    replace("set_" .. name, set, { STORE = template.store(name, "offset + " .. scalar.size),
      COUNT = scalar.size, TAKES = scalar.takes, WRITABLE = "segment.writable" })
  end
end

return segment
