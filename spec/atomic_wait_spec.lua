-- SPDX-License-Identifier: MIT
-- Waiting until a word changes, and waking those who wait: between processes and threads, with
-- timeouts, and what else ends a wait.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local host = require "spec.support.host"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local nan = 0 / 0
local patience = 1000000 -- rounds until something that must come is given up

-- A word, its segment, and the name of that.
local function word(type)
  local name = scratch.name()
  local seg = expect.success(shmseg.open(name, "x", 64))
  return seg:atomic(16, type or "u32"), seg, name
end

-- A peer that has the word as `n`, its segment as `seg`.
local function with_word(name, mode, type)
  local other = peer.start()
  other:call([[
    local name, mode, type = ...
    seg = assert(shmseg.open(name, mode))
    n = seg:atomic(16, type)]], name, mode, type or "u32")
  return other
end

-- A peer that waits in the kernel for the word to be another than 0.
local function waiter(name, mode, call)
  local other = with_word(name, mode)
  other:send('report "waits" return ' .. (call or "n:wait(0)"))
  assert.equal("waits", other:receive())
  other:await_sleep()
  return other
end

describe("a wait", function()
  after_each(scratch.clean)

  it("returns what is there when that is not what was seen", function()
    for _, type in ipairs { "u32", "i32" } do
      local n = word(type)
      for _, timeout in ipairs { 0, 1, math.huge, -1 } do
        n:store(7)
        assert.equal(7, n:wait(0, timeout))
        assert.equal(7, n:wait(8, timeout))
      end
      assert.equal(7, n:wait(0))
      n:store(-1)
      assert.equal(type == "i32" and -1 or 2 ^ 32 - 1, n:wait(0))
    end
  end)

  it("takes either reading of the bits as what was seen", function()
    for _, type in ipairs { "u32", "i32" } do
      local n = word(type)
      n:store(-1)
      expect.failure("timeout", n:wait(-1, 0))
      expect.failure("timeout", n:wait(2 ^ 32 - 1, 0))
      expect.failure("timeout", n:wait(n:load(), 0))
      expect.failure("timeout", n:wait(2 ^ 40 - 1, 0))
    end
  end)

  it("tries once with a timeout of 0 or less", function()
    local n = word()
    for _, timeout in ipairs { 0, -0.0, -1, -1e300, -math.huge } do
      local message = expect.failure("timeout", n:wait(0, timeout))
      assert.equal("timeout", message)
    end
  end)

  it("ends after its timeout, be it a nanosecond or less", function()
    local n = word()
    for _, timeout in ipairs { 1e-9, 1e-10, 1e-300, 1e-6, 0.001, "0.001" } do
      expect.failure("timeout", n:wait(0, timeout))
    end
  end)

  it("never ends before its timeout", function()
    local n = word()
    for _, timeout in ipairs { 0.001, 0.06 } do
      local before = shmseg.now()
      expect.failure("timeout", n:wait(0, timeout))
      assert.truthy(shmseg.now() - before >= timeout)
    end
  end)

  for _, timeout in ipairs { "1e300", "math.huge", "2^62", "2^63 / 1e9", "1e10", "nil" } do
    it("with a timeout of " .. timeout .. " waits until it is woken", function()
      local n, _, name = word()
      local other = waiter(name, "rw", "n:wait(0, " .. timeout .. ")")
      n:store(7)
      n:notify()
      assert.equal(7, other:receive())
    end)
  end

  it("refuses a timeout that is none", function()
    local n = word()
    for _, timeout in ipairs { nan, "soon", true, {}, print } do
      expect.misuse("bad argument #2", function() n:wait(0, timeout) end)
    end
    expect.misuse("not a number of seconds", function() n:wait(0, nan) end)
  end)

  it("checks its arguments in the order seen, timeout, type, life", function()
    for _, type in ipairs { "u32", "u64" } do
      local n, seg = word(type)
      for _, closed in ipairs { false, true } do
        if closed then
          seg:close()
        end
        for _, wrong in ipairs { "text", 1.5, nan, true, {} } do
          expect.misuse("bad argument #1", function() n:wait(wrong, nan) end)
          expect.misuse("bad argument #1", function() n:notify(wrong) end)
        end
        expect.misuse({ "bad argument #1", "number expected" }, function() n:wait() end)
        expect.misuse("bad argument #2", function() n:wait(0, nan) end)
        expect.misuse("bad argument #1", function() n:notify(-1) end)
        if type == "u64" then
          expect.misuse({ "i32 or u32", "u64" }, n.wait, n, 0, 0)
          expect.misuse({ "i32 or u32", "u64" }, n.notify, n)
        elseif closed then
          expect.misuse("closed", n.wait, n, 0, 0)
          expect.misuse("closed", n.wait, n, 1, 0)
          expect.misuse("closed", n.notify, n)
          expect.misuse("closed", n.notify, n, 0)
        end
      end
    end
  end)

  it("is of no use for 64 bits, signed or not", function()
    for _, type in ipairs { "i64", "u64" } do
      local n = word(type)
      expect.misuse("i32 or u32 .* not an " .. type, n.wait, n, 0, 0)
      expect.misuse("i32 or u32 .* not an " .. type, n.notify, n)
    end
  end)

  it("leads back and forth between two processes", function()
    local n, _, name = word()
    local other = with_word(name)
    other:send [[
      for i = 1, 999, 2 do
        if n:wait(i - 1) ~= i then error "another value" end
        n:store(i + 1)
        n:notify()
      end
      return "done"]]
    for i = 1, 999, 2 do
      n:store(i)
      n:notify()
      assert.equal(i + 1, n:wait(i))
    end
    assert.equal("done", other:receive())
  end)

  it("may be through a read-only segment, and so may waking", function()
    local n, _, name = word()
    local reader = waiter(name, "r")
    assert.truthy(n:notify() <= 1)
    reader:await_sleep()
    local waker = with_word(name, "r")
    n:store(7)
    waker:send "return n:notify()"
    assert.equal(7, reader:receive())
    assert.truthy(waker:receive() <= 1)
  end)

  it("may be through another name, another offset and another mapping of the word", function()
    local n, seg, name = word()
    local other = with_word(name)
    other:send [[
      local slice = seg:slice(8)
      report "waits"
      return slice:atomic(8, "i32"):wait(0)]]
    assert.equal("waits", other:receive())
    other:await_sleep()
    seg:resize(2 ^ 20)
    n:store(7)
    n:notify()
    assert.equal(7, other:receive())
  end)

  it("in threads with Lua states of their own ends when one of them wakes all", function()
    local n, _, name = word()
    local script = scratch.file [[
      local number, name = ...
      local seg = assert(require "shmseg".open(name, number == "1" and "r" or "rw"))
      local n, ready = seg:atomic(16, "u32"), seg:atomic(0, "u32")
      if number == "4" then
        while ready:load() < 3 do ready:wait(ready:load()) end
        n:store(7)
        n:notify()
      elseif number == "1" then
        assert(n:wait(0) == 7)
      else
        ready:add(number == "2" and 2 or 1)
        ready:notify()
        assert(n:wait(0) == 7)
      end]]
    local lines, reason = host.run("assert(host.threads(4, ...))", script, name)
    if not lines then
      pending(reason)
    end
    assert.equal(7, n:load())
  end)

  it("goes on when it is woken and the word is what it was", function()
    local n, _, name = word()
    local other = waiter(name)
    for _ = 1, 10 do
      local rounds = 0
      repeat
        rounds = rounds + 1
        assert.truthy(rounds < patience)
      until n:notify() == 1
    end
    n:store(7)
    n:notify()
    assert.equal(7, other:receive())
  end)

  it("ends without a wake too, but later", function()
    local _, seg, name = word()
    local other = waiter(name)
    seg:set_u32(16, 7)
    assert.equal(7, other:receive())
  end)

  it("ends as truncated when a peer cuts the object #hole", function()
    for _, mode in ipairs { "rw", "r" } do
      local _, seg, name = word()
      local other = waiter(name, mode)
      assert(io.open(scratch.objects .. name, "w")):close()
      local message = expect.failure("truncated", other:receive())
      assert.truthy(message:find("refresh", 1, true))
      seg:close()
    end
  end)

  it("of many may be for many words", function()
    local _, seg, name = word()
    local others = {}
    for i = 1, 3 do
      others[i] = with_word(name)
      others[i]:send('report "waits" return seg:atomic(..., "u32"):wait(0)', 4 * i)
      assert.equal("waits", others[i]:receive())
    end
    for i = 3, 1, -1 do
      others[i]:await_sleep()
      seg:atomic(4 * i, "u32"):store(i)
      seg:atomic(4 * i, "u32"):notify()
      assert.equal(i, others[i]:receive())
    end
  end)
end)

describe("notify", function()
  after_each(scratch.clean)

  local function until_woken(n, count, ...)
    local rounds = 0
    repeat
      rounds = rounds + 1
      assert.truthy(rounds < patience)
      local woken = n:notify(...)
      assert.truthy(woken >= 0 and woken <= count)
    until woken == count
  end

  it("says that it has woken nobody where nobody waits", function()
    local n, seg, name = word()
    for _, count in ipairs { 0, 1, 100, 2 ^ 31, 2 ^ 40, 2 ^ 62 } do
      assert.equal(0, n:notify(count))
    end
    assert.equal(0, n:notify())
    assert.equal(0, n:notify(nil))
    local other = waiter(name)
    assert.equal(0, seg:atomic(12, "u32"):notify())
    assert.equal(0, seg:atomic(20, "u32"):notify())
    n:store(1)
    n:notify()
    assert.equal(1, other:receive())
  end)

  it("wakes at most as many as it is told, and says how many", function()
    local n, _, name = word()
    local others = {}
    for i = 1, 3 do
      others[i] = waiter(name, i == 2 and "r" or "rw")
    end
    -- They sleep again at once, as the word is what it was.
    for _ = 1, 20 do
      assert.equal(0, n:notify(0))
      until_woken(n, 1, 1)
      until_woken(n, 2, 2)
      until_woken(n, 3, 3)
      until_woken(n, 3, 4)
      until_woken(n, 3, 2 ^ 40)
      until_woken(n, 3)
    end
    n:store(7)
    n:notify()
    for i = 1, 3 do
      assert.equal(7, others[i]:receive())
    end
    assert.equal(0, n:notify())
  end)

  it("refuses a count that is none", function()
    local n = word()
    for _, count in ipairs { -1, -2 ^ 40, 1.5, nan, math.huge, "text", true, {} } do
      expect.misuse("bad argument #1", function() n:notify(count) end)
    end
  end)
end)

describe("Ctrl-C in a wait", function()
  after_each(scratch.clean)

  -- Runs a program in the stock interpreter, sends SIGINT once it has printed a line and sleeps.
  local function interrupt(program, name)
    local words = peer.command()
    words[#words + 1] = scratch.file(program, "program.lua")
    words[#words + 1] = name
    local other = process.start(words)
    assert.equal("waits", other:line())
    other:await_sleep()
    other:signal "INT"
    local status, lines = other:finish()
    return status, other:stderr(), lines
  end

  local head = [[
    local shmseg = require "shmseg"
    local n = assert(shmseg.open((...))):atomic(16, "u32")
    io.stdout:setvbuf "no"
    local function wait(...)
      print "waits"
      print(n:wait(0, ...))
    end
  ]]
  local ways = {
    ["outside coroutines"] = "wait()",
    ["with a timeout"] = "wait(600)",
    ["in a coroutine"] = "assert(coroutine.resume(coroutine.create(wait)))",
    ["in a wrapped coroutine"] = "coroutine.wrap(wait)()",
    ["in a coroutine's coroutine"] = "coroutine.wrap(function() coroutine.wrap(wait)() end)()",
    ["below other calls"] = "(function() (function() wait() end)() end)()",
  }
  for where, program in pairs(ways) do
    it(where .. " ends the interpreter with its usual message", function()
      local _, _, name = word()
      local status, errors, lines = interrupt(head .. program, name)
      assert.equal(1, status)
      assert.truthy(errors:find("interrupted!", 1, true), errors)
      assert.same({}, lines)
    end)
  end

  it("is an error that pcall catches, and the next wait works", function()
    local n, _, name = word()
    n:store(0)
    local status, errors, lines = interrupt(head .. [[
      print(pcall(wait))
      print(n:wait(0, 0.001))
      print(n:wait(1))]], name)
    assert.equal(0, status, errors)
    assert.truthy(lines[1]:find("^false\t.*interrupted!"))
    assert.same({ "nil\ttimeout\ttimeout", "0" }, { lines[2], lines[3] })
  end)

  it("ends the interpreter where the library was loaded in a coroutine", function()
    if _VERSION == "Lua 5.1" and not rawget(_G, "jit") then
      pending("Lua 5.1 has no way from there to the main state, which has the hook")
    end
    local _, _, name = word()
    local load = "coroutine.wrap(function() require 'shmseg' end)()\n"
    local status, errors = interrupt(load .. head .. "coroutine.wrap(wait)()", name)
    assert.equal(1, status)
    assert.truthy(errors:find("interrupted!", 1, true), errors)
  end)
end)

describe("a wait that is disturbed", function()
  after_each(scratch.clean)

  it("by a caught signal ends as interrupted at once, until the signal is taken", function()
    local n, _, name = word()
    local other = with_word(name)
    other:call "stop = shmseg.signals('TERM', 'USR1')"
    local in_coroutine = "return coroutine.wrap(function() return n:wait(0) end)()"
    for _, signal in ipairs { "TERM", "USR1" } do
      other:send 'report "waits" return n:wait(0)'
      assert.equal("waits", other:receive())
      other:await_sleep()
      other:signal(signal)
      local message = expect.failure("interrupted", other:receive())
      assert.equal("interrupted", message)
      expect.failure("interrupted", other:call "return n:wait(0)")
      expect.failure("interrupted", other:call "return n:wait(0, 600)")
      expect.failure("interrupted", other:call(in_coroutine))
      assert.equal(signal, other:call "return stop:wait(0)")
      expect.failure("timeout", other:call "return n:wait(0, 0.001)")
    end
    other:call "stop:close()"
    other:send "return n:wait(0)"
    n:store(7)
    n:notify()
    assert.equal(7, other:receive())
  end)

  it("by being stopped and continued goes on", function()
    local n, _, name = word()
    local other = waiter(name)
    for _ = 1, 3 do
      other:signal "STOP"
      other:signal "CONT"
    end
    n:store(7)
    n:notify()
    assert.equal(7, other:receive())
  end)

  it("while the word changes returns the value when it is continued", function()
    local n, _, name = word()
    local other = waiter(name)
    other:signal "STOP"
    n:store(7)
    n:notify()
    other:signal "CONT"
    assert.equal(7, other:receive())
  end)

  -- Runs `action` by a debug hook from within n:wait(0).
  local by_hook = [[
    local action = assert((loadstring or load)(...))
    local wait, inside, done = n.wait, false, false
    if jit then jit.off() end
    debug.sethook(function()
      local f = debug.getinfo(2, "f").func
      if f == wait then
        inside = true
      elseif inside and not done then
        done = true
        debug.sethook()
        action()
      end
    end, "c")
    local function conclude(...)
      debug.sethook()
      return ...
    end
    return conclude(pcall(wait, n, 0))]]

  it("by a hook that closes the segment raises", function()
    local _, _, name = word()
    local other = with_word(name)
    local ok, message = other:call(by_hook, "seg:close()")
    assert.False(ok)
    assert.truthy(message:find("closed", 1, true))
  end)

  it("by a hook that moves the segment, or changes the word, looks again", function()
    local n, _, name = word()
    local other = with_word(name)
    assert.same({ true, 9 }, { other:call(by_hook, "seg:resize(2 ^ 24) n:store(9)") })
    assert.equal(9, n:swap(0))
    assert.same({ true, 8 }, { other:call(by_hook, "seg:resize(64) seg:set_u32(16, 8)") })
  end)

  it("by a hook that raises passes the error on", function()
    local _, _, name = word()
    local other = with_word(name)
    local ok, message = other:call(by_hook, "error 'from the hook'")
    assert.False(ok)
    assert.truthy(message:find("from the hook", 1, true))
    expect.failure("timeout", other:call "return n:wait(0, 0.001)")
  end)
end)
