--- Shared memory for Lua.
-- @module shmseg

local check = require "shmseg.check"
local core = require "shmseg.core"
local segment = require "shmseg.segment"
local struct = require "shmseg.struct"

local shmseg = {
  _VERSION = "shmseg scm",
  pagesize = core.pagesize,
  now = core.now,
  sleep = core.sleep,
  signals = core.signals,
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

--- What this platform has.
-- @treturn table of booleans, and platform, a string
function shmseg.features()
  local features = {}
  for name, value in pairs(core.features) do
    features[name] = value
  end
  return features
end

return shmseg
