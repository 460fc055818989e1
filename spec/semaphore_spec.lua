-- SPDX-License-Identifier: MIT
-- shmseg.semaphore: permits that come back when their holder dies.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local host = require "spec.support.host"
local owners = require "spec.support.owners"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local ROOM, SLOTS = 64, 128 -- where the words are
local LONG = 60 -- seconds: a guard against hanging, never a measure

-- A semaphore under a name of its own, and the name.
local function semaphore(permits)
  local name = scratch.name()
  return expect.success(shmseg.semaphore.open(name, "x", { permits = permits })), name
end

local function other_handle(name)
  return expect.success(shmseg.semaphore.open(name))
end

-- A peer that has the semaphore as `s`.
local function user(name)
  local other = peer.start()
  other:call("s = assert(shmseg.semaphore.open(...))", name)
  return other
end

local function let_wait(other, call)
  other:send("report 'waits' " .. call)
  assert.equal("waits", other:receive())
  other:await_sleep()
end

describe("a semaphore", function()
  after_each(scratch.clean)

  it("gives as many permits as it has, and takes them back", function()
    for _, permits in ipairs { 1, 2, 3, 16, 100 } do
      local s = semaphore(permits)
      assert.equal(permits, s:value())
      for _ = 1, 2 do
        for i = 1, permits do
          assert.True(s:acquire(0))
          assert.equal(permits - i, s:value())
        end
        assert.equal("timeout", expect.failure("timeout", s:acquire(0)))
        expect.failure("timeout", s:acquire(0.001))
        for i = 1, permits do
          assert.True(s:release())
          assert.equal(i, s:value())
        end
      end
    end
  end)

  it("has the same permits for all handles", function()
    local s, name = semaphore(2)
    local second, other = other_handle(name), user(name)
    assert.True(s:acquire())
    assert.True(other:call "return s:acquire(0)")
    for _, timeout in ipairs { 0, -1, -math.huge, 0.001, 0.12 } do
      expect.failure("timeout", second:acquire(timeout))
    end
    assert.equal(0, second:value())
    assert.True(other:call "return s:release()")
    assert.equal(1, second:value())
    assert.True(second:acquire(0))
  end)

  it("wakes those who sleep for a permit, as many as are released", function()
    local s, name = semaphore(2)
    s:acquire()
    s:acquire()
    local others = { user(name), user(name) }
    for _, other in ipairs(others) do
      let_wait(other, "return s:acquire()")
    end
    s:release()
    s:release()
    for _, other in ipairs(others) do
      assert.True(other:receive())
    end
    assert.equal(0, s:value())
  end)

  it("tells through a read-only handle what is free, and no more", function()
    local s, name = semaphore(3)
    local reader = expect.success(shmseg.semaphore.open(name, "r"))
    s:acquire()
    assert.equal(2, reader:value())
    expect.misuse("read%-only", reader.acquire, reader)
    expect.misuse("read%-only", reader.acquire, reader, 0)
    expect.misuse("", reader.release, reader)
    assert.equal(2, s:value())
  end)

  it("raises when a handle releases a permit that it has not acquired", function()
    local s, name = semaphore(3)
    local second = other_handle(name)
    expect.misuse('semaphore ".*": this handle has no permit', s.release, s)
    s:acquire()
    expect.misuse("semaphore", second.release, second)
    second:acquire()
    second:acquire()
    s:release()
    expect.misuse("semaphore", s.release, s)
    second:release()
    second:release()
    expect.misuse("semaphore", second.release, second)
    assert.equal(3, s:value())
  end)

  it("keeps the permits of two handles on one segment apart", function()
    local seg = expect.success(shmseg.anonymous(4096))
    local s = expect.success(shmseg.semaphore.open(seg, "c", { permits = 2 }))
    local second = expect.success(shmseg.semaphore.open(seg))
    s:acquire()
    expect.misuse("semaphore", second.release, second)
    assert.True(second:acquire(0))
    expect.failure("timeout", s:acquire(0))
    s:close()
    assert.equal(1, second:value())
    assert.True(second:release())
  end)

  it("has 1 to 65,535 permits", function()
    local seg = expect.success(shmseg.anonymous(2 ^ 19))
    for _, permits in ipairs { 0, -1, 65536, 1.5, 2 ^ 32, 2 ^ 53, 0 / 0, math.huge, true, {} } do
      expect.misuse("permits", shmseg.semaphore.open, scratch.name(), "x", { permits = permits })
      expect.misuse("permits", shmseg.semaphore.open, seg, "c", { permits = permits })
      expect.misuse("permits", shmseg.semaphore.size_for, { permits = permits })
    end
    assert.equal(("\0"):rep(128), seg:read(0, 128))
    local s = expect.success(shmseg.semaphore.open(seg, "c", { permits = 65535 }))
    assert.equal(65535, s:value())
    for _ = 1, 1000 do
      s:acquire(0)
    end
    assert.equal(64535, s:value())
    s:close()
    assert.equal(65535, other_handle(seg):value())
  end)

  it("has the permits that it was made with", function()
    local s, name = semaphore(3)
    for _, mode in ipairs { "r", "rw", "c" } do
      expect.success(shmseg.semaphore.open(name, mode, { permits = 3 }))
    end
    for _, permits in ipairs { 1, 2, 4, 1000 } do
      for _, mode in ipairs { "r", "rw", "c" } do
        local opened, message, code = shmseg.semaphore.open(name, mode, { permits = permits })
        assert.truthy(expect.failure("incompatible", opened, message, code):find "permits")
      end
    end
    assert.equal(3, s:value())
  end)

  it("takes a timeout as every call does", function()
    local s = semaphore(1)
    for _, timeout in ipairs { 0 / 0, "soon", true, {} } do
      expect.misuse("bad argument", s.acquire, s, timeout)
      assert.equal(1, s:value())
    end
    for _, timeout in ipairs { 0, 0.5, 1e300, math.huge } do
      assert.True(s:acquire(timeout))
      s:release()
    end
  end)

  it("lets never more in than it has permits", function()
    local seg_name, rounds = scratch.name(), 1000
    local seg = expect.success(shmseg.open(seg_name, "x", 4096))
    local s = expect.success(shmseg.semaphore.open(seg, "c", { permits = 2 }))
    local others = {}
    for i = 1, 4 do
      others[i] = peer.start()
      others[i]:call([[
        seg = assert(shmseg.open(...))
        inside = seg:atomic(1024, "i32")
        s = assert(shmseg.semaphore.open(seg))]], seg_name)
    end
    for _, other in ipairs(others) do
      other:send([[
        local most = 0
        for i = 1, ... do
          assert(s:acquire(60))
          most = math.max(most, inside:add(1) + 1)
          inside:sub(1)
          assert(s:release())
        end
        return most]], rounds)
    end
    for _, other in ipairs(others) do
      assert.truthy(other:receive() <= 2)
    end
    assert.equal(2, s:value())
  end)
end)

describe("the permits of a process", function()
  after_each(scratch.clean)

  for _, way in ipairs(owners.ways) do
    it("that " .. way.name .. " come back", function()
      local s, name = semaphore(1)
      local owner, reason = way.start("permit", name)
      if not owner then
        pending(reason)
      end
      local sleeper = user(name)
      expect.failure("timeout", s:acquire(0.06))
      let_wait(sleeper, "return s:acquire(), s:release()")
      way.lose(owner)
      assert.True(sleeper:receive())
      assert.True(s:acquire(LONG))
      assert.True(s:release())
    end)
  end

  it("that has died come back at once, all of them", function()
    local s, name = semaphore(5)
    local other = user(name)
    other:call "for i = 1, 4 do s:acquire(0) end"
    assert.True(s:acquire(0))
    expect.failure("timeout", s:acquire(0))
    other:stop()
    for _ = 1, 4 do
      assert.True(s:acquire(0))
    end
    expect.failure("timeout", s:acquire(0))
    for _ = 1, 5 do
      s:release()
    end
    assert.equal(5, s:value())
  end)

  it("that has died count as free", function()
    local s, name = semaphore(5)
    local other = user(name)
    other:call "for i = 1, 4 do s:acquire(0) end"
    assert.equal(1, s:value())
    other:stop()
    assert.equal(5, s:value())
  end)

  it("that is stopped stay away", function()
    local s, name = semaphore(1)
    local owner = owners.start("permit", name)
    owner:signal "STOP"
    assert.equal(0, s:value())
    expect.failure("timeout", s:acquire(0))
    expect.failure("timeout", s:acquire(0.12))
    owner:signal "CONT"
    assert.True(owner:call "return lock:release()")
    assert.equal(1, s:value())
  end)

  it("come back when the handle is closed or collected", function()
    local s, name = semaphore(3)
    local second = other_handle(name)
    second:acquire()
    second:acquire()
    assert.equal(1, s:value())
    second:close()
    assert.equal(3, s:value())
    other_handle(name):acquire()
    collectgarbage()
    collectgarbage()
    assert.equal(3, s:value())
    local seg = expect.success(shmseg.open(name))
    expect.success(shmseg.semaphore.open(seg)):acquire()
    seg:close()
    assert.equal(3, s:value())
  end)

  it("are lost when it is cut off, and it opens the semaphore anew #hole", function()
    local s, name = semaphore(2)
    local seg = s:segment()
    s:acquire()
    assert(io.open(scratch.objects .. name, "w")):close()
    expect.failure("truncated", s:release())
    expect.failure("truncated", s:value())
    expect.misuse("truncated", s.acquire, s, 0)
    local file = assert(io.open(scratch.objects .. name, "w"))
    file:write(("\0"):rep(seg:size()))
    file:close()
    seg:refresh()
    expect.failure("truncated", s:release())
    local anew = expect.success(shmseg.semaphore.open(seg, "c", { permits = 2 }))
    assert.equal(2, anew:value())
    assert.True(anew:acquire(0))
    assert.True(anew:release())
  end)

  it("are not its fork'ed child's", function()
    local s, name = semaphore(2)
    local lines, reason = host.run([[
      local shmseg = require "shmseg"
      local s = assert(shmseg.semaphore.open(...))
      s:acquire()
      local child = host.fork()
      if child == 0 then
        assert(not pcall(s.release, s))
        assert(s:value() == 1)
        assert(s:acquire(0))
        assert(select(2, s:acquire(0)) == "timeout")
        assert(s:release())
        assert(not pcall(s.release, s))
        assert(s:acquire(0))
        s:close()
        host._exit(0)
      end
      assert(host.wait(child) == 0)
      print(s:value(), s:release(), s:value())
      child = host.fork()
      if child == 0 then
        s:acquire()
        host._exit(0)
      end
      host.wait(child)
      print(s:value())]], name)
    if not lines then
      pending(reason)
    end
    assert.same({ "1\ttrue\t2", "2" }, lines)
    assert.equal(2, s:value())
  end)
end)

describe("acquire", function()
  after_each(scratch.clean)

  it("raises when a signal of shmseg.signals interrupts it", function()
    local s, name = semaphore(1)
    local other = user(name)
    other:call "stop = shmseg.signals('TERM')"
    s:acquire()
    let_wait(other, "return pcall(s.acquire, s)")
    other:signal "TERM"
    local ok, message = other:receive()
    assert.False(ok)
    assert.truthy(message:find 'semaphore ".*": interrupted', message)
    assert.equal("TERM", other:call "return stop:wait(60)")
    s:release()
    assert.equal(1, s:value())
    assert.True(other:call "return s:acquire(60)")
  end)

  it("ends the stock interpreter at Ctrl-C", function()
    local s, name = semaphore(1)
    s:acquire()
    local words = peer.command()
    words[#words + 1] = scratch.file [[
      local s = assert(require "shmseg".semaphore.open(...))
      io.write "waits\n" io.flush()
      s:acquire()]]
    words[#words + 1] = name
    local other = process.start(words)
    assert.equal("waits", other:line())
    other:await_sleep()
    other:signal "INT"
    assert.equal(1, (other:finish()))
    assert.truthy(other:stderr():find "interrupted!")
    s:release()
    assert.equal(1, s:value())
  end)
end)

describe("the bytes of a semaphore", function()
  after_each(scratch.clean)

  it("that are no permits of anybody alive are free permits", function()
    local s = semaphore(4)
    local seg = s:segment()
    for _, slot in ipairs { 0, 2, 15, 16, 12345678, 0x3fffffff, 0x40000000, 0xffffffff } do
      for i = 0, 3 do
        seg:set_u32(SLOTS + 4 * i, slot)
      end
      assert.True(s:acquire(0.5))
      assert.True(s:release())
      for i = 0, 3 do
        seg:set_u32(SLOTS + 4 * i, slot)
      end
      assert.equal(4, s:value())
    end
  end)

  it("may be anything at any time, and every call comes back", function()
    local s, name = semaphore(4)
    local seg = s:segment()
    local vandal = peer.start()
    vandal:call("seg = assert(shmseg.open(...))", name)
    vandal:send [[
      report "begins"
      local words = { 0, 1, 16, 0x40000001, 0x80000001, 0x80000000, 0xffffffff, 12345678 }
      for i = 1, 30000 do
        local word = i % 3 == 0 and math.random(0, 2 ^ 31 - 1) or words[math.random(#words)]
        seg:set_u32(128 + 4 * math.random(0, 3), word)
        seg:set_u32(4 * math.random(0, 47), word)
      end]]
    assert.equal("begins", vandal:receive())
    for i = 1, 500 do
      local got, message = s:acquire(i % 10 == 0 and 0.001 or 0)
      assert.truthy(got or message == "timeout")
      if got then
        local done, _, code = s:release()
        assert.truthy(done or code == "corrupt")
      end
      local value = s:value()
      assert.truthy(value >= 0 and value <= 4)
    end
    vandal:receive()
    seg:set_u32(ROOM, 1)
    for i = 0, 3 do
      seg:set_u32(SLOTS + 4 * i, 1)
    end
    assert.True(s:acquire(0))
    assert.True(s:release())
  end)

  it("that give a permit to a stranger are an error for who has lost it", function()
    local s = semaphore(1)
    local seg = s:segment()
    s:acquire()
    seg:set_u32(SLOTS, 12345678)
    expect.failure("corrupt", s:release())
    assert.equal(12345678, seg:get_u32(SLOTS))
    expect.misuse("semaphore", s.release, s)
  end)
end)
