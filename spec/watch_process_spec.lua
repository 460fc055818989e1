-- SPDX-License-Identifier: MIT
-- Watches between processes, both ways: what wakes; that nothing is lost; what a process leaves.

local shmseg = require "shmseg"
local build = require "spec.support.build"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local ping = require "spec.support.ping"
local poll = require "spec.support.poll"
local process = require "spec.support.process"
local sandbox = require "spec.support.sandbox"
local scratch = require "spec.support.scratch"

local scale = tonumber(os.getenv "SHMSEG_SPEC_SCALE") or 1

-- The words that start a process which watches in that way.
local function environment(way, words)
  local all = { "env", "SHMSEG_WATCH=" .. way }
  for _, word in ipairs(words or {}) do
    all[#all + 1] = word
  end
  return all
end

-- A peer that watches in that way, and has poll.
local function start(way, words)
  local other = peer.start(environment(way, words))
  other:call(poll.chunk)
  return other
end

-- Why there is no such way here, or nil. Asked once.
local reasons = {}
local function why_not(way)
  if reasons[way] == nil then
    local told = not poll.missing
      and peer.start(environment(way)):call "return shmseg.features().watch"
    reasons[way] = poll.missing
      or told ~= way and ("this machine has no way %q"):format(way) or false
  end
  return reasons[way]
end

-- What chunks begin with that ask what a process has.
local has = [[
  local function count(folder, pattern)
    local pipe = io.popen("ls -l " .. folder)
    local found = 0
    for line in pipe:lines() do found = found + (line:find(pattern) and 1 or 0) end
    pipe:close()
    return found
  end
  descriptors = require "spec.support.census".descriptors
  function rings() return count("/proc/$PPID/fd", "io_uring") end
  function threads() return count("/proc/$PPID/task", "%d+:%d+") end
]]

for _, way in ipairs { "io_uring", "thread" } do
  local function test(sentence, f)
    it(sentence, function()
      local reason = why_not(way)
      if reason then
        pending(reason)
      end
      return f()
    end)
  end

  -- A script in a program that embeds Lua (host.c), which sees poll; its lines.
  local function in_host(script, ...)
    local program, reason = build.host { "spec/support/host.c" }
    if not program then
      pending("no program that embeds Lua can be built: " .. reason)
    end
    local path = scratch.file(poll.chunk .. "\n" .. script, "chunk.lua")
    return process.start(environment(way, { program, peer.command()[3], path, ... })):ends_well()
  end

  -- A script in a Lua of its own, which sees poll; its lines.
  local function in_lua(script, ...)
    local words = peer.command()
    words[#words + 1] = scratch.file(poll.chunk .. "\n" .. script, "script.lua")
    for _, argument in ipairs { ... } do
      words[#words + 1] = argument
    end
    return process.start(environment(way, words)):ends_well()
  end

  describe("a watch (" .. way .. ") that is polled with a long timeout", function()
    after_each(scratch.clean)

    for _, what in ipairs(ping.nouns) do
      test(("misses nothing of a second process that answers by %s"):format(what), function()
        local count = math.ceil(250 * scale)
        local one, two, there, back = start(way), start(way), scratch.name(), scratch.name()
        local chunk = [[ping = require "spec.support.ping"
          state = ping.prepare(...)]]
        one:call(chunk, what, there, back)
        two:call(chunk, what, back, there)
        two:send("return ping.run(state, ...)", count, false)
        one:send("return ping.run(state, ...)", count, true)
        -- nor does a wake interrupt a system call
        assert.same({ 0, 0 }, { one:receive(), two:receive() })
      end)
    end

    test("misses nothing of a storm of messages, one taken at each time", function()
      local count = math.ceil(5000 * scale)
      local one, two, name = start(way), start(way), scratch.name()
      for _, other in ipairs { one, two } do
        other:call("queue = assert(shmseg.queue.open(..., 'c', { capacity = 128 }))", name)
      end
      two:send([[
        local watch, interrupts = assert(queue:watch "push"), 0
        for i = 1, ... do
          while not queue:push(tostring(i), 0) do
            assert(watch:rearm())
            local list = poll({ watch:fd() }, 60)
            assert(not list or #list == 1, "a wake for room was lost")
            interrupts = interrupts + (list and 0 or 1)
          end
        end
        return interrupts]], count)
      local sum, interrupts = one:call([[
        local watch, sum, interrupts = assert(queue:watch "pop"), 0, 0
        for i = 1, ... do
          local message
          repeat
            local list = poll({ watch:fd() }, 60)
            assert(not list or #list == 1, "a wake was lost")
            interrupts = interrupts + (list and 0 or 1)
            message = queue:pop(0)
            assert(watch:rearm())
          until message
          assert(tonumber(message) == i)
          sum = sum + message
        end
        return sum, interrupts]], count)
      assert.equal(0, two:receive())
      assert.equal(count * (count + 1) / 2, sum)
      assert.equal(0, interrupts)
    end)

    test("and another process's are both told of a message, which one of them gets", function()
      local one, two, name = start(way), start(way), scratch.name()
      local queue = expect.success(shmseg.queue.open(name, "c", { capacity = 64 }))
      for _, other in ipairs { one, two } do
        other:call([[
          queue = assert(shmseg.queue.open(...))
          watch = assert(queue:watch "pop")]], name)
      end
      queue:push "x"
      local got = {}
      for _, other in ipairs { one, two } do
        local told, message, again = other:call [[
          local told = #poll({ watch:fd() }, 60)
          local message = queue:pop(0)
          assert(watch:rearm())
          return told, message, #poll({ watch:fd() }, 0)]]
        assert.equal(1, told)
        assert.equal(0, again)
        got[#got + 1] = message
      end
      assert.same({ "x" }, got)
    end)

    test("is told of a shutdown, and of a key that is flushed", function()
      local other, name, keys = start(way), scratch.name(), scratch.name()
      local queue = expect.success(shmseg.queue.open(name, "c", { capacity = 64 }))
      local dict = expect.success(shmseg.dict.open(keys, "c", { capacity = 8192 }))
      dict:set("key", 1)
      other:call([[
        local name, keys = ...
        q = assert(shmseg.queue.open(name)):watch "pop"
        d = assert(shmseg.dict.open(keys)):watch("key", 1)]], name, keys)
      queue:shutdown()
      assert.equal(1, other:call "return #poll({ q:fd() }, 60)")
      dict:flush_all()
      assert.equal(1, other:call "return #poll({ d:fd() }, 60)")
    end)
  end)

  describe("a watch (" .. way .. ") of shmseg.signals", function()
    after_each(scratch.clean)

    test("is readable when a signal has come, until it is taken and the watch rearmed", function()
      local other = start(way)
      other:call [[
        stop = shmseg.signals("USR1", "TERM")
        watch = assert(stop:watch())
        function readable(seconds)
          local list
          repeat list = poll({ watch:fd() }, seconds) until list
          return #list == 1
        end]]
      for _, name in ipairs { "USR1", "TERM" } do
        assert.False(other:call "return readable(0)")
        other:send "return readable(60)"
        other:await_sleep()
        other:signal(name)
        assert.True(other:receive())
        assert.True(other:call "assert(watch:rearm()) return readable(0)") -- it was not taken
        assert.equal(name, other:call "return stop:wait(0)")
        assert.True(other:call "return readable(0)")
        other:call "assert(watch:rearm())"
      end
      assert.False(other:call "return readable(0)")
      other:signal "USR1"
      other:await_signals()
      assert.True(other:call "again = assert(stop:watch()) return readable(60)")
    end)

    test("ends with the handle of the signals", function()
      local other = start(way)
      local told, message, made = other:call [[
        local stop = shmseg.signals "USR1"
        local watch = assert(stop:watch())
        assert(#poll({ watch:fd() }, 0) == 0)
        stop:close()
        local _, message = pcall(watch.rearm, watch)
        local _, made = pcall(stop.watch, stop)
        return #poll({ watch:fd() }, 0), message, made]]
      assert.equal(1, told)
      assert.truthy(message:find("signals handle is closed", 1, true), message)
      assert.truthy(made:find("signals handle is closed", 1, true), made)
      assert.equal(0, other:quit())
    end)
  end)

  describe("watches (" .. way .. ")", function()
    after_each(scratch.clean)

    test("leave neither ring nor thread where there is none, and none behind", function()
      local before, after, idle, rings, threads = start(way):call(has .. [[
        local function all() return descriptors() * 10000 + rings() * 100 + threads() end
        local q = assert(shmseg.queue.open(assert(shmseg.anonymous(4096)), "c", { capacity = 64 }))
        q:push "x"
        q:pop(0)
        local idle = rings() * 100 + threads()
        shmseg.features()
        q:watch("pop"):close()
        collectgarbage()
        local before = all()
        local list = {}
        for i = 1, 10 do
          list[i] = assert(q:watch "pop")
        end
        local rings, threads = rings(), threads()
        for i = 1, 10 do
          list[i]:close()
        end
        return before, all(), idle, rings, threads]])
      assert.equal(1, idle) -- the thread that runs Lua
      assert.equal(before, after)
      assert.equal(way == "thread" and 0 or 10, rings)
      assert.equal(way == "thread" and 2 or 1, threads)
    end)

    test("may be a thousand in one process", function()
      local words, reason = sandbox.limits { nofile = 2200 }
      if not words then
        pending(reason)
      end
      local other, name = start(way, words), scratch.name()
      local mine = expect.success(shmseg.open(name, "x", 4096))
      other:call([[
        local segment = assert(shmseg.open(...))
        watches, fds = {}, {}
        for i = 1, 1000 do
          watches[i] = assert(segment:atomic(4 * (i - 1), "u32"):watch(0))
          fds[i] = watches[i]:fd()
        end
        assert(#poll(fds, 0) == 0)]], name)
      for _, i in ipairs { 1, 500, 127, 128, 1000, 333 } do
        local n = mine:atomic(4 * (i - 1), "u32")
        n:store(i)
        n:notify()
        assert.True(other:call([[
          local i = ...
          local list = poll(fds, 60)
          local right = #list == 1 and list[1] == fds[i]
          assert(watches[i]:rearm(i))
          return right and #poll(fds, 0) == 0]], i))
      end
      other:call "for i = 1, 1000 do watches[i]:close() end"
      assert.equal(0, other:quit())
    end)

    test("that are too many fail with the name and the reason, and leave nothing", function()
      local words, reason = sandbox.limits { nofile = 64 }
      if not words then
        pending(reason)
      end
      local name = scratch.name()
      local message, code, made, again, word = start(way, words):call(has .. [[
        local q = assert(shmseg.queue.open(..., "x", { capacity = 64 }))
        local d = assert(shmseg.dict.open(assert(shmseg.anonymous(65536)), "c"))
        local spare, list = assert(io.open "/dev/null"), {} -- poll takes one, too
        local watch, message, code
        repeat
          watch, message, code = q:watch "pop"
          list[#list + 1] = watch
        until not watch
        local _, word = d:watch "key"
        local made = #list
        for i = 1, 50 do
          assert(not q:watch "pop")
        end
        for i = 1, made do
          assert(list[i]:rearm())
        end
        spare:close()
        assert(#poll({ list[1]:fd(), list[made]:fd() }, 0) == 0)
        q:push "x"
        assert(#poll({ list[1]:fd() }, 60) == 1 and #poll({ list[made]:fd() }, 60) == 1)
        list[1]:close()
        local again = assert(q:watch "pop")
        for i = 2, made do
          list[i] = nil -- those that are forgotten are collected when there are none left
        end
        for i = 2, made do
          list[i] = assert(q:watch "pop")
        end
        return message, code, made, again:fd() > 0, word]], name)
      assert.equal(('queue "%s": Too many open files '):format(name)
        .. "(a watch takes one or two descriptors: ulimit -n tells the limit)", message)
      assert.equal("EMFILE", code)
      assert.truthy(made > 5, made)
      assert.True(again)
      assert.equal("EMFILE", word)
    end)

    test("of a parent are of no use to its child, and go on in the parent", function()
      assert.same({ "child", "ended", "parent" }, in_host([[
        local shmseg = require "shmseg"
        local name = ...
        local event = assert(shmseg.event.open(name, "c"))
        local segment = assert(shmseg.anonymous(64))
        local watch, kept = assert(event:watch()), assert(segment:atomic(0, "u32"):watch(0))
        -- A thread that tells of this has begun. One that is beginning holds a lock of
        -- AddressSanitizer's at times, and a child that is forked then never gets it.
        event:set()
        assert(#poll({ watch:fd() }, 60) == 1)
        event:clear()
        assert(watch:rearm())
        local child = host.fork()
        if child == 0 then
          for _, method in ipairs { "fd", "rearm", "events", "timeout", "pollfd" } do
            local ok, message = pcall(watch[method], watch)
            assert(not ok and message:find("watch was made before a fork: make a new one", 1, true))
          end
          assert(tostring(watch):find "closed")
          local own, mine = assert(event:watch()), assert(segment:atomic(0, "u32"):watch(0))
          watch:close()
          watch:close()
          assert(not pcall(watch.fd, watch))
          assert(#poll({ own:fd(), mine:fd() }, 0) == 0)
          assert(assert(shmseg.event.open(name)):set())
          assert(#poll({ own:fd() }, 60) == 1)
          event:clear()
          assert(own:rearm())
          assert(#poll({ own:fd() }, 0) == 0)
          segment:close() -- which ends those of this process
          assert(#poll({ mine:fd() }, 0) == 1)
          print "child"
          io.flush()
          host._exit(0)
        end
        assert(host.wait(child) == 0)
        assert(#poll({ watch:fd() }, 60) == 1)
        assert(watch:rearm())
        assert(#poll({ watch:fd(), kept:fd() }, 0) == 0)
        child = host.fork()
        if child == 0 then
          print "ended"
          return -- the state closes with the parent's watches in it
        end
        assert(host.wait(child) == 0)
        assert(#poll({ watch:fd(), kept:fd() }, 0) == 0)
        assert(assert(shmseg.event.open(name)):set())
        assert(#poll({ watch:fd() }, 60) == 1)
        segment:atomic(0, "u32"):store(1)
        segment:atomic(0, "u32"):notify()
        assert(#poll({ kept:fd() }, 60) == 1)
        print "parent"]], scratch.name()))
    end)

    test("of several states in several threads are each told of its own", function()
      local script = scratch.file(poll.chunk .. [[

        local shmseg = require "shmseg"
        local number, name = ...
        local segment = assert(shmseg.open(name))
        local n = segment:atomic(4 * number, "u32")
        for round = 1, 100 do
          local watches, fds = {}, {}
          for i = 1, 5 do
            watches[i] = assert(n:watch(round - 1))
            fds[i] = watches[i]:fd()
          end
          assert(#poll(fds, 0) == 0)
          n:store(round)
          n:notify()
          for i = 1, 5 do
            assert(#poll({ fds[i] }, 60) == 1)
          end
          for i = 1, 5 do
            watches[i]:close()
          end
        end]], "thread.lua")
      local name = scratch.name()
      expect.success(shmseg.open(name, "x", 4096))
      assert.same({ "done" }, in_host([[
        assert(host.threads(4, ...))
        print "done"]], script, name))
    end)

    -- What a state, or a process, has open when it ends.
    local open = [[
      local shmseg = require "shmseg"
      local name = ...
      segment = assert(shmseg.open(name .. "-1", "c", 4096, { temporary = true }))
      queue = assert(shmseg.queue.open(name .. "-2", "c", { capacity = 64, temporary = true }))
      broadcast = assert(shmseg.broadcast.open(segment, "c", { capacity = 64 }))
      subscription = broadcast:subscribe()
      stop = shmseg.signals "USR1"
      watches = {
        queue:watch "pop", queue:watch "push", subscription:watch(), stop:watch(),
        segment:atomic(4092, "u32"):watch(0),
      }
      assert(#watches == 5)
      print "open"
      io.flush()
    ]]
    local ends = {
      ["with the state"] = "",
      ["with os.exit"] = "os.exit(0)",
      ["with os.exit that closes the state"] = "os.exit(0, true)",
      ["with the state, where finalizers use them"] = [[
        local function use()
          for _, watch in ipairs(watches) do
            pcall(watch.rearm, watch)
            pcall(watch.fd, watch)
          end
          pcall(queue.push, queue, "x")
          pcall(queue.watch, queue, "pop")
          pcall(segment.close, segment)
        end
        require "spec.support.finalizer" (use)
        keep = {}
        for i = 1, 3 do
          if newproxy then
            keep[i] = newproxy(true)
            getmetatable(keep[i]).__gc = use
          else
            keep[i] = setmetatable({}, { __gc = use })
          end
        end]],
    }
    for what, chunk in pairs(ends) do
      test(("that are open end %s, in silence"):format(what), function()
        local name = scratch.family()
        assert.same({ "open" }, in_lua(open .. chunk, name))
        assert.same({}, shmseg.list("^" .. name:gsub("%p", "%%%0")))
      end)
    end

    test("of a process that is killed leave nothing that waits", function()
      local other, name = start(way), scratch.name()
      local n = expect.success(shmseg.open(name, "x", 64)):atomic(0, "u32")
      other:call("watch = assert(assert(shmseg.open(...)):atomic(0, 'u32'):watch(0))", name)
      other:stop()
      assert.equal(0, n:notify())
    end)
  end)
end

describe("the way to watch", function()
  after_each(scratch.clean)

  it("is told by features, and chosen by SHMSEG_WATCH", function()
    local found = { io_uring = false, thread = false }
    for way in pairs(found) do
      found[way] = not why_not(way)
    end
    if poll.missing then
      pending(poll.missing)
    end
    assert.equal(shmseg.features().platform == "linux", found.thread)
    local other = peer.start { "env", "-u", "SHMSEG_WATCH" }
    assert.equal(found.io_uring and "io_uring" or found.thread and "thread",
      other:call "return shmseg.features().watch")
  end)
end)
