-- SPDX-License-Identifier: MIT
-- Queues without strings: q:push of a segment or slice, q:pop_into.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local queues = require "spec.support.queues"
local scratch = require "spec.support.scratch"

-- A segment of these bytes.
local function segment(bytes)
  local seg = expect.success(shmseg.anonymous(#bytes))
  seg:write(0, bytes)
  return seg
end

-- A segment under a name, and how a peer cuts it.
local function named(size)
  local name = scratch.name()
  return expect.success(shmseg.open(name, "x", size)), name, function()
    assert(io.open(scratch.objects .. name, "w")):close()
  end
end

describe("push of a segment or slice", function()
  after_each(scratch.clean)

  it("pushes its bytes, which may change behind that", function()
    local q = queues.new(1000)
    local seg = segment("0123456789")
    for _, view in ipairs { seg, seg:slice(0), seg:slice(3, 4), seg:slice(10), seg:slice(9) } do
      local bytes = view:read()
      assert.True(q:push(view))
      seg:fill(0, 10, 65)
      assert.equal(bytes, q:pop(0))
      seg:write(0, "0123456789")
    end
  end)

  it("carries them through a ring of every length", function()
    local seg = segment(("abcdefghijklmnopqrstuvwxyz"):rep(3))
    for capacity = 1, 40 do
      local q = queues.new(capacity)
      for i = 1, 60 do
        local slice = seg:slice(i % 26, i % (capacity + 1))
        assert.True(q:push(slice, 0))
        assert.equal(slice:read(), q:pop(0))
      end
    end
  end)

  it("waits for room as for a string, and takes the bytes that are there then", function()
    local q, name = queues.new(16)
    local seg, seg_name = named(16)
    local other = queues.user(name)
    q:push(("x"):rep(16))
    expect.failure("timeout", q:push(seg, 0))
    expect.failure("timeout", q:push(seg:slice(0, 8), 0.01))
    other:call("seg = assert(shmseg.open(...))", seg_name)
    other:send_to_sleep("q:push(seg)")
    seg:write(0, "it is written...")
    assert.equal(("x"):rep(16), q:pop())
    assert.True(other:receive())
    assert.equal("it is written...", q:pop(0))
    q:shutdown()
    expect.failure("shutdown", q:push(seg))
  end)

  it("takes one through a read-only handle", function()
    local q = queues.new()
    local seg, name = named(8)
    seg:write(0, "readable")
    assert.True(q:push((expect.success(shmseg.open(name, "r")))))
    assert.equal("readable", q:pop(0))
  end)

  it("is misuse of what is closed, too large, or the queue itself", function()
    local q = queues.new(100)
    local seg = segment(("x"):rep(101))
    local slice = seg:slice(1)
    expect.misuse({ "bad argument", "101 bytes, the capacity is 100" }, q.push, q, seg)
    assert.True(q:push(slice))
    q:drain()
    for _, part in ipairs { q:segment(), q:segment():slice(0), q:segment():slice(200, 1) } do
      expect.misuse("overlaps the queue", q.push, q, part)
    end
    assert.True(q:push(q:segment():slice(64, 0)))
    slice:close()
    expect.misuse("closed slice", q.push, q, slice)
    seg:close()
    expect.misuse("closed segment", q.push, q, seg)
    expect.misuse("string or segment expected, got shmseg.queue", q.push, q, q)
    assert.same({ "" }, q:drain())
  end)

  it("goes beside the queue in one segment, but not from within it", function()
    local seg = expect.success(shmseg.anonymous(4096))
    local q = expect.success(shmseg.queue.open(seg:slice(1024, 1024), "c"))
    seg:write(1016, "in front")
    seg:write(2048, "behind")
    assert.True(q:push(seg:slice(1016, 8)))
    assert.True(q:push(seg:slice(2048, 6)))
    assert.same({ "in front", "behind" }, q:drain())
    expect.misuse("overlaps the queue", q.push, q, seg:slice(1017, 8))
    expect.misuse("overlaps the queue", q.push, q, seg:slice(2047, 6))
    expect.misuse("overlaps the queue", q.push, q, seg)
    assert.equal(0, #q)
  end)

  it("pushes nothing when a peer has cut it, says which it was, and goes on #hole", function()
    local q = queues.new(2 ^ 16)
    for _, part in ipairs { false, true } do
      local seg, name, cut = named(8192)
      local view = part and seg:slice(4096) or seg
      cut()
      for _ = 1, 2 do
        local message = expect.failure("truncated", q:push(view))
        assert.truthy(message:find(('"%s"'):format(name), 1, true), message)
        assert.falsy(message:find("queue", 1, true), message)
      end
      assert.equal(0, #q)
      assert.True(q:push "usable")
      assert.equal("usable", q:pop(0))
    end
  end)

  it("says that the queue was cut when it is that #hole", function()
    local q, name = queues.new(8192)
    local seg = segment("source")
    assert(io.open(scratch.objects .. name, "w")):close()
    local message = expect.failure("truncated", q:push(seg))
    assert.truthy(message:find(('queue "%s"'):format(name), 1, true), message)
    assert.equal("source", seg:read())
  end)

  it("raises when a hook closes or resizes it while that waits", function()
    local q = queues.new(16)
    local seg = segment("0123456789")
    q:push "0123456789"
    local ok, caught = queues.while_waiting(function() seg:close() end, q.push, q, seg)
    assert.False(ok)
    assert.truthy(caught:find "closed", caught)
    seg = segment("0123456789")
    ok, caught = queues.while_waiting(function()
      seg:resize(100)
      q:pop()
    end, q.push, q, seg)
    assert.False(ok)
    assert.truthy(caught:find "too large: 100 bytes, the capacity is 16", caught)
    assert.equal(0, #q)
  end)

  it("is not what a codec gives or takes: encode gets the segment itself", function()
    local got
    local q, plain = queues.coded(nil, function(value)
      got = value
      return value:read()
    end)
    local seg = segment("through encode")
    assert.True(q:push(seg))
    assert.equal(seg, got)
    assert.equal("through encode", plain:pop(0))
  end)
end)

describe("pop_into", function()
  after_each(scratch.clean)

  it("copies the next message into a segment or slice, takes it, and says its bytes", function()
    local q = queues.new(1000)
    local seg = segment(("."):rep(12))
    for _, message in ipairs { "one", "", "three", ("f"):rep(12) } do
      q:push(message)
    end
    assert.same({ 3 }, { q:pop_into(seg) })
    assert.equal("one.........", seg:read())
    assert.same({ 0 }, { q:pop_into(seg, 12) })
    assert.same({ 5 }, { q:pop_into(seg, 7) })
    assert.equal("one....three", seg:read())
    assert.same({ 12 }, { q:pop_into(seg, nil, 0) })
    assert.equal(("f"):rep(12), seg:read())
    q:push "slice"
    assert.equal(5, q:pop_into(seg:slice(2, 6), 1))
    assert.equal("fffsliceffff", seg:read())
    assert.equal(0, #q)
  end)

  it("gives messages whole that wrap, and writes nothing beside them", function()
    local target = segment(("."):rep(100))
    for capacity = 1, 40 do
      local q = queues.new(capacity)
      for i = 1, 60 do
        local message = ("%d"):format(i % 10):rep(i % (capacity + 1))
        q:push(message)
        target:fill(0, 100, 46)
        assert.equal(#message, q:pop_into(target, i))
        assert.equal(("."):rep(i) .. message, target:read(0, i + #message))
        assert.equal(("."):rep(100 - i - #message), target:read(i + #message))
      end
    end
  end)

  it("leaves a message for which there is no room, and names both sizes", function()
    local q, name = queues.new()
    local seg = segment(("."):rep(10))
    q:push "eleven long"
    q:push "short"
    for offset, room in pairs { [0] = 10, [4] = 6, [10] = 0 } do
      local message = expect.failure("too small", q:pop_into(seg, offset))
      local text = 'queue "%s": too small: 11 bytes, there is room for %d'
      assert.equal(text:format(name, room), message)
    end
    expect.failure("too small", q:pop_into(seg:slice(0, 3), 0, 600))
    assert.equal(("."):rep(10), seg:read())
    assert.same({ "eleven long", "short" }, q:drain())
  end)

  it("waits as pop does", function()
    local q, name = queues.new()
    local seg, seg_name = named(8)
    for _, timeout in ipairs { 0, -1, -math.huge, 1e-9, 0.02 } do
      assert.equal("timeout", expect.failure("timeout", q:pop_into(seg, 0, timeout)))
    end
    for _, timeout in ipairs { 0 / 0, "soon", true, {} } do
      expect.misuse("bad argument", q.pop_into, q, seg, 0, timeout)
    end
    local other = queues.user(name)
    other:call("seg = assert(shmseg.open(...))", seg_name)
    for _, call in ipairs { "q:pop_into(seg)", "q:pop_into(seg, 0, 600)" } do
      other:send_to_sleep(call)
      q:push "for you"
      assert.equal(7, other:receive())
      assert.equal("for you\0", seg:read())
    end
    other:send_to_sleep("q:pop_into(seg)")
    q:shutdown()
    assert.equal("shutdown", expect.failure("shutdown", other:receive()))
    expect.failure("shutdown", q:pop_into(seg, 0, 0))
  end)

  it("gives what is left after a shutdown, and room to a producer who sleeps", function()
    local q, name = queues.new(16)
    local other = queues.user(name)
    local seg = segment(("."):rep(16))
    q:push(("a"):rep(16))
    other:send_to_sleep("q:push(('b'):rep(16))")
    assert.equal(16, q:pop_into(seg))
    assert.True(other:receive())
    q:shutdown()
    assert.equal(16, q:pop_into(seg))
    assert.equal(("b"):rep(16), seg:read())
    expect.failure("shutdown", q:pop_into(seg))
  end)

  it("is interrupted by signals, and ended by hooks", function()
    local q, name = queues.new()
    local other = queues.user(name)
    other:call "stop = shmseg.signals 'TERM' seg = assert(shmseg.anonymous(64))"
    other:send_to_sleep("q:pop_into(seg)")
    other:signal "TERM"
    assert.equal("interrupted", expect.failure("interrupted", other:receive()))
    expect.failure("interrupted", other:call "return q:pop_into(seg)")
    q:push "there"
    assert.equal(5, other:call "return q:pop_into(seg)")
    local seg = segment "target"
    for what, action in pairs {
      enough = function() error "enough" end, closed = function() seg:close() end,
    } do
      seg = segment "target"
      local ok, caught = queues.while_waiting(action, q.pop_into, q, seg)
      assert.False(ok)
      assert.truthy(caught:find(what), caught)
    end
    local ok, caught =
      queues.while_waiting(function() q:close() end, q.pop_into, q, segment "target")
    assert.False(ok)
    assert.truthy(caught:find "closed", caught)
  end)

  it("goes into the room that a target has when the message comes", function()
    local q = queues.new()
    local seg = segment "four"
    local _, count = queues.while_waiting(function()
      seg:resize(8)
      q:push "8 bytes!"
    end, q.pop_into, q, seg)
    assert.equal(8, count)
    assert.equal("8 bytes!", seg:read())
  end)

  it("is misuse of a target that cannot be written, and takes nothing", function()
    local q, name = queues.new()
    q:push "stays"
    local seg, seg_name = named(64)
    local reader = expect.success(shmseg.open(seg_name, "r"))
    local closed = segment "closed"
    closed:close()
    for _, target in ipairs { reader, reader:slice(8) } do
      expect.misuse("read%-only", q.pop_into, q, target)
    end
    expect.misuse("closed", q.pop_into, q, closed)
    for _, target in ipairs { "x", 5, {}, q, io.stdout } do
      expect.misuse("bad argument", q.pop_into, q, target)
    end
    expect.misuse("bad argument", q.pop_into, q)
    for _, offset in ipairs { -1, 65, 2 ^ 40, 0.5, "x", {} } do
      expect.misuse("bad argument", q.pop_into, q, seg, offset)
    end
    local readonly = expect.success(shmseg.queue.open(name, "r"))
    expect.misuse("read%-only", readonly.pop_into, readonly, seg)
    assert.equal(("\0"):rep(64), seg:read())
    assert.equal("stays", q:pop(0))
    q:close()
    expect.misuse("closed", q.pop_into, q, seg)
  end)

  it("is misuse of a target that overlaps the queue, but not of one beside it", function()
    local seg = expect.success(shmseg.anonymous(4096))
    local q = expect.success(shmseg.queue.open(seg:slice(1024, 1024), "c"))
    q:push "message"
    for _, target in ipairs {
      seg, seg:slice(1024, 64), seg:slice(1000, 25), seg:slice(2047, 1), q:segment(),
    } do
      expect.misuse("overlaps the queue", q.pop_into, q, target)
    end
    expect.misuse("overlaps the queue", q.pop_into, q, seg, 2047)
    assert.equal(7, q:pop_into(seg:slice(1000, 24)))
    q:push "message"
    assert.equal(7, q:pop_into(seg, 2048))
    assert.equal("message", seg:read(1000, 7))
    assert.equal("message", seg:read(2048, 7))
  end)

  it("takes nothing into a target that a peer has cut, and says which it was #hole", function()
    local q = queues.new(2 ^ 16)
    q:push(("m"):rep(5000))
    local seg, name, cut = named(8192)
    cut()
    for _ = 1, 2 do
      local message = expect.failure("truncated", q:pop_into(seg))
      assert.truthy(message:find(('"%s"'):format(name), 1, true), message)
      assert.falsy(message:find("queue", 1, true), message)
    end
    assert.equal(("m"):rep(5000), q:pop(0))
  end)

  it("gives bytes as they are: no codec is asked", function()
    local q, plain = queues.coded(function() error "asked" end, tostring)
    plain:push "raw"
    local seg = segment("...")
    assert.equal(3, q:pop_into(seg))
    assert.equal("raw", seg:read())
  end)
end)

describe("a frame", function()
  after_each(scratch.clean)

  it("goes from slice to slice between processes, whole, each to one", function()
    local q, name = queues.new(2 ^ 22)
    local others = {}
    for i = 1, 2 do
      others[i] = queues.user(name)
      others[i]:send [[
        local seg = assert(shmseg.anonymous(2 ^ 20 + 8))
        local seen = {}
        while true do
          local count, why = q:pop_into(seg, 8)
          if not count then
            assert(why == "shutdown")
            return seen
          end
          local number = seg:get_u8(8)
          assert(count == 2 ^ 20 and seg:get_u8(2 ^ 20 + 7) == number)
          assert(seg:compare(8, string.char(number):rep(count)) == 0)
          seen[#seen + 1] = number
        end]]
    end
    local frame = expect.success(shmseg.anonymous(2 ^ 20 + 64))
    for i = 1, 40 do
      frame:fill(64, 2 ^ 20, i)
      assert.True(q:push(frame:slice(64)))
    end
    q:shutdown()
    local all = {}
    for _, other in ipairs(others) do
      local last = 0
      for _, number in ipairs((other:receive())) do
        assert.True(number > last)
        last, all[number] = number, (all[number] or 0) + 1
      end
    end
    for i = 1, 40 do
      assert.equal(1, all[i])
    end
  end)
end)
