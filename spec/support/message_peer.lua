-- SPDX-License-Identifier: MIT
-- Runs message_peer.c, the other end in C; and how much of the long specs is done.

local build = require "spec.support.build"
local process = require "spec.support.process"

local message_peer = {}

--- SHMSEG_SPEC_SCALE multiplies what the long specs do (32: 1 GB, 100,000 reads); it may be 0.25.
message_peer.scale = tonumber(os.getenv "SHMSEG_SPEC_SCALE" or "") or 1

--- Starts it with these words; nil and the reason where it cannot be compiled.
function message_peer.start(...)
  if not build.possible() then
    return nil, "there is no C compiler here"
  end
  local program = assert(build.user("spec/support/message_peer.c"))
  return process.start { program, ... }
end

--- Runs it to its end: its last line. An error is raised here.
function message_peer.finish(started)
  local status, lines = started:finish()
  if status ~= 0 then
    error(("the C program ended with status %d: %s"):format(status, started:stderr()), 2)
  end
  return lines[#lines]
end

--- Starts it and runs it to its end.
function message_peer.run(...)
  local started, reason = message_peer.start(...)
  if not started then
    return nil, reason
  end
  return message_peer.finish(started)
end

return message_peer
