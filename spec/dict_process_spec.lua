-- SPDX-License-Identifier: MIT
-- Dicts between several processes: who reads beside writers, who waits, who is killed at a named
-- step.

local shmseg = require "shmseg"
local dicts = require "spec.support.dicts"
local expect = require "spec.support.expect"
local scratch = require "spec.support.scratch"

local answers = dicts.answers

-- So many peers that have the dict.
local function users(count, name)
  local all = {}
  for i = 1, count do
    all[i] = dicts.user(name)
  end
  return all
end

-- Starts a chunk in the peer, and returns when it is as far as its `report "there"`.
local function send_there(other, chunk, ...)
  other:send(chunk, ...)
  assert.equal("there", other:receive())
end

local function kill(other)
  other:signal "KILL"
  other:finish()
end

describe("pairs and get_keys beside writers", function()
  after_each(scratch.clean)

  for _, capacity in ipairs { 2 ^ 19, 2 ^ 22 } do
    it(("of a dict of %d bytes see each key that stays exactly once"):format(capacity), function()
      local d, name = dicts.new { capacity = capacity, items = 300 }
      for i = 1, 300 do
        d:set("stays " .. i, i)
      end
      d:set("go on", true)
      local others = users(2, name)
      for i, other in ipairs(others) do
        send_there(other, [[
          report "there"
          local number = ...
          while d:get "go on" do
            local i = math.random(300)
            if number == 1 then -- the same values, again and again in other memory
              assert(d:set("stays " .. i, ("%d "):format(i):rep(math.random(200))))
              assert(d:set("stays " .. i, i))
            else
              assert(d:set("comes and goes " .. i, i))
              assert(d:delete("comes and goes " .. math.random(300)))
            end
          end]], i)
      end
      local function once(seen, key)
        assert.is_nil(seen[key])
        seen[key] = true
      end
      local function complete(seen)
        for i = 1, 300 do
          assert.True(seen["stays " .. i], i)
        end
      end
      for _ = 1, 4 do
        local seen = {}
        for key, value in d:pairs "stays " do
          once(seen, key)
          local number = key:match "%d+"
          assert.True(value == tonumber(number) or value:match "^%d+" == number, value)
        end
        complete(seen)
        seen = {}
        for _, key in ipairs(d:get_keys(0)) do
          once(seen, key)
        end
        complete(seen)
      end
      d:delete "go on"
      for _, other in ipairs(others) do
        other:receive()
      end
    end)
  end
end)

describe("a reader beside writers", function()
  after_each(scratch.clean)

  it("never sees a value that is torn, nor one of another key", function()
    local d, name = dicts.new { capacity = 2 ^ 18 }
    local others = users(2, name)
    d:set("go on", true)
    for _, other in ipairs(others) do
      send_there(other, [[
        report "there"
        while d:get "go on" do
          local key, n = math.random(5), math.random(9)
          assert(d:set(key, (key .. "" .. n):rep(math.random(5000))))
        end]])
    end
    local reads, i = 0, 0
    repeat
      i = i + 1
      local key = i % 5 + 1
      local value = d:get(key)
      if value then
        reads = reads + 1
        assert.equal(tostring(key), value:sub(1, 1))
        assert.True(value == value:sub(1, 2):rep(#value / 2))
      end
      if i % 10 == 0 then
        for _, each in pairs(d:get_many { 1, 2, 3, 4, 5 }) do
          assert.True(each == each:sub(1, 2):rep(#each / 2))
        end
      end
    until reads == 800
    d:delete "go on"
    for _, other in ipairs(others) do
      other:receive()
    end
  end)

  it("goes on beside one that is stopped anywhere", function()
    local d, name = dicts.new()
    d:set("key", "value")
    local writer = dicts.user(name)
    send_there(writer, [[
      report "there"
      while true do
        d:set("other", ("x"):rep(math.random(3000)))
        d:rpush("list", "element")
        d:delete "list"
      end]])
    for _ = 1, 10 do
      shmseg.sleep(math.random() / 500)
      writer:signal "STOP"
      answers({ d, "get", "key" }, "value")
      assert.same({ key = "value" }, d:get_many { "key" })
      answers({ d, "ttl", "key" }, 0)
      local other = d:get "other"
      assert.True(other == nil or other == ("x"):rep(#other))
      assert.truthy(d:stats())
      for key in d:pairs "key" do
        assert.equal("key", key)
      end
      writer:signal "CONT"
    end
  end)
end)

describe("a process that is killed", function()
  after_each(scratch.clean)

  it("inside the function of update changes nothing, and holds up nobody", function()
    local d, name = dicts.new()
    d:set("key", "old", 1000, 7)
    local victim = dicts.user(name)
    send_there(victim, [[
      d:update("key", function()
        report "there"
        shmseg.sleep(60)
        return "new"
      end)]])
    answers({ d, "get", "key" }, "old", 7)
    kill(victim)
    answers({ d, "get", "key" }, "old", 7)
    answers({ d, "update", "key", function(old) return old .. "er" end }, "older")
    assert.equal(0, d:stats().repaired)
  end)

  it("inside the function of fetch lets one of those who wait compute", function()
    local d, name = dicts.new()
    local victim = dicts.user(name)
    send_there(victim, [[d:fetch("key", function() report "there" shmseg.sleep(60) end)]])
    local others = users(3, name)
    for _, other in ipairs(others) do
      other:send_to_sleep [[d:fetch("key", function() return "mine" end, { timeout = 60 })]]
    end
    kill(victim)
    local computed = 0
    for _, other in ipairs(others) do
      local value, how = other:receive()
      assert.equal("mine", value)
      assert.True(how == "computed" or how == "hit")
      computed = computed + (how == "computed" and 1 or 0)
    end
    assert.equal(1, computed)
    answers({ d, "get", "key" }, "mine")
  end)

  it("between claim and set gives the claim back", function()
    local d, name = dicts.new()
    local victim, waiter = dicts.user(name), dicts.user(name)
    send_there(victim, "claim = assert(d:claim 'key') report 'there'")
    answers({ d, "claim", "key", 0 }, nil, "timeout")
    waiter:send_to_sleep "d:claim('key', 60) ~= nil"
    kill(victim)
    assert.True(waiter:receive())
    answers({ d, "claim", "key", 0 }, nil, "timeout")
    waiter:stop()
    expect.success(d:claim("key", 0)):cancel()
  end)

  it("with many claims gives all of them back", function()
    local d, name = dicts.new()
    local victim = dicts.user(name)
    local most = victim:call [[
      claims = {}
      repeat
        local claim = d:claim("key " .. #claims, 0)
        claims[#claims + 1] = claim
      until not claim
      return #claims]]
    assert.equal("no memory", select(2, d:claim("key " .. most, 0)))
    kill(victim)
    for i = 0, most do
      expect.success(d:claim("key " .. i, 0)):cancel()
    end
  end)

  it("while it waits leaves the others to be woken", function()
    local d, name = dicts.new()
    local others = users(3, name)
    for _, other in ipairs(others) do
      other:send_to_sleep "d:wait('key', nil)"
    end
    kill(others[1])
    d:set("key", "value")
    assert.equal("value", others[2]:receive())
    assert.equal("value", others[3]:receive())
  end)

  it("in the midst of writing leaves a dict that everybody can write", function()
    local d, name = dicts.new { capacity = 32768 }
    for _ = 1, 5 do
      local victim = dicts.user(name)
      send_there(victim, [[
        report "there"
        while true do
          d:set("key " .. math.random(50), ("x"):rep(math.random(2000)))
          d:rpush("list " .. math.random(3), "element")
          d:lpop("list " .. math.random(3))
          d:incr("n", 1, 0)
          if math.random(100) == 1 then d:flush_all() end
        end]])
      shmseg.sleep(math.random() / 100)
      kill(victim)
      assert.True((d:set("after", ("y"):rep(16000))))
      answers({ d, "get", "after" }, ("y"):rep(16000))
      for i = 1, 50 do
        local value = d:get("key " .. i)
        assert.True(value == nil or value == ("x"):rep(#value))
      end
    end
    for _, key in ipairs(d:get_keys(0)) do
      d:delete(key)
    end
    d:flush_expired()
    assert.equal(32768, d:free_space())
  end)
end)

describe("many processes that want one key", function()
  after_each(scratch.clean)

  it("wait for it, and all of them are woken", function()
    local d, name = dicts.new()
    local others = users(8, name)
    for round = 1, 3 do
      for _, other in ipairs(others) do
        other:send_to_sleep "d:wait('key', d:get 'key')"
      end
      d:set("key", round)
      for _, other in ipairs(others) do
        assert.equal(round, other:receive())
      end
    end
  end)

  it("fetch it, and one computes", function()
    local d, name = dicts.new()
    local others = users(8, name)
    for round = 1, 3 do
      for _, other in ipairs(others) do
        other:send([[
          local key = ...
          report "there"
          return d:fetch(key, function()
            shmseg.sleep(0.02)
            assert(d:incr("calls", 1, 0))
            return "value"
          end, { timeout = 60 })]], "key " .. round)
      end
      local computed = 0
      for _, other in ipairs(others) do
        assert.equal("there", other:receive())
        local value, how = other:receive()
        assert.equal("value", value)
        computed = computed + (how == "computed" and 1 or 0)
      end
      assert.equal(1, computed)
      answers({ d, "get", "calls" }, round)
    end
  end)

  it("are all told that it is empty by the one that has computed", function()
    local d, name = dicts.new()
    local others = users(4, name)
    local claim = dicts.user(name)
    send_there(claim, [[
      return d:fetch("key", function()
        report "there"
        while not d:get "go on" do shmseg.sleep(0.001) end
      end)]])
    for _, other in ipairs(others) do
      other:send_to_sleep "d:fetch('key', function() return 'mine' end, { timeout = 60 })"
    end
    d:set("go on", true)
    table.insert(others, claim)
    for _, other in ipairs(others) do
      local value, why = other:receive()
      assert.same({ nil, "empty" }, { value, why })
    end
  end)

  it("compute by themselves when the one that did has raised an error", function()
    local d, name = dicts.new()
    local others = users(4, name)
    local failing = dicts.user(name)
    send_there(failing, [[
      d:fetch("key", function()
        report "there"
        while not d:get "go on" do shmseg.sleep(0.001) end
        error "mine"
      end)]])
    for i, other in ipairs(others) do
      other:send_to_sleep(("d:fetch('key', function() return %d end, { timeout = 60 })"):format(i))
    end
    d:set("go on", true)
    local ok, message = pcall(failing.receive, failing)
    assert.False(ok)
    assert.truthy(message:find "mine")
    for _, other in ipairs(others) do
      local value, how = other:receive()
      assert.True(value >= 1 and value <= 4)
      assert.True(how == "computed" or how == "hit")
    end
  end)

  it("get the old value meanwhile, if they take one that is stale", function()
    local d, name = dicts.new()
    d:set("key", "old", 0.001)
    dicts.let_expire()
    local slow, quick = dicts.user(name), dicts.user(name)
    send_there(slow, [[
      return d:fetch("key", function()
        report "there"
        while not d:get "go on" do shmseg.sleep(0.001) end
        return "new"
      end, { stale = 100 })]])
    local fetch = [[return d:fetch("key", error, { stale = 100 })]]
    assert.same({ "old", "stale" }, { quick:call(fetch) })
    answers({ d, "fetch", "key", error, { stale = 100 } }, "old", "stale")
    d:set("go on", true)
    assert.same({ "new", "computed" }, { slow:receive() })
    assert.same({ "new", "hit" }, { quick:call(fetch) })
  end)

  it("may write it, or flush all, while one computes: then nothing of that is stored", function()
    local d, name = dicts.new()
    for _, case in ipairs {
      { function() d:set("key", "written") end, "written" },
      { function() d:delete "key" end, nil },
      { function() d:flush_all() end, nil },
    } do
      d:delete "key"
      d:delete "go on"
      local other = dicts.user(name)
      send_there(other, [[
        return d:fetch("key", function()
          report "there"
          while not d:get "go on" do shmseg.sleep(0.001) end
          return "computed before"
        end)]])
      case[1]()
      d:set("go on", true)
      assert.same({ "computed before", "computed" }, { other:receive() })
      answers({ d, "get", "key" }, case[2])
    end
  end)
end)

describe("two fetches that are nested in opposite order", function()
  after_each(scratch.clean)

  it("end, both with their values", function()
    local _, name = dicts.new()
    local first, second = dicts.user(name), dicts.user(name)
    local chunk = [[
      local outer, inner = ...
      return d:fetch(outer, function()
        d:set("in " .. outer, true)
        while not d:get("in " .. inner) do shmseg.sleep(0.001) end
        -- now each has claimed what the other one wants
        local value = assert(d:fetch(inner, function() return "i" end, { timeout = 60 }))
        return "o" .. value
      end)]]
    first:send(chunk, "a", "b")
    second:send(chunk, "b", "a")
    for _, other in ipairs { first, second } do
      local value, how = other:receive()
      assert.True(value == "oi" or value == "i" or value == "ooi", value)
      assert.equal("computed", how)
    end
  end)
end)
