-- SPDX-License-Identifier: MIT
-- Queues where memory runs out, finalizers run in the midst of a call, or processes fork.

local peer = require "spec.support.peer"
local queues = require "spec.support.queues"
local scratch = require "spec.support.scratch"

describe("a finalizer in the midst of another call", function()
  after_each(scratch.clean)

  -- What takes messages, as a list; a ledger of numbered ones; and a collector that never rests.
  local prelude = [[
    local how, action = ...
    local finalizer = require "spec.support.finalizer"
    require "spec.support.collector"("pause", 100)
    require "spec.support.collector"("stepmul", 1000)
    local function scrap() return (assert(shmseg.anonymous(4096))) end
    local ways = {
      pop = function(q) return { (q:pop(0)) } end,
      drain = function(q) return q:drain() end,
      ["drain(max, timeout)"] = function(q) return q:drain(7, 0) or {} end,
      pop_into = function(q, seg)
        local count = q:pop_into(seg, 0, 0)
        return { count and seg:read(0, count) }
      end,
    }
    local seen = {}
    local function count()
      local n = 0
      for _ in pairs(seen) do n = n + 1 end
      return n
    end
    local function got(list)
      for _, message in ipairs(list) do
        local number, body = message:match "^(%d+) (%a*)$"
        number = assert(tonumber(number), "garbage")
        assert(not seen[number], "twice")
        assert(body == string.char(97 + number % 26):rep(#body), "mixed up")
        seen[number] = true
      end
    end
    local pushed = 0
    local function message(number, size)
      return number .. " " .. string.char(97 + number % 26):rep(size or number * 37 % 390)
    end
    local function push(q, size)
      pushed = pushed + 1
      q:push(message(pushed, size))
    end
    local extra = 0
    function ways.push_many(q) -- goes through private memory, too
      -- numbers of its own: a finalizer may run between any two steps of what pushes others
      local list = {}
      for i = 1, 30 do list[i] = message(1000000 + extra + i, i) end
      extra = extra + q:push_many(list, 0)
      return {}
    end
    local seg = assert(shmseg.anonymous(8192)) -- messages wrap all the time
    local take, scraps = ways[how], { scrap(), scrap() }
    ]]

  local ways = { "pop", "drain", "drain(max, timeout)", "pop_into" }

  -- Takes messages, while a finalizer takes or pushes some in the midst of a call.
  local chunk = [[
    local q = assert(shmseg.queue.open(seg, "c"))
    local armed, inside, wrong, springs = false, false, nil, 0
    local function spring()
      armed = false
      springs = springs + (inside and 1 or 0)
      local ok, message = pcall(function() got(ways[action](q, scraps[2])) end)
      wrong = wrong or not ok and message
    end
    for round = 1, 200 do
      if not armed then
        armed = true
        finalizer(spring)
      end
      for _ = 1, 20 do push(q, round % 2 == 0 and 300) end
      while #q > 0 do
        inside = true
        local list = take(q, scraps[1])
        inside = false
        got(list)
      end
    end
    return springs, wrong, pushed + extra, count()]]

  for _, how in ipairs(ways) do
    it("that takes or pushes messages gets none that " .. how .. " gives", function()
      local other, sum, tries = peer.start(), 0, 0
      -- Where the collector works is chance: a try may have no finalizer in the midst of a call.
      while sum == 0 and tries < (how == "pop_into" and 1 or 50) do
        tries = tries + 1
        for _, action in ipairs { "push_many", (table.unpack or unpack)(ways) } do
          local springs, wrong, pushed, count = other:call(prelude .. chunk, how, action)
          assert.falsy(wrong)
          assert.equal(pushed, count)
          sum = sum + springs
        end
      end
      assert.True(sum > 0 or how == "pop_into")
    end)

    it("may close the handle that " .. how .. " is using: none is given twice or lost", function()
      local closed = peer.start():call(prelude .. [[
        local watcher, closed = assert(shmseg.queue.open(seg, "c")), 0
        for _ = 1, 100 do
          local q = assert(shmseg.queue.open(seg))
          finalizer(function() q:close() end)
          for _ = 1, 20 do push(watcher, 300) end
          while #watcher > 0 do
            local ok, list = pcall(take, q, scraps[1])
            if not ok then
              assert(list:find "closed", list)
              closed = closed + 1
              break
            end
            got(list)
          end
          got(watcher:drain())
          assert(count() == pushed, "lost")
        end
        return closed]], how)
      assert.True(closed > 0 or how:find "drain" ~= nil or how == "pop_into")
    end)
  end
end)

-- What the chunk prints in a host, or pending.
local function host(chunk)
  local lines, reason = queues.host(chunk)
  if not lines then
    pending(reason)
  end
  return lines
end

describe("when memory runs out", function()
  after_each(scratch.clean)

  it("pop takes nothing: the message is the next pop's", function()
    local lines = host [[
      local failures = 0
      for _, size in ipairs { 0, 10, 300, 5000, 20000 } do
        failures = failures + exhaust(function(n)
          q:push(tostring(n):rep(10) .. ("x"):rep(size))
          q:push(tostring(-n))
          collectgarbage() -- or equal strings are there already
        end, function()
          return q:pop(0)
        end, function(n, ok, value)
          local first, second = tostring(n):rep(10) .. ("x"):rep(size), tostring(-n)
          assert(#q == (ok and 1 or 2))
          assert((ok and value or q:pop(0)) == first, size)
          assert(q:pop(0) == second)
          assert(select(2, q:pop(0)) == "timeout")
        end)
        q = assert(shmseg.queue.open(q:segment())) -- with no memory of its own yet
      end
      print(failures > 0)]]
    if lines then
      assert.same({ "true" }, lines)
    end
  end)

  it("drain takes nothing: all are the next drain's, with and without a timeout", function()
    local lines = host [[
      local failures = 0
      for _, size in ipairs { 0, 300 } do
        for _, timeout in ipairs { false, 0 } do
          failures = failures + exhaust(function(n)
            for i = 1, 20 do q:push(n .. " message " .. i .. (" "):rep(i * size)) end
            collectgarbage() -- or equal strings are there already
          end, function()
            if timeout then return q:drain(100, timeout) end
            return q:drain()
          end, function(n, ok, list)
            assert(#q == (ok and 0 or 20))
            list = ok and list or q:drain()
            assert(#list == 20)
            for i = 1, 20 do
              local message = n .. " message " .. i .. (" "):rep(i * size)
              assert(list[i] == message, ("allocation %d, message %d"):format(n, i))
            end
          end)
        end
        q = assert(shmseg.queue.open(q:segment()))
      end
      print(failures > 20)]]
    if lines then
      assert.same({ "true" }, lines)
    end
  end)

  it("drain through a codec takes what it gives, and nothing when that is nothing", function()
    local lines = host [[
      local codec = { encode = tostring, decode = function(bytes) return { bytes } end }
      local coded = assert(shmseg.queue.open(q:segment(), "rw", { codec = codec }))
      local failures = exhaust(function(n)
        for i = 1, 5 do q:push(n .. "." .. i) end
      end, function()
        return coded:drain()
      end, function(n, ok, list)
        local given = ok and #list or 0
        assert(not ok or given > 0)
        for i = 1, given do
          assert(list[i][1] == n .. "." .. i)
        end
        local left = q:drain()
        assert(#left == 5 - given, n)
        for i, message in ipairs(left) do
          assert(message == n .. "." .. given + i)
        end
      end)
      print(failures > 5)]]
    if lines then
      assert.same({ "true" }, lines)
    end
  end)

  it("pop_into takes nothing, and needs none", function()
    local lines = host [[
      local target = assert(shmseg.anonymous(1000))
      print(exhaust(function(n)
        q:push(("x"):rep(n))
      end, function()
        return q:pop_into(target, 0, 0)
      end, function(n, ok, count)
        assert(ok and count == n)
      end))]]
    if lines then
      assert.same({ "0" }, lines)
    end
  end)

  it("push_many pushes nothing, or says how many", function()
    local lines = host [[
      local seg = assert(shmseg.anonymous(4096))
      local small = assert(shmseg.queue.open(seg, "c", { capacity = 64 }))
      local slice = assert(shmseg.anonymous(64)):slice(0, 8)
      local failures = 0
      for _, each in ipairs {
        { q, { "a", 1, slice, ("d"):rep(1000), 2.5 }, 5 },
        { small, { "1", "2", "3", "4", slice, "6" }, 4, ("t"):byte() },
      } do
        local queue, list, most, why = (table.unpack or unpack)(each)
        failures = failures + exhaust(function(n)
          list[2] = n -- becomes a string
          assert(#queue == 0)
          collectgarbage() -- also the word "timeout", which must not be one of the chunk's
          collectgarbage()
        end, function()
          return queue:push_many(list, 0)
        end, function(n, ok, count, message, code)
          assert(#queue == (ok and count or 0), "told wrongly at allocation " .. n)
          assert(not ok or count == most and message == code and (code and code:byte()) == why)
          assert(#queue:drain() == (ok and most or 0))
        end)
        queue:drain()
      end
      print(failures > 3)]]
    if lines then
      assert.same({ "true" }, lines)
    end
  end)

  it("nothing that was shared is lost, and no memory: the host ends with what it began", function()
    local lines = host [[
      local target = assert(shmseg.anonymous(1000))
      local list = { "a", "b", ("c"):rep(3000), target }
      local function use()
        q:push_many(list)
        q:drain(2)
        q:pop(0)
        q:pop_into(target, 0, 0)
      end
      local function size()
        collectgarbage()
        collectgarbage()
        return collectgarbage "count"
      end
      for _ = 1, 20 do use() end
      local before = size()
      for _ = 1, 20 do
        for n = 1, 30 do
          host.fail(n)
          pcall(use)
          host.fail(0)
          q:drain()
        end
      end
      print(size() - before < 8, #q)]]
    if lines then
      assert.same({ "true\t0" }, lines)
    end
  end)
end)

describe("a fork'ed child", function()
  after_each(scratch.clean)

  it("gets the message for which its parent had no memory, and then the parent does not", function()
    local lines = host [[
      q:push(("kept"):rep(1000))
      collectgarbage() -- or an equal string may be there already
      collectgarbage()
      host.fail(1, true)
      local ok = pcall(q.drain, q)
      host.fail(0)
      assert(not ok)
      local child = host.fork()
      if child == 0 then
        host._exit(q:pop(0) == ("kept"):rep(1000) and select(2, q:pop(0)) == "timeout" and 0 or 1)
      end
      print(host.wait(child), (select(2, q:pop(0))))]]
    if lines then
      assert.same({ "0\ttimeout" }, lines)
    end
  end)

  it("is a producer and a consumer of its own", function()
    local lines = host [[
      local child = host.fork()
      if child == 0 then
        for i = 1, 1000 do
          assert(q:push("child " .. i))
        end
        for i = 1, 1000 do
          assert(q:pop(60))
        end
        host._exit(0)
      end
      for i = 1, 1000 do assert(q:push("parent " .. i)) end
      for i = 1, 1000 do assert(q:pop(60)) end
      print(host.wait(child), q:stats().messages)]]
    if lines then
      assert.same({ "0\t0" }, lines)
    end
  end)
end)
