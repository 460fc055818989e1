-- SPDX-License-Identifier: MIT
-- q:drain: many messages at once.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local queues = require "spec.support.queues"
local scratch = require "spec.support.scratch"

describe("drain", function()
  after_each(scratch.clean)

  it("gives what is there now, perhaps nothing, and never waits", function()
    local q = queues.new()
    assert.same({}, q:drain())
    for i = 1, 5 do
      q:push(tostring(i))
    end
    assert.same({ "1", "2", "3", "4", "5" }, q:drain())
    assert.same({}, q:drain())
  end)

  it("takes no more than it is told, and leaves the rest to others", function()
    local q, name = queues.new()
    local second = expect.success(shmseg.queue.open(name))
    for i = 1, 6 do
      q:push(tostring(i))
    end
    assert.same({}, q:drain(0))
    assert.same({ "1", "2" }, q:drain(2))
    assert.same({ "3" }, second:drain(1))
    assert.equal("4", q:pop(0))
    assert.same({ "5", "6" }, second:drain(2 ^ 40))
    for _, max in ipairs { -1, "many", 1.5, 0 / 0, {} } do
      expect.misuse("bad argument", q.drain, q, max)
    end
  end)

  it("takes messages that are larger than all of its memory before", function()
    local q = queues.new(2 ^ 20)
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
    local q, name = queues.new(16)
    local other = queues.user(name)
    q:push(("a"):rep(16))
    other:send_to_sleep("q:push('b')")
    local list = q:drain()
    assert.equal(("a"):rep(16), list[1])
    assert.True(other:receive())
    assert.equal("b", list[2] or q:pop(0))
  end)

  it("gives what is there now also while a producer pushes as fast as it can", function()
    local q, name = queues.new(800)
    local other = queues.user(name)
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
    local q = queues.new()
    q:push "1"
    q:push "2"
    q:shutdown()
    assert.same({ "1", "2" }, q:drain())
    assert.same({}, q:drain())
    assert.equal("shutdown", expect.failure("shutdown", q:pop()))
  end)

  it("says shutdown behind an empty list that will stay empty", function()
    local q = queues.new()
    q:push "last"
    assert.same({ {} }, { q:drain(0) })
    q:shutdown()
    assert.same({ {} }, { q:drain(0) }) -- there is one still
    assert.same({ { "last" } }, { q:drain() })
    for _, max in ipairs { 0, 1, 1000 } do
      assert.same({ {}, "shutdown" }, { q:drain(max) })
    end
    assert.same({ {}, "shutdown" }, { q:drain() })
    assert.same({ {}, "shutdown" }, { q:drain(nil) })
  end)

  it("is only for handles that may write", function()
    local q, name = queues.new()
    q:push "x"
    local reader = expect.success(shmseg.queue.open(name, "r"))
    expect.misuse("read%-only", reader.drain, reader)
    expect.misuse("read%-only", reader.drain, reader, 0)
    expect.misuse("read%-only", reader.drain, reader, 5, 0)
    assert.equal(1, #q)
  end)

  it("beside a consumer who pops all the time loses no message, gives none twice", function()
    local q, name = queues.new(4096)
    local producer, popper, count = queues.user(name), queues.user(name), 30000
    popper:send [[
      report "begins"
      local all = {}
      for m in q:messages() do all[#all + 1] = m end
      return table.concat(all, " ")]]
    assert.equal("begins", popper:receive())
    producer:send("for i = 1, ... do assert(q:push(tostring(i))) end q:shutdown()", count)
    local seen, last = {}, 0
    repeat
      local list, shut = q:drain(64)
      for _, message in ipairs(list) do
        local number = tonumber(message)
        assert.True(number > last)
        last, seen[number] = number, true
      end
    until shut
    producer:receive()
    for message in popper:receive():gmatch "%d+" do
      assert.falsy(seen[tonumber(message)])
      seen[tonumber(message)] = true
    end
    assert.equal(count, #seen)
  end)
end)

describe("drain with a timeout", function()
  after_each(scratch.clean)

  it("gives what is there, and waits for no more", function()
    local q = queues.new()
    for _, timeout in ipairs { 0, -1, 0.01, 600, math.huge } do
      q:push "1"
      q:push "2"
      q:push "3"
      assert.same({ { "1", "2" } }, { q:drain(2, timeout) })
      assert.same({ { "3" } }, { q:drain(2, timeout) })
    end
  end)

  it("says timeout when no message comes", function()
    local q = queues.new()
    for _, timeout in ipairs { 0, -1, -math.huge, 1e-9, 0.02 } do
      assert.equal("timeout", expect.failure("timeout", q:drain(10, timeout)))
    end
  end)

  it("wakes when a message comes, nil waits for ever", function()
    local q, name = queues.new()
    local other = queues.user(name)
    for _, timeout in ipairs { "nil", "600", "1e300", "math.huge" } do
      other:send_to_sleep(("q:drain(10, %s)"):format(timeout))
      assert.True(q:push("for you"))
      assert.same({ "for you" }, (other:receive()))
    end
  end)

  it("says shutdown when the queue is shut and empty, also to who waits", function()
    local q, name = queues.new()
    local other = queues.user(name)
    other:send_to_sleep("q:drain(10, nil)")
    q:shutdown()
    assert.equal("shutdown", expect.failure("shutdown", other:receive()))
    expect.failure("shutdown", q:drain(1, nil))
    expect.failure("shutdown", q:drain(1, 0))
    local left = queues.new()
    left:push "left"
    left:shutdown()
    assert.same({ "left" }, left:drain(1, 0))
    expect.failure("shutdown", left:drain(1, 0))
  end)

  it("waits for a message at least", function()
    local q = queues.new()
    for _, timeout in ipairs { 0, 1, 600 } do
      expect.misuse({ "bad argument", "a wait takes at least 1 message" }, q.drain, q, 0, timeout)
    end
    expect.misuse("bad argument", q.drain, q, 0, nil)
    for _, timeout in ipairs { 0 / 0, "soon", true, {} } do
      expect.misuse("bad argument", q.drain, q, 1, timeout)
    end
    for _, max in ipairs { -1, "many", 1.5, {} } do
      expect.misuse("bad argument", q.drain, q, max, 0)
    end
    q:push "x"
    assert.same({ "x" }, q:drain(nil, 0)) -- as many as there are
  end)

  it("is interrupted by a signal of shmseg.signals, and drain(max) is not", function()
    local q, name = queues.new()
    local other = queues.user(name)
    other:call "stop = shmseg.signals 'TERM'"
    other:send_to_sleep("q:drain(10, nil)")
    other:signal "TERM"
    assert.equal("interrupted", expect.failure("interrupted", other:receive()))
    expect.failure("interrupted", other:call "return q:drain(10, 600)")
    assert.same({ {} }, { other:call "return q:drain()" })
    q:push "x"
    assert.same({ "x" }, (other:call "return q:drain()"))
    assert.equal("TERM", other:call "return stop:wait(0)")
  end)

  it("is ended by a hook's error, and by a hook that closes the handle", function()
    local q = queues.new()
    local ok, caught = queues.while_waiting(function() error "enough" end, q.drain, q, 10, nil)
    assert.False(ok)
    assert.truthy(caught:find "enough")
    q:push "x"
    assert.same({ "x" }, q:drain())
    ok, caught = queues.while_waiting(function() q:close() end, q.drain, q, 10, nil)
    assert.False(ok)
    assert.truthy(caught:find "closed", caught)
  end)
end)
