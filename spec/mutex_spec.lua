-- SPDX-License-Identifier: MIT
-- shmseg.mutex: one owner at a time, who may die.

local shmseg = require "shmseg"
local build = require "spec.support.build"
local expect = require "spec.support.expect"
local host = require "spec.support.host"
local owners = require "spec.support.owners"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local WORD = 64 -- where the lock word is
local LONG = 60 -- seconds: a guard against hanging, never a measure

-- A mutex under a name of its own, and the name.
local function mutex()
  local name = scratch.name()
  return expect.success(shmseg.mutex.open(name, "x")), name
end

local function other_handle(name)
  return expect.success(shmseg.mutex.open(name))
end

-- A peer that has the mutex as `m`.
local function user(name)
  local other = peer.start()
  other:call("m = assert(shmseg.mutex.open(...))", name)
  return other
end

local function assert_free(m)
  local guard, told = m:lock(0)
  assert.truthy(guard)
  assert.is_nil(told)
  assert.True(m:unlock())
end

local function assert_abandoned(m, timeout)
  local guard, told = m:lock(timeout)
  assert.truthy(guard, told)
  assert.equal("abandoned", told)
end

describe("a mutex", function()
  after_each(scratch.clean)

  it("is locked and unlocked again", function()
    local m = mutex()
    for _ = 1, 3 do
      local guard, told = m:lock()
      assert.truthy(guard)
      assert.is_nil(told)
      assert.True(m:unlock())
    end
  end)

  it("has one guard for each handle", function()
    local m, name = mutex()
    local first = m:lock()
    m:unlock()
    assert.equal(first, m:lock(0))
    m:unlock()
    assert.not_equal(first, (other_handle(name):lock(0)))
  end)

  it("lets nobody else in while it is locked", function()
    local m, name = mutex()
    local other = user(name)
    m:lock()
    for _, timeout in ipairs { 0, -1, -math.huge, 0.001, 0.2 } do
      assert.equal("timeout", expect.failure("timeout", other:call("return m:lock(...)", timeout)))
    end
    m:unlock()
    assert.True(other:call "return m:lock(0) ~= nil")
    expect.failure("timeout", m:lock(0.001))
    other:call "m:unlock()"
    assert_free(m)
  end)

  it("goes to one who sleeps for it, at once when it is unlocked", function()
    local m, name = mutex()
    local other = user(name)
    for _, timeout in ipairs { "", "600", "1e300", "math.huge" } do
      m:lock()
      other:send(("report 'waits' return m:lock(%s) ~= nil"):format(timeout))
      assert.equal("waits", other:receive())
      other:await_sleep()
      m:unlock()
      assert.True(other:receive())
      other:call "m:unlock()"
    end
  end)

  it("takes a timeout as every call does", function()
    local m = mutex()
    for _, timeout in ipairs { 0 / 0, "soon", true, {} } do
      expect.misuse("bad argument", m.lock, m, timeout)
      assert_free(m)
    end
    expect.success(m:lock(nil))
  end)

  it("raises when its handle has locked it already", function()
    local m = mutex()
    m:lock()
    for _ = 1, 2 do
      expect.misuse("mutex.*holds the lock already", m.lock, m)
      expect.misuse("holds the lock already", m.lock, m, 0)
      expect.misuse("holds the lock already", m.with, m, error)
    end
    assert.True(m:unlock())
    assert_free(m)
  end)

  it("raises so through a second handle on the same segment too", function()
    local seg = expect.success(shmseg.anonymous(4096))
    local m = expect.success(shmseg.mutex.open(seg, "c"))
    local second = expect.success(shmseg.mutex.open(seg:slice(0)))
    m:lock()
    expect.misuse("holds the lock already", second.lock, second)
    expect.misuse("does not hold the lock", second.unlock, second)
    m:unlock()
    assert.truthy(second:lock(0))
    expect.misuse("holds the lock already", m.lock, m, 0)
    expect.misuse("does not hold the lock", m.unlock, m)
  end)

  it("beside another one on the same segment is another lock", function()
    local seg = expect.success(shmseg.anonymous(4096))
    local first = expect.success(shmseg.mutex.open(seg, "c"))
    local second = expect.success(shmseg.mutex.open(seg:slice(128), "c"))
    first:lock()
    assert.truthy(second:lock(0))
    first:unlock()
    expect.misuse("does not hold the lock", first.unlock, first)
    second:unlock()
  end)

  it("keeps two handles of one process apart that were opened by name", function()
    local m, name = mutex()
    local second = other_handle(name)
    second:lock() -- so that both have probed and been probed
    expect.failure("timeout", m:lock(0.12))
    second:unlock()
    m:lock()
    expect.failure("timeout", second:lock(0))
    expect.failure("timeout", second:lock(0.12))
    expect.misuse("does not hold the lock", second.unlock, second)
    m:unlock()
    assert_free(second)
  end)

  it("raises when it is unlocked by who does not hold it", function()
    local m, name = mutex()
    local other = user(name)
    expect.misuse("mutex.*does not hold the lock", m.unlock, m)
    other:call "m:lock()"
    expect.misuse("does not hold the lock", m.unlock, m)
    other:call "m:unlock()"
    m:lock()
    m:unlock()
    expect.misuse("does not hold the lock", m.unlock, m)
    assert_free(m)
  end)

  it("costs no system call as long as nobody else wants it", function()
    if not build.possible() then
      pending("there is no C compiler here")
    end
    local _, name = mutex()
    local tracer = assert(build.program { "spec/support/kill_at.c" })
    local script = scratch.file([[
      local m = assert(require "shmseg".mutex.open(...))
      m:lock() m:unlock()
      collectgarbage "stop"
      io.write "from here on\n" io.flush()
      for _ = 1, 1000 do m:lock() m:unlock() end]])
    local words = { tracer, "900" } -- to start Lua takes some hundred
    for _, word in ipairs(peer.command()) do
      words[#words + 1] = word
    end
    words[#words + 1] = script
    words[#words + 1] = name
    local output, status = shell.run(shell.quote((table.unpack or unpack)(words)))
    if status == 2 then
      pending("a process cannot be traced here")
    end
    assert.equal(1, status, "900 stops at system calls: " .. output) -- it ended before
  end)

  it("adds up exactly what four processes add", function()
    local seg_name, rounds = scratch.name(), 3000
    local seg = expect.success(shmseg.open(seg_name, "x", 4096))
    expect.success(shmseg.mutex.open(seg:slice(64), "c"))
    local others = {}
    for i = 1, 4 do
      others[i] = peer.start()
      others[i]:call([[
        seg = assert(shmseg.open(...))
        m = assert(shmseg.mutex.open(seg:slice(64)))]], seg_name)
    end
    for _, other in ipairs(others) do
      other:send([[
        for i = 1, ... do
          local guard, told = m:lock(60)
          assert(guard and not told)
          seg:set_u32(1024, seg:get_u32(1024) + 1)
          m:unlock()
        end]], rounds)
    end
    for _, other in ipairs(others) do
      other:receive()
    end
    assert.equal(4 * rounds, seg:get_u32(1024))
  end)
end)

describe("mutex:with", function()
  after_each(scratch.clean)

  it("gives what the function gives, and has unlocked then", function()
    local m, name = mutex()
    local second = other_handle(name)
    local function f(...)
      assert.equal(1, select("#", ...))
      assert.is_nil((...))
      expect.failure("timeout", second:lock(0))
      return 1, nil, "three", nil
    end
    local function count(...)
      return select("#", ...), ...
    end
    assert.same({ 4, 1, nil, "three" }, { count(m:with(f)) })
    assert.equal(0, (count(m:with(function() end))))
    assert_free(second)
  end)

  it("unlocks when the function raises, and the error passes on", function()
    local m, name = mutex()
    local second = other_handle(name)
    for _, problem in ipairs { "a text", 42, false, { "a table" }, print } do
      local ok, caught = pcall(m.with, m, function()
        error(problem, 0)
      end)
      assert.False(ok)
      assert.equal(problem, caught)
      assert_free(second)
    end
    local ok, caught = pcall(m.with, m, function()
      local t = {}
      return t.nothing.field
    end)
    assert.False(ok)
    assert.truthy(caught:find "mutex_spec%.lua:%d+:.*nothing")
    assert_free(second)
    expect.misuse("with", m.with, m, nil)
    assert_free(second)
  end)

  it("passes on what a hook raises while it waits, also what is no text", function()
    local m, name = mutex()
    local second = other_handle(name)
    second:lock()
    for _, problem in ipairs { { "a table" }, false, print } do
      local inside = false
      debug.sethook(function()
        local called = debug.getinfo(2, "f").func
        if inside then
          debug.sethook()
          error(problem)
        end
        inside = called == m.with
      end, "c")
      local ok, caught = pcall(m.with, m, print)
      debug.sethook()
      assert.False(ok)
      assert.equal(problem, caught)
    end
    second:unlock()
    assert_free(m)
  end)

  -- Locks and unlocks with a hook that raises at its n-th event, for each n.
  local raise_everywhere = [[
    if jit then jit.off() end
    local m = assert(shmseg.mutex.open(...))
    local second = assert(shmseg.mutex.open(...))
    local function f() return #"some steps" end
    local within = %s
    local n, hit = 0, true
    while hit do
      n, hit = n + 1, false
      local left = n
      local function hook()
        left = left - 1
        if left == 0 then
          hit = true
          debug.sethook()
          error { n }
        end
      end
      local ok, caught = within(function()
        debug.sethook(hook, "crl", 1)
        m:with(f)
        debug.sethook()
      end)
      debug.sethook()
      assert(ok ~= hit and (ok or caught[1] == n), n)
      assert(not m:is_held(), "held after a hook that raised at event " .. n)
      assert(second:lock(0), n)
      second:unlock()
    end
    return n]]
  local places = {
    ["on the main state"] = "pcall",
    ["in a coroutine"] = "function(f) return coroutine.resume(coroutine.create(f)) end",
  }
  for place, within in pairs(places) do
    it("leaves the lock free wherever a hook raises, " .. place, function()
      local _, name = mutex()
      local events = peer.start():call(raise_everywhere:format(within), name)
      assert.truthy(events > 5)
    end)
  end

  it("lets the function yield, where Lua can", function()
    local m, name = mutex()
    local second = other_handle(name)
    local thread = coroutine.create(function(...)
      return m:with(function()
        local x = coroutine.yield("out")
        assert.truthy(m:is_held())
        error({ x }, 0)
      end, ...)
    end)
    local ok, value = coroutine.resume(thread)
    if _VERSION == "Lua 5.1" and not rawget(_G, "jit") then
      assert.False(ok)
      assert.truthy(value:find "attempt to yield across")
      return assert_free(second)
    end
    assert.same({ true, "out" }, { ok, value })
    expect.failure("timeout", second:lock(0))
    ok, value = coroutine.resume(thread, "in")
    assert.same({ false, { "in" } }, { ok, value })
    assert_free(second)
    local resume = coroutine.wrap(function()
      return m:with(function()
        return coroutine.yield(1), nil, 3
      end)
    end)
    assert.equal(1, resume())
    expect.failure("timeout", second:lock(0))
    local a, b, c, d = resume("a")
    assert.same({ "a", nil, 3, nil }, { a, b, c, d })
    assert_free(second)
  end)

  it("gives the lock back when a coroutine that has yielded in it is closed", function()
    if not coroutine.close then
      pending("this Lua closes no coroutines")
    end
    local m = mutex()
    local thread = coroutine.create(function()
      m:with(coroutine.yield)
    end)
    coroutine.resume(thread)
    assert.True(m:is_held())
    coroutine.close(thread)
    assert.False(m:is_held())
  end)

  it("blames its caller, in a coroutine too", function()
    local m = mutex()
    m:lock()
    local function caller()
      local result = m:with(print)
      return result
    end
    for _, call in ipairs { pcall, function(f)
      return coroutine.resume(coroutine.create(f))
    end } do
      local ok, message = call(caller)
      assert.False(ok)
      assert.truthy(message:find "^[^:]*mutex_spec%.lua:%d+: .*holds the lock already", message)
    end
    local reader = expect.success(shmseg.mutex.open(m:segment():name(), "r"))
    local ok, message = coroutine.resume(coroutine.create(function()
      local result = reader:with(print)
      return result
    end))
    assert.False(ok)
    assert.truthy(message:find '^[^:]*mutex_spec%.lua:%d+: mutex ".*": .*read%-only', message)
  end)

  it("tells the function of an abandoned lock", function()
    local m, name = mutex()
    local dead = other_handle(name)
    dead:lock()
    dead:close()
    assert.equal("abandoned", m:with(function(told)
      return told
    end))
    assert.is_nil(m:with(function(told)
      return told
    end))
  end)

  it("leaves alone what the function has unlocked or closed itself", function()
    local m, name = mutex()
    m:with(function()
      m:unlock()
    end)
    assert_free(m)
    m:with(function()
      m:close()
    end)
    assert_abandoned(other_handle(name), 0)
  end)

  it("raises when it is interrupted, and has not called the function", function()
    local m, name = mutex()
    local other = user(name)
    other:call "stop = shmseg.signals('TERM')"
    m:lock()
    other:send [[
      report "waits"
      return pcall(m.with, m, function() report "called" end)]]
    assert.equal("waits", other:receive())
    other:await_sleep()
    other:signal "TERM"
    local ok, message = other:receive()
    assert.False(ok)
    assert.truthy(message:find "interrupted")
  end)
end)

describe("the guard of a mutex", function()
  after_each(scratch.clean)

  it("unlocks when it is closed, if the mutex is still locked", function()
    local m = mutex()
    local guard = m:lock()
    guard:close()
    assert_free(m)
    guard:close()
    m:lock()
    m:unlock()
    guard:close()
    assert_free(m)
  end)

  it("never raises, also when the mutex is gone #hole", function()
    local m, name = mutex()
    local guard = m:lock()
    assert(io.open(scratch.objects .. name, "w")):close()
    guard:close()
    guard:close()
    m:close()
    guard:close()
  end)

  it("keeps its mutex, and has its name", function()
    local guard = mutex():lock()
    collectgarbage()
    collectgarbage()
    guard:close()
    guard:close()
    assert.equal("shmseg.guard", debug.getmetatable(guard).__name)
    expect.misuse("guard expected", guard.close, 1)
    expect.misuse("guard expected", guard.close, io.stdout)
  end)

  if _VERSION >= "Lua 5.4" then
    it("unlocks at the end of its scope from Lua 5.4 on", function()
      local m, name = mutex()
      local second = other_handle(name)
      local run = assert(load [[
        local m, f = ...
        local held <close> = m:lock()
        return f()]])
      assert.equal("done", run(m, function()
        expect.failure("timeout", second:lock(0))
        return "done"
      end))
      assert_free(second)

      local problem = {}
      local ok, caught = pcall(run, m, function()
        error(problem)
      end)
      assert.False(ok)
      assert.equal(problem, caught)
      assert_free(second)

      run(m, function()
        m:unlock() -- early
      end)
      assert_free(second)
    end)

    it("that there is none of, after a timeout, closes as well", function()
      local m, name = mutex()
      m:lock()
      local run = assert(load [[
        local held <close> = (...):lock(0)
        return held]])
      assert.is_nil(run(other_handle(name)))
      expect.misuse("holds the lock already", m.lock, m)
    end)

    it("unlocks in a coroutine that is closed", function()
      local m = mutex()
      local co = coroutine.create(assert(load [[
        local held <close> = (...):lock()
        coroutine.yield()]]))
      assert(coroutine.resume(co, m))
      expect.misuse("holds the lock already", m.lock, m)
      assert(coroutine.close(co))
      assert_free(m)
    end)
  end
end)

describe("the next owner of a mutex is told that it was abandoned when its owner", function()
  after_each(scratch.clean)

  for _, way in ipairs(owners.ways) do
    it(way.name, function()
      local m, name = mutex()
      local owner, reason = way.start("mutex", name)
      if not owner then
        pending(reason)
      end
      local sleeper = user(name)
      expect.failure("timeout", m:lock(0.06)) -- longer than it takes to probe
      sleeper:send [[
        report "waits"
        local guard, told = m:lock()
        m:unlock()
        return told]]
      assert.equal("waits", sleeper:receive())
      sleeper:await_sleep()
      way.lose(owner)
      assert.equal("abandoned", sleeper:receive())
      assert_free(m) -- one is told, once
    end)
  end

  it("closes its handle", function()
    local m, name = mutex()
    local second = other_handle(name)
    second:lock()
    second:close()
    assert_abandoned(m, 0)
    m:unlock()
    assert_free(m)
  end)

  it("loses its handle to the collector", function()
    local m, name = mutex()
    other_handle(name):lock()
    collectgarbage()
    collectgarbage()
    assert_abandoned(m, 0)
  end)

  it("closes or loses the segment that it is on", function()
    for _, close in ipairs { "seg:close()", "seg, n = nil collectgarbage() collectgarbage()" } do
      local m, name = mutex()
      local other = peer.start()
      other:call("seg = assert(shmseg.open(...)) n = assert(shmseg.mutex.open(seg)) n:lock()", name)
      other:call(close)
      assert_abandoned(m, 0)
    end
  end)

  it("is in another process and only closes its handle while somebody sleeps for it", function()
    local m, name = mutex()
    local other = user(name)
    m:lock()
    other:send [[report "waits" return select(2, m:lock())]]
    assert.equal("waits", other:receive())
    other:await_sleep()
    m:close()
    assert.equal("abandoned", other:receive())
  end)

  it("dies: a try with timeout 0 finds it out", function()
    local m, name = mutex()
    local owner = owners.start("mutex", name)
    expect.failure("timeout", m:lock(0))
    owner:stop()
    assert_abandoned(m, 0)
  end)

  it("dies after it was told so itself", function()
    local m, name = mutex()
    for _ = 1, 3 do
      local owner = peer.start()
      owner:call("m = assert(shmseg.mutex.open(...)) m:lock()", name)
      owner:stop()
    end
    assert_abandoned(m, 0)
    m:unlock()
    assert_free(m)
  end)

  it("dies out of sight of the next one, who is in a PID namespace", function()
    local prefix, reason = owners.namespace()
    if not prefix then
      pending(reason)
    end
    local _, name = mutex()
    local owner = owners.start("mutex", name)
    local other = peer.start(prefix)
    other:call("m = assert(shmseg.mutex.open(...))", name)
    expect.failure("timeout", other:call "return m:lock(0.06)")
    owner:stop()
    assert.equal("abandoned", other:call "return select(2, m:lock(60))")
  end)

  it("dies: of many who sleep for it one is told, and all get it", function()
    local m, name = mutex()
    local owner = owners.start("mutex", name)
    local others = {}
    for i = 1, 3 do
      others[i] = user(name)
      others[i]:send [[
        report "waits"
        local guard, told = m:lock(60)
        assert(guard)
        m:unlock()
        return told or "not told"]]
      assert.equal("waits", others[i]:receive())
      others[i]:await_sleep()
    end
    owner:stop()
    local told = 0
    for _, other in ipairs(others) do
      told = told + (other:receive() == "abandoned" and 1 or 0)
    end
    assert.equal(1, told)
    assert_free(m)
  end)
end)

describe("the owner of a mutex", function()
  after_each(scratch.clean)

  it("is alive while it is stopped", function()
    local m, name = mutex()
    local owner = owners.start("mutex", name)
    owner:signal "STOP"
    expect.failure("timeout", m:lock(0))
    expect.failure("timeout", m:lock(0.15))
    owner:signal "CONT"
    assert.True(owner:call "return lock:unlock()")
    assert_free(m)
  end)

  it("loses it when it is cut off: unlock fails, and it opens the mutex anew #hole", function()
    local m, name = mutex()
    local seg = m:segment()
    m:lock()
    assert(io.open(scratch.objects .. name, "w")):close()
    expect.failure("truncated", m:unlock())
    expect.failure("truncated", m:unlock())
    expect.misuse("truncated", m.lock, m, 0)

    local file = assert(io.open(scratch.objects .. name, "w"))
    file:write(("\0"):rep(128))
    file:close()
    assert.equal(128, seg:refresh())
    expect.failure("truncated", m:unlock())
    expect.misuse("truncated", m.lock, m, 0)
    local anew, created = expect.success(shmseg.mutex.open(seg, "c"))
    assert.True(created)
    assert_free(anew)
  end)

  it("loses with it all that it holds through the same handle #hole", function()
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 16384))
    local near = expect.success(shmseg.mutex.open(seg, "c"))
    local far = expect.success(shmseg.mutex.open(seg:slice(12288), "c"))
    near:lock()
    far:lock()
    local other = peer.start()
    other:call("seg = assert(shmseg.open(...)) seg:resize(8192)", name)
    expect.failure("truncated", far:unlock())
    expect.failure("truncated", near:unlock())
    assert.equal("abandoned", other:call "return select(2, shmseg.mutex.open(seg):lock(0))")
  end)

  it("loses it where the object was cut and has grown again: zeroes are no lock", function()
    local m, name = mutex()
    m:lock()
    local file = assert(io.open(scratch.objects .. name, "w"))
    file:write(("\0"):rep(128))
    file:close()
    expect.failure("corrupt", m:unlock())
    expect.misuse("corrupt", m.lock, m, 0)
    expect.misuse("corrupt", m.lock, m)
  end)

  it("does not free a lock that has become a stranger's", function()
    local m, name = mutex()
    local owner = owners.start("mutex", name)
    local seg = m:segment()
    local theirs = seg:get_u32(WORD)
    seg:set_u32(WORD, 1)
    m:lock()
    seg:set_u32(WORD, theirs)
    expect.failure("corrupt", m:unlock())
    assert.equal(theirs, seg:get_u32(WORD))
    expect.failure("timeout", m:lock(0))
    owner:call "lock:unlock()"
    assert_free(m)
  end)
end)

describe("a fork'ed child", function()
  after_each(scratch.clean)

  local function run(chunk, ...)
    local lines, reason = host.run([[local shmseg = require "shmseg" ]] .. chunk, ...)
    if not lines then
      pending(reason)
    end
    return lines
  end

  it("does not hold its parent's lock, and takes it after the parent", function()
    local _, name = mutex()
    local lines = run([[
      local m = assert(shmseg.mutex.open(...))
      local go = assert(shmseg.event.open((...) .. "-go", "x", { temporary = true }))
      m:lock()
      local child = host.fork()
      if child == 0 then
        assert(not pcall(m.unlock, m))
        assert(select(2, m:lock(0)) == "timeout")
        go:set()
        local guard, told = m:lock(60)
        assert(guard and not told)
        m:unlock()
        host._exit(0)
      end
      assert(go:wait(60))
      assert(m:unlock())
      print(host.wait(child))
      local _, told = m:lock(60)
      print(told)]], name)
    if lines then
      assert.same({ "0", "nil" }, lines)
    end
  end)

  it("ends, and its parent still holds the lock", function()
    local m, name = mutex()
    local lines = run([[
      local m = assert(shmseg.mutex.open(...))
      m:lock()
      for _, close in ipairs { "m:close()", "m = nil collectgarbage()", "" } do
        local child = host.fork()
        if child == 0 then
          assert((loadstring or load)("local m = ... " .. close))(m)
          host._exit(0)
        end
        assert(host.wait(child) == 0)
      end
      local second = assert(shmseg.mutex.open(...))
      local _, message = second:lock(0.06)
      print(message, m:unlock())]], name)
    if lines then
      assert.same({ "timeout\ttrue" }, lines)
      assert_free(m)
    end
  end)

  it("dies with a lock of its own, and its parent is told", function()
    local _, name = mutex()
    local lines = run([[
      local m = assert(shmseg.mutex.open(...))
      m:lock() m:unlock()
      local child = host.fork()
      if child == 0 then
        assert(m:lock(0))
        host._exit(0)
      end
      host.wait(child)
      print(select(2, m:lock(0)))]], name)
    if lines then
      assert.same({ "abandoned" }, lines)
    end
  end)

  it("does not keep a dead parent alive", function()
    local m, name = mutex()
    local go = expect.success(shmseg.event.open(scratch.name(), "x"))
    local gone = expect.success(shmseg.event.open(scratch.name(), "x"))
    local script = scratch.file [[
      local shmseg = require "shmseg"
      local name, go, gone = ...
      local m = assert(shmseg.mutex.open(name))
      m:lock()
      if host.fork() == 0 then
        print "child"
        io.flush()
        assert(assert(shmseg.event.open(go)):wait(90)) -- outlives the wait for the lock
        assert(shmseg.event.open(gone)):set()
        host._exit(0)
      end
      shmseg.sleep(60)]]
    local names = { go:segment():name(), gone:segment():name() }
    local parent, reason = host.start(script, name, names[1], names[2])
    if not parent then
      pending(reason)
    end
    assert.equal("child", parent:line())
    expect.failure("timeout", m:lock(0.06))
    parent:signal "KILL"
    assert_abandoned(m, LONG)
    go:set()
    assert.True(gone:wait(LONG)) -- it lived
  end)
end)

describe("a lock that waits", function()
  after_each(scratch.clean)

  it("raises when a signal of shmseg.signals interrupts it, and can go on", function()
    local m, name = mutex()
    local other = user(name)
    other:call "stop = shmseg.signals('TERM')"
    m:lock()
    other:send [[report "waits" return pcall(m.lock, m)]]
    assert.equal("waits", other:receive())
    other:await_sleep()
    other:signal "TERM"
    local ok, message = other:receive()
    assert.False(ok)
    assert.truthy(message:find 'mutex ".*": interrupted', message)
    ok, message = other:call "return pcall(m.lock, m, 600)"
    assert.False(ok)
    assert.truthy(message:find "interrupted")
    assert.equal("TERM", other:call "return stop:wait(60)")
    expect.misuse("does not hold the lock", function()
      other:call "m:unlock()"
    end)
    expect.failure("timeout", other:call "return m:lock(0)")
    m:unlock()
    assert.True(other:call "return m:lock(60) ~= nil")
  end)

  for what, call in pairs {
    ["the stock interpreter"] = "m:lock()",
    ["the stock interpreter in a coroutine"] = "coroutine.wrap(function() m:lock() end)()",
    ["the stock interpreter in with"] = "m:with(function() end)",
  } do
    it("ends " .. what .. " at Ctrl-C", function()
      local m, name = mutex()
      m:lock()
      local words = peer.command()
      words[#words + 1] = scratch.file([[
        local m = assert(require "shmseg".mutex.open(...))
        io.write "waits\n" io.flush()
        ]] .. call)
      words[#words + 1] = name
      local other = process.start(words)
      assert.equal("waits", other:line())
      other:await_sleep()
      other:signal "INT"
      assert.equal(1, (other:finish()))
      assert.truthy(other:stderr():find "interrupted!")
      m:unlock()
      assert_free(m)
    end)
  end

  it("takes nothing when memory runs out", function()
    local lines, reason = host.run [[
      local shmseg = require "shmseg"
      if jit then jit.off() end
      local seg = assert(shmseg.anonymous(128))
      local function nothing() end
      local failures = 0
      for _, call in ipairs { "lock", "with" } do
        local n = 0
        repeat
          n = n + 1
          local m = assert(shmseg.mutex.open(seg, "c"))
          host.fail(n)
          local ok = pcall(m[call], m, call == "lock" and 0 or nothing)
          local hit = host.fail(0)
          assert(ok or hit)
          failures = failures + (ok and 0 or 1)
          assert(m:is_held() == (ok and call == "lock"), call .. n)
          if m:is_held() then m:unlock() end
          assert(not select(2, m:lock(0)))
          m:unlock()
          m:close()
        until not hit
      end
      print(failures > 0)]]
    if not lines then
      pending(reason)
    end
    assert.same({ "true" }, lines)
  end)
end)

describe("through a read-only handle, a mutex", function()
  after_each(scratch.clean)

  it("is neither locked nor unlocked", function()
    local m, name = mutex()
    local reader = expect.success(shmseg.mutex.open(name, "r"))
    m:lock()
    for _, locked in ipairs { true, false } do
      expect.misuse("read%-only", reader.lock, reader)
      expect.misuse("read%-only", reader.lock, reader, 0)
      expect.misuse("read%-only", reader.with, reader, print)
      expect.misuse("", reader.unlock, reader)
      if locked then
        m:unlock()
      end
    end
    assert_free(m)
  end)
end)

describe("the bytes of a mutex", function()
  after_each(scratch.clean)

  -- All results of a lock that the promises allow, whatever the bytes are.
  local function try(m, timeout)
    local ok, guard, told = pcall(m.lock, m, timeout)
    if not ok then
      assert.truthy(guard:find "corrupt", guard)
      return "corrupt"
    elseif guard then
      assert.truthy(told == nil or told == "abandoned")
      local done, message, code = m:unlock()
      assert.truthy(done or code == "corrupt", message)
      return told or "locked"
    end
    assert.equal("timeout", told)
    return told
  end

  it("that are no state of a lock are an error, also for one who would wait for ever", function()
    local m = mutex()
    local seg = m:segment()
    for _, word in ipairs { 0, 2, 15, 0x40000000, 0x80000000, 0xc0000000, 0x80000002 } do
      seg:set_u32(WORD, word)
      expect.misuse("corrupt", m.lock, m)
      assert.equal(word, seg:get_u32(WORD))
    end
  end)

  it("that name nobody are a dead owner's", function()
    local m = mutex()
    local seg = m:segment()
    for _, word in ipairs { 16, 0x3fffffff, 0x7fffffff, 0x80000010, 0xffffffff, 12345678 } do
      seg:set_u32(WORD, word)
      assert.equal("abandoned", try(m, 0))
      seg:set_u32(WORD, word)
      assert.equal("abandoned", try(m, 600))
    end
    local words = { [1] = "locked", [0x80000001] = "locked", [0x40000001] = "abandoned" }
    for word, result in pairs(words) do
      seg:set_u32(WORD, word)
      assert.equal(result, try(m, 0))
    end
  end)

  it("may be anything at any time, and every call comes back", function()
    local m, name = mutex()
    local seg = m:segment()
    local vandal = peer.start()
    vandal:call("seg = assert(shmseg.open(...))", name)
    vandal:send [[
      report "begins"
      local words = { 0, 1, 16, 0x40000001, 0x80000001, 0x80000000, 0xffffffff, 12345678 }
      for i = 1, 30000 do
        local word = i % 3 == 0 and math.random(0, 2 ^ 31 - 1) or words[math.random(#words)]
        seg:set_u32(64, word)
        if i % 50 == 0 then seg:set_u32(4 * math.random(0, 31), word) end
      end]]
    assert.equal("begins", vandal:receive())
    for i = 1, 3000 do
      try(m, i % 10 == 0 and 0.001 or 0)
    end
    vandal:receive()
    seg:set_u32(WORD, 1)
    assert.equal("locked", try(m, 0))
  end)
end)
