-- SPDX-License-Identifier: MIT
-- The clock and sleeping.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"

describe("shmseg.now", function()
  after_each(scratch.clean)

  it("gives seconds that never go back", function()
    local last = shmseg.now()
    assert.equal("number", type(last))
    for _ = 1, 10000 do
      local now = shmseg.now()
      assert.truthy(now >= last)
      last = now
    end
  end)

  it("goes on while the process sleeps", function()
    local before = shmseg.now()
    assert.True(shmseg.sleep(0.05))
    local passed = shmseg.now() - before
    assert.truthy(passed >= 0.05 and passed < 5)
  end)

  it("is the same in every process", function()
    local other = peer.start()
    for _ = 1, 10 do
      local before = shmseg.now()
      local there = other:call "return shmseg.now()"
      assert.truthy(before <= there and there <= shmseg.now())
    end
  end)

  it("tells microseconds apart", function()
    local smallest = 1
    for _ = 1, 1000 do
      local first, second = shmseg.now(), shmseg.now()
      if second > first then
        smallest = math.min(smallest, second - first)
      end
    end
    assert.truthy(smallest < 1e-4)
  end)
end)

describe("shmseg.sleep", function()
  after_each(scratch.clean)

  it("returns true when the time is over", function()
    for _, seconds in ipairs { 0, 0.001, 0.02, -1, -0.5, -math.huge } do
      local before = shmseg.now()
      assert.True(shmseg.sleep(seconds))
      local passed = shmseg.now() - before
      assert.truthy(passed >= seconds and passed < 5)
    end
  end)

  it("takes nothing but a number of seconds", function()
    for _, value in ipairs { 0 / 0, "soon", true, {} } do
      expect.misuse("bad argument #1", function()
        shmseg.sleep(value)
      end)
    end
  end)

  for _, seconds in ipairs { "600", "1e300", "math.huge", "2^63", "2^53" } do
    it("of " .. seconds .. " seconds is one that a signal ends", function()
      local other = peer.start()
      other:send("report 'sleeps' return pcall(shmseg.sleep, " .. seconds .. ")")
      assert.equal("sleeps", other:receive())
      other:await_sleep()
      other:signal "INT"
      local ok, message = other:receive()
      assert.False(ok)
      assert.truthy(message:find("interrupted!", 1, true))
    end)
  end

  describe("in the stock interpreter", function()
    local function interrupted(chunk)
      local other = peer.start()
      other:send(chunk)
      assert.equal("sleeps", other:receive())
      other:await_sleep()
      other:signal "INT"
      local ok, message, passed = other:receive()
      assert.False(ok)
      assert.truthy(message:find("interrupted!", 1, true))
      assert.truthy(passed < 30)
    end

    it("ends with an error at Ctrl-C", function()
      interrupted [[
        local before = shmseg.now()
        report "sleeps"
        local ok, message = pcall(shmseg.sleep, 600)
        return ok, message, shmseg.now() - before]]
    end)

    it("ends with an error at Ctrl-C in a coroutine too", function()
      interrupted [[
        local before = shmseg.now()
        report "sleeps"
        local ok, message = coroutine.resume(coroutine.create(function() shmseg.sleep(600) end))
        return ok, message, shmseg.now() - before]]
    end)

    it("ends with an error at Ctrl-C in a coroutine in a coroutine", function()
      interrupted [[
        local before = shmseg.now()
        report "sleeps"
        local ok, message = coroutine.resume(coroutine.create(function()
          coroutine.wrap(function() shmseg.sleep(600) end)()
        end))
        return ok, message, shmseg.now() - before]]
    end)

    it("can sleep again afterwards", function()
      local other = peer.start()
      other:send [[report "sleeps" return pcall(shmseg.sleep, 600)]]
      assert.equal("sleeps", other:receive())
      other:await_sleep()
      other:signal "INT"
      assert.False((other:receive()))
      assert.True(other:call "return shmseg.sleep(0.001)")
    end)
  end)

  describe("in a coroutine", function()
    it("leaves a hook of the main state where it was", function()
      local other = peer.start()
      local same, mask, count, calls = other:call [[
        local calls = 0
        local function hook() calls = calls + 1 end
        local sleep = coroutine.wrap(function() shmseg.sleep(0.12) end) -- has no hook
        debug.sethook(hook, "cr", 1)
        sleep()
        local now, mask, count = debug.gethook()
        debug.sethook()
        return now == hook, mask, count, calls]]
      assert.same({ true, "cr", 1 }, { same, mask, count })
      assert.truthy(calls > 0)
    end)

    it("leaves the coroutine's own hook where it was at Ctrl-C", function()
      if rawget(_G, "jit") then
        pending("LuaJIT has one hook for all coroutines")
      end
      local other = peer.start()
      other:send [[
        local calls = 0
        local function hook() calls = calls + 1 end
        local thread = coroutine.create(function()
          report "sleeps"
          local ok, message = pcall(shmseg.sleep, 600)
          local before = calls
          shmseg.sleep(0.06)
          coroutine.yield(ok, message, calls > before)
        end)
        debug.sethook(thread, hook, "c")
        local _, ok, message, runs = coroutine.resume(thread)
        local now, mask = debug.gethook(thread)
        return ok, message, runs, now == hook, mask]]
      assert.equal("sleeps", other:receive())
      other:await_sleep()
      other:signal "INT"
      local ok, message, runs, same, mask = other:receive()
      assert.False(ok)
      assert.truthy(message:find("interrupted!", 1, true))
      assert.same({ true, true, "c" }, { runs, same, mask })
    end)

    it("takes the hook of Ctrl-C away from the main state too", function()
      local other = peer.start()
      other:send [[
        report "sleeps"
        local ok, message = coroutine.resume(coroutine.create(function() shmseg.sleep(600) end))
        return ok, message, debug.gethook() == nil,
          coroutine.wrap(function() return shmseg.sleep(0.06) end)()]]
      assert.equal("sleeps", other:receive())
      other:await_sleep()
      other:signal "INT"
      local ok, message, gone, slept = other:receive()
      assert.False(ok)
      assert.truthy(message:find("interrupted!", 1, true))
      assert.same({ true, true }, { gone, slept })
    end)
  end)

  it("lets a call hook run several times, and a count hook not at all", function()
    local other = peer.start()
    local called = other:call [[
      local calls = 0
      debug.sethook(function()
        calls = calls + 1
        if calls > 5 then
          debug.sethook()
          error "enough"
        end
      end, "c")
      local ok, message = pcall(shmseg.sleep, 600)
      return tostring(ok) .. message]]
    assert.truthy(called:find "^false.*enough")
    assert.True(other:call [[
      debug.sethook(function() error "instructions" end, "", 1000)
      local slept = shmseg.sleep(0.2)
      debug.sethook()
      return slept]])
  end)

  it("lets a handler of luaposix run at once", function()
    local other = peer.start()
    if not other:call "return (pcall(require, 'posix.signal'))" then
      pending("there is no luaposix for this Lua")
    end
    other:send [[
      local signal = require "posix.signal"
      signal.signal(signal.SIGUSR1, function() report "handled" end)
      report "sleeps"
      shmseg.sleep(600)]]
    assert.equal("sleeps", other:receive())
    other:await_sleep()
    other:signal "USR1"
    assert.equal("handled", other:receive())
  end)

  it("sleeps on when a stopped process is continued", function()
    local other = peer.start()
    other:send [[
      report "sleeps"
      local before = shmseg.now()
      local done = shmseg.sleep(0.3)
      return done, shmseg.now() - before]]
    assert.equal("sleeps", other:receive())
    other:await_sleep()
    other:signal "STOP"
    other:signal "CONT"
    local done, passed = other:receive()
    assert.True(done)
    assert.truthy(passed >= 0.3)
  end)
end)
