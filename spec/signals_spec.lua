-- SPDX-License-Identifier: MIT
-- shmseg.signals: stopping in order.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local TERMINATED = 128 + 15

-- A peer that owns the signals, and has them as `stop`.
local function owner(names)
  local other = peer.start()
  other:call("stop = shmseg.signals(" .. (names or "") .. ")")
  return other
end

describe("signals", function()
  after_each(scratch.clean)

  for _, name in ipairs { "INT", "TERM" } do
    it("of kind " .. name .. " do not kill, and interrupt a sleep at once", function()
      local other = owner '"INT", "TERM"'
      other:send [[report "sleeps" return shmseg.sleep(600)]]
      assert.equal("sleeps", other:receive())
      other:await_sleep()
      other:signal(name)
      local message = expect.failure("interrupted", other:receive())
      assert.equal("interrupted", message)
    end)

    it("of kind " .. name .. " arrive also where the parent process had blocked them", function()
      if not shell.succeeds("env --block-signal true") then
        pending("env cannot block signals here")
      end
      local other = peer.start { "env", "--block-signal=" .. name }
      other:call("stop = shmseg.signals(...)", name)
      other:signal(name)
      assert.equal(name, other:call("return stop:wait(60)"))
    end)

    it("of kind " .. name .. " are taken by wait, which asks with 0", function()
      local other = owner '"INT", "TERM"'
      expect.failure("timeout", other:call "return stop:wait(0)")
      other:send [[report "waits" return stop:wait(600)]]
      assert.equal("waits", other:receive())
      other:await_sleep()
      other:signal(name)
      assert.equal(name, other:receive())
      expect.failure("timeout", other:call "return stop:wait(0)")
      assert.True(other:call "return shmseg.sleep(0)")
    end)
  end

  it("that have arrived interrupt every blocking call until they are taken", function()
    local other = owner()
    other:signal "TERM"
    for _ = 1, 3 do
      expect.failure("interrupted", other:call "return shmseg.sleep(600)")
    end
    assert.equal("TERM", other:call "return stop:wait()")
    assert.True(other:call "return shmseg.sleep(0.001)")
  end)

  it("are told by every wait, raised by every lock, and end every iterator", function()
    local other = owner()
    other:call [[
      local function place(noun, options)
        local seg = assert(shmseg.open(nil, "x", 4096))
        local again = assert(shmseg.open(seg:name()))
        assert(seg:unlink())
        return assert(shmseg[noun].open(seg, "c", options)), assert(shmseg[noun].open(again))
      end
      seg = assert(shmseg.anonymous(64))
      n = seg:atomic(0, "u32")
      e, c = place "event", place "cell"
      q, full = place "queue", place("queue", { capacity = 8 })
      full:push "12345678"
      bytes = assert(shmseg.anonymous(8))
      s = place "broadcast":subscribe()
      owners = {} -- or the collector gives the locks up
      owners[1], m = place "mutex"
      owners[1]:lock()
      owners[2], rw = place "rwlock"
      owners[2]:write_lock()
      owners[3], p = place("semaphore", { permits = 1 })
      owners[3]:acquire()]]
    other:signal "TERM"
    for _, call in ipairs {
      "shmseg.sleep(600)", "n:wait(0)", "e:wait()", "c:wait()", "q:pop()", "q:drain(5, nil)",
      "q:pop_into(bytes)", "full:push ''", "full:push(bytes)", "s:next()",
    } do
      local message = expect.failure("interrupted", other:call("return " .. call))
      assert.equal("interrupted", message, call)
    end
    local told = { other:call "return full:push_many { 'x', bytes }" }
    assert.same({ 0, "interrupted", "interrupted" }, told)
    for noun, call in pairs {
      mutex = "m:lock()", rwlock = "rw:read_lock()", semaphore = "p:acquire()",
    } do
      expect.misuse(noun .. ' ".*": interrupted', other.call, other, call)
    end
    expect.misuse('rwlock ".*": interrupted', other.call, other, "rw:write_lock()")
    expect.misuse('mutex ".*": interrupted', other.call, other, "m:with(report)")
    for _, iterator in ipairs { "c:changes()", "q:messages()", "s:messages()" } do
      assert.True(other:call("for _ in " .. iterator .. " do return false end return true"))
    end
    assert.equal("TERM", other:call "return stop:wait()")
    expect.failure("timeout", other:call "return e:wait(0)")
  end)

  it("are INT and TERM when none is named", function()
    local other = owner()
    for _, name in ipairs { "INT", "TERM" } do
      other:signal(name)
      assert.equal(name, other:call "return stop:wait(60)")
    end
  end)

  it("may be named as in C", function()
    local other = peer.start()
    other:call [[stop = shmseg.signals("SIGUSR1", "SIGTERM")]]
    other:signal "USR1"
    assert.equal("USR1", other:call "return stop:wait(60)")
    for _, name in ipairs { "SIGKILL", "SIG", "SIGSIGINT", "sigint", "SIGINT\0" } do
      expect.misuse("signal", shmseg.signals, name)
    end
  end)

  it("of several kinds are all taken, each once", function()
    local other = owner '"INT", "TERM", "USR1", "HUP"'
    for _, name in ipairs { "INT", "TERM", "USR1", "HUP" } do
      other:signal(name)
    end
    local seen = {}
    for i = 1, 4 do
      seen[i] = other:call "return stop:wait(60)"
    end
    table.sort(seen)
    assert.same({ "HUP", "INT", "TERM", "USR1" }, seen)
    expect.failure("timeout", other:call "return stop:wait(0)")
  end)

  it("that are not named do what they did", function()
    local other = owner '"INT"'
    other:signal "TERM"
    assert.equal(TERMINATED, (other:finish()))
  end)

  it("that are not named interrupt a wait as they do anything else", function()
    local other = owner '"TERM"'
    other:send [[report "waits" return pcall(stop.wait, stop, 600)]]
    assert.equal("waits", other:receive())
    other:await_sleep()
    other:signal "INT"
    local ok, message = other:receive()
    assert.False(ok)
    assert.truthy(message:find("interrupted!", 1, true))
  end)

  it("end the demo's loop, and what stands after it runs", function()
    local other = owner()
    other:send [[
      local rounds = 0
      repeat
        rounds = rounds + 1
        if rounds == 3 then report "goes round" end
      until stop:wait(rounds < 5 and 0.001 or 600)
      return "finally"]]
    assert.equal("goes round", other:receive())
    other:signal "TERM"
    assert.equal("finally", other:receive())
  end)

  it("go to their old handlers again after close", function()
    local other = owner()
    other:call "stop:close()"
    other:send [[report "sleeps" return pcall(shmseg.sleep, 600)]]
    assert.equal("sleeps", other:receive())
    other:await_sleep()
    other:signal "INT"
    local ok, message = other:receive()
    assert.False(ok)
    assert.truthy(message:find("interrupted!", 1, true))
    other:signal "TERM"
    assert.equal(TERMINATED, (other:finish()))
  end)

  it("go to their old handlers again when the handle is collected", function()
    local other = owner()
    other:call "stop = nil collectgarbage() collectgarbage()"
    other:signal "TERM"
    assert.equal(TERMINATED, (other:finish()))
  end)

  it("that were ignored are ignored again", function()
    local other = peer.start { "sh", "-c", 'trap "" TERM; exec "$@"', "sh" }
    other:call 'stop = shmseg.signals "TERM"'
    other:signal "TERM"
    assert.equal("TERM", other:call "return stop:wait(60)")
    other:call "stop:close()"
    other:signal "TERM"
    assert.equal("alive", other:call 'return "alive"')
  end)

  it("have one owner at a time", function()
    local other = owner()
    for _, names in ipairs { "", '"INT"', '"USR1"' } do
      expect.misuse("", function()
        other:call("shmseg.signals(" .. names .. ")")
      end)
    end
    other:call "stop:close() stop = shmseg.signals('USR1')"
    other:signal "USR1"
    assert.equal("USR1", other:call "return stop:wait(60)")
  end)

  it("refuse names that are none, and those that nobody can catch", function()
    for _, name in ipairs {
      "KILL", "STOP", "NONE", "", "int", "SIGKILL", "INT\0", 2.5, true, {},
    } do
      expect.misuse("bad argument #1", function()
        shmseg.signals(name)
      end)
      expect.misuse("bad argument #2", function()
        shmseg.signals("INT", name)
      end)
    end
    -- None of these has left an owner behind.
    shmseg.signals("USR1"):close()
  end)

  it("take a timeout as every call does", function()
    local stop = shmseg.signals "USR1"
    for _, timeout in ipairs { 0, -1, -math.huge, 0.001 } do
      expect.failure("timeout", stop:wait(timeout))
    end
    for _, timeout in ipairs { 0 / 0, "soon", true, {} } do
      expect.misuse("bad argument #1", function()
        stop:wait(timeout)
      end)
    end
    stop:close()
  end)

  it("have a handle that closes twice, prints, and is of no use afterwards", function()
    local stop = shmseg.signals "USR1"
    assert.truthy(tostring(stop):find("^shmseg%.signals"))
    stop:close()
    stop:close()
    assert.truthy(tostring(stop):find("closed"))
    expect.misuse("closed", function()
      stop:wait(0)
    end)
    for _, self in ipairs { 1, {}, io.stdout } do
      expect.misuse("bad argument", stop.wait, self, 0)
      expect.misuse("bad argument", stop.close, self)
    end
    local metatable = getmetatable(stop)
    if type(metatable) == "table" then
      assert.equal("shmseg.signals", metatable.__name)
      assert.equal("function", type(metatable.__gc))
      assert.equal("function", type(metatable.__close))
    end
  end)

  if _VERSION >= "Lua 5.4" then
    it("close with their block from Lua 5.4 on", function()
      local f = assert(load 'local stop <close> = ... return stop:wait(0)')
      expect.failure("timeout", f(shmseg.signals "USR1"))
      shmseg.signals("USR1"):close()
    end)
  end

  -- A program that says "reads", evaluates `read`, and prints its first three results and whether
  -- the signal was kept; it reads from a pipe that is open for writing here.
  local function reader(name, read)
    local words = peer.command()
    words[#words + 1] = scratch.file(([[
      local stop = require "shmseg".signals(%q)
      local function read() %s end
      io.stdout:setvbuf "no"
      print "reads"
      local line, message, code = read()
      print(line, code, stop:wait(0))]]):format(name, read), "reader.lua")
    local fifo = scratch.path("input")
    assert(shell.succeeds("mkfifo " .. shell.quote(fifo)))
    local input
    local other = process.start(words, {
      input = fifo,
      opened = function()
        input = assert(io.open(fifo, "r+"))
      end,
    })
    scratch.defer(function()
      input:close()
    end)
    assert.equal("reads", other:line())
    other:await_sleep()
    other:signal(name)
    other:await_signals()
    return other, input
  end

  local ways = {
    ["io.read"] = [[return io.read("*l")]],
    ["io.lines"] = [[for line in io.lines() do return line end]],
    ["a pipe's read"] = [[return io.popen("head -n 1"):read("*l")]],
  }
  for what, read in pairs(ways) do
    for _, name in ipairs { "USR1", "CHLD" } do
      it("of kind " .. name .. ", which do not ask to stop, leave " .. what .. " alone", function()
        local other, input = reader(name, read)
        assert.True(other:lives())
        other:await_sleep()
        input:write("a line\n")
        input:flush()
        assert.equal("a line\tnil\t" .. name, other:line())
      end)
    end
  end

  for _, name in ipairs { "INT", "TERM", "HUP", "QUIT" } do
    it("of kind " .. name .. ", which ask to stop, end io.read with a code", function()
      local other = reader(name, ways["io.read"])
      local code = (other:line() or ""):match("^nil\t(%d+)\t" .. name .. "$")
      assert.equal(4, tonumber(code)) -- EINTR; at the end of a file there is none
    end)
  end

  it("that arrive in a storm lose nothing and break nothing", function()
    local other = owner '"USR1", "TERM"'
    local name = scratch.name()
    other:send([[
      local seg = assert(shmseg.open(..., "x", 65536))
      local text = ("x"):rep(60000)
      local taken = 0
      report "ready"
      repeat
        assert(seg:write(0, text) == 60000)
        assert(seg:read(0, 60000) == text)
        seg:resize(65536 + taken)
        local signal = stop:wait(0)
        if signal == "USR1" then taken = taken + 1 end
      until signal == "TERM"
      return taken]], name)
    assert.equal("ready", other:receive())
    for _ = 1, 50 do
      other:signal "USR1"
    end
    other:signal "TERM"
    local taken = other:receive()
    assert.truthy(taken >= 1 and taken <= 50)
  end)
end)
