-- SPDX-License-Identifier: MIT
-- shmseg.event: set until somebody clears it.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local host = require "spec.support.host"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local WORD = 64 -- where the word is

local function event()
  local name = scratch.name()
  return expect.success(shmseg.event.open(name, "x")), name
end

-- A peer that has the event as `e`, opened in that mode.
local function user(name, mode)
  local other = peer.start()
  other:call("e = assert(shmseg.event.open(...))", name, mode)
  return other
end

local function let_wait(other, call)
  other:send("report 'waits' " .. call)
  assert.equal("waits", other:receive())
  other:await_sleep()
end

describe("an event", function()
  after_each(scratch.clean)

  it("is clear at first, and set until it is cleared", function()
    local e, name = event()
    local second = expect.success(shmseg.event.open(name))
    for _ = 1, 3 do
      for _, handle in ipairs { e, second } do
        assert.False(handle:is_set())
        for _, timeout in ipairs { 0, -1, -math.huge, 0.001 } do
          assert.equal("timeout", expect.failure("timeout", handle:wait(timeout)))
        end
      end
      assert.True(e:set())
      assert.True(e:set())
      for _ = 1, 3 do -- it stays set, however often it is waited for
        for _, handle in ipairs { e, second } do
          assert.True(handle:is_set())
          assert.True(handle:wait(0))
          assert.True(handle:wait())
        end
      end
      assert.True(second:clear())
      assert.True(second:clear())
    end
  end)

  for _, mode in ipairs { "rw", "r" } do
    it("wakes all who sleep for it, in mode " .. mode, function()
      local e, name = event()
      local others = {}
      for i = 1, 3 do
        others[i] = user(name, mode)
        let_wait(others[i], "return e:wait()")
      end
      e:set()
      for _, other in ipairs(others) do
        assert.True(other:receive())
        assert.True(other:call "return e:is_set()")
        assert.True(other:call "return e:wait(0)")
      end
    end)

    it("ends every wait that began before it was set, in mode " .. mode, function()
      local e, name = event()
      local others = {}
      for i = 1, 3 do
        others[i] = user(name, mode)
      end
      for _ = 1, 5 do
        for _, other in ipairs(others) do
          let_wait(other, "return e:wait()")
        end
        e:set()
        e:clear()
        for _, other in ipairs(others) do
          assert.True(other:receive())
        end
        expect.failure("timeout", others[1]:call "return e:wait(0.001)")
      end
    end)
  end

  it("ends the wait of a stopped process that began before, however often it was set", function()
    local e, name = event()
    local other = user(name)
    let_wait(other, "return e:wait()")
    other:signal "STOP"
    for _ = 1, 1000 do
      e:set()
      e:clear()
    end
    other:signal "CONT"
    assert.True(other:receive())
  end)

  it("is waited for and asked through a read-only handle, but not changed", function()
    local e, name = event()
    local reader = expect.success(shmseg.event.open(name, "r"))
    assert.False(reader:is_set())
    expect.failure("timeout", reader:wait(0.001))
    expect.misuse("event.*read%-only", reader.set, reader)
    expect.misuse("event.*read%-only", reader.clear, reader)
    assert.False(e:is_set())
    e:set()
    assert.True(reader:wait(0))
    expect.misuse("read%-only", reader.clear, reader)
    assert.True(e:is_set())
  end)

  it("that a dead process has set is set, and one who dies waiting is no loss", function()
    local e, name = event()
    local sleeper = user(name)
    let_wait(sleeper, "e:wait()")
    sleeper:stop()
    local setter = user(name)
    setter:call "e:set()"
    setter:stop()
    assert.True(e:wait(0))
    e:clear()
    expect.failure("timeout", e:wait(0))
  end)

  it("goes back and forth between two processes", function()
    local ping, ping_name = event()
    local pong, pong_name = event()
    local other = peer.start()
    other:call([[
      local ping, pong = ...
      ping = assert(shmseg.event.open(ping))
      pong = assert(shmseg.event.open(pong))
      report "ready"
      for i = 1, 500 do
        assert(ping:wait(60))
        ping:clear()
        pong:set()
      end]], ping_name, pong_name)
    for _ = 1, 500 do
      ping:set()
      assert.True(pong:wait(60))
      pong:clear()
    end
    other:receive()
  end)

  it("takes a timeout as every call does", function()
    local e = event()
    for _, timeout in ipairs { 0 / 0, "soon", true, {} } do
      expect.misuse("bad argument", e.wait, e, timeout)
    end
    e:set()
    for _, timeout in ipairs { 0, 0.5, 1e300, math.huge } do
      assert.True(e:wait(timeout))
    end
  end)

  it("tells when a signal of shmseg.signals interrupts the wait", function()
    local e, name = event()
    local other = user(name)
    other:call "stop = shmseg.signals('TERM')"
    let_wait(other, "return e:wait()")
    other:signal "TERM"
    assert.equal("interrupted", expect.failure("interrupted", other:receive()))
    assert.equal("TERM", other:call "return stop:wait(60)")
    e:set()
    assert.True(other:call "return e:wait()")
  end)

  for what, call in pairs {
    call = "e:wait()",
    coroutine = "coroutine.wrap(function() e:wait() end)()",
  } do
    it("ends the stock interpreter at Ctrl-C during a wait, in a " .. what, function()
      local _, name = event()
      local words = peer.command()
      words[#words + 1] = scratch.file([[
        local e = assert(require "shmseg".event.open(..., "r"))
        io.write "waits\n" io.flush()
        ]] .. call)
      words[#words + 1] = name
      local other = process.start(words)
      assert.equal("waits", other:line())
      other:await_sleep()
      other:signal "INT"
      assert.equal(1, (other:finish()))
      assert.truthy(other:stderr():find "interrupted!")
    end)
  end

  it("is one for a fork'ed child and its parent", function()
    local e, name = event()
    local lines, reason = host.run([[
      local e = assert(require "shmseg".event.open(...))
      local child = host.fork()
      if child == 0 then
        assert(e:wait(60))
        e:clear()
        host._exit(0)
      end
      e:set()
      print(host.wait(child), e:is_set())]], name)
    if not lines then
      pending(reason)
    end
    assert.same({ "0\tfalse" }, lines)
    assert.False(e:is_set())
  end)

  it("that is cut off fails, also for one who sleeps for it #hole", function()
    local e, name = event()
    local other = user(name)
    let_wait(other, "return e:wait()")
    local seg = e:segment()
    assert(io.open(scratch.objects .. name, "w")):close()
    expect.failure("truncated", other:receive())
    expect.failure("truncated", e:set())
    expect.failure("truncated", e:clear())
    expect.failure("truncated", e:is_set())
    expect.failure("truncated", e:wait(0))
    local file = assert(io.open(scratch.objects .. name, "w"))
    file:write(("\0"):rep(seg:size()))
    file:close()
    seg:refresh()
    expect.failure("truncated", e:set())
    local anew, created = expect.success(shmseg.event.open(seg, "c"))
    assert.True(created)
    assert.False(anew:is_set())
  end)

  it("whose word is none is an error, also for one who would wait for ever", function()
    local e, name = event()
    local seg = e:segment()
    local reader = expect.success(shmseg.event.open(name, "r"))
    for _, word in ipairs { 0, 1 } do
      seg:set_u32(WORD, word)
      expect.failure("corrupt", e:set())
      expect.failure("corrupt", e:clear())
      expect.failure("corrupt", e:is_set())
      expect.failure("corrupt", e:wait())
      expect.failure("corrupt", reader:wait())
      assert.equal(word, seg:get_u32(WORD))
    end
  end)

  it("counts on when its counter wraps", function()
    local e, name = event()
    local seg = e:segment()
    local other = user(name)
    seg:set_u32(WORD, 0xfffffffe)
    let_wait(other, "return e:wait()")
    e:set()
    e:clear()
    assert.True(other:receive())
    assert.False(e:is_set())
    e:set()
    assert.True(e:wait(0))
    e:clear()
    expect.failure("timeout", e:wait(0))
  end)

  it("may be of any bytes at any time, and every call comes back", function()
    local e, name = event()
    local vandal = peer.start()
    vandal:call("seg = assert(shmseg.open(...))", name)
    vandal:send [[
      report "begins"
      local words = { 0, 1, 2, 3, 0xfffffffe, 0xffffffff, 12345678 }
      for i = 1, 30000 do
        local word = i % 3 == 0 and math.random(0, 2 ^ 31 - 1) or words[math.random(#words)]
        seg:set_u32(64, word)
        seg:set_u32(4 * math.random(0, 31), word)
      end]]
    assert.equal("begins", vandal:receive())
    for i = 1, 1000 do
      for _, change in ipairs { "set", "clear" } do
        local done, _, code = e[change](e)
        assert.truthy(done or code == "corrupt")
      end
      local result, _, code = e:wait(i % 10 == 0 and 0.001 or 0)
      assert.truthy(result or code == "timeout" or code == "corrupt")
    end
    vandal:receive()
    e:segment():set_u32(WORD, 2)
    assert.True(e:set())
    assert.True(e:wait(0))
  end)
end)
