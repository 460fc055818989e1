-- SPDX-License-Identifier: MIT
-- shmseg.queue: each message to one consumer.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local finalizer = require "spec.support.finalizer"
local host = require "spec.support.host"
local machine = require "spec.support.machine"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local LONG = 60 -- seconds: a guard against hanging, never a measure

local function queue(capacity)
  local name = scratch.name()
  return expect.success(shmseg.queue.open(name, "x", { capacity = capacity or 256 })), name
end

-- A peer that has the queue as `q`.
local function user(name)
  local other = peer.start()
  other:call("q = assert(shmseg.queue.open(...))", name)
  return other
end

-- Sends the peer a call that is going to sleep, and returns when it does.
local function send_to_sleep(other, call)
  other:send("report 'waits' return " .. call)
  assert.equal("waits", other:receive())
  other:await_sleep()
end

-- Runs a chunk in host.c, where memory can run out and processes can fork.
local function run(chunk, ...)
  local prelude = [[
    local shmseg = require "shmseg"
    if jit then jit.off() end
    local q = ... and assert(shmseg.queue.open((...)))
      or assert(shmseg.queue.open(assert(shmseg.anonymous(65536)), "c"))
    ]]
  local lines, reason = host.run(prelude .. chunk, ...)
  if not lines then
    pending(reason)
  end
  return lines
end

describe("a queue", function()
  after_each(scratch.clean)

  it("gives what was pushed, first in, first out", function()
    local q = queue()
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
    local q = queue(64)
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
    local q = queue(8)
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
    local q, name = queue()
    local other = user(name)
    for _, timeout in ipairs { "", "600", "1e300", "math.huge" } do
      send_to_sleep(other, ("q:pop(%s)"):format(timeout))
      assert.True(q:push("for you"))
      assert.equal("for you", other:receive())
    end
  end)

  it("wakes a producer who sleeps when there is room", function()
    local q, name = queue(16)
    local other = user(name)
    for _, timeout in ipairs { "", ", 600", ", 1e300", ", math.huge" } do
      assert.True(q:push(("a"):rep(16)))
      send_to_sleep(other, ("q:push(('b'):rep(16)%s)"):format(timeout))
      assert.equal(("a"):rep(16), q:pop())
      assert.True(other:receive())
      assert.equal(("b"):rep(16), q:pop(LONG))
    end
  end)

  it("gives each message to one of many who sleep for it", function()
    local q, name = queue()
    local others = {}
    for i = 1, 3 do
      others[i] = user(name)
      send_to_sleep(others[i], "q:pop()")
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
    local q, name = queue(100)
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
    local q, name = queue(2 ^ 16)
    local producer, consumer = user(name), user(name)
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
    local q, name = queue()
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

describe("drain", function()
  after_each(scratch.clean)

  it("gives what is there now, perhaps nothing, and never waits", function()
    local q = queue()
    assert.same({}, q:drain())
    for i = 1, 5 do
      q:push(tostring(i))
    end
    assert.same({ "1", "2", "3", "4", "5" }, q:drain())
    assert.same({}, q:drain())
  end)

  it("takes no more than it is told, and leaves the rest to others", function()
    local q, name = queue()
    local second = expect.success(shmseg.queue.open(name))
    for i = 1, 6 do
      q:push(tostring(i))
    end
    assert.same({}, q:drain(0))
    assert.same({ "1", "2" }, q:drain(2))
    assert.same({ "3" }, second:drain(1))
    assert.equal("4", q:pop(0))
    assert.same({ "5", "6" }, second:drain(100))
    for _, max in ipairs { -1, "many", 1.5, {} } do
      expect.misuse("bad argument", q.drain, q, max)
    end
  end)

  it("takes messages that are larger than all of its memory before", function()
    local q = queue(2 ^ 20)
    local sizes = { 0, 5, 5000, 70000, 300000, 1, 200000 }
    for i, size in ipairs(sizes) do
      assert.True(q:push(tostring(i):rep(size), 0))
    end
    local list = q:drain()
    assert.equal(#sizes, #list)
    for i, size in ipairs(sizes) do
      assert.True(list[i] == tostring(i):rep(size))
    end
  end)

  it("takes the room of what it took back to a producer who sleeps", function()
    local q, name = queue(16)
    local other = user(name)
    q:push(("a"):rep(16))
    send_to_sleep(other, "q:push('b')")
    local list = q:drain()
    assert.equal(("a"):rep(16), list[1])
    assert.True(other:receive())
    assert.equal("b", list[2] or q:pop(0))
  end)

  it("gives what is there now also while a producer pushes as fast as it can", function()
    local q, name = queue(800)
    local other = user(name)
    other:send "report 'begins' local n = 0 while q:push('12345678') do n = n + 1 end return n"
    assert.equal("begins", other:receive())
    local received = 0
    for _ = 1, 200 do
      local list = q:drain()
      assert.True(#list <= 808 / 16)
      received = received + #list
    end
    q:shutdown()
    for _ in q:messages() do
      received = received + 1
    end
    assert.equal(other:receive(), received)
  end)

  it("gives what was left after a shutdown, then nothing", function()
    local q = queue()
    q:push "1"
    q:push "2"
    q:shutdown()
    assert.same({ "1", "2" }, q:drain())
    assert.same({}, q:drain())
    assert.equal("shutdown", expect.failure("shutdown", q:pop()))
  end)

  it("gives values through a codec, and loses none beside one that cannot be decoded", function()
    local seg = expect.success(shmseg.anonymous(4096))
    local codec = {
      encode = tostring,
      decode = function(bytes)
        if bytes == "bad" then
          error("cannot be decoded", 0)
        end
        return tonumber(bytes)
      end,
    }
    local q = expect.success(shmseg.queue.open(seg, "c", { codec = codec }))
    for _, value in ipairs { 1, 2, "bad", 3, 4 } do
      q:push(value)
    end
    local got, errors = {}, 0
    for _ = 1, 10 do
      local ok, list = pcall(q.drain, q)
      if not ok then
        assert.equal("cannot be decoded", list)
        errors = errors + 1
      else
        for _, value in ipairs(list) do
          got[#got + 1] = value
        end
      end
    end
    assert.same({ 1, 2, 3, 4 }, got)
    assert.equal(1, errors)
  end)
end)

describe("pop through a codec", function()
  after_each(scratch.clean)

  it("raises decode's error once; the message is gone", function()
    local seg = expect.success(shmseg.anonymous(4096))
    local codec = {
      encode = tostring,
      decode = function(bytes)
        return tonumber(bytes) or error("cannot be decoded", 0)
      end,
    }
    local q = expect.success(shmseg.queue.open(seg, "c", { codec = codec }))
    q:push "bad"
    q:push(5)
    expect.misuse("cannot be decoded", q.pop, q)
    assert.equal(5, q:pop(0))
    expect.failure("timeout", q:pop(0))
  end)

  it("may use the queue in decode", function()
    local seg = expect.success(shmseg.anonymous(4096))
    local q
    local codec = {
      encode = tostring,
      decode = function(bytes)
        return bytes == "more" and q:drain() or bytes
      end,
    }
    q = expect.success(shmseg.queue.open(seg, "c", { codec = codec }))
    for _, value in ipairs { "more", "1", "2" } do
      q:push(value)
    end
    assert.same({ "1", "2" }, q:pop(0))
    for _, value in ipairs { "0", "more", "1", "2" } do
      q:push(value)
    end
    local list, flat = q:drain(), {}
    local function flatten(value)
      if type(value) == "table" then
        for _, element in ipairs(value) do
          flatten(element)
        end
      else
        flat[#flat + 1] = value
      end
    end
    flatten(list)
    table.sort(flat)
    assert.same({ "0", "1", "2" }, flat)
  end)

  it("may have the queue used and refilled by a decode that fails", function()
    local seg = expect.success(shmseg.anonymous(65536))
    local q
    local huge = ("\0\0\0\64\0\0\0\0"):rep(20) -- would be the size of a record
    local codec = {
      encode = tostring,
      decode = function(bytes)
        if bytes ~= "bad" then
          return bytes
        end
        assert.equal("behind", q:pop(0))
        q:push(huge)
        assert.equal(huge, q:pop(0))
        error "bad"
      end,
    }
    q = expect.success(shmseg.queue.open(seg, "c", { codec = codec }))
    for _, value in ipairs { "first", "bad", "behind" } do
      q:push(value)
    end
    assert.same({ "first" }, q:drain())
    assert.same({}, q:drain())
    q:push "next"
    assert.equal("next", q:pop(0))
  end)

  it("raises when decode gives nothing", function()
    local seg = expect.success(shmseg.anonymous(4096))
    local codec = { encode = tostring, decode = function() end }
    local q = expect.success(shmseg.queue.open(seg, "c", { codec = codec }))
    q:push "x"
    expect.misuse("decode", q.pop, q, 0)
    q:push "x"
    expect.misuse("decode", q:messages())
  end)
end)

describe("after a shutdown", function()
  after_each(scratch.clean)

  it("no push succeeds, pops take what is left, and it stays shut", function()
    local q, name = queue()
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
    local q, name = queue(16)
    local consumers = { user(name), user(name) }
    for _, other in ipairs(consumers) do
      send_to_sleep(other, "q:pop()")
    end
    q:shutdown()
    for _, other in ipairs(consumers) do
      assert.equal("shutdown", expect.failure("shutdown", other:receive()))
    end

    q, name = queue(16)
    q:push(("x"):rep(16))
    local producers = { user(name), user(name) }
    for _, other in ipairs(producers) do
      send_to_sleep(other, "q:push('x')")
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
      local q, name = queue(4096)
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
    local q, name = queue()
    local other = user(name)
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
    local _, name = queue()
    local other = user(name)
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

  it("raises any other failure, and blames the loop", function()
    local q, name = queue()
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

describe("a finalizer that pops in the midst of another call", function()
  for _, how in ipairs { "pop", "drain" } do
    it("gets a message that " .. how .. " does not give", function()
      local q = expect.success(shmseg.queue.open(expect.success(shmseg.anonymous(1048576)), "c"))
      local seen, pushed, armed = {}, 0, false
      local function got(value)
        local number = value and tonumber(value:match "^%d+ ")
        assert(value == nil or number, "garbage")
        assert(not value or not seen[number], "twice")
        seen[number or 0] = true
      end
      local wrong
      local function spring()
        armed = false
        for _ = 1, 3 do
          local ok, message = pcall(function() got((q:pop(0))) end)
          wrong = wrong or not ok and message
        end
      end
      for _ = 1, 200 do
        if not armed then
          armed = true
          finalizer(spring)
        end
        for _ = 1, 20 do
          pushed = pushed + 1
          q:push(pushed .. " " .. ("x"):rep(pushed * 37 % 3000))
        end
        while q:stats().messages > 0 do
          for _, value in ipairs(how == "drain" and q:drain() or { (q:pop(0)) }) do
            got(value)
          end
        end
      end
      assert.falsy(wrong)
      for i = 1, pushed do
        assert.True(seen[i])
      end
    end)
  end
end)

describe("when memory runs out", function()
  after_each(scratch.clean)

  it("a popped message is the next pop's", function()
    local lines = run [[
      local failures = 0
      for _, size in ipairs { 0, 10, 5000, 20000 } do
        local n = 0
        repeat
          n = n + 1
          local first, second = tostring(n):rep(10) .. ("x"):rep(size), tostring(-n)
          q:push(first)
          q:push(second)
          host.fail(n)
          local ok, value = pcall(q.pop, q, 0)
          local hit = host.fail(0)
          assert(ok or hit)
          if not ok then
            failures = failures + 1
            value = q:pop(0)
          end
          assert(value == first, size)
          assert(q:pop(0) == second)
          assert(select(2, q:pop(0)) == "timeout")
        until not hit
        q = assert(shmseg.queue.open(q:segment())) -- with no memory of its own yet
      end
      print(failures > 0)]]
    if lines then
      assert.same({ "true" }, lines)
    end
  end)

  it("drain loses nothing, and keeps the order", function()
    local lines = run [[
      local failures, n = 0, 0
      repeat
        n = n + 1
        for i = 1, 20 do q:push(n .. " message " .. i) end
        host.fail(n)
        local ok, list = pcall(q.drain, q)
        local hit = host.fail(0)
        assert(ok or hit)
        if not ok then
          failures, list = failures + 1, {}
        end
        for _, message in ipairs(q:drain()) do list[#list + 1] = message end
        for i = 1, 20 do
          assert(list[i] == n .. " message " .. i, ("allocation %d, message %d"):format(n, i))
        end
      until not hit
      print(failures > 0)]]
    if lines then
      assert.same({ "true" }, lines)
    end
  end)

  it("a message that drain keeps is not lost by a shutdown, and not counted", function()
    local lines = run [[
      q:push(("kept"):rep(1000))
      collectgarbage() -- or an equal string may be there already
      collectgarbage()
      local n, ok = 0
      repeat -- until it fails after the message was taken
        n = n + 1
        host.fail(n, true)
        ok = pcall(q.drain, q)
        host.fail(0)
      until ok or q:stats().messages == 0
      print(ok, q:stats().messages)
      q:shutdown()
      print(q:pop() == ("kept"):rep(1000), (select(2, q:pop())))]]
    if lines then
      assert.same({ "false\t0", "true\tshutdown" }, lines)
    end
  end)
end)

describe("a fork'ed child", function()
  after_each(scratch.clean)

  it("does not have the message that its parent keeps", function()
    local lines = run [[
      q:push(("kept"):rep(1000))
      collectgarbage() -- or an equal string may be there already
      collectgarbage()
      local n, ok = 0
      repeat -- until it fails after the message was taken
        n = n + 1
        host.fail(n, true)
        ok = pcall(q.drain, q)
        host.fail(0)
      until ok or q:stats().messages == 0
      assert(not ok and q:stats().messages == 0)
      local child = host.fork()
      if child == 0 then
        q:push "the child's" -- it has an identity of its own now
        host._exit(q:pop(0) == "the child's" and select(2, q:pop(0)) == "timeout" and 0 or 1)
      end
      print(host.wait(child), q:pop(0) == ("kept"):rep(1000))]]
    if lines then
      assert.same({ "0\ttrue" }, lines)
    end
  end)

  it("is a producer and a consumer of its own", function()
    local lines = run [[
      local child = host.fork()
      if child == 0 then
        for i = 1, 1000 do
          assert(q:push("child " .. i))
        end
        for i = 1, 1000 do
          assert(q:pop(60))
        end
        host._exit(0)
      end
      for i = 1, 1000 do assert(q:push("parent " .. i)) end
      for i = 1, 1000 do assert(q:pop(60)) end
      print(host.wait(child), q:stats().messages)]]
    if lines then
      assert.same({ "0\t0" }, lines)
    end
  end)
end)

describe("the bytes of a queue", function()
  after_each(scratch.clean)

  local TAIL, HEAD, RING = 128, 256, 320

  it("that break its invariants are corrupt, and no call hangs or reads beyond", function()
    for _, broken in ipairs {
      { TAIL, 0 }, { TAIL, 1 }, { TAIL, 2 }, { TAIL, 2 ^ 40 }, { TAIL, (264 + 4) * 2 },
      { HEAD, 0 }, { HEAD, 8 }, { HEAD, 2 ^ 40 }, { HEAD, 265 },
      { RING, 2 ^ 40 }, { RING, 257 }, { RING, 249 },
    } do
      local q = queue(256)
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

  local TAIL, HEAD = 128, 256

  -- A full queue that takes `size` bytes, all of which were once zeroes, or are a hole.
  local function forge(size, hole)
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", size, { reserve = false }))
    if not hole then
      seg:fill(0, size)
    end
    expect.success(shmseg.queue.open(seg:slice(0, 4096), "x", { capacity = 64 })):close()
    local length = size - 320
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
    assert.equal((2 ^ 36 - 320) / 8, #q)
    assert.equal((2 ^ 36 - 320) / 8, q:stats().messages)
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
    local count, calls = user(name):call [[
      local calls = 0
      debug.sethook(function() calls = calls + 1 end, "c")
      local count = #q
      debug.sethook()
      return count, calls]]
    assert.equal((2 ^ 24 - 320) / 8, count)
    assert.truthy(calls > 5)
  end)

  it("gives up counting them when a signal of shmseg.signals is there, but not a few", function()
    local _, name = forge(2 ^ 24)
    local few, other = queue(), user(name)
    few:push "x"
    other:call("few = shmseg.queue.open(...) stop = shmseg.signals 'TERM'", few:segment():name())
    other:signal "TERM"
    expect.failure("interrupted", other:call "return q:stats()")
    expect.misuse('queue ".*": interrupted', other.call, other, "return #q")
    assert.equal(1, other:call "return #few")
    assert.equal("TERM", other:call "return stop:wait(0)")
    assert.equal((2 ^ 24 - 320) / 8, other:call "return q:stats().messages")
  end)

  it("is drained no further when a signal of shmseg.signals is there", function()
    local _, name = forge(2 ^ 20)
    local other = user(name)
    other:call "stop = shmseg.signals 'TERM'"
    other:signal "TERM"
    local some = other:call "return #q:drain()"
    assert.truthy(some > 0 and some < (2 ^ 20 - 320) / 8)
    assert.equal("TERM", other:call "return stop:wait(0)")
    assert.equal((2 ^ 20 - 320) / 8 - some, other:call "return #q:drain()")
  end)

  it("is drained, or an error is raised, wherever a hook raises", function()
    local _, name = queue()
    local events = user(name):call [[
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
    assert.truthy(events > 5)
  end)
end)
