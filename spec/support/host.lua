-- SPDX-License-Identifier: MIT
-- Runs a chunk in host.c: a Lua whose memory can run out, that can fork, and that has threads.

local build = require "spec.support.build"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local host = {}

--- Starts a script in the host with arguments; nil and the reason where the host cannot be built.
function host.start(script, ...)
  local program, reason = build.host({ "spec/support/host.c" })
  if not program then
    return nil, "no program that embeds Lua can be built: " .. reason
  end
  local paths = peer.command()[3]
  return process.start({ program, paths, script, ... })
end

--- Runs a chunk in the host to its end: the lines that it printed. Its error is raised here.
function host.run(chunk, ...)
  local started, reason = host.start(scratch.file(chunk, "chunk.lua"), ...)
  if not started then
    return nil, reason
  end
  local status, lines = started:finish()
  if status ~= 0 then
    error(("the host ended with status %d: %s"):format(status, started:stderr()), 0)
  end
  return lines
end

return host
