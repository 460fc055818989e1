-- SPDX-License-Identifier: MIT
-- Queues whose bytes are no state of one, or very many messages.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local machine = require "spec.support.machine"
local queues = require "spec.support.queues"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

describe("the bytes of a queue", function()
  after_each(scratch.clean)

  local TAIL, HEAD, RING = 128, 192, 256

  it("that break its invariants are corrupt, and no call hangs or reads beyond", function()
    for _, broken in ipairs {
      { TAIL, 0 }, { TAIL, 1 }, { TAIL, 2 }, { TAIL, 2 ^ 40 }, { TAIL, (264 + 4) * 2 },
      { HEAD, 0 }, { HEAD, 8 }, { HEAD, 2 ^ 40 }, { HEAD, 265 },
      { RING, 2 ^ 40 }, { RING, 257 }, { RING, 249 },
    } do
      local q = queues.new(256)
      q:push(("x"):rep(248))
      q:segment():pack(broken[1], "I8", broken[2])
      for _ = 1, 2 do
        if broken[1] ~= RING then
          local value, _, code = q:push("y", 0)
          assert.True(not value and (code == "corrupt" or code == "shutdown"), code)
        end
        expect.failure("corrupt", q:pop())
        expect.failure("corrupt", q:pop(0))
        expect.failure("corrupt", q:drain())
        expect.failure("corrupt", q:stats())
      end
    end
  end)
end)

describe("a queue of very many messages", function()
  after_each(scratch.clean)

  local TAIL, HEAD, RING = 128, 192, 256

  -- A full queue that takes `size` bytes, all of which were once zeroes, or are a hole.
  local function forge(size, hole)
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", size, { reserve = false }))
    if not hole then
      seg:fill(0, size)
    end
    expect.success(shmseg.queue.open(seg:slice(0, 4096), "x", { capacity = 64 })):close()
    local length = size - RING
    seg:pack(16, "I8 I8", size, length - 8)
    seg:pack(HEAD, "I8", length)
    seg:pack(TAIL, "I8", 2 * length * 2)
    return expect.success(shmseg.queue.open(seg)), name
  end

  it("that nobody has ever written takes no memory when it is looked at", function()
    if machine.small then
      pending(machine.small)
    end
    local q = forge(2 ^ 36, true)
    local before = q:segment():stat().allocated
    assert.equal((2 ^ 36 - RING) / 8, #q)
    assert.equal((2 ^ 36 - RING) / 8, q:stats().messages)
    expect.failure("corrupt", q:drain()) -- that would make memory of it
    assert.equal(before, q:segment():stat().allocated)
  end)

  it("is counted and drained where a copy has left out its zeroes", function()
    local path, copy = scratch.path "queue", scratch.path "copy"
    local file = expect.success(shmseg.map(path, "x", 2 ^ 19))
    local q = expect.success(shmseg.queue.open(file, "x"))
    for _ = 1, 5 do
      q:push(("\0"):rep(50000))
    end
    for _ = 1, 2000 do
      q:push ""
    end
    file:flush()
    local names = shell.quote(path, copy)
    if not shell.succeeds("cp --sparse=always " .. names) then
      pending("there is no cp that makes holes")
    end
    local thin = expect.success(shmseg.map(copy))
    local other = expect.success(shmseg.queue.open(thin))
    assert.equal(2005, #other)
    local list = other:drain()
    assert.equal(2005, #list)
    assert.equal(("\0"):rep(50000), list[5])
    assert.equal("", list[2005])
  end)

  it("lets hooks run while it counts them", function()
    local _, name = forge(2 ^ 24)
    local count, calls = queues.user(name):call [[
      local calls = 0
      debug.sethook(function() calls = calls + 1 end, "c")
      local count = #q
      debug.sethook()
      return count, calls]]
    assert.equal((2 ^ 24 - RING) / 8, count)
    assert.truthy(calls > 5)
  end)

  it("gives up counting them when a signal of shmseg.signals is there, but not a few", function()
    local _, name = forge(2 ^ 24)
    local few, other = queues.new(), queues.user(name)
    few:push "x"
    other:call("few = shmseg.queue.open(...) stop = shmseg.signals 'TERM'", few:segment():name())
    other:signal "TERM"
    expect.failure("interrupted", other:call "return q:stats()")
    expect.misuse('queue ".*": interrupted', other.call, other, "return #q")
    assert.equal(1, other:call "return #few")
    assert.equal("TERM", other:call "return stop:wait(0)")
    assert.equal((2 ^ 24 - RING) / 8, other:call "return q:stats().messages")
  end)

  it("is drained no further when a signal of shmseg.signals is there", function()
    local _, name = forge(2 ^ 20)
    local other = queues.user(name)
    other:call "stop = shmseg.signals 'TERM'"
    other:signal "TERM"
    local some = other:call "return #q:drain()"
    assert.truthy(some > 0 and some < (2 ^ 20 - RING) / 8)
    assert.equal("TERM", other:call "return stop:wait(0)")
    assert.equal((2 ^ 20 - RING) / 8 - some, other:call "return #q:drain()")
  end)

  it("lets hooks run while they are drained, whose error takes none", function()
    local _, name = forge(2 ^ 19)
    local left, runs, all = queues.user(name):call [[
      if jit then jit.off() end
      local drain, runs, most = q.drain
      local function hook()
        if runs or debug.getinfo(2, "f").func == drain then
          runs = (runs or -1) + 1
          if runs == most then error "enough" end
        end
      end
      debug.sethook(hook, "c")
      most = 3
      local ok, message = pcall(drain, q)
      debug.sethook()
      assert(not ok and message:find "enough")
      local left = #q
      runs, most = nil
      debug.sethook(hook, "c")
      local list = drain(q)
      debug.sethook()
      return left, runs, #list]]
    assert.equal((2 ^ 19 - RING) / 8, left)
    assert.truthy(runs > 5)
    assert.equal(left, all)
  end)

  it("is drained, or an error is raised, wherever a hook raises", function()
    local _, name = queues.new()
    local events = queues.user(name):call [[
      if jit then jit.off() end
      local n, hit = 0, true
      while hit do
        n, hit = n + 1, false
        for i = 1, 3 do q:push(tostring(i)) end
        local left = n
        local function hook()
          left = left - 1
          if left == 0 then
            hit = true
            debug.sethook()
            error "from the hook"
          end
        end
        local ok, result = pcall(function()
          debug.sethook(hook, "cr")
          local list = q:drain()
          debug.sethook()
          return list
        end)
        debug.sethook()
        assert(ok ~= hit and (ok or result:find "from the hook"), "swallowed at " .. n)
        q:drain()
      end
      return n]]
    assert.truthy(events > 2)
  end)
end)
