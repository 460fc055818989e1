-- SPDX-License-Identifier: MIT
-- Queues between several processes: who competes, who is stopped, who is killed in a batch.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local queues = require "spec.support.queues"
local scratch = require "spec.support.scratch"

local LONG = 60 -- seconds: a guard against hanging, never a measure

-- So many peers that have the queue.
local function users(count, name)
  local all = {}
  for i = 1, count do
    all[i] = queues.user(name)
  end
  return all
end

describe("consumers that compete", function()
  after_each(scratch.clean)

  it("are told timeout by pop(0) only when nothing is left", function()
    local q, name = queues.new(2 ^ 23)
    local flag_name = scratch.name()
    local flag = expect.success(shmseg.open(flag_name, "x", 64)):atomic(0, "u32")
    local others = users(3, name)
    for round = 1, 5 do
      for i = 1, 400 do
        q:push(i .. (" "):rep(20000)) -- it takes some time to make a string of it
      end
      for _, other in ipairs(others) do
        other:send([[
          local name, round = ...
          local flag = assert(shmseg.open(name)):atomic(0, "u32")
          repeat until flag:load() == round
          local count = 0
          while q:pop(0) do count = count + 1 end
          return count, #q, q:drain()]], flag_name, round)
      end
      flag:store(round)
      local sum = 0
      for _, other in ipairs(others) do
        local count, left, list = other:receive()
        assert.equal(0, left)
        assert.same({}, list)
        sum = sum + count
      end
      assert.equal(400, sum)
    end
  end)

  it("are told timeout by drain(max, 0) only when nothing is left, drain() gives a part", function()
    local q, name = queues.new(2 ^ 18)
    local others = users(3, name)
    for i = 1, 10000 do
      q:push(tostring(i))
    end
    for i, other in ipairs(others) do
      other:send([[
        local max, count = ..., 0
        while true do
          local list = q:drain(max, 0)
          if not list then return count, #q end
          count = count + #list
        end]], 40 * i)
    end
    local sum = 0
    for _, other in ipairs(others) do
      local count, left = other:receive()
      assert.equal(0, left)
      sum = sum + count
    end
    assert.equal(10000, sum)
  end)

  for what, take in pairs {
    pop = "q:pop()", drain = "(q:drain(2, nil) or {})[1]", pop_into = "into(q:pop_into(seg))",
  } do
    it("for messages of 1 MiB by " .. what .. " get each of them once, and whole", function()
      local q, name = queues.new(2 ^ 21)
      local others = users(2, name)
      for _, other in ipairs(others) do
        other:send((([[
          local seg = assert(shmseg.anonymous(2 ^ 20))
          local function into(count) return count and seg:read(0, count) end
          local all = {}
          while true do
            local message = TAKE
            if not message then return all end
            local number = message:byte()
            assert(message == string.char(number):rep(2 ^ 20), "torn")
            all[#all + 1] = number
          end]]):gsub("TAKE", take)))
      end
      for i = 1, 16 do
        q:push(string.char(i):rep(2 ^ 20))
      end
      q:shutdown()
      local all = {}
      for _, other in ipairs(others) do
        for _, number in ipairs((other:receive())) do
          all[#all + 1] = number
        end
      end
      table.sort(all)
      assert.equal(16, #all)
      for i = 1, 16 do
        assert.equal(i, all[i])
      end
    end)
  end
end)

describe("a consumer that is stopped", function()
  after_each(scratch.clean)

  -- Stops the peer at some moment of what it does all the time.
  local function stop_at_work(other, work)
    other:send(work)
    assert.equal("begins", other:receive())
    shmseg.sleep(math.random() / 200)
    other:signal "STOP"
  end

  it("wherever that is, holds up nobody: producers fill the queue, others empty it", function()
    for _, work in ipairs {
      "report 'begins' while true do q:pop() end",
      "report 'begins' while true do q:drain(5) end",
      "local s = shmseg.anonymous(64) report 'begins' while true do q:pop_into(s) end",
    } do
      for _ = 1, 3 do
        local q, name = queues.new(256)
        local victim, producer = queues.user(name), queues.user(name)
        producer:send "report 'begins' while q:push('message') do end return 'shut'"
        assert.equal("begins", producer:receive())
        stop_at_work(victim, work)
        repeat
          local full = q:stats().bytes == 256
        until full
        producer:await_sleep()
        assert.same({ 0, "timeout", "timeout" }, { q:push_many({ "x", "y" }, 0) })
        for _ = 1, 200 do
          assert.equal("message", q:pop(LONG))
        end
        q:shutdown()
        assert.equal("shut", producer:receive())
        expect.failure("shutdown", q:push "x")
        for _, message in ipairs(q:drain()) do
          assert.equal("message", message)
        end
        assert.same({ {}, "shutdown" }, { q:drain() })
        victim:stop()
      end
    end
  end)

  it("takes nothing any more when others have emptied the queue meanwhile", function()
    local q, name = queues.new(4096)
    local victim = queues.user(name)
    stop_at_work(victim, [[
      report "begins"
      local all = {}
      for m in q:messages() do all[#all + 1] = m end
      return table.concat(all)]])
    q:push_many { "a", "b", "c" }
    assert.same({ "a", "b", "c" }, q:drain())
    q:shutdown()
    victim:signal "CONT"
    assert.equal("", victim:receive())
  end)
end)

describe("a producer that is stopped", function()
  after_each(scratch.clean)

  it("while it waits for room holds up nobody, and goes on later", function()
    local q, name = queues.new(64)
    local victim, other = queues.user(name), queues.user(name)
    for i, each in ipairs { victim, other } do
      q:drain()
      q:push(("x"):rep(64))
      local list = ("'%d', "):rep(6):gsub("%%d", i)
      each:send_to_sleep("q:push_many { " .. list .. "}")
      if i == 1 then
        victim:signal "STOP"
      end
    end
    q:drain()
    local got = {}
    repeat
      got[#got + 1] = q:pop(LONG)
    until #got == 6
    assert.equal("222222", table.concat(got))
    assert.equal(6, other:receive())
    expect.failure("timeout", q:pop(0.01))
    victim:signal "CONT"
    repeat
      got[#got + 1] = q:pop(LONG)
    until #got == 12
    assert.equal("222222111111", table.concat(got))
    assert.equal(6, victim:receive())
  end)

  it("wherever that is, keeps no consumer from what is there, nor from the shutdown", function()
    for round = 1, 8 do
      local q, name = queues.new(256)
      local victim, producer, consumer = queues.user(name), queues.user(name), queues.user(name)
      victim:send(round % 2 == 0 and "report 'begins' while q:push 'message' do end"
        or "report 'begins' while q:push_many { 'message', 'message', 'message' } do end")
      assert.equal("begins", victim:receive())
      local received = q:pop(LONG)
      shmseg.sleep(math.random() / 500)
      victim:signal "STOP"
      repeat
        assert.equal("message", received)
        received = q:pop(0)
      until not received
      assert.same({ {} }, { q:drain() })
      expect.failure("timeout", q:drain(5, 0.01))
      -- Other producers may have to wait for it, but no longer than they are told.
      local pushed, _, code = q:push("mine", 0.01)
      assert.True(pushed or code == "timeout")
      q:drain()
      consumer:send_to_sleep("q:pop()")
      if round % 4 < 2 then
        producer:send "report 'waits' while q:push 'message' do end return q:push 'message'"
        assert.equal("waits", producer:receive())
      end
      q:shutdown()
      if round % 4 < 2 then
        expect.failure("shutdown", producer:receive())
      end
      local message, _, why = consumer:receive()
      assert.True(message == "message" or why == "shutdown")
      expect.failure("shutdown", q:push "x")
      assert.same({ 0, "shutdown", "shutdown" }, { q:push_many { "x" } })
      q:drain()
      expect.failure("shutdown", q:pop())
      victim:stop()
    end
  end)
end)

describe("producers and consumers that are killed in their batches", function()
  after_each(scratch.clean)

  local BATCH = 12
  local ROOM = 2 ^ 20 -- bytes of notes for the messages of each producer: more than it pushes

  local common = [[
    local id, notes, BATCH = ...
    notes = assert(shmseg.open(notes))
    local numbers = notes:array(0, "u32")
    local view = assert(shmseg.anonymous(8192))
    local function body(number) return string.char(97 + number % 26):rep(number * 7919 % 300) end
    ]]

  -- Writes before each push how far it goes, and after it how far it came.
  local produce = common .. [[
    report "begins"
    local told, done = 2 * id - 1, 2 * id
    while true do
      local first, pushed = numbers[done], 0
      local list = {}
      for i = 1, math.random(BATCH) do
        list[i] = id .. " " .. first + i .. " " .. body(first + i)
        if i % 3 == 0 then
          view:write(400 * i, list[i])
          list[i] = view:slice(400 * i, #list[i])
        end
      end
      numbers[told] = first + #list
      local why
      if #list == 1 then
        pushed, why = q:push(list[1])
        pushed = pushed and 1 or 0
      else
        pushed, why = q:push_many(list)
      end
      numbers[done] = first + pushed
      if first % 64 < BATCH then shmseg.sleep(0.002) end -- so that the notes have room
      if pushed < #list then
        assert(why == "shutdown", why)
        return true
      end
    end]]

  -- Counts in the notes, behind 64 words, each message that it got.
  local consume = common .. [[
    report "begins"
    local last, ways, way, seen = { 0, 0, 0 }, {}, 0, notes:atomic(252, "u32")
    ways[1] = function()
      local m, why = q:pop()
      return { m }, why
    end
    ways[2] = function()
      local list, why = q:drain(BATCH, nil)
      return list or {}, why
    end
    ways[3] = function()
      local count, why = q:pop_into(view)
      return { count and view:read(0, count) }, why
    end
    ways[0] = function() return q:drain(BATCH) end
    repeat
      way = (way + 1) % 4
      local list, why = ways[way]()
      for _, message in ipairs(list) do
        local from, number, rest = message:match "^(%d) (%d+) (%a*)$"
        from, number = tonumber(from), tonumber(number)
        assert(number > last[from], "order")
        assert(rest == body(number), "torn")
        last[from] = number
        local place = 256 + 2 ^ 20 * (from - 1) + number
        notes:set_u8(place, notes:get_u8(place) + 1)
      end
      seen:add(#list)
    until why == "shutdown"
    return true]]

  it("leave each message once, but for those in a victim's hands", function()
    local q, name = queues.new(4096)
    local notes_name = scratch.name()
    local notes = expect.success(shmseg.open(notes_name, "x", 256 + 3 * ROOM))
    local numbers, seen = notes:array(0, "u32"), notes:atomic(252, "u32")
    local workers = {}
    local function start(i)
      workers[i] = queues.user(name)
      workers[i]:send(i <= 3 and produce or consume, i, notes_name, BATCH)
      assert.equal("begins", workers[i]:receive())
    end
    for i = 1, 6 do
      start(i)
    end
    local killed = 0 -- consumers
    local unsure = { {}, {}, {} }
    for _ = 1, 6 do
      local enough, began = seen:load() + math.random(300, 1500), shmseg.now()
      repeat
        shmseg.sleep(0.001)
        assert(shmseg.now() - began < LONG, "nothing moves")
      until seen:load() > enough
      local i = math.random(6)
      workers[i]:stop()
      if i <= 3 then -- nobody knows how far its last batch came
        for number = numbers[2 * i] + 1, numbers[2 * i - 1] do
          unsure[i][number] = true
        end
        numbers[2 * i] = numbers[2 * i - 1]
      else
        killed = killed + 1
      end
      start(i)
    end
    q:shutdown()
    for i = 1, 6 do
      assert.True((workers[i]:receive()))
    end
    assert.same({ messages = 0, bytes = 0, capacity = 4096, shutdown = true }, q:stats())
    local missing, all = 0, 0
    for id = 1, 3 do
      local counts = notes:array(256 + ROOM * (id - 1), "u8", ROOM)
      assert.equal(0, counts[1])
      for number = 1, numbers[2 * id] do
        local count = counts[number + 1]
        assert.True(count <= 1, "twice")
        if count == 0 and not unsure[id][number] then
          missing = missing + 1
        end
        all = all + count
      end
      for number = numbers[2 * id] + 1, numbers[2 * id] + BATCH do
        assert.equal(0, counts[number + 1])
      end
    end
    assert.True(all > 1500)
    assert.True(missing <= killed * BATCH, missing .. " are missing")
  end)
end)
