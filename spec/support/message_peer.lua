-- SPDX-License-Identifier: MIT
-- Runs message_peer.c, the other end in C; and how much of the long specs is done.

local build = require "spec.support.build"
local process = require "spec.support.process"
local shell = require "spec.support.shell"

local message_peer = {}

local program -- once it is compiled

--- SHMSEG_SPEC_SCALE multiplies what the long specs move; 32 is 1 GB and 100,000 reads.
message_peer.scale = tonumber(os.getenv "SHMSEG_SPEC_SCALE" or "") or 1

--- Starts it with these words; nil and the reason where it cannot be compiled.
function message_peer.start(...)
  if not build.possible() then
    return nil, "there is no C compiler here"
  elseif not program then
    local sources = { "spec/support/message_peer.c", "src/os/*.c", "src/shared/*.c" }
    local built = assert(build.program(sources, "-O1 -Isrc -pthread -lrt -ldl"))
    program = os.tmpname() -- which outlives the single spec
    assert(shell.succeeds(shell.quote("mv", built, program)))
  end
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

--- Removes what was compiled: `teardown(message_peer.clean)`.
function message_peer.clean()
  if program then
    os.remove(program)
    program = nil
  end
end

return message_peer
