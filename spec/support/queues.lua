-- SPDX-License-Identifier: MIT
-- Queues for the specs of queues, and those who use them: other processes, hooks, a host that is
-- short of memory.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local host = require "spec.support.host"
local interpret = require "spec.support.interpret"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"

local pcall = pcall -- to look a global up is a call in busted's environment
local queues = {}

--- A new queue, and its name.
function queues.new(capacity)
  local name = scratch.name()
  return expect.success(shmseg.queue.open(name, "x", { capacity = capacity or 256 })), name
end

--- A new queue with a codec; a second handle has none. `decode` may be nil.
function queues.coded(decode, encode)
  local seg = expect.success(shmseg.anonymous(65536))
  local codec = { encode = encode or tostring, decode = decode or tostring }
  local q = expect.success(shmseg.queue.open(seg, "c", { codec = codec }))
  return q, expect.success(shmseg.queue.open(seg))
end

--- A peer that has the queue as `q`.
function queues.user(name)
  local other = peer.start()
  other:call("q = assert(shmseg.queue.open(...))", name)
  return other
end

--- pcall(method, ...), with `action` run by a debug hook while the method waits.
function queues.while_waiting(action, method, ...)
  local inside, done = false, false
  interpret()
  scratch.defer(debug.sethook)
  debug.sethook(function()
    local f = debug.getinfo(2, "f").func
    if f == method then
      inside = true
    elseif inside and not done then
      done = true
      debug.sethook()
      action()
    end
  end, "c")
  local function conclude(...)
    debug.sethook()
    return ...
  end
  return conclude(pcall(method, ...))
end

--- Runs a chunk, which has a queue as `q`, in host.c, where memory can run out and processes can
--- fork: its lines, or nil and why there is no such host. `exhaust(prepare, call, check)` lets each
--- allocation of `call` fail once: check(n, ok, values...) after each; how many have failed.
function queues.host(chunk, ...)
  local prelude = [[
    local shmseg = require "shmseg"
    if jit then jit.off() end
    local q = ... and assert(shmseg.queue.open((...)))
      or assert(shmseg.queue.open(assert(shmseg.anonymous(65536)), "c"))
    local function exhaust(prepare, call, check)
      local most = 0
      for _, sticky in ipairs { 1, 2 } do
        local n, hit = 0, true
        local function told(ok, ...)
          hit = host.fail(0)
          if not ok and not hit then error((...), 0) end
          check(n, ok, ...)
        end
        while hit do
          n = n + 1
          assert(n < 2000, "no end")
          prepare(n)
          host.fail(n, sticky == 2)
          told(pcall(call))
        end
        most = n - 1 > most and n - 1 or most
      end
      return most
    end
    ]]
  return host.run(prelude .. chunk, ...)
end

return queues
