-- SPDX-License-Identifier: MIT
-- Broadcasts: many messages at once, messages without strings, the last n, and what is there.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local finalizer = require "spec.support.finalizer"
local host = require "spec.support.host"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"

local LONG = 60 -- seconds: a guard against hanging, never a measure

local function broadcast(capacity, codec)
  local name = scratch.name()
  local options = { capacity = capacity or 256, codec = codec }
  return expect.success(shmseg.broadcast.open(name, "x", options)), name
end

-- A peer that has the broadcast as `b` and a subscription as `s`.
local function user(name)
  local other = peer.start()
  other:call("b = assert(shmseg.broadcast.open(...)) s = assert(b:subscribe())", name)
  return other
end

-- The values are a list, the number of its first, how many were lost, and perhaps a word.
local function assert_drained(list, sequence, lost, word, ...)
  assert.same({ list, sequence, lost, word }, { ... })
end

local refuse_bad = {
  encode = tostring,
  decode = function(bytes)
    return bytes:find "bad" and error "refused" or "value of " .. bytes
  end,
}

describe("publish_many", function()
  after_each(scratch.clean)

  it("publishes a list in its order, and gives the number of the last", function()
    local b = broadcast()
    local s = b:subscribe()
    for count = 1, 9 do
      local list = {}
      for i = 1, count do
        list[i] = ("%d of %d"):format(i, count)
      end
      local before = b:stats().next
      assert.equal(before + count - 1, b:publish_many(list))
      assert_drained(list, before, 0, nil, s:drain())
    end
  end)

  it("publishes a list that is longer than the ring: the oldest are overwritten", function()
    local b = broadcast(64)
    local s = b:subscribe()
    local list = {}
    for i = 1, 100 do
      list[i] = tostring(i)
    end
    assert.equal(100, b:publish_many(list))
    assert_drained({ "98", "99", "100" }, 98, 97, nil, s:drain())
  end)

  it("takes numbers, segments and slices as publish does", function()
    local b = broadcast()
    local s = b:subscribe()
    local seg = expect.success(shmseg.anonymous(8))
    seg:write(0, "abcdefgh")
    assert.equal(4, b:publish_many { "a", 12, seg, seg:slice(2, 3) })
    assert_drained({ "a", "12", "abcdefgh", "cde" }, 1, 0, nil, s:drain())
    assert.equal(5, b:publish(seg:slice(0, 0)))
    assert_drained({ "" }, 5, 0, nil, s:drain())
  end)

  it("takes no empty list, and none with a wrong element: nothing is published", function()
    local b = broadcast(16)
    expect.misuse("an empty list", b.publish_many, b, {})
    local publish = b.publish_many
    expect.misuse("element 2 of the list: too large: 17 bytes, the capacity is 16", publish, b,
      { "a", ("x"):rep(17) })
    expect.misuse("element 3 of the list: string or segment expected, got table", publish, b,
      { "a", "b", {} })
    for _, list in ipairs { "a", 1, true } do
      expect.misuse("table expected", b.publish_many, b, list)
    end
    expect.misuse("table expected", b.publish_many, b)
    assert.equal(1, b:stats().next)
  end)

  it("converts every element before it publishes the first", function()
    local b = broadcast(64, {
      encode = function(value) return value > 2 and error "no more" or tostring(value) end,
      decode = tonumber,
    })
    local s = b:subscribe()
    expect.misuse("no more", b.publish_many, b, { 1, 2, 3 })
    assert.equal(1, b:stats().next)
    assert.equal(2, b:publish_many { 1, 2 })
    assert_drained({ 1, 2 }, 1, 0, nil, s:drain())
  end)

  it("says that the broadcast is shut; there is no fourth result without a message", function()
    local b = broadcast()
    b:shutdown()
    assert.same({ n = 3, nil, "shutdown", "shutdown" }, { n = select("#", b:publish_many { "a" }),
      b:publish_many { "a" } })
  end)

  it("publishes nothing of a list with a segment that was cut #hole", function()
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 65536))
    local b = broadcast(2 ^ 18)
    local s = b:subscribe()
    local other = peer.start()
    other:call("assert(assert(shmseg.open(...)):resize(4096))", name)
    local message = expect.failure("truncated", b:publish_many { "a", seg })
    assert.truthy(message:find(name, 1, true))
    assert.equal(1, b:stats().next)
    assert.equal(1, b:publish "next")
    assert_drained({ "next" }, 1, 0, nil, s:drain())
  end)

  it("wakes all who sleep", function()
    local b, name = broadcast()
    local others = { user(name), user(name) }
    for _, other in ipairs(others) do
      other:send_to_sleep("s:drain(nil, nil)")
    end
    assert.equal(3, b:publish_many { "a", "b", "c" })
    for _, other in ipairs(others) do
      assert_drained({ "a", "b", "c" }, 1, 0, nil, other:receive())
    end
  end)
end)

describe("drain", function()
  after_each(scratch.clean)

  it("gives all that is there, or at most so many, and the number of the first", function()
    local b = broadcast(100)
    local s = b:subscribe()
    assert_drained({}, 1, 0, nil, s:drain())
    for lap = 0, 20 do -- messages wrap, in their heads too
      b:publish_many { "a" .. lap, ("b"):rep(20), "c" }
      assert_drained({}, 3 * lap + 1, 0, nil, s:drain(0))
      assert_drained({ "a" .. lap, ("b"):rep(20) }, 3 * lap + 1, 0, nil, s:drain(2))
      assert_drained({ "c" }, 3 * lap + 3, 0, nil, s:drain(100))
      assert_drained({}, 3 * lap + 4, 0, nil, s:drain())
    end
    for _, max in ipairs { -1, 1.5, "x", {} } do
      expect.misuse("bad argument", s.drain, s, max)
    end
  end)

  it("tells what was lost before the first: a list never spans a gap", function()
    local b = broadcast(64)
    local s = b:subscribe()
    b:publish_many { "1", "2" }
    assert_drained({ "1" }, 1, 0, nil, s:drain(1))
    b:publish_many { "3", "4", "5", "6" }
    assert_drained({ "4", "5", "6" }, 4, 2, nil, s:drain())
    assert_drained({}, 7, 0, nil, s:drain())
  end)

  it("waits when it has a timeout, nil for ever, and then gives no empty list", function()
    local b, name = broadcast()
    local s = b:subscribe()
    for _, timeout in ipairs { 0, 0.001, -1 } do
      assert.equal("timeout", expect.failure("timeout", s:drain(5, timeout)))
    end
    expect.misuse("a wait takes at least 1 message", s.drain, s, 0, 0)
    for _, call in ipairs { "s:drain(2, nil)", ("s:drain(nil, %d)"):format(LONG) } do
      local other = user(name)
      other:send_to_sleep(call)
      local number = b:publish "x"
      assert_drained({ "x" }, number, 0, nil, other:receive())
    end
    assert_drained({ "x", "x" }, 1, 0, nil, s:drain(5, 0))
  end)

  it("says after a shutdown, behind all messages, that no more will come", function()
    local b = broadcast()
    local s = b:subscribe()
    b:publish "x"
    b:shutdown()
    assert_drained({ "x" }, 1, 0, nil, s:drain())
    assert_drained({}, 2, 0, "shutdown", s:drain())
    assert_drained({}, 2, 0, "shutdown", s:drain(0))
    expect.failure("shutdown", s:drain(1, nil))
  end)

  it("works through a read-only handle, and not on a closed one", function()
    local b, name = broadcast()
    local s = expect.success(shmseg.broadcast.open(name, "r")):subscribe()
    b:publish_many { "a", "b" }
    assert_drained({ "a", "b" }, 1, 0, nil, s:drain(nil, 0))
    s:close()
    expect.misuse("closed", s.drain, s)
    expect.misuse("closed", s.next_into, s, b:segment())
  end)

  it("gives large messages, and very many", function()
    local seg = expect.success(shmseg.anonymous(2 ^ 21))
    local b = expect.success(shmseg.broadcast.open(seg, "c"))
    local s = b:subscribe()
    local large = {}
    for i = 1, 6 do
      large[i] = string.char(96 + i):rep(300000 + i)
    end
    b:publish_many(large)
    assert_drained(large, 1, 0, nil, s:drain())
    local list = {}
    for i = 1, 20000 do
      list[i] = tostring(i)
    end
    b:publish_many(list)
    assert_drained(list, 7, 0, nil, s:drain())
  end)

  it("lets hooks run in the midst of very many, and what they raise loses nothing", function()
    local seg = expect.success(shmseg.anonymous(2 ^ 20))
    local b = expect.success(shmseg.broadcast.open(seg, "c"))
    local s = b:subscribe()
    for i = 1, 20000 do
      b:publish(tostring(i))
    end
    local calls, try, drain, sethook, raise = 0, pcall, s.drain, debug.sethook, error
    sethook(function()
      calls = calls + 1
      if calls == 4 then -- pcall and drain are the first two
        raise "enough"
      end
    end, "c")
    local ok, err = try(drain, s)
    sethook()
    assert.False(ok)
    assert.truthy(tostring(err):find "enough")
    local list, sequence, lost = s:drain()
    assert.same({ 20000, "1", "20000", 1, 0 }, { #list, list[1], list[20000], sequence, lost })
  end)

  it("gets whole messages, and counts the others, beside a publisher at full speed", function()
    local b, name = broadcast(2048)
    local s = b:subscribe()
    local other = user(name)
    other:send [[
      local list = {}
      for i = 1, 20000, 5 do
        for n = i, i + 4 do
          list[n - i + 1] = ("%d "):format(n) .. string.char(97 + n % 26):rep(n % 90)
        end
        b:publish_many(list)
      end
      b:shutdown()]]
    local expected = 1
    while true do
      local list, sequence, lost = s:drain(nil, LONG)
      if not list then
        assert.equal("shutdown", lost)
        break
      end
      assert.equal(expected + lost, sequence)
      for i, message in ipairs(list) do
        local n = sequence + i - 1
        assert.equal(("%d "):format(n) .. string.char(97 + n % 26):rep(n % 90), message)
      end
      expected = sequence + #list
    end
    assert.equal(20001, expected)
    other:receive()
  end)

  it("gives those before a message that decode refuses, and begins with it next time", function()
    local b = broadcast(1000, refuse_bad)
    local s = b:subscribe()
    b:publish_many { "1", "2", "bad", "4", "5" }
    assert_drained({ "value of 1", "value of 2" }, 1, 0, nil, s:drain())
    local ok, err = pcall(s.drain, s)
    assert.False(ok)
    assert.truthy(err:find "refused")
    assert_drained({ "value of 4", "value of 5" }, 4, 0, nil, s:drain(nil, 0))
  end)

  it("passes over a first message that decode refuses; what was lost is told next time", function()
    local b = broadcast(64, refuse_bad)
    local s = b:subscribe()
    b:publish_many { "1", "2", "bad", "4", "5" }
    assert.False((pcall(s.drain, s)))
    assert_drained({ "value of 4", "value of 5" }, 4, 2, nil, s:drain())
    b:publish_many { "bad", "bad", "bad", "bad", "bad" }
    assert.False((pcall(s.drain, s)))
    assert.False((pcall(s.drain, s)))
    assert.False((pcall(s.next, s)))
    assert_drained({}, 11, 2, nil, s:drain())
    assert_drained({}, 11, 0, nil, s:drain())
  end)

  it("raises an error of decode that a second try does not meet, and does not move", function()
    for _, which in ipairs { "1", "2" } do
      local interrupted = false
      local b = broadcast(1000, {
        encode = tostring,
        decode = function(bytes)
          if bytes == which and not interrupted then
            interrupted = true
            error("interrupted!", 0)
          end
          return bytes
        end,
      })
      local s = b:subscribe()
      b:publish_many { "1", "2", "3" }
      assert.equal("interrupted!", expect.misuse("", s.drain, s))
      assert_drained({ "1", "2", "3" }, 1, 0, nil, s:drain())
    end
  end)

  it("tells what was lost once, also when decode asks", function()
    local s, inner
    local b = broadcast(64, {
      encode = tostring,
      decode = function(bytes)
        inner = inner or select(3, s:drain(0))
        return bytes
      end,
    })
    s = b:subscribe()
    b:publish_many { "1", "2", "3", "4", "5" }
    local first = b:stats().first
    assert_drained({ tostring(first) }, first, 0, nil, s:drain(1))
    assert.truthy(inner > 0 and inner == first - 1)
  end)

  it("may be used by decode in the midst of it: no message is given twice", function()
    local s, inner
    local b = broadcast(1000, {
      encode = tostring,
      decode = function(bytes)
        if bytes == "2" and not inner then
          inner = {}
          inner[1] = s:next(0)
        end
        return bytes
      end,
    })
    s = b:subscribe()
    b:publish_many { "1", "2", "3" }
    assert_drained({ "2", "3" }, 2, 0, nil, s:drain())
    assert.same({ "1" }, inner)
  end)

  it("may be used, or ended, by finalizers in the midst of it: none is given twice", function()
    local seg = expect.success(shmseg.anonymous(65536))
    local b = expect.success(shmseg.broadcast.open(seg, "c"))
    local s, seen, springs = b:subscribe(), {}, 0
    local function got(list)
      for _, message in ipairs(list) do
        local n = tonumber((message:match "^%d+"))
        assert(not seen[n], "twice")
        seen[n] = true
      end
    end
    local last, armed, wrong = 0, false, nil
    while springs < 5 or last < 1000 do
      if not armed then
        armed = true
        finalizer(function()
          armed, springs = false, springs + 1
          local ok, err = pcall(function() got((s:drain(2))) end)
          wrong = wrong or not ok and err
        end)
      end
      local list = {}
      for i = 1, 5 do
        list[i] = ("%d "):format(last + i) .. ("x"):rep(1000)
      end
      last = b:publish_many(list)
      got((s:drain(9)))
    end
    got((s:drain()))
    assert.falsy(wrong)
    assert.equal(last, #seen)
    finalizer(function() s:close() end)
    local ok, err
    repeat
      b:publish(("y"):rep(5000))
      ok, err = pcall(s.drain, s)
    until not ok
    assert.truthy(err:find "closed", err)
  end)

  it("moves nothing for want of memory", function()
    local lines, reason = host.run [[
      local shmseg = require "shmseg"
      if jit then jit.off() end
      local b = assert(shmseg.broadcast.open(assert(shmseg.anonymous(65536)), "c"))
      local failures = 0
      for _, call in ipairs { "drain", "publish_many" } do
        local n = 0
        repeat
          n = n + 1
          local s = assert(b:subscribe())
          local list = { tostring(n), ("x"):rep(5000), tostring(n):rep(300) }
          local first = b:stats().next
          if call == "drain" then b:publish_many(list) end
          host.fail(n)
          local ok, got
          if call == "drain" then
            ok, got = pcall(s.drain, s)
          else
            ok, got = pcall(b.publish_many, b, list)
          end
          local hit = host.fail(0)
          assert(ok or hit)
          if not ok then
            failures = failures + 1
            if call == "publish_many" then
              assert(b:stats().next == first)
              b:publish_many(list)
            end
            got = nil
          end
          if type(got) ~= "table" then
            local number
            got, number = s:drain()
            assert(number == first)
          end
          for i = 1, 3 do assert(got[i] == list[i]) end
          assert(#got == 3)
        until not hit
      end
      print(failures > 1)]]
    if not lines then
      pending(reason)
    end
    assert.same({ "true" }, lines)
  end)
end)

describe("next_into", function()
  after_each(scratch.clean)

  it("copies a message into a segment or slice, at an offset, and gives its size", function()
    local b = broadcast(100)
    local s = b:subscribe()
    local seg = expect.success(shmseg.anonymous(64))
    for lap = 1, 20 do -- messages wrap
      local bytes = ("%d "):format(lap):rep(8)
      b:publish(bytes)
      seg:fill(0, 64, 45)
      assert.same({ #bytes, lap, 0 }, { s:next_into(seg, 3) })
      assert.equal("---" .. bytes .. ("-"):rep(61 - #bytes), seg:read())
    end
    b:publish_many { "ab", "" }
    assert.same({ 2, 21, 0 }, { s:next_into(seg:slice(8, 2), 0, 0) })
    assert.equal("ab", seg:read(8, 2))
    assert.same({ 0, 22, 0 }, { s:next_into(seg, 64, 0) })
    expect.failure("timeout", s:next_into(seg, 0, 0))
    b:shutdown()
    expect.failure("shutdown", s:next_into(seg))
  end)

  it("tells what was lost", function()
    local b = broadcast(64)
    local s = b:subscribe()
    b:publish_many { "1", "2", "3", "4", "5" }
    assert.same({ 1, 3, 2 }, { s:next_into(expect.success(shmseg.anonymous(64))) })
  end)

  it("leaves a message that is larger than its target, and names both sizes", function()
    local b = broadcast(64)
    local s = b:subscribe()
    local seg = expect.success(shmseg.anonymous(64))
    b:publish(("x"):rep(20))
    local message = expect.failure("too small", s:next_into(seg:slice(0, 19)))
    assert.truthy(message:find "20 bytes" and message:find "19")
    assert.same({ 20, 1, 0 }, { s:next_into(seg) })
  end)

  it("refuses a target that is read-only, closed, too short, or the broadcast itself", function()
    local b = broadcast(64)
    local s = b:subscribe()
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 64))
    b:publish "x"
    expect.misuse("read%-only", s.next_into, s, (shmseg.open(name, "r")))
    expect.misuse("offset", s.next_into, s, seg, 65)
    expect.misuse("overlaps", s.next_into, s, b:segment())
    expect.misuse("segment", s.next_into, s, "x")
    seg:close()
    expect.misuse("closed", s.next_into, s, seg)
    assert.equal("x", (s:next(0)))
  end)

  it("gives the bytes, whatever the codec", function()
    local b = broadcast(64, refuse_bad)
    local s = b:subscribe()
    b:publish "bad"
    assert.same({ 3, 1, 0 }, { s:next_into(expect.success(shmseg.anonymous(64))) })
  end)

  it("wakes for a message, and looks at its target again after a hook", function()
    local b, name = broadcast()
    local other = user(name)
    other:call "seg = shmseg.anonymous(64)"
    other:send_to_sleep("seg:read(0, (s:next_into(seg)))")
    b:publish "hello"
    assert.equal("hello", other:receive())
    local ok, err = other:call [[
      debug.sethook(function() seg:close() end, "c")
      local ok, err = pcall(s.next_into, s, seg, 0, 1)
      debug.sethook()
      return ok, err]]
    assert.False(ok)
    assert.truthy(err:find "closed")
  end)
end)

describe("subscribe(-n)", function()
  after_each(scratch.clean)

  it("begins with the last n; where there are fewer, with the oldest, and none is lost", function()
    local b = broadcast(64)
    assert_drained({}, 1, 0, nil, b:subscribe(-1):drain())
    for count = 1, 9 do
      b:publish(tostring(count))
      local first = b:stats().first
      for n = 1, 12 do
        local list, from = {}, math.max(first, count - n + 1)
        for i = from, count do
          list[#list + 1] = tostring(i)
        end
        assert_drained(list, from, 0, nil, b:subscribe(-n):drain())
      end
    end
    assert.equal("7", (b:subscribe(-2 ^ 60):next(0)))
    assert.equal("7", (b:subscribe(-2 ^ 53):next(0)))
  end)
end)

describe("stats", function()
  after_each(scratch.clean)

  it("tells which messages are there, their bytes, the capacity, and whether it is shut", function()
    local b, name = broadcast(64)
    local reader = expect.success(shmseg.broadcast.open(name, "r"))
    local function assert_stats(first, next, bytes, shut)
      for _, handle in ipairs { b, reader } do
        assert.same({ first = first, next = next, bytes = bytes, capacity = 64, shutdown = shut },
          expect.success(handle:stats()))
      end
    end
    assert_stats(1, 1, 0, false)
    b:publish "12345678"
    assert_stats(1, 2, 24, false)
    b:publish_many { "1", "2", "3" }
    assert_stats(2, 5, 72, false)
    b:publish(("x"):rep(64))
    assert_stats(5, 6, 80, false)
    b:shutdown()
    assert_stats(5, 6, 80, true)
    b:close()
    expect.misuse("closed", b.stats, b)
  end)

  it("says that a broadcast was cut", function()
    local b, name = broadcast(64)
    local other = peer.start()
    other:call("assert(assert(shmseg.open(...)):resize(1))", name)
    b:segment():refresh()
    expect.failure("truncated", b:stats())
  end)
end)
