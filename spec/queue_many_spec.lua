-- SPDX-License-Identifier: MIT
-- q:push_many: many messages by one call.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local queues = require "spec.support.queues"
local scratch = require "spec.support.scratch"

local LONG = 60 -- seconds: a guard against hanging, never a measure

-- 1 to n as strings.
local function numbers(n)
  local list = {}
  for i = 1, n do
    list[i] = tostring(i)
  end
  return list
end

describe("push_many", function()
  after_each(scratch.clean)

  it("pushes all of a list in its order, and says how many", function()
    local q = queues.new(2 ^ 16)
    q:push "0"
    assert.same({ 100 }, { q:push_many(numbers(100)) })
    q:push "101"
    assert.equal(102, #q)
    for i = 0, 101 do
      assert.equal(tostring(i), q:pop(0))
    end
    assert.equal(0, #q)
  end)

  it("carries lists of every length through a ring of every length", function()
    for capacity = 8, 80, 8 do
      local seg = expect.success(shmseg.anonymous(4096))
      local q = expect.success(shmseg.queue.open(seg, "c", { capacity = capacity }))
      local sent, received = 0, 0
      for i = 1, 200 do
        local list = {}
        for n = 1, i % 7 do
          list[n] = ("%d"):format((sent + n) % 10):rep((sent + n) % (capacity + 1))
        end
        sent = sent + q:push_many(list, 0)
        for _, message in ipairs(q:drain(i % 5 + 1)) do
          received = received + 1
          assert.equal(("%d"):format(received % 10):rep(received % (capacity + 1)), message)
        end
      end
      received = received + #q:drain()
      assert.equal(sent, received)
    end
  end)

  it("takes a list that is as long as there is room", function()
    local q = queues.new(2 ^ 21)
    assert.equal(100000, q:push_many(numbers(100000), 0))
    local list = q:drain()
    assert.equal(100000, #list)
    for i = 1, 100000 do
      if list[i] ~= tostring(i) then
        error("element " .. i)
      end
    end
  end)

  it("pushes nothing of an empty list, wherever that may be", function()
    local q, name = queues.new(8)
    assert.same({ 0 }, { q:push_many {} })
    q:push "12345678"
    assert.same({ 0 }, { q:push_many({}, 0) })
    assert.same({ 0 }, { q:push_many { n = 1, x = "y" } })
    local reader = expect.success(shmseg.queue.open(name, "r"))
    expect.misuse("read%-only", reader.push_many, reader, {})
    q:close()
    expect.misuse("closed", q.push_many, q, {})
  end)

  it("takes strings, numbers, segments and slices, and leaves the list as it is", function()
    local q = queues.new(1000)
    local seg = expect.success(shmseg.anonymous(64))
    seg:write(0, ("0123456789abcdef"):rep(4))
    local list = { "", 42, seg, seg:slice(10, 3), "\0\n", seg:slice(64), 1.5 }
    local copy = { (table.unpack or unpack)(list) }
    assert.equal(7, q:push_many(list))
    seg:fill(0, 64) -- it was copied
    assert.same({ "", "42", ("0123456789abcdef"):rep(4), "abc", "\0\n", "", "1.5" }, q:drain())
    for i, value in ipairs(copy) do
      assert.True(rawequal(value, list[i]))
    end
  end)

  it("is seen by others whole or not at all, as far as it fits", function()
    local q, name = queues.new(4096)
    local other = queues.user(name)
    other:send [[
      report "begins"
      local list = {}
      for i = 1, 150 do list[i] = i end
      for _ = 1, 100 do
        assert(q:push_many(list) == 150)
        repeat until #q == 0
      end
      q:shutdown()]]
    assert.equal("begins", other:receive())
    local batches = 0
    repeat
      local list, shut = q:drain()
      if #list > 0 then
        assert.equal(150, #list)
        assert.equal("150", list[150])
        batches = batches + 1
      end
    until shut
    assert.equal(100, batches)
    other:receive()
  end)

  it("pushes what fits, then waits for room for the rest", function()
    local q, name = queues.new(64) -- for four and a half
    local other = queues.user(name)
    other:send_to_sleep([[q:push_many {
      "message1", "message2", "message3", "message4", "message5", "message6", "message7",
      "message8", "message9" }]])
    assert.equal(4, #q)
    assert.same({ "message1", "message2", "message3", "message4" }, q:drain())
    local all = {}
    while #all < 5 do
      all[#all + 1] = q:pop(LONG)
    end
    assert.same({ "message5", "message6", "message7", "message8", "message9" }, all)
    assert.same({ 9 }, { other:receive() })
  end)

  it("has others' messages between pieces alone, and keeps its order", function()
    local q, name = queues.new(256)
    local others = {}
    for i = 1, 2 do
      others[i] = queues.user(name)
      others[i]:send([[
        local id, pushed = ..., 0
        for round = 0, 199 do
          local list = {}
          for i = 1, 30 do list[i] = id .. " " .. round * 30 + i end
          pushed = pushed + assert(q:push_many(list))
        end
        return pushed]], i)
    end
    local last = { 0, 0 }
    for _ = 1, 12000 do
      local id, number = q:pop(LONG):match "^(%d) (%d+)$"
      id, number = tonumber(id), tonumber(number)
      assert.equal(last[id] + 1, number)
      last[id] = number
    end
    assert.equal(6000, others[1]:receive())
    assert.equal(6000, others[2]:receive())
    assert.equal(0, #q)
  end)

  it("wakes consumers who sleep", function()
    local q, name = queues.new()
    local others = { queues.user(name), queues.user(name) }
    for _, other in ipairs(others) do
      other:send_to_sleep("q:pop()")
    end
    assert.equal(2, q:push_many { "a", "b" })
    local got = { others[1]:receive(), others[2]:receive() }
    table.sort(got)
    assert.same({ "a", "b" }, got)
  end)

  it("says how many are there when the time is over, also none", function()
    local q = queues.new(64)
    local list = numbers(9)
    for _, timeout in ipairs { 0, -1, -math.huge, 1e-9, 0.02 } do
      assert.same({ 4, "timeout", "timeout" }, { q:push_many(list, timeout) })
      assert.same({ 0, "timeout", "timeout" }, { q:push_many(list, timeout) })
      assert.same({ "1", "2", "3", "4" }, q:drain())
    end
    q:push(("x"):rep(64))
    q:pop()
    assert.same({ 0, "timeout", "timeout" },
      { (function() q:push "x" return q:push_many({ ("y"):rep(64), "z" }, 0) end)() })
    assert.same({ "x" }, q:drain()) -- "z" would have fitted
    for _, timeout in ipairs { 1, 600, 1e300, math.huge } do
      assert.same({ 2 }, { q:push_many({ "a", "b" }, timeout) })
      q:drain()
    end
    for _, timeout in ipairs { 0 / 0, "soon", true, {} } do
      expect.misuse("bad argument", q.push_many, q, { "x" }, timeout)
    end
    assert.equal(0, #q)
  end)

  it("says how many are there when the queue is shut", function()
    local q, name = queues.new(64)
    local other = queues.user(name)
    other:send_to_sleep("q:push_many { '1', '2', '3', '4', '5', '6' }")
    q:shutdown()
    assert.same({ 4, "shutdown", "shutdown" }, { other:receive() })
    assert.same({ 0, "shutdown", "shutdown" }, { q:push_many { "x" } })
    assert.same({ "1", "2", "3", "4" }, q:drain())
  end)

  it("says how many are there when a signal of shmseg.signals comes", function()
    local q, name = queues.new(64)
    local other = queues.user(name)
    other:call "stop = shmseg.signals 'TERM'"
    other:send_to_sleep("q:push_many { '1', '2', '3', '4', '5', '6' }")
    other:signal "TERM"
    assert.same({ 4, "interrupted", "interrupted" }, { other:receive() })
    assert.same({ 0, "interrupted", "interrupted" }, { other:call "return q:push_many { 'x' }" })
    q:drain()
    assert.same({ 4, "interrupted", "interrupted" },
      { other:call "return q:push_many { '1', '2', '3', '4', '5' }" })
    assert.equal("TERM", other:call "return stop:wait(0)")
    assert.equal(4, #q)
  end)

  it("says how many are there when a peer has cut the queue #hole", function()
    local q, name = queues.new(64)
    local other = queues.user(name)
    other:send_to_sleep("q:push_many { '1', '2', '3', '4', '5', '6' }")
    assert(io.open(scratch.objects .. name, "w")):close()
    local count, message, code = other:receive()
    assert.same({ 4, "truncated" }, { count, code })
    assert.truthy(message:find(('queue "%s"'):format(name), 1, true), message)
    assert.same({ 0, "truncated" }, { (q:push_many { "x" }), (select(3, q:push_many { "x" })) })
  end)

  it("ends at Ctrl-C while it waits", function()
    local q, name = queues.new(64)
    local words = peer.command()
    words[#words + 1] = scratch.file [[
      local q = assert(require "shmseg".queue.open(...))
      io.write "waits\n" io.flush()
      q:push_many { "1", "2", "3", "4", "5", "6" }]]
    words[#words + 1] = name
    local other = process.start(words)
    assert.equal("waits", other:line(), other:stderr())
    other:await_sleep()
    other:signal "INT"
    assert.equal(1, (other:finish()))
    assert.truthy(other:stderr():find "interrupted!", other:stderr())
    assert.same({ "1", "2", "3", "4" }, q:drain())
  end)

  it("is ended by a hook's error while it waits, and by a hook that closes the handle", function()
    local q, name = queues.new(64)
    local again = expect.success(shmseg.queue.open(name))
    local ok, caught =
      queues.while_waiting(function() error "enough" end, q.push_many, q, numbers(6))
    assert.False(ok)
    assert.truthy(caught:find "enough", caught)
    assert.equal(4, #again)
    ok, caught = queues.while_waiting(function() q:close() end, q.push_many, q, numbers(6))
    assert.False(ok)
    assert.truthy(caught:find "closed", caught)
    assert.same({ "1", "2", "3", "4" }, again:drain())
  end)

  it("pushes what was in the list when it began, whatever a hook makes of that", function()
    local q = queues.new(64)
    local list, got = numbers(6), nil
    local ok, count = queues.while_waiting(function()
      for i = 1, 10 do
        list[i] = i % 2 == 0 and "changed" or nil
      end
      collectgarbage()
      got = q:drain()
    end, q.push_many, q, list)
    assert.same({ true, 6 }, { ok, count })
    assert.same({ "1", "2", "3", "4" }, got)
    assert.same({ "5", "6" }, q:drain())
  end)

  it("goes on after a hook that uses the same handle for all it can do", function()
    local q, name = queues.new(64)
    local other = expect.success(shmseg.queue.open(name))
    local first
    local ok, count = queues.while_waiting(function()
      first = { other:pop(0), q:pop(0), (table.unpack or unpack)(q:drain()) }
      q:push(("x"):rep(50))
      first[#first + 1] = q:pop(0)
      first[#first + 1] = q:push_many(numbers(20), 0)
      assert.equal(4, #q:drain(100, 0))
      assert.equal("timeout", select(3, q:pop(0)))
    end, q.push_many, q, { "a", "b", "c", "d", "e", "f", "g" })
    assert.same({ true, 7 }, { ok, count })
    assert.same({ "a", "b", "c", "d", ("x"):rep(50), 4 }, first)
    assert.same({ "e", "f", "g" }, q:drain())
  end)

  it("raises when a hook closes a segment of the list: what was pushed stays", function()
    local q = queues.new(64)
    local seg = expect.success(shmseg.anonymous(8))
    local ok, caught = queues.while_waiting(function() seg:close() end, q.push_many, q,
      { "1", "2", "3", "4", "5", seg })
    assert.False(ok)
    assert.truthy(caught:find "closed", caught)
    assert.same({ "1", "2", "3", "4" }, q:drain())
  end)
end)

describe("push_many checks all before it pushes any:", function()
  after_each(scratch.clean)

  it("wrong values and holes, by the element's number", function()
    local q = queues.new()
    local closed = expect.success(shmseg.anonymous(64))
    closed:close()
    for what, list in pairs {
      ["element 3 of the list: string or segment expected, got boolean"] = { "a", "b", true },
      ["element 2 of the list: string or segment expected, got table"] = { "a", {}, false },
      ["element 1 of the list: string or segment expected, got function"] = { print },
      ["element 4 of the list: string or segment expected, got shmseg.queue"] =
        { "a", "b", "c", q },
      ["element 2 of the list: a closed segment"] = { "a", closed },
      ["element 2 of the list: overlaps the queue"] = { "a", q:segment() },
      ["element 3 of the list: overlaps the queue"] = { "a", "b", q:segment():slice(100, 1) },
      ["element 2 of the list: too large: 257 bytes, the capacity is 256"] =
        { "a", ("x"):rep(257), true },
      ["element 1 of the list: too large: 4096 bytes, the capacity is 256"] =
        { expect.success(shmseg.anonymous(4096)) },
    } do
      expect.misuse({ "bad argument", (what:gsub("%p", "%%%0")) }, q.push_many, q, list)
    end
    local hole = { "a", "b", "c" }
    hole[2] = nil
    if #hole == 3 then -- which border of a list with holes is its length, Lua chooses
      expect.misuse("element 2 of the list: .* got nil", q.push_many, q, hole)
    end
    assert.equal(0, #q)
  end)

  it("a list that is none", function()
    local q = queues.new()
    for _, list in ipairs { "abc", 5, true, print, q, q:segment() } do
      expect.misuse({ "bad argument", "table expected" }, q.push_many, q, list)
    end
    expect.misuse("bad argument", q.push_many, q)
    expect.misuse("bad argument", q.push_many, q, nil, 0)
    assert.equal(0, #q)
  end)

  it("elements alone, by raw access", function()
    local q = queues.new()
    local list = setmetatable({ "a" }, {
      __len = function() return 3 end,
      __index = function() error "indexed" end,
    })
    assert.equal(1, q:push_many(list))
    assert.same({ "a" }, q:drain())
  end)

  it("what the codec makes of them, and its error is the caller's", function()
    local problem = {}
    local q, plain = queues.coded(nil, function(value)
      if value == "raises" then
        error(problem, 0)
      end
      return value == "none" and 5 or type(value) == "table" and value[1] or value .. "!"
    end)
    local ok, caught = pcall(q.push_many, q, { "a", "b", "raises", "c" })
    assert.False(ok)
    assert.equal(problem, caught)
    expect.misuse({ "element 2", "encode gave no string, but a number" }, q.push_many, q,
      { "a", "none" })
    expect.misuse({ "element 2", "70000 bytes" }, q.push_many, q, { "a", { ("x"):rep(70000) } })
    assert.equal(0, #q)
    assert.equal(3, q:push_many { "a", { "b" }, 1 })
    assert.same({ "a!", "b", "1!" }, plain:drain())
  end)

  it("what is in the list then, though encode changes it", function()
    local list = { "a", "b", "c", "d" }
    local q, plain
    q, plain = queues.coded(nil, function(value)
      if value == "b" then
        list[1], list[3], list[4], list[5] = "first", "third", "fourth", "fifth"
      end
      return value
    end)
    assert.equal(4, q:push_many(list))
    assert.same({ "a", "b", "third", "fourth" }, plain:drain())
    list = { "a", "b", "c" }
    q, plain = queues.coded(nil, function(value)
      list[3] = nil
      return value
    end)
    expect.misuse("encode gave no string, but a nil", q.push_many, q, list)
    assert.equal(0, #plain)
  end)

  it("and raises when encode has closed the handle", function()
    local q, plain
    q, plain = queues.coded(nil, function(value)
      if value == "b" then
        q:close()
      end
      return value
    end)
    expect.misuse("closed", q.push_many, q, { "a", "b", "c" })
    assert.equal(0, #plain)
  end)

  it("but not whether a segment was cut: that fails, and nothing is pushed #hole", function()
    local q = queues.new(2 ^ 16)
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 8192))
    assert(io.open(scratch.objects .. name, "w")):close()
    local count, message, code = q:push_many { "a", seg, "b" }
    assert.same({ 0, "truncated" }, { count, code })
    assert.truthy(message:find(name, 1, true), message)
    assert.equal(0, #q)
    assert.equal(2, q:push_many { "a", "b" })
    assert.same({ "a", "b" }, q:drain())
  end)
end)
