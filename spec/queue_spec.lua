-- SPDX-License-Identifier: MIT
-- shmseg.queue: each message to one consumer.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local queues = require "spec.support.queues"
local scratch = require "spec.support.scratch"

local LONG = 60 -- seconds: a guard against hanging, never a measure

describe("a queue", function()
  after_each(scratch.clean)

  it("gives what was pushed, first in, first out", function()
    local q = queues.new()
    for i = 1, 10 do
      assert.True(q:push("message " .. i))
    end
    assert.equal(10, q:stats().messages)
    for i = 1, 10 do
      assert.equal("message " .. i, q:pop())
    end
    assert.equal("timeout", expect.failure("timeout", q:pop(0)))
  end)

  it("carries messages of every length through a ring of every length", function()
    for capacity = 1, 40 do
      local seg = expect.success(shmseg.anonymous(4096))
      local q = expect.success(shmseg.queue.open(seg, "c", { capacity = capacity }))
      local sent, received = 0, 0
      for i = 1, 200 do
        while q:push(("%d"):format(sent % 10):rep((sent * 7 + i) % (capacity + 1)), 0) do
          sent = sent + 1
        end
        for _, message in ipairs(q:drain(i % 3 + 1)) do
          assert.equal(("%d"):format(received % 10):rep(#message), message)
          received = received + 1
        end
      end
      received = received + #q:drain()
      assert.equal(sent, received)
      assert.True(q:push(("x"):rep(capacity), 0)) -- wherever in the ring it begins
      assert.equal(capacity, #q:pop(0))
    end
  end)

  it("is full when its bytes are, and takes the next message when there is room", function()
    local q = queues.new(64)
    assert.True(q:push(("a"):rep(64), 0))
    assert.equal("timeout", expect.failure("timeout", q:push("", 0)))
    assert.equal("timeout", expect.failure("timeout", q:push("b", 0.01)))
    assert.equal(64, #q:pop())
    for _ = 1, 9 do
      assert.True(q:push("", 0))
    end
    expect.failure("timeout", q:push("", 0))
    assert.equal("", q:pop(0))
    assert.True(q:push("", 0))
    expect.failure("timeout", q:push("c", -1))
  end)

  it("takes timeouts as every call does", function()
    local q = queues.new(8)
    for _, timeout in ipairs { 0 / 0, "soon", true, {} } do
      expect.misuse("bad argument", q.pop, q, timeout)
      expect.misuse("bad argument", q.push, q, "x", timeout)
    end
    for _, timeout in ipairs { 0, -1, -math.huge, 1e-9, 0.001, 0.02 } do
      assert.equal("timeout", expect.failure("timeout", q:pop(timeout)))
    end
    for _, timeout in ipairs { 0, 1e-9, 600, 1e300, math.huge } do
      assert.True(q:push("x", timeout))
      assert.equal("x", q:pop(timeout))
    end
    assert.True(q:push(("x"):rep(8), nil))
    for _, timeout in ipairs { 0, -1, -math.huge, 1e-9, 0.02 } do
      expect.failure("timeout", q:push("y", timeout))
    end
  end)

  it("wakes a consumer who sleeps when a message comes", function()
    local q, name = queues.new()
    local other = queues.user(name)
    for _, timeout in ipairs { "", "600", "1e300", "math.huge" } do
      other:send_to_sleep(("q:pop(%s)"):format(timeout))
      assert.True(q:push("for you"))
      assert.equal("for you", other:receive())
    end
  end)

  it("wakes a producer who sleeps when there is room", function()
    local q, name = queues.new(16)
    local other = queues.user(name)
    for _, timeout in ipairs { "", ", 600", ", 1e300", ", math.huge" } do
      assert.True(q:push(("a"):rep(16)))
      other:send_to_sleep(("q:push(('b'):rep(16)%s)"):format(timeout))
      assert.equal(("a"):rep(16), q:pop())
      assert.True(other:receive())
      assert.equal(("b"):rep(16), q:pop(LONG))
    end
  end)

  it("gives each message to one of many who sleep for it", function()
    local q, name = queues.new()
    local others = {}
    for i = 1, 3 do
      others[i] = queues.user(name)
      others[i]:send_to_sleep("q:pop()")
    end
    local seen = {}
    for i = 1, 3 do
      assert.True(q:push("message " .. i))
    end
    for _, other in ipairs(others) do
      seen[#seen + 1] = other:receive()
    end
    table.sort(seen)
    assert.same({ "message 1", "message 2", "message 3" }, seen)
    assert.equal(0, q:stats().messages)
  end)

  it("counts what is there: # and stats", function()
    local q, name = queues.new(100)
    local reader = expect.success(shmseg.queue.open(name, "r"))
    assert.same({ messages = 0, bytes = 0, capacity = 100, shutdown = false }, q:stats())
    q:push ""
    q:push "123456789"
    local stats = reader:stats()
    assert.same({ messages = 2, bytes = 8 + 24, capacity = 100, shutdown = false }, stats)
    assert.equal(2, #q)
    assert.equal(2, #reader)
    q:pop()
    q:shutdown()
    assert.same({ messages = 1, bytes = 24, capacity = 100, shutdown = true }, reader:stats())
    q:close()
    expect.misuse("closed", q.stats, q)
  end)

  it("is counted while others push and pop", function()
    local q, name = queues.new(2 ^ 16)
    local producer, consumer = queues.user(name), queues.user(name)
    producer:send "report 'begins' for _ = 1, 200000 do q:push '0123456789abcdef' end q:shutdown()"
    consumer:send "report 'begins' local n = 0 for _ in q:messages() do n = n + 1 end return n"
    assert.equal("begins", producer:receive())
    assert.equal("begins", consumer:receive())
    repeat
      local stats = expect.success(q:stats())
      assert.True(stats.bytes >= 24 * stats.messages and stats.messages * 24 <= 2 ^ 16 + 8)
    until stats.shutdown and stats.messages == 0
    producer:receive()
    assert.equal(200000, consumer:receive())
  end)

  it("is only looked at through a read-only handle", function()
    local q, name = queues.new()
    q:push "x"
    local reader = expect.success(shmseg.queue.open(name, "r"))
    expect.misuse("read%-only", reader.pop, reader)
    expect.misuse("read%-only", reader.pop, reader, 0)
    expect.misuse("read%-only", reader.push, reader, "x")
    expect.misuse("read%-only", reader.drain, reader)
    expect.misuse("read%-only", reader.shutdown, reader)
    assert.equal(1, reader:stats().messages)
  end)
end)

describe("after a shutdown", function()
  after_each(scratch.clean)

  it("no push succeeds, pops take what is left, and it stays shut", function()
    local q, name = queues.new()
    q:push "left"
    assert.True(q:shutdown())
    assert.True(q:shutdown())
    assert.equal("shutdown", expect.failure("shutdown", q:push("x")))
    expect.failure("shutdown", q:push("x", 0))
    assert.equal("left", q:pop(0))
    assert.equal("shutdown", expect.failure("shutdown", q:pop()))
    expect.failure("shutdown", q:pop(0))
    local again, created = expect.success(shmseg.queue.open(name, "c", { capacity = 256 }))
    assert.False(created)
    expect.failure("shutdown", again:pop())
    expect.failure("shutdown", again:push("x"))
    expect.success(q:unlink())
    local anew = expect.success(shmseg.queue.open(name, "x", { capacity = 256 }))
    assert.True(anew:push("x"))
    expect.failure("shutdown", q:push("x"))
    anew:unlink()
  end)

  it("who sleeps for a message wakes, and so does who sleeps for room", function()
    local q, name = queues.new(16)
    local consumers = { queues.user(name), queues.user(name) }
    for _, other in ipairs(consumers) do
      other:send_to_sleep("q:pop()")
    end
    q:shutdown()
    for _, other in ipairs(consumers) do
      assert.equal("shutdown", expect.failure("shutdown", other:receive()))
    end

    q, name = queues.new(16)
    q:push(("x"):rep(16))
    local producers = { queues.user(name), queues.user(name) }
    for _, other in ipairs(producers) do
      other:send_to_sleep("q:push('x')")
    end
    q:shutdown()
    for _, other in ipairs(producers) do
      assert.equal("shutdown", expect.failure("shutdown", other:receive()))
    end
    assert.equal(16, #q:pop(0))
    expect.failure("shutdown", q:pop())
  end)

  it("seen by a consumer, nothing more comes, whatever producers were about", function()
    local others = { peer.start(), peer.start() }
    for _ = 1, 10 do
      local q, name = queues.new(4096)
      for _, other in ipairs(others) do
        other:call("q = assert(shmseg.queue.open(...))", name)
        other:send [[
          report "begins"
          local pushed = 0
          while q:push("message") do pushed = pushed + 1 end
          return pushed]]
        assert.equal("begins", other:receive())
      end
      local received = 0
      for i = 1, math.random(3000) do
        received = received + (q:pop(i % 2 == 0 and 0 or LONG) and 1 or 0)
      end
      q:shutdown()
      for _ in q:messages() do
        received = received + 1
      end
      local pushed = others[1]:receive() + others[2]:receive()
      assert.equal(pushed, received)
    end
  end)
end)

describe("messages()", function()
  after_each(scratch.clean)

  it("gives each message, waits for more, and ends at the shutdown", function()
    local q, name = queues.new()
    local other = queues.user(name)
    other:send [[
      local all = {}
      report "begins"
      for message in q:messages() do all[#all + 1] = message end
      return table.concat(all, " ")]]
    assert.equal("begins", other:receive())
    other:await_sleep()
    for _, message in ipairs { "a", "", "b" } do
      q:push(message)
    end
    q:shutdown()
    assert.equal("a  b", other:receive())
  end)

  it("ends at a signal of shmseg.signals", function()
    local _, name = queues.new()
    local other = queues.user(name)
    other:call "stop = shmseg.signals 'TERM'"
    other:send [[
      report "waits"
      for _ in q:messages() do error "no message" end
      return stop:wait(60)]]
    assert.equal("waits", other:receive())
    other:await_sleep()
    other:signal "TERM"
    assert.equal("TERM", other:receive())
  end)

  it("raises any other failure, and blames the loop #hole", function()
    local q, name = queues.new()
    local step = q:messages()
    assert(io.open(scratch.objects .. name, "w")):close()
    expect.misuse('queue ".*": another process has shrunk', step)
    q:close()
    local ok, message = pcall(function()
      for _ in q:messages() do
        error "no message"
      end
    end)
    assert.False(ok)
    assert.truthy(message:find "closed", message)
    assert.falsy(message:find("shmseg/queue.lua", 1, true), message)
  end)
end)
