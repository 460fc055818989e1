-- SPDX-License-Identifier: MIT
-- Queues, cells and broadcasts between processes in C and Lua: many messages, and processes that
-- are stopped or die.

local shmseg = require "shmseg"
local build = require "spec.support.build"
local expect = require "spec.support.expect"
local message_peer = require "spec.support.message_peer"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local LONG = 60 -- seconds: a guard against hanging, never a measure
local BYTES = 2 ^ 25 * message_peer.scale

local function queue(capacity)
  local name = scratch.name()
  return expect.success(shmseg.queue.open(name, "x", { capacity = capacity })), name
end

local function user(name)
  local other = peer.start()
  other:call("q = assert(shmseg.queue.open(...))", name)
  return other
end

local function pair(line)
  local first, second = line:match "^(%d+) (%d+)$"
  return tonumber(first), tonumber(second)
end

describe("two producers and two consumers of a queue", function()
  after_each(scratch.clean)

  -- Starts two consumers and two producers, and compares what came with what went.
  local function exchange(capacity, bytes, max)
    local q, name = queue(capacity)
    local consumers, producers = {}, {}
    for i = 1, 2 do
      local reason
      consumers[i], reason = message_peer.start("consume", name)
      if not consumers[i] then
        pending(reason)
      end
    end
    for i = 1, 2 do
      local half = ("%d"):format(bytes / 2)
      producers[i] = message_peer.start("produce", name, tostring(i), half, tostring(max))
    end
    local count, size = 0, 0
    for _, producer in ipairs(producers) do
      local c, s = pair(message_peer.finish(producer))
      count, size = count + c, size + s
    end
    q:shutdown()
    for _, consumer in ipairs(consumers) do
      local c, s = pair(message_peer.finish(consumer))
      count, size = count - c, size - s
    end
    assert.equal(0, count)
    assert.equal(0, size)
    assert.same({ messages = 0, bytes = 0, capacity = capacity, shutdown = true }, q:stats())
  end

  it("in C move random messages of up to 64 KiB, whole and in order #once", function()
    exchange(2 ^ 18, BYTES, 2 ^ 16)
  end)

  it("do so with short messages, and where each one waits for the other #once", function()
    exchange(1000, BYTES / 64, 150)
    exchange(100, BYTES / 256, 100)
  end)

  it("in Lua move random messages of up to 64 KiB, whole and in order for each producer", function()
    local q, name = queue(2 ^ 18)
    local prelude = [[
      local text = {}
      for i = 1, 8192 do text[i] = ("%07d "):format(i * 7919 % 1e7) end
      text = table.concat(text)
      local function body(number)
        local first = number * 31 % 9973
        return text:sub(first + 1, number * 7919 % (65537 - 16 - first) + first)
      end
      ]]
    local consumers, producers = {}, {}
    for i = 1, 2 do
      consumers[i] = user(name)
      consumers[i]:send(prelude .. [[
        local last, count, size = { 0, 0 }, 0, 0
        for message in q:messages() do
          local id, number, rest = message:match "^(%d) (%d+)\n(.*)$"
          id, number = tonumber(id), tonumber(number)
          assert(number > last[id], "order")
          assert(rest == body(number), "torn")
          last[id], count, size = number, count + 1, size + #message
        end
        return count, size]])
    end
    for i = 1, 2 do
      producers[i] = user(name)
      producers[i]:send(prelude .. [[
        local id, bytes = ...
        local count, size = 0, 0
        repeat
          count = count + 1
          local message = id .. " " .. count .. "\n" .. body(count)
          assert(q:push(message))
          size = size + #message
        until size >= bytes
        return count, size]], i, BYTES / 2)
    end
    local count, size = 0, 0
    for _, producer in ipairs(producers) do
      local c, s = producer:receive()
      count, size = count + c, size + s
    end
    q:shutdown()
    for _, consumer in ipairs(consumers) do
      local c, s = consumer:receive()
      count, size = count - c, size - s
    end
    assert.equal(0, count)
    assert.equal(0, size)
  end)

  it("may be C on one end and Lua on the other", function()
    local q, name = queue(4096)
    local producer, reason = message_peer.start("produce", name, "1", "200000", "600")
    if not producer then
      pending(reason)
    end
    local last, size = 0, 0
    repeat
      local message = q:pop(LONG)
      local id, number, sum, body = message:match "^(%d) (%d+) (%x+)\n(.*)$"
      local actual = 0
      for i = 1, #body do
        actual = (actual * 31 + body:byte(i)) % 2 ^ 32
      end
      assert.equal("1", id)
      assert.equal(last + 1, tonumber(number))
      assert.equal(tonumber(sum, 16), actual)
      last, size = last + 1, size + #message
    until size >= 200000
    assert.same({ last, size }, { pair(message_peer.finish(producer)) })

    local consumer = message_peer.start("consume", name)
    for i = 1, 1000 do
      assert.True(q:push(("2 %d 00000000\n"):format(i)))
    end
    q:shutdown()
    assert.equal(1000, (pair(message_peer.finish(consumer))))
  end)
end)

describe("a producer that is killed at any moment", function()
  after_each(scratch.clean)

  it("leaves each of its messages whole, or not at all", function()
    local q, name = queue(20000)
    local progress = expect.success(shmseg.open(scratch.name(), "x", 8))
    local pushed = progress:atomic(0, "u32")
    for round = 1, 6 do
      pushed:store(0)
      local victim = user(name)
      victim:send([[
        local pushed = assert(shmseg.open(...)):atomic(0, "u32")
        report "begins"
        for i = 1, 1e9 do
          assert(q:push(i .. " " .. tostring(i % 10):rep(i * 7919 % 3000)))
          pushed:store(i)
        end]], progress:name())
      assert.equal("begins", victim:receive())
      local count = 0
      local function take(message)
        count = count + 1
        local number, body = message:match "^(%d+) (%d*)$"
        assert.equal(count, tonumber(number)) -- none lost, none twice, in order
        assert.True(body == tostring(count % 10):rep(count * 7919 % 3000))
      end
      for _ = 1, math.random(2000) do
        take(q:pop(LONG))
      end
      if round % 2 == 0 then
        shmseg.sleep(math.random() / 100) -- it may sleep for room then
      end
      victim:stop()
      for _, message in ipairs(q:drain()) do
        take(message)
      end
      local told = pushed:load()
      assert.True(count == told or count == told + 1)
      assert.True(q:push("after", LONG))
      assert.equal("after", q:pop(LONG))
    end
  end)

  it("while it waits for room takes nobody else's", function()
    local q, name = queue(16)
    q:push(("x"):rep(16))
    local victim, other = user(name), user(name)
    for i, each in ipairs { victim, other } do
      each:send("report 'waits' return q:push(...)", tostring(i))
      assert.equal("waits", each:receive())
      each:await_sleep()
    end
    victim:stop()
    assert.equal(16, #q:pop())
    assert.True(other:receive())
    assert.equal("2", q:pop())
    expect.failure("timeout", q:pop(0))
  end)
end)

describe("a consumer that is killed at any moment", function()
  after_each(scratch.clean)

  it("has at most the message in its hands, and all others are for another", function()
    local q, name = queue(20000)
    local progress = expect.success(shmseg.open(scratch.name(), "x", 8))
    local popped = progress:atomic(0, "u32")
    for _ = 1, 6 do
      popped:store(0)
      local victim = user(name)
      victim:send([[
        local popped = assert(shmseg.open(...)):atomic(0, "u32")
        report "begins"
        for i = 1, 1e9 do
          assert(tonumber(q:pop():match "^%d+") == i)
          popped:store(i)
        end]], progress:name())
      assert.equal("begins", victim:receive())
      local pushed = math.random(1500)
      for i = 1, pushed do
        assert.True(q:push(i .. (" "):rep(i * 7919 % 3000), LONG))
      end
      victim:stop()
      local told = popped:load()
      local left = {}
      for message in function() return q:pop(0) end do
        left[#left + 1] = tonumber((message:match "^%d+"))
      end
      local first = left[1] or pushed + 1
      assert.True(first == told + 1 or first == told + 2)
      for i, number in ipairs(left) do
        assert.equal(first + i - 1, number)
      end
    end
  end)

  it("while it waits for a message takes none", function()
    local q, name = queue(256)
    local victim, other = user(name), user(name)
    for _, each in ipairs { victim, other } do
      each:send "report 'waits' return q:pop()"
      assert.equal("waits", each:receive())
      each:await_sleep()
    end
    victim:stop()
    q:push "for the other"
    assert.equal("for the other", other:receive())
  end)

  it("beside others loses them nothing: each message comes once, or was in its hands", function()
    local q, name = queue(4096)
    local progress = expect.success(shmseg.open(scratch.name(), "x", 8))
    local popped = progress:atomic(0, "u32") -- by victims, as far as they came to tell
    local producer = user(name)
    producer:send "report 'begins' for i = 1, 20000 do assert(q:push(tostring(i))) end q:shutdown()"
    assert.equal("begins", producer:receive())
    local kills, last, received = 0, 0, 0
    repeat
      local victim
      if kills < 5 then
        victim = user(name)
        victim:send([[
          local popped = assert(shmseg.open(...)):atomic(0, "u32")
          report "begins"
          while q:pop() do popped:add(1) end]], progress:name())
        assert.equal("begins", victim:receive())
      end
      local message, why
      for _ = 1, 200 do
        message, why = q:pop(LONG)
        if message then
          assert.True(tonumber(message) > last)
          last, received = tonumber(message), received + 1
        end
      end
      if victim then
        victim:stop()
        kills = kills + 1
      end
    until why == "shutdown"
    producer:receive()
    local missing = 20000 - received - popped:load()
    assert.True(missing >= 0 and missing <= kills)
  end)
end)

describe("a process that is killed at each system call", function()
  after_each(scratch.clean)

  -- Runs the chunk, which writes a line first, and kills it at its n-th stop; true while it was.
  local function killed(tracer, chunk, name, n)
    local words = peer.command()
    words[#words + 1] = chunk
    words[#words + 1] = name
    local _, status = shell.run(shell.quote(tracer, n, (table.unpack or unpack)(words)))
    return status
  end

  local function tracer()
    if not build.possible() then
      return nil, "there is no C compiler here"
    end
    local program = assert(build.program({ "spec/support/kill_at.c" }))
    local _, status = shell.run(shell.quote(program, 0, "echo"))
    if status ~= 0 then
      return nil, "no process can be traced here"
    end
    return program
  end

  it("leaves no queue, or one that works #once", function()
    local program, reason = tracer()
    if not program then
      pending(reason)
    end
    local name = scratch.name()
    local chunk = scratch.file [[
      local shmseg = require "shmseg"
      io.write "begins\n" io.flush()
      local q = assert(shmseg.queue.open(..., "c", { capacity = 100 }))
      q:push "message"]]
    local n, status = 0
    repeat
      shmseg.unlink(name)
      status = killed(program, chunk, name, n)
      assert.not_equal(2, status)
      local q = expect.success(shmseg.queue.open(name, "c", { capacity = 100 }))
      local list = q:drain()
      assert.True(#list == 0 or #list == 1 and list[1] == "message")
      assert.True(q:push("after", LONG))
      assert.equal("after", q:pop(0))
      q:close()
      n = n + 1
    until status == 1 or n > 300
    assert.equal(1, status)
  end)
end)

describe("a value of 64 KiB in a cell", function()
  after_each(scratch.clean)

  local SIZE = 65536
  local READS = 3125 * message_peer.scale

  local function cell()
    local name = scratch.name()
    return expect.success(shmseg.cell.open(name, "x", { capacity = SIZE })), name
  end

  -- One byte for each value, and the value that it begins.
  local whole = {}
  for i = 0, 255 do
    whole[string.char(i)] = string.char(i):rep(SIZE)
  end

  -- Reads that many values, none of which may be torn or older than the one before; and on until
  -- some have come while it read, for on a busy machine the writers may not run at first.
  local function read(c, count)
    local last, changes, reads = 0, 0, 0
    while reads < count or (changes < 2 and reads < 1000 * count) do
      reads = reads + 1
      local value, version = expect.success(c:get())
      assert.True(value == whole[value:sub(1, 1)])
      assert.True(version >= last)
      changes = changes + (version > last and 1 or 0)
      last = version
    end
    return changes
  end

  it("is never torn, with two writers in C at full speed and readers in C and Lua", function()
    local c, name = cell()
    c:set(("\0"):rep(SIZE))
    local writers = {}
    for i = 1, 2 do
      local reason
      writers[i], reason = message_peer.start("write", name, tostring(SIZE))
      if not writers[i] then
        pending(reason)
      end
      assert.equal("begins", writers[i]:line())
    end
    local reader = message_peer.start("read", name, tostring(READS * 1.0):match "^%d+")
    assert.True(read(c, READS / 5) > 1)
    assert.True(tonumber(message_peer.finish(reader)) > 1)
    writers[1]:stop()
    writers[2]:stop()
    assert.truthy(c:set "after")
  end)

  it("is read beside a stopped writer", function()
    local c, name = cell()
    c:set(("\0"):rep(SIZE))
    local writer, reason = message_peer.start("write", name, tostring(SIZE))
    if not writer then
      pending(reason)
    end
    assert.equal("begins", writer:line())
    for _ = 1, 10 do
      writer:signal "STOP"
      local value, version = expect.success(c:get())
      assert.True(value == whole[value:sub(1, 1)])
      assert.same({ value, version }, { c:get() })
      writer:signal "CONT"
    end
  end)
end)

describe("a subscriber in C", function()
  after_each(scratch.clean)

  local function broadcast(capacity)
    local name = scratch.name()
    return expect.success(shmseg.broadcast.open(name, "x", { capacity = capacity })), name
  end

  it("that is stopped for a while counts exactly the messages that it lost", function()
    local b, name = broadcast(4096)
    local started, reason = message_peer.start("subscriber", name)
    if not started then
      pending(reason)
    end
    assert.equal("begins", started:line())
    local function publish(count)
      local id = 0
      for i = 1, count do
        -- as message_peer's own: id, number, checksum of nothing
        id = b:publish(("1 %d 00000000\n"):format(i))
      end
      return id
    end
    started:signal "STOP"
    local total = publish(5000)
    started:signal "CONT"
    b:shutdown()
    local received, lost, last = message_peer.finish(started):match "^(%d+) (%d+) (%d+)$"
    assert.equal(5000, total)
    assert.equal(5000, tonumber(last))
    assert.equal(5000, tonumber(received) + tonumber(lost))
    assert.True(tonumber(lost) > 4000)
  end)

  it("that is stopped in a fast stream reads nothing torn and miscounts nothing", function()
    local b, name = broadcast(20000)
    local subscribers = {}
    for i = 1, 2 do
      local reason
      subscribers[i], reason = message_peer.start("subscriber", name)
      if not subscribers[i] then
        pending(reason)
      end
      assert.equal("begins", subscribers[i]:line())
    end
    local each = 10000 * message_peer.scale
    local publishers = {}
    for i = 1, 2 do
      publishers[i] =
        message_peer.start("publisher", name, tostring(i), ("%d"):format(each), "3000")
    end
    for i = 1, 5 do
      local victim = subscribers[i % 2 + 1]
      victim:signal "STOP"
      shmseg.sleep(0.01)
      victim:signal "CONT"
    end
    for _, publisher in ipairs(publishers) do
      message_peer.finish(publisher)
    end
    b:shutdown()
    for _, subscriber in ipairs(subscribers) do
      local received, lost, last = message_peer.finish(subscriber):match "^(%d+) (%d+) (%d+)$"
      assert.equal(2 * each, tonumber(last))
      assert.equal(2 * each, tonumber(received) + tonumber(lost))
    end
  end)
end)

describe("one line of text", function()
  after_each(scratch.clean)

  it("goes from C to Lua and back through a queue", function()
    local q, name = queue(256)
    local line, reason = message_peer.run("push", name, "from C")
    if not line then
      pending(reason)
    end
    assert.equal("pushed", line)
    assert.equal("from C", q:pop(0))
    q:push "from Lua"
    assert.equal("from Lua", message_peer.run("pop", name))
  end)

  it("goes from C to Lua and back through a cell", function()
    local name = scratch.name()
    local c = expect.success(shmseg.cell.open(name, "x", { capacity = 256 }))
    local line, reason = message_peer.run("set", name, "from C")
    if not line then
      pending(reason)
    end
    assert.equal("1", line)
    assert.same({ "from C", 1 }, { c:get() })
    c:set "from Lua"
    assert.equal("from Lua", message_peer.run("get", name))
  end)

  it("goes from C to Lua and back through a broadcast", function()
    local name = scratch.name()
    local b = expect.success(shmseg.broadcast.open(name, "x", { capacity = 64 }))
    local s = b:subscribe()
    local line, reason = message_peer.run("publish", name, "from C")
    if not line then
      pending(reason)
    end
    assert.equal("1", line)
    assert.same({ "from C", 1, 0 }, { s:next(0) })
    b:publish(("from Lua "):rep(7))
    assert.equal(("from Lua "):rep(7), message_peer.run("next", name))
  end)
end)
