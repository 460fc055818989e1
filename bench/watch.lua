-- SPDX-License-Identifier: MIT
-- Watches in luv: from push to the callback, beside a pipe that luv reads; and what idle ones cost.
-- Both in processes of their own (peers/watch_luv.lua), since each uses one way to wait.

local context = require "bench.context"

local watch = {}

local WAYS = { "io_uring", "thread" }
local MOST = { io_uring = 1.5, thread = 4 }
local LAPS = 5
local IDLE = 10 -- seconds

-- Words that measure one thing with one way to wait.
local function command(bench, way, what, number)
  return ("SHMSEG_WATCH=%s %s '%s/bench/peers/watch_luv.lua' '%s' %s %d"):format(
    way, context.interpreter(), bench.root, bench.root, what, number)
end

--- The commands that measure, and a function that removes what they work on.
function watch.prepare(bench, found)
  local commands = {}
  if not pcall(require, "luv") then
    found:add("note\tluv is not installed here for this Lua: no figures of watches")
  elseif not bench.channel then
    found:add("note\tchannel.c does not compile here: no figures of watches")
  else
    for _, way in ipairs(WAYS) do
      commands[#commands + 1] = command(bench, way, "wake", LAPS)
    end
    local idle = {} -- side by side: they do nothing
    for _, way in ipairs(WAYS) do
      for _, what in ipairs { "idle", "timers" } do
        idle[#idle + 1] = command(bench, way, what, IDLE) .. " &"
      end
    end
    commands[#commands + 1] = table.concat(idle, " ") .. " wait"
  end
  return commands, bench.close
end

-- Our own part of a round: none but the targets.
local function add(_, suite)
  for _, way in ipairs(WAYS) do
    suite:target("queue, " .. way, "pipe, beside " .. way, { most = MOST[way] })
  end
end

return setmetatable(watch, { __call = add })
