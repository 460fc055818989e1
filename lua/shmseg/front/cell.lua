--- The front of cells: get and set.
-- @module shmseg.front.cell

local core = require "shmseg.core"
local layout = require "shmseg.front.layout"
local compiler = require "shmseg.front.recording"

local cell = {}

function cell.install()
  local recording = false
  local getmetatable, string_of, type = getmetatable, layout.ffi.string, type
  local class, scratch, bytes = core.front.class "shmseg.cell", layout.scratch, layout.bytes
  local get, set = layout.calls.cell_get, layout.calls.cell_set
  local c_get, c_set = class.__index.get, class.__index.set

  function class.__index.get(...)
    local self = ...
    if recording and type(self) == "userdata" and getmetatable(self) == class then
      local serial = get(self, scratch)
      if serial > 0 then
        local value, version = string_of(bytes, scratch.size), scratch.number
        if scratch.serial == serial then
          return value, version
        end
      end
    end
    return c_get(...)
  end
  compiler.join(class.__index.get)

  function class.__index.set(...)
    local self, value = ...
    if recording and type(self) == "userdata" and getmetatable(self) == class
      and type(value) == "string" then
      local version = set(self, value, #value)
      if version > 0 then
        return version
      end
    end
    return c_set(...)
  end
  compiler.join(class.__index.set)
end

return cell
