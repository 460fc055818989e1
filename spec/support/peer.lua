-- SPDX-License-Identifier: MIT
-- A second Lua, the same as this one: it runs chunks that it is sent, and answers with the results.

local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"
local wire = require "spec.support.wire"

local peer = setmetatable({}, { __index = process })
peer.__index = peer

--- The words that start a Lua with the modules of this one.
function peer.command()
  local paths = ("package.path=%q package.cpath=%q"):format(package.path, package.cpath)
  return { shell.lua(), "-e", paths }
end

--- Starts a peer; `prefix` is a list of words to stand before the interpreter.
function peer.start(prefix)
  local words = {}
  for _, word in ipairs(prefix or {}) do
    words[#words + 1] = word
  end
  for _, word in ipairs(peer.command()) do
    words[#words + 1] = word
  end
  words[#words + 1] = "spec/support/peer_main.lua"

  local fifo = scratch.path("requests")
  assert(shell.succeeds("mkfifo " .. shell.quote(fifo)))
  local requests
  local self = process.start(words, {
    input = fifo,
    opened = function()
      -- Both ends, so that writing to a dead peer is no SIGPIPE and opening never blocks.
      requests = assert(io.open(fifo, "r+"))
    end,
  })
  self.requests = requests
  return setmetatable(self, peer)
end

--- Sends a chunk and its arguments, and does not wait. It sees `shmseg`, `report` and its `...`.
function peer:send(chunk, ...)
  self.requests:write(wire.encode(chunk, ...), "\n")
  self.requests:flush()
end

--- What the chunk reports or returns next. Its error is raised here, and so is its death.
function peer:receive()
  local line = self:line()
  if not line then
    error(("the peer died with status %d: %s"):format(self.status, self:stderr()), 0)
  end
  local kind, values = line:match("^(%a+) (.*)$")
  if kind == "error" then
    error(wire.decode(values), 0)
  end
  return wire.decode(values)
end

--- Sends a chunk and waits for its results.
function peer:call(chunk, ...)
  self:send(chunk, ...)
  return self:receive()
end

--- Sends an expression that is going to sleep, and returns when it does.
function peer:send_to_sleep(call)
  self:send("report 'waits' return " .. call)
  assert(self:receive() == "waits")
  self:await_sleep()
end

--- Lets the peer end as a Lua ends that has nothing more to do: its exit status.
function peer:quit()
  self:send("quit()")
  return (self:finish())
end

return peer
