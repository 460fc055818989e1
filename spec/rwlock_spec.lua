-- SPDX-License-Identifier: MIT
-- shmseg.rwlock: many readers or one writer, who may die.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local host = require "spec.support.host"
local owners = require "spec.support.owners"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local WORD, ROOM, SLOTS = 64, 68, 128 -- where the words are
local READERS = 64
local LONG = 60 -- seconds: a guard against hanging, never a measure

local function rwlock()
  local name = scratch.name()
  return expect.success(shmseg.rwlock.open(name, "x")), name
end

local function other_handle(name)
  return expect.success(shmseg.rwlock.open(name))
end

-- A peer that has the lock as `rw`.
local function user(name)
  local other = peer.start()
  other:call("rw = assert(shmseg.rwlock.open(...))", name)
  return other
end

-- Sends a call that will wait, and returns when it does.
local function let_wait(other, call)
  other:send("report 'waits' " .. call)
  assert.equal("waits", other:receive())
  other:await_sleep()
end

local function assert_taken(told, guard, actual)
  assert.truthy(guard, actual)
  assert.equal(told, actual)
end

-- Nobody reads or writes, and nothing is abandoned.
local function assert_free(rw)
  assert_taken(nil, rw:write_lock(0))
  assert.True(rw:unlock())
end

describe("an rwlock", function()
  after_each(scratch.clean)

  it("lets readers in together", function()
    local rw, name = rwlock()
    local second, other = other_handle(name), user(name)
    assert_taken(nil, rw:read_lock())
    assert_taken(nil, second:read_lock(0))
    assert.True(other:call "return rw:read_lock(0) ~= nil")
    for _, handle in ipairs { rw, second } do
      assert.True(handle:unlock())
    end
    expect.failure("timeout", rw:write_lock(0.01))
    other:call "rw:unlock()"
    assert_free(rw)
  end)

  it("lets nobody in with a writer", function()
    local rw, name = rwlock()
    local second, other = other_handle(name), user(name)
    assert_taken(nil, rw:write_lock())
    for _, timeout in ipairs { 0, -1, -math.huge, 0.001, 0.12 } do
      for _, what in ipairs { "read_lock", "write_lock" } do
        assert.equal("timeout", expect.failure("timeout", second[what](second, timeout)))
        expect.failure("timeout", other:call("return rw:" .. what .. "(...)", timeout))
      end
    end
    assert.True(rw:unlock())
    assert_taken(nil, second:read_lock(0))
    expect.failure("timeout", rw:write_lock(0))
    second:unlock()
    assert_free(rw)
  end)

  for _, what in ipairs { "read_lock", "write_lock" } do
    it("wakes who sleeps in " .. what .. " when a writer unlocks", function()
      local rw, name = rwlock()
      local others = { user(name), user(name) }
      rw:write_lock()
      for _, other in ipairs(others) do
        let_wait(other, ("assert(rw:%s()) rw:unlock() return 'in'"):format(what))
      end
      rw:unlock()
      for _, other in ipairs(others) do
        assert.equal("in", other:receive())
      end
      assert_free(rw)
    end)
  end

  it("lets 64 readers in, and the 65th when one has left", function()
    local rw, name = rwlock()
    local readers = {}
    for i = 1, READERS do
      readers[i] = other_handle(name)
      assert_taken(nil, readers[i]:read_lock(0))
    end
    expect.failure("timeout", rw:read_lock(0))
    expect.failure("timeout", rw:read_lock(0.06))
    local other = user(name)
    let_wait(other, "return rw:read_lock() ~= nil")
    readers[17]:unlock()
    assert.True(other:receive())
    expect.failure("timeout", rw:read_lock(0))
    readers[1]:unlock()
    assert_taken(nil, rw:read_lock(0))
  end)

  it("serves writers first", function()
    local rw, name = rwlock()
    local reader, writer = other_handle(name), user(name)
    reader:read_lock()
    let_wait(writer, "assert(rw:write_lock()) report 'writes' rw:unlock()")
    repeat -- until it has announced itself
      local entered = rw:read_lock(0)
      if entered then
        rw:unlock()
      end
    until not entered
    expect.failure("timeout", rw:read_lock(0.12))
    reader:unlock()
    assert.equal("writes", writer:receive())
    writer:receive()
    assert_taken(nil, rw:read_lock(LONG))
  end)

  it("lets readers in again when the writer that waited has given up", function()
    local rw, name = rwlock()
    local reader = other_handle(name)
    reader:read_lock()
    expect.failure("timeout", rw:write_lock(0.06))
    expect.failure("timeout", rw:write_lock(0))
    assert_taken(nil, rw:read_lock(0))
    rw:unlock()

    local writer = user(name)
    writer:call "stop = shmseg.signals('TERM')"
    let_wait(writer, "return pcall(rw.write_lock, rw)")
    local late = user(name)
    late:send "assert(rw:read_lock()) rw:unlock() return 'in'"
    writer:signal "TERM"
    local ok, message = writer:receive()
    assert.False(ok)
    assert.truthy(message:find 'rwlock ".*": interrupted', message)
    assert.equal("in", late:receive())
    expect.misuse("does not hold the lock", function()
      writer:call "rw:unlock()"
    end)
    reader:unlock()
    assert_free(rw)
  end)

  it("has one guard for each handle, which unlocks either way", function()
    local rw, name = rwlock()
    local second = other_handle(name)
    local guard = rw:read_lock()
    guard:close()
    guard:close()
    assert_free(second)
    assert.equal(guard, (rw:write_lock()))
    guard:close()
    assert_free(second)
    rw:close()
    guard:close()
  end)

  if _VERSION >= "Lua 5.4" then
    it("is unlocked at the end of the scope from Lua 5.4 on, and errors pass on", function()
      local rw, name = rwlock()
      local second = other_handle(name)
      for _, what in ipairs { "read_lock", "write_lock" } do
        local run = assert(load(([[
          local rw, f = ...
          local held <close> = rw:%s()
          return f()]]):format(what)))
        assert.equal("done", run(rw, function()
          expect.failure("timeout", second:write_lock(0))
          return "done"
        end))
        assert_free(second)
        local problem = {}
        local ok, caught = pcall(run, rw, function()
          error(problem)
        end)
        assert.False(ok)
        assert.equal(problem, caught)
        assert_free(second)
      end
    end)
  end

  it("raises when its handle has it already, for whatever", function()
    local seg = expect.success(shmseg.anonymous(1024))
    local rw = expect.success(shmseg.rwlock.open(seg, "c"))
    local second = expect.success(shmseg.rwlock.open(seg))
    for _, first in ipairs { "read_lock", "write_lock" } do
      rw[first](rw)
      for _, again in ipairs { "read_lock", "write_lock" } do
        for _, handle in ipairs { rw, second } do
          expect.misuse("rwlock.*holds the lock already", handle[again], handle)
          expect.misuse("holds the lock already", handle[again], handle, 0)
        end
      end
      expect.misuse("does not hold the lock", second.unlock, second)
      assert.True(rw:unlock())
    end
    assert_free(second)
  end)

  it("raises when it is unlocked by who does not hold it", function()
    local rw, name = rwlock()
    local second = other_handle(name)
    expect.misuse("rwlock.*does not hold the lock", rw.unlock, rw)
    for _, what in ipairs { "read_lock", "write_lock" } do
      rw[what](rw)
      expect.misuse("does not hold the lock", second.unlock, second)
      rw:unlock()
      expect.misuse("does not hold the lock", rw.unlock, rw)
    end
    assert_free(second)
  end)

  it("takes a timeout as every call does", function()
    local rw = rwlock()
    for _, what in ipairs { "read_lock", "write_lock" } do
      for _, timeout in ipairs { 0 / 0, "soon", true, {} } do
        expect.misuse("bad argument", rw[what], rw, timeout)
      end
      for _, timeout in ipairs { 0.001, 1e300, math.huge } do
        expect.success(rw[what](rw, timeout))
        rw:unlock()
      end
    end
    assert_free(rw)
  end)

  it("is not locked through a read-only handle", function()
    local rw, name = rwlock()
    local reader = expect.success(shmseg.rwlock.open(name, "r"))
    for _, what in ipairs { "read_lock", "write_lock" } do
      expect.misuse("read%-only", reader[what], reader)
      expect.misuse("read%-only", reader[what], reader, 0)
    end
    expect.misuse("", reader.unlock, reader)
    assert_free(rw)
  end)

  it("keeps readers from seeing what a writer is half through with", function()
    local seg_name, rounds = scratch.name(), 1500
    local seg = expect.success(shmseg.open(seg_name, "x", 4096))
    expect.success(shmseg.rwlock.open(seg, "c"))
    local others = {}
    for i = 1, 4 do
      others[i] = peer.start()
      others[i]:call([[
        seg = assert(shmseg.open(...))
        rw = assert(shmseg.rwlock.open(seg))]], seg_name)
    end
    for i, other in ipairs(others) do
      other:send([[
        local rounds, writes = ...
        for _ = 1, rounds do
          assert(rw:read_lock(60))
          assert(seg:get_u32(1024) == seg:get_u32(2048))
          rw:unlock()
          if writes then
            local guard, told = rw:write_lock(60)
            assert(guard and not told)
            seg:set_u32(1024, seg:get_u32(1024) + 1)
            seg:set_u32(2048, seg:get_u32(2048) + 1)
            rw:unlock()
          end
        end]], rounds, i <= 2)
    end
    for _, other in ipairs(others) do
      other:receive()
    end
    assert.same({ 2 * rounds, 2 * rounds }, { seg:get_u32(1024), seg:get_u32(2048) })
  end)
end)

describe("the writer of an rwlock", function()
  after_each(scratch.clean)

  for _, way in ipairs(owners.ways) do
    it(way.name .. ": all are told so, until a writer has unlocked", function()
      local rw, name = rwlock()
      local owner, reason = way.start("write", name)
      if not owner then
        pending(reason)
      end
      local second = other_handle(name)
      local sleeper = user(name)
      expect.failure("timeout", rw:read_lock(0.06))
      expect.failure("timeout", rw:write_lock(0.06))
      let_wait(sleeper, "local guard, told = rw:read_lock() rw:unlock() return told")
      way.lose(owner)
      assert.equal("abandoned", sleeper:receive())

      assert_taken("abandoned", rw:read_lock(LONG))
      assert_taken("abandoned", second:read_lock(0))
      rw:unlock()
      second:unlock()
      assert_taken("abandoned", rw:read_lock(0))
      rw:unlock()
      assert_taken("abandoned", second:write_lock(0))
      assert.True(second:unlock())

      assert_taken(nil, rw:read_lock(0))
      rw:unlock()
      assert_free(second)
    end)
  end

  it("dies: a try with timeout 0 finds it out, for reading and for writing", function()
    local rw, name = rwlock()
    for _, what in ipairs { "read_lock", "write_lock" } do
      local owner = owners.start("write", name)
      expect.failure("timeout", rw[what](rw, 0))
      owner:stop()
      assert_taken("abandoned", rw[what](rw, 0))
      rw:unlock()
    end
    assert_free(rw)
  end)

  it("dies who was told so, and the next ones are told as well", function()
    local rw, name = rwlock()
    owners.start("write", name):stop()
    owners.start("write", name):stop()
    owners.start("read", name):stop()
    assert_taken("abandoned", rw:read_lock(LONG))
    rw:unlock()
    assert_taken("abandoned", rw:write_lock(LONG))
    rw:unlock()
    assert_free(rw)
  end)

  it("closes or loses its handle: it is abandoned", function()
    local rw, name = rwlock()
    local second = other_handle(name)
    second:write_lock()
    second:close()
    assert_taken("abandoned", rw:read_lock(0))
    rw:unlock()
    assert_taken("abandoned", rw:write_lock(0))
    rw:unlock()
    other_handle(name):write_lock()
    collectgarbage()
    collectgarbage()
    assert_taken("abandoned", rw:write_lock(0))
    rw:unlock()
    assert_free(rw)
  end)

  it("is alive while it is stopped", function()
    local rw, name = rwlock()
    local owner = owners.start("write", name)
    owner:signal "STOP"
    for _, timeout in ipairs { 0, 0.12 } do
      expect.failure("timeout", rw:read_lock(timeout))
      expect.failure("timeout", rw:write_lock(timeout))
    end
    owner:signal "CONT"
    assert.True(owner:call "return lock:unlock()")
    assert_free(rw)
  end)

  it("dies while it waits for the readers, and they go on", function()
    local rw, name = rwlock()
    local writer = user(name)
    rw:read_lock()
    let_wait(writer, "rw:write_lock()")
    writer:stop()
    local second = other_handle(name)
    assert.truthy((second:read_lock(LONG)))
    second:unlock()
    rw:unlock()
    assert.truthy((second:write_lock(LONG)))
    second:unlock()
    assert_free(rw)
  end)

  it("loses it when it is cut off, and opens it anew #hole", function()
    for _, what in ipairs { "read_lock", "write_lock" } do
      local rw, name = rwlock()
      local seg, guard = rw:segment(), rw[what](rw)
      assert(io.open(scratch.objects .. name, "w")):close()
      expect.failure("truncated", rw:unlock())
      guard:close()
      expect.misuse("truncated", rw.read_lock, rw, 0)
      expect.misuse("truncated", rw.write_lock, rw, 0)
      local file = assert(io.open(scratch.objects .. name, "w"))
      file:write(("\0"):rep(seg:size()))
      file:close()
      seg:refresh()
      expect.failure("truncated", rw:unlock())
      assert_free(expect.success(shmseg.rwlock.open(seg, "c")))
    end
  end)
end)

describe("a reader of an rwlock", function()
  after_each(scratch.clean)

  for _, way in ipairs(owners.ways) do
    it(way.name .. ": nobody is held up, and nobody is told", function()
      local rw, name = rwlock()
      local owner, reason = way.start("read", name)
      if not owner then
        pending(reason)
      end
      local sleeper = user(name)
      expect.failure("timeout", rw:write_lock(0.06))
      let_wait(sleeper, "local guard, told = rw:write_lock() rw:unlock() return guard and told")
      way.lose(owner)
      assert.is_nil(sleeper:receive())
      assert_taken(nil, rw:write_lock(LONG))
      rw:unlock()
      assert_taken(nil, rw:read_lock(0))
    end)
  end

  it("dies 64 times over: there is room for others at once", function()
    local rw, name = rwlock()
    local other = peer.start()
    other:call([[
      handles = {}
      for i = 1, 64 do
        handles[i] = assert(shmseg.rwlock.open(...))
        assert(handles[i]:read_lock(0))
      end]], name)
    expect.failure("timeout", rw:read_lock(0))
    expect.failure("timeout", rw:write_lock(0))
    other:stop()
    assert_taken(nil, rw:read_lock(0))
    rw:unlock()
    assert_free(rw)
  end)

  it("closes or loses its handle: it has left", function()
    local rw, name = rwlock()
    local second = other_handle(name)
    second:read_lock()
    second:close()
    assert_free(rw)
    other_handle(name):read_lock()
    collectgarbage()
    collectgarbage()
    assert_free(rw)
  end)

  it("is alive while it is stopped", function()
    local rw, name = rwlock()
    local owner = owners.start("read", name)
    owner:signal "STOP"
    expect.failure("timeout", rw:write_lock(0))
    expect.failure("timeout", rw:write_lock(0.12))
    assert_taken(nil, rw:read_lock(0))
    rw:unlock()
    owner:signal "CONT"
    assert.True(owner:call "return lock:unlock()")
    assert_free(rw)
  end)
end)

describe("a fork'ed child", function()
  after_each(scratch.clean)

  it("neither reads nor writes with its parent, and does both for itself", function()
    local _, name = rwlock()
    local lines, reason = host.run([[
      local shmseg = require "shmseg"
      local rw = assert(shmseg.rwlock.open(...))
      for _, what in ipairs { "read_lock", "write_lock" } do
        rw[what](rw)
        local child = host.fork()
        if child == 0 then
          assert(not pcall(rw.unlock, rw))
          assert(select(2, rw:write_lock(0)) == "timeout")
          if what == "read_lock" then
            assert(rw:read_lock(0))
            rw:unlock()
          end
          rw:close()
          host._exit(0)
        end
        assert(host.wait(child) == 0)
        local second = assert(shmseg.rwlock.open(...))
        assert(select(2, second:write_lock(0.06)) == "timeout")
        rw:unlock()
        child = host.fork()
        if child == 0 then
          assert(rw[what](rw, 0))
          host._exit(0)
        end
        assert(host.wait(child) == 0)
        local _, told = second:write_lock(0)
        print(what, told)
        second:unlock()
      end]], name)
    if not lines then
      pending(reason)
    end
    assert.same({ "read_lock\tnil", "write_lock\tabandoned" }, lines)
  end)
end)

describe("an rwlock that is waited for", function()
  after_each(scratch.clean)

  for _, what in ipairs { "read_lock", "write_lock" } do
    it("is interrupted in " .. what .. " by shmseg.signals, which raises", function()
      local rw, name = rwlock()
      local other = user(name)
      other:call "stop = shmseg.signals('TERM')"
      rw:write_lock()
      let_wait(other, ("return pcall(rw.%s, rw)"):format(what))
      other:signal "TERM"
      local ok, message = other:receive()
      assert.False(ok)
      assert.truthy(message:find 'rwlock ".*": interrupted', message)
      assert.equal("TERM", other:call "return stop:wait(60)")
      rw:unlock()
      assert_free(rw)
      assert.True(other:call(("return rw:%s(60) ~= nil"):format(what)))
    end)

    for _, held in ipairs { "read_lock", "write_lock" } do
      if what == "write_lock" or held == "write_lock" then
        local sentence = "ends the stock interpreter at Ctrl-C in %s, after another one's %s"
        it(sentence:format(what, held), function()
          local rw, name = rwlock()
          rw[held](rw)
          local words = peer.command()
          words[#words + 1] = scratch.file([[
            local rw = assert(require "shmseg".rwlock.open(...))
            io.write "waits\n" io.flush()
            rw:]] .. what .. "()")
          words[#words + 1] = name
          local other = process.start(words)
          assert.equal("waits", other:line())
          other:await_sleep()
          other:signal "INT"
          assert.equal(1, (other:finish()))
          assert.truthy(other:stderr():find "interrupted!")
          rw:unlock()
          assert_free(rw)
        end)
      end
    end
  end

  it("gives its place back at an error of a signal's hook", function()
    local rw, name = rwlock()
    local other = user(name)
    rw:read_lock()
    let_wait(other, "return pcall(rw.write_lock, rw)")
    other:signal "INT"
    local ok, message = other:receive()
    assert.False(ok)
    assert.truthy(message:find("interrupted!", 1, true))
    local second = other_handle(name)
    assert_taken(nil, second:read_lock(LONG))
    second:unlock()
    rw:unlock()
    assert_free(rw)
  end)
end)

describe("the bytes of an rwlock", function()
  after_each(scratch.clean)

  -- Tries either lock: what the promises allow, whatever the bytes are.
  local function try(rw, what, timeout)
    local ok, guard, told = pcall(rw[what], rw, timeout)
    if not ok then
      assert.truthy(guard:find "corrupt", guard)
      return "corrupt"
    elseif guard then
      assert.truthy(told == nil or told == "abandoned")
      local done, message, code = rw:unlock()
      assert.truthy(done or code == "corrupt", message)
      return told or "locked"
    end
    assert.equal("timeout", told)
    return told
  end

  it("that are no state of a lock are an error, also for one who would wait for ever", function()
    local rw = rwlock()
    local seg = rw:segment()
    for _, word in ipairs { 0, 2, 15, 0x40000000, 0x80000000, 0xc0000000, 0x80000002 } do
      seg:set_u32(WORD, word)
      expect.misuse("corrupt", rw.read_lock, rw)
      expect.misuse("corrupt", rw.write_lock, rw)
    end
  end)

  it("that are no slots of readers, or name nobody, hold nobody up", function()
    local rw = rwlock()
    local seg = rw:segment()
    for _, slot in ipairs { 0, 2, 15, 16, 12345678, 0x3fffffff, 0x40000000, 0xffffffff } do
      for i = 0, READERS - 1 do
        seg:set_u32(SLOTS + 4 * i, slot)
      end
      assert.equal("locked", try(rw, "read_lock", 0.5))
      for i = 0, READERS - 1 do
        seg:set_u32(SLOTS + 4 * i, slot)
      end
      assert.equal("locked", try(rw, "write_lock", 0.5))
    end
  end)

  it("may be anything at any time, and every call comes back", function()
    local rw, name = rwlock()
    local seg = rw:segment()
    local vandal = peer.start()
    vandal:call("seg = assert(shmseg.open(...))", name)
    vandal:send [[
      report "begins"
      local words = { 0, 1, 16, 0x40000001, 0x80000001, 0x80000000, 0xffffffff, 12345678 }
      for i = 1, 30000 do
        local word = i % 3 == 0 and math.random(0, 2 ^ 31 - 1) or words[math.random(#words)]
        seg:set_u32(64 + 4 * math.random(0, 1), word)
        seg:set_u32(4 * math.random(0, 95), word)
      end]]
    assert.equal("begins", vandal:receive())
    for i = 1, 500 do
      local timeout = i % 10 == 0 and 0.001 or 0
      try(rw, "read_lock", timeout)
      try(rw, "write_lock", timeout)
    end
    vandal:receive()
    seg:set_u32(WORD, 1)
    seg:set_u32(ROOM, 1)
    assert.equal("locked", try(rw, "write_lock", 0))
    assert.equal("locked", try(rw, "read_lock", 0))
  end)
end)
