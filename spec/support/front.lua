-- SPDX-License-Identifier: MIT
-- Processes that have the LuaJIT front, or have it not: what the specs of the front start.

local peer = require "spec.support.peer"
local process = require "spec.support.process"

local front = {}

--- Seconds after which a loop that does not end is ended: such a loop is a failure.
front.limit = 20

--- Why there is nothing to test on this Lua, or nil.
function front.missing()
  if not rawget(_G, "jit") then
    return "this is no LuaJIT"
  elseif not jit.status() then
    return "LuaJIT's compiler is off"
  elseif os.getenv "SHMSEG_FFI" == "0" then
    return "the front is switched off"
  end
end

-- Calls start with the limit of time.
local function limited(start, ...)
  local limit = process.limit
  process.limit = front.limit
  local started = start(...)
  process.limit = limit
  return started
end

--- A peer with the front.
function front.peer()
  return limited(peer.start)
end

--- Starts a script. how: "with", as the process does it by itself; "without"; or options of LuaJIT.
function front.start(how, script, ...)
  local words = { "env" }
  words[#words + 1] = how == "without" and "SHMSEG_FFI=0" or nil
  local command = peer.command()
  words[#words + 1] = command[1]
  if how:find "^%-" then
    words[#words + 1] = how
  end
  words[#words + 1] = command[2]
  words[#words + 1] = command[3]
  words[#words + 1] = script
  for i = 1, select("#", ...) do
    words[#words + 1] = (select(i, ...))
  end
  return limited(process.start, words)
end

return front
