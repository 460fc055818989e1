--- The front of segments and slices: get_ and set_ of all scalars.
-- @module shmseg.front.segment

local core = require "shmseg.core"
local layout = require "shmseg.front.layout"
local scalars = require "shmseg.front.scalar"
local template = require "shmseg.front.template"

local segment = {}

-- Sets at, the address of COUNT bytes at offset, if the handle is open and has them; and fault.
-- Offsets and sizes are compared as floating point numbers: neither NaN nor infinity passes.
local find = [[
  local kind = getmetatable(self)
  if type(self) == "userdata" and type(offset) == "number" and offset >= 0
      and floor(offset) == offset then
    BEGIN
    local at, segment
    if kind == whole then
      local root = cast(root_pointer, self)
      segment = root.segment
      if root.tag == tag and offset + COUNT <= tonumber(segment.size) and segment.fd > 0
          and WRITABLE then
        at = segment.data + offset
      end
    elseif kind == part then
      local slice = cast(slice_pointer, self)
      segment = slice.segment
      local from = tonumber(slice.offset) + offset
      if slice.tag == tag and segment ~= nil and offset + COUNT <= tonumber(slice.size)
          and from + COUNT <= tonumber(segment.size) and segment.fd > 0 and WRITABLE then
        at = segment.data + from
      end
    end]]

local locals = [[
local whole, part, root_pointer, slice_pointer, tag, access =
  env.whole, env.part, env.root_pointer, env.slice_pointer, env.tag, env.access
]]

local get = locals .. [[
return function(...)
  local self, offset = ...
]] .. find .. [[

    if at then
      local fault = segment.fault
      ARMED
      LOAD
        END
        if was_there and is_good and fault.code == 0 then
          return value
        end
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

    if at then
      local fault = segment.fault
      ARMED
        access.value = STORED
        END
        if was_there and fault.code == 0 then
          return offset + COUNT
        end
      end
    end
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
  }
  local methods = env.whole.__index
  for name, scalar in pairs(scalars) do
    local function replace(method, text, access, writable)
      local values = { COUNT = scalar.size, LOAD = scalar.load, TAKES = scalar.takes,
        STORED = scalar.stored, WRITABLE = writable }
      methods[method] = template.make(text, values, methods[method],
        setmetatable({ access = layout.access[access] }, { __index = env }))
    end
    replace("get_" .. name, get, scalar.loads, "true")
    replace("set_" .. name, set, scalar.stores, "segment.writable")
  end
end

return segment
