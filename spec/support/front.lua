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
  end
end

--- Starts a script. how: "with", as the process does it by itself; "without"; or options of LuaJIT.
function front.start(how, script, ...)
  local words = { "timeout", "-s", "KILL", front.limit, "env" }
  words[#words + 1] = how == "without" and "SHMSEG_FFI=0" or "SHMSEG_FFI="
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
  return process.start(words)
end

return front
