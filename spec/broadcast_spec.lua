-- SPDX-License-Identifier: MIT
-- shmseg.broadcast: each message to every subscriber.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local finalizer = require "spec.support.finalizer"
local host = require "spec.support.host"
local machine = require "spec.support.machine"
local message_peer = require "spec.support.message_peer"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"

local LONG = 60 -- seconds: a guard against hanging, never a measure

local function broadcast(capacity)
  local name = scratch.name()
  return expect.success(shmseg.broadcast.open(name, "x", { capacity = capacity or 256 })), name
end

-- A peer that has the broadcast as `b` and a subscription as `s`.
local function user(name, from)
  local other = peer.start()
  other:call([[
    local name, from = ...
    b = assert(shmseg.broadcast.open(name))
    s = assert(b:subscribe(from))]], name, from)
  return other
end

-- The values are those of a message.
local function assert_next(expected, sequence, lost, ...)
  assert.same({ expected, sequence, lost }, { ... })
end

describe("a broadcast", function()
  after_each(scratch.clean)

  it("numbers its messages from 1 on, and gives each to every subscriber", function()
    local b, name = broadcast()
    local second = expect.success(shmseg.broadcast.open(name))
    local subscribers = { b:subscribe(), second:subscribe(), b:subscribe "oldest" }
    for i = 1, 5 do
      assert.equal(i, (i % 2 == 0 and b or second):publish("message " .. i))
    end
    for _, s in ipairs(subscribers) do
      for i = 1, 5 do
        assert_next("message " .. i, i, 0, s:next(0))
      end
      assert.equal("timeout", expect.failure("timeout", s:next(0)))
    end
  end)

  it("carries messages of every length through a ring of every length", function()
    for capacity = 1, 40 do
      local seg = expect.success(shmseg.anonymous(4096))
      local b = expect.success(shmseg.broadcast.open(seg, "c", { capacity = capacity }))
      local s = b:subscribe()
      for i = 1, 200 do
        local message = ("%d"):format(i % 10):rep((i * 7) % (capacity + 1))
        assert.equal(i, b:publish(message))
        assert_next(message, i, 0, s:next(0))
      end
      b:publish(("x"):rep(capacity)) -- wherever in the ring it begins
      assert_next(("x"):rep(capacity), 201, 0, s:next(0))
    end
  end)

  it("has dense numbers whoever publishes", function()
    local b, name = broadcast(2 ^ 20)
    local s = b:subscribe()
    local others = { user(name), user(name), user(name) }
    for i, other in ipairs(others) do
      other:send([[
        local id, last = ..., 0
        for i = 1, 2000 do
          local sequence = b:publish(id .. " " .. i)
          assert(sequence > last)
          last = sequence
        end]], i)
    end
    local numbers = { 0, 0, 0 }
    for sequence = 1, 6000 do
      local message, actual, lost = s:next(LONG)
      assert.equal(sequence, actual)
      assert.equal(0, lost)
      local id, number = message:match "^(%d) (%d+)$"
      id = tonumber(id)
      assert.equal(numbers[id] + 1, tonumber(number))
      numbers[id] = numbers[id] + 1
    end
    for _, other in ipairs(others) do
      other:receive()
    end
    assert.equal(6001, b:publish "")
  end)

  it("does not wait for subscribers: the oldest messages are overwritten", function()
    local b = broadcast(64)
    local s = b:subscribe()
    for i = 1, 100 do
      assert.equal(i, b:publish(("x"):rep(i % 65)))
    end
    local message, sequence, lost = s:next(0)
    assert.equal(sequence - 1, lost)
    assert.equal(("x"):rep(sequence % 65), message)
    assert.True(sequence > 1)
  end)

  it("wakes subscribers who sleep", function()
    local b, name = broadcast()
    local others = { user(name), user(name, "oldest"), user(name) }
    for i, timeout in ipairs { "", "600", "1e300", "math.huge" } do
      for _, other in ipairs(others) do
        other:send_to_sleep(("s:next(%s)"):format(timeout))
      end
      assert.equal(i, b:publish "for all")
      for _, other in ipairs(others) do
        assert_next("for all", i, 0, other:receive())
      end
    end
  end)

  it("is subscribed to through a read-only handle, and is not changed by it", function()
    local b, name = broadcast()
    b:publish "first"
    local before = b:segment():read()
    local reader = expect.success(shmseg.broadcast.open(name, "r"))
    local s = expect.success(reader:subscribe "oldest")
    local late = expect.success(reader:subscribe())
    assert_next("first", 1, 0, s:next())
    expect.failure("timeout", s:next(0.02))
    expect.failure("timeout", late:next(0))
    assert.equal(before, b:segment():read())
    expect.misuse("read%-only: the segment was opened for reading", reader.publish, reader, "x")
    expect.misuse("read%-only", reader.shutdown, reader)
    b:publish "second"
    assert_next("second", 2, 0, s:next(0))
    assert_next("second", 2, 0, late:next())
  end)

  it("reaches a subscriber who sleeps over a read-only handle", function()
    local b, name = broadcast()
    local other = peer.start()
    other:call("b = assert(shmseg.broadcast.open(..., 'r')) s = b:subscribe()", name)
    other:send "report 'waits' return s:next()"
    assert.equal("waits", other:receive())
    b:publish "first"
    assert_next("first", 1, 0, other:receive())
    other:send "report 'waits' return s:next()"
    assert.equal("waits", other:receive())
    b:shutdown()
    expect.failure("shutdown", other:receive())
  end)

  it("lets a signal end the wait of a subscriber over a read-only handle", function()
    local b, name = broadcast()
    local other = peer.start()
    other:call([[
      b = assert(shmseg.broadcast.open(..., "r"))
      s = b:subscribe()
      stop = shmseg.signals "TERM"]], name)
    other:send "report 'waits' return s:next()"
    assert.equal("waits", other:receive())
    other:signal "TERM"
    expect.failure("interrupted", other:receive())
    assert.equal("TERM", other:call "return stop:wait(60)")
    other:send "report 'waits' return s:next()"
    assert.equal("waits", other:receive())
    b:publish "first"
    assert_next("first", 1, 0, other:receive())
  end)

  it("gives values through a codec to every subscriber", function()
    local seg = expect.success(shmseg.anonymous(4096))
    local codec = { encode = tostring, decode = tonumber }
    local b = expect.success(shmseg.broadcast.open(seg, "c", { codec = codec }))
    local s, second = b:subscribe(), b:subscribe()
    b:publish(1.5)
    b:publish(2)
    assert_next(1.5, 1, 0, s:next(0))
    assert_next(1.5, 1, 0, second:next(0))
    for value, sequence, lost in s:messages() do
      assert_next(2, 2, 0, value, sequence, lost)
      b:shutdown()
    end
  end)

  it("raises decode's error once; the message is gone for that subscriber", function()
    local seg = expect.success(shmseg.anonymous(4096))
    local bad = true
    local codec = {
      encode = tostring,
      decode = function(bytes)
        return bad and error("cannot be decoded", 0) or bytes
      end,
    }
    local b = expect.success(shmseg.broadcast.open(seg, "c", { codec = codec }))
    local s, second = b:subscribe(), b:subscribe()
    b:publish "a"
    b:publish "b"
    expect.misuse("cannot be decoded", s.next, s, 0)
    bad = false
    assert_next("b", 2, 0, s:next(0))
    assert_next("a", 1, 0, second:next(0))
  end)
end)

describe("subscribe", function()
  after_each(scratch.clean)

  it("begins with what comes next, or with the oldest that is there", function()
    local b = broadcast(1000)
    local early = b:subscribe "oldest"
    b:publish "1"
    b:publish "2"
    local new, default, oldest = b:subscribe "new", b:subscribe(nil), b:subscribe "oldest"
    b:publish "3"
    assert_next("3", 3, 0, new:next(0))
    assert_next("3", 3, 0, default:next(0))
    for _, s in ipairs { early, oldest } do
      for i = 1, 3 do
        assert_next(tostring(i), i, 0, s:next(0))
      end
    end
  end)

  it("begins with the oldest after others were overwritten: these are not lost to it", function()
    local b = broadcast(64)
    for i = 1, 50 do
      b:publish(tostring(i))
    end
    local s = b:subscribe "oldest"
    local message, sequence, lost = s:next(0)
    assert.equal(0, lost)
    assert.equal(tostring(sequence), message)
    local first = sequence
    for i = first + 1, 50 do
      assert_next(tostring(i), i, 0, s:next(0))
    end
    assert.True(first > 40)
    expect.failure("timeout", s:next(0))
  end)

  it("begins with a number; what is gone by then is lost", function()
    local b = broadcast(64)
    for i = 1, 50 do
      b:publish(tostring(i))
    end
    local _, oldest = b:subscribe("oldest"):next(0)
    for from = 1, 50 do
      local first = math.max(from, oldest)
      assert_next(tostring(first), first, first - from, b:subscribe(from):next(0))
    end
    local s = b:subscribe(51)
    expect.failure("timeout", s:next(0))
    b:publish "51"
    assert_next("51", 51, 0, s:next(0))
  end)

  it("begins nowhere else", function()
    local b = broadcast()
    for _, from in ipairs { 0, 2, 3, 1000000, 1.5, -1.5, "newest", "", true, {} } do
      expect.misuse("bad argument", b.subscribe, b, from)
    end
    expect.success(b:subscribe(1))
    expect.success(b:subscribe "1")
    expect.success(b:subscribe " 0x1 ")
    b:publish "x"
    expect.success(b:subscribe(2))
    expect.misuse({ "beyond the next one", "%-n means the last n" }, b.subscribe, b, 3)
  end)

  it("gives a handle that can be closed, twice too", function()
    local b = broadcast()
    local s = b:subscribe()
    assert.equal("shmseg.subscription (open)", tostring(s))
    assert.truthy(getmetatable(s).__close)
    s:close()
    s:close()
    assert.equal("shmseg.subscription (closed)", tostring(s))
    expect.misuse("closed", s.next, s, 0)
    expect.misuse("closed", s:messages())
    b:publish "still"
  end)

  it("gives a handle that keeps its broadcast alive, and ends with it", function()
    local s
    do
      local b = broadcast()
      b:publish "x"
      s = b:subscribe "oldest"
    end
    collectgarbage()
    collectgarbage()
    assert_next("x", 1, 0, s:next(0))
    local b = broadcast()
    s = b:subscribe()
    b:close()
    expect.misuse("closed", s.next, s, 0)
    expect.misuse("closed", b.subscribe, b)
    for _, wrong in ipairs { b, 1, "x", {}, io.stdout } do
      expect.misuse("bad argument", s.next, wrong)
    end
  end)
end)

describe("a subscriber", function()
  after_each(scratch.clean)

  it("learns exactly how many messages it lost", function()
    local b = broadcast(100)
    local s = b:subscribe()
    local last, received, all_lost = 0, 0, 0
    for round = 1, 300 do
      for i = 1, math.random(0, 12) do
        b:publish(("x"):rep((round * 31 + i * 17) % 101))
      end
      for _ = 1, math.random(0, 4) do
        local message, sequence, lost = s:next(0)
        if message then
          assert.equal(last + lost + 1, sequence)
          last, received, all_lost = sequence, received + 1, all_lost + lost
        end
      end
    end
    local newest = b:publish ""
    for _, sequence, lost in function() return s:next(0) end do
      assert.equal(last + lost + 1, sequence)
      last, received, all_lost = sequence, received + 1, all_lost + lost
    end
    assert.equal(newest, last)
    assert.equal(newest, received + all_lost)
    assert.True(all_lost > 0)
  end)

  it("learns so too of messages that were lost before one that is too large to stay", function()
    local b = broadcast(64)
    local s = b:subscribe()
    for i = 1, 4 do
      b:publish(tostring(i))
    end
    b:publish(("x"):rep(64)) -- fills the ring alone
    assert_next(("x"):rep(64), 5, 4, s:next(0))
    expect.failure("timeout", s:next(0))
  end)

  it("in Lua reads nothing torn beside a publisher at full speed", function()
    local b, name = broadcast(10000)
    local s = b:subscribe()
    local other = user(name)
    local total = 10000 * message_peer.scale
    other:send([[
      for i = 1, ... do b:publish(tostring(i % 10):rep(i * 7919 % 10001)) end
      b:shutdown()]], total)
    local last, count = 0, 0
    for message, sequence, lost in s:messages() do
      assert.equal(last + lost + 1, sequence)
      assert.equal(sequence * 7919 % 10001, #message)
      assert.is_nil(message:find("[^" .. sequence % 10 .. "]"))
      last, count = sequence, count + lost + 1
    end
    other:receive()
    assert.equal(total, count)
  end)

  it("takes timeouts as every call does", function()
    local s = broadcast():subscribe()
    for _, timeout in ipairs { 0 / 0, "soon", true, {} } do
      expect.misuse("bad argument", s.next, s, timeout)
    end
    for _, timeout in ipairs { 0, -1, -math.huge, 1e-9, 0.001, 0.02 } do
      assert.equal("timeout", expect.failure("timeout", s:next(timeout)))
    end
  end)

  it("has a message again that it could not have for want of memory", function()
    local lines, reason = host.run [[
      local shmseg = require "shmseg"
      if jit then jit.off() end
      local b = assert(shmseg.broadcast.open(assert(shmseg.anonymous(65536)), "c"))
      local failures = 0
      for _, size in ipairs { 0, 10, 5000, 20000 } do
        local n = 0
        local s = assert(b:subscribe())
        repeat
          n = n + 1
          local message = tostring(n):rep(10) .. ("x"):rep(size)
          local number = b:publish(message)
          host.fail(n)
          local ok, value, sequence, lost = pcall(s.next, s, 0)
          local hit = host.fail(0)
          assert(ok or hit)
          if not ok then
            failures = failures + 1
            value, sequence, lost = s:next(0)
          end
          assert(value == message and sequence == number and lost == 0)
          assert(select(2, s:next(0)) == "timeout")
        until not hit
        n = 0
        repeat
          n = n + 1
          host.fail(n)
          local ok = pcall(b.subscribe, b)
          local hit = host.fail(0)
          assert(ok or hit)
        until not hit
      end
      print(failures > 0)]]
    if not lines then
      pending(reason)
    end
    assert.same({ "true" }, lines)
  end)

  it("learns of what was lost before a message that decode refuses", function()
    local codec = {
      encode = tostring,
      decode = function(bytes) return bytes:find "good" and bytes or error "bad" end,
    }
    local seg = expect.success(shmseg.anonymous(4096))
    local b = expect.success(shmseg.broadcast.open(seg, "c", { capacity = 64, codec = codec }))
    local s = b:subscribe()
    for _ = 1, 10 do
      b:publish(("bad"):rep(20))
    end
    assert.False((pcall(s.next, s, 0)))
    b:publish "good"
    assert_next("good", 11, 9, s:next(0))
    b:publish "good"
    assert_next("good", 12, 0, s:next(0))
  end)

  it("may be used by decode in the midst of next: each message keeps its number", function()
    local s, inner
    local codec = {
      encode = tostring,
      decode = function(bytes)
        if bytes == "first" then
          inner = { s:next(0) }
        end
        return bytes
      end,
    }
    local seg = expect.success(shmseg.anonymous(4096))
    local b = expect.success(shmseg.broadcast.open(seg, "c", { codec = codec }))
    s = b:subscribe()
    b:publish "first"
    b:publish "second"
    assert_next("first", 1, 0, s:next(0))
    assert.same({ "second", 2, 0 }, inner)
  end)

  it("may be used, then closed by a finalizer in the midst of next", function()
    local b = expect.success(shmseg.broadcast.open(expect.success(shmseg.anonymous(65536)), "c"))
    local last = 0
    for _ = 1, 30 do
      local s = b:subscribe()
      local seen, twice, wrong = {}, false, false
      local function got(value, number)
        wrong = wrong or tonumber(value:match "^%d+") ~= number
        twice = twice or seen[number]
        seen[number] = true
      end
      finalizer(function()
        local value, number = s:next(0)
        if value then
          got(value, number)
        end
        s:close()
      end)
      local ok, value, number
      repeat
        last = b:publish(("%d "):format(last + 1) .. ("x"):rep(1000))
        ok, value, number = pcall(s.next, s, 0)
        if ok and value then
          got(value, number)
        end
      until not ok
      assert.truthy(value:find "closed", value)
      assert.same({ false, false }, { twice or false, wrong })
    end
  end)

  it("goes on in a fork'ed child and in its parent, each for itself", function()
    local lines, reason = host.run [[
      local shmseg = require "shmseg"
      local b = assert(shmseg.broadcast.open(assert(shmseg.anonymous(65536)), "c"))
      local s = b:subscribe()
      b:publish "1"
      b:publish "2"
      assert(s:next(0) == "1")
      local child = host.fork()
      if child == 0 then
        assert(s:next(0) == "2")
        assert(b:publish "3" == 3)
        host._exit(0)
      end
      assert(host.wait(child) == 0)
      print((s:next(0)), (s:next(0)))]]
    if not lines then
      pending(reason)
    end
    assert.same({ "2\t3" }, lines)
  end)
end)

describe("after a shutdown, a broadcast", function()
  after_each(scratch.clean)

  it("takes no message, gives what is there, and stays shut", function()
    local b, name = broadcast()
    local s = b:subscribe()
    b:publish "last"
    assert.True(b:shutdown())
    assert.True(b:shutdown())
    assert.equal("shutdown", expect.failure("shutdown", b:publish "x"))
    assert_next("last", 1, 0, s:next())
    assert.equal("shutdown", expect.failure("shutdown", s:next()))
    expect.failure("shutdown", s:next(0))
    local again = expect.success(shmseg.broadcast.open(name))
    expect.failure("shutdown", again:publish "x")
    assert_next("last", 1, 0, again:subscribe("oldest"):next())
    expect.failure("shutdown", again:subscribe():next())
  end)

  it("wakes who sleeps for a message", function()
    local b, name = broadcast()
    local others = { user(name), user(name) }
    for _, other in ipairs(others) do
      other:send_to_sleep("s:next()")
    end
    b:shutdown()
    for _, other in ipairs(others) do
      assert.equal("shutdown", expect.failure("shutdown", other:receive()))
    end
  end)

  it("ends messages(), after what is there; a signal does so too", function()
    local b, name = broadcast()
    local other = user(name)
    other:send [[
      local all = {}
      report "begins"
      for message, sequence, lost in s:messages() do
        all[#all + 1] = message .. sequence .. lost
      end
      return table.concat(all, " ")]]
    assert.equal("begins", other:receive())
    other:await_sleep()
    b:publish "a"
    b:publish "b"
    b:shutdown()
    assert.equal("a10 b20", other:receive())

    local _, second = broadcast()
    other = user(second)
    other:call "stop = shmseg.signals 'TERM'"
    other:send [[
      report "waits"
      for _ in s:messages() do error "no message" end
      return stop:wait(60)]]
    assert.equal("waits", other:receive())
    other:await_sleep()
    other:signal "TERM"
    assert.equal("TERM", other:receive())
  end)

  it("but any other failure is raised from messages(), and blames the loop #hole", function()
    local b, name = broadcast()
    local step = b:subscribe():messages()
    assert(io.open(scratch.objects .. name, "w")):close()
    expect.misuse("another process has shrunk", step)
    local s = broadcast():subscribe()
    s:close()
    local ok, message = pcall(function()
      for _ in s:messages() do
        error "no message"
      end
    end)
    assert.False(ok)
    assert.truthy(message:find "closed", message)
    assert.falsy(message:find("shmseg/broadcast.lua", 1, true), message)
  end)
end)

describe("a publisher that is killed at any moment", function()
  after_each(scratch.clean)

  it("leaves whole messages with dense numbers, and who comes next goes on", function()
    local b, name = broadcast(3000)
    local s = b:subscribe()
    local last = 0
    for round = 1, 6 do
      local other = peer.start()
      other:call("b = assert(shmseg.broadcast.open(...))", name)
      other:send [[
        report "begins"
        for i = 1, 1e9 do b:publish(tostring(i % 10):rep(i * 7919 % 3001)) end]]
      assert.equal("begins", other:receive())
      shmseg.sleep(math.random() / 100)
      other:signal "KILL"
      local number = b:publish "mine"
      assert.truthy(number)
      other:finish()
      for message, sequence, lost in function() return s:next(0) end do
        assert.equal(last + lost + 1, sequence)
        last = sequence
        if message ~= "mine" and message ~= "" then
          assert.is_nil(message:find("[^" .. message:sub(1, 1) .. "]"))
        end
      end
      assert.equal(last + 1, b:publish("round " .. round))
      assert_next("round " .. round, last + 1, 0, s:next(0))
      last = last + 1
    end
  end)
end)

describe("the bytes of a broadcast", function()
  after_each(scratch.clean)

  local PUBLISHED, FLOOR, ENDS, RING = 64, 192, 200, 256

  it("that break its invariants are corrupt, and no call hangs or reads beyond", function()
    for _, broken in ipairs {
      { PUBLISHED, 0 }, { FLOOR, 0 }, { FLOOR, 2 ^ 40 }, { ENDS, 0 }, { ENDS + 8, 2 ^ 40 },
      { ENDS + 8, 4 }, { RING, 99 }, { RING + 8, 2 ^ 40 }, { RING + 8, 257 },
    } do
      local b = broadcast(256)
      local s = b:subscribe()
      b:publish(("x"):rep(248))
      b:segment():pack(broken[1], "I8", broken[2])
      local codes = { corrupt = true, timeout = true, EAGAIN = true, shutdown = true }
      for _ = 1, 2 do
        for _, call in ipairs {
          function() return s:next(0) end,
          function() return b:subscribe "oldest" end,
          function() return b:publish(("y"):rep(256)) end,
        } do
          local value, _, code = call()
          assert.truthy(value ~= nil or codes[code], code)
          assert.truthy(type(value) ~= "string" or #value <= 256)
        end
      end
    end
  end)
end)

describe("a broadcast of very many messages", function()
  after_each(scratch.clean)

  local PUBLISHED, FLOOR, ENDS, RING = 64, 192, 200, 256

  -- A full broadcast that takes `size` bytes, all of which were once zeroes, or are a hole; and how
  -- many messages it has.
  local function forge(size, hole)
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", size, { reserve = false }))
    if not hole then
      seg:fill(0, size)
    end
    expect.success(shmseg.broadcast.open(seg:slice(0, 4096), "x", { capacity = 64 })):close()
    local length = size - RING
    seg:pack(16, "I8 I8", size, length - 16)
    seg:pack(PUBLISHED, "I8", (length / 16 + 1) * 4)
    seg:pack(FLOOR, "I8", length)
    seg:pack(ENDS, "I8 I8", 2 * length, 2 * length)
    seg:pack(RING, "I8", 1)
    return expect.success(shmseg.broadcast.open(seg)), length / 16, name
  end

  it("that nobody has ever written is corrupt, and looking for one takes no memory", function()
    if machine.small then
      pending(machine.small)
    end
    local b, count = forge(2 ^ 36, true)
    local before = b:segment():stat().allocated
    expect.failure("corrupt", b:subscribe(count))
    expect.success(b:subscribe(count + 1))
    assert.equal(before, b:segment():stat().allocated)
  end)

  it("lets hooks run while it looks for one", function()
    local _, count, name = forge(2 ^ 24)
    local calls = user(name):call([[
      local calls = 0
      debug.sethook(function() calls = calls + 1 end, "c")
      local s = b:subscribe(...)
      debug.sethook()
      return calls]], count)
    assert.truthy(calls > 4)
  end)

  it("gives up looking when a signal of shmseg.signals is there, but not for the new", function()
    local _, count, name = forge(2 ^ 24)
    local other = user(name)
    other:call "stop = shmseg.signals 'TERM'"
    other:signal "TERM"
    expect.failure("interrupted", other:call("return b:subscribe(...)", count))
    for _, from in ipairs { "new", "oldest", 2, count + 1 } do
      assert.truthy(other:call("return tostring(b:subscribe(...))", from):find "open")
    end
  end)
end)
