--- Shared memory for Lua.
-- @module shmseg

local check = require "shmseg.check"
local core = require "shmseg.core"
local front = require "shmseg.front"
local segment = require "shmseg.segment"
local struct = require "shmseg.struct"

local shmseg = {
  _VERSION = "shmseg " .. core.version,
  pagesize = core.pagesize, -- bytes
  now = core.now,           -- () -> seconds since a moment that is the same for all processes
  sleep = core.sleep,       -- (seconds) -> true; or nil, "interrupted", "interrupted"
  signals = core.signals,   -- (name...) -> a handle; those signals then end waits, not the process
  struct = struct.define,
  cdef = struct.cdef,
}

for name, fn in pairs(segment) do
  shmseg[name] = fn
end

for _, noun in ipairs(core.kinds) do
  shmseg[noun] = require("shmseg." .. noun)
end

check.add_module("shmseg", shmseg)

local has_front = front.install()

--- Tells what this platform can do.
-- @treturn table booleans by name; platform, a string; and watch, a string or false
function shmseg.features()
  local features = {}
  for name, value in pairs(core.features) do
    features[name] = value
  end
  features.watch = core.watch_way() -- not before it is wanted: it asks the kernel
  features.ffi = has_front
  return features
end

return shmseg
