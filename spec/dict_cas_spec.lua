-- SPDX-License-Identifier: MIT
-- shmseg.dict: cas, update and wait.

local dicts = require "spec.support.dicts"
local expect = require "spec.support.expect"
local scratch = require "spec.support.scratch"

local answers = dicts.answers
local LONG = 60 -- seconds: a guard against hanging, never a measure

describe("cas", function()
  after_each(scratch.clean)

  it("stores in the place of what is expected, and else gives what is there", function()
    local d = dicts.new()
    for _, old in ipairs { 1, 0.5, "text", "", true, false } do
      d:set("key", old)
      answers({ d, "cas", "key", "something else", "new" }, false, old)
      answers({ d, "cas", "key", nil, "new" }, false, old)
      answers({ d, "get", "key" }, old)
      answers({ d, "cas", "key", old, "new" }, true)
      answers({ d, "get", "key" }, "new")
    end
  end)

  it("expects nothing to be there for nil, and what has expired is not there", function()
    local d = dicts.new()
    answers({ d, "cas", "key", nil, 1 }, true)
    answers({ d, "get", "key" }, 1)
    answers({ d, "cas", "absent", 1, 2 }, false, nil)
    d:set("key", 1, 0.001)
    dicts.let_expire()
    answers({ d, "cas", "key", 1, 2 }, false, nil)
    answers({ d, "cas", "key", nil, 3 }, true)
    d:flush_all()
    answers({ d, "cas", "key", 3, 4 }, false, nil)
    answers({ d, "cas", "key", nil, 5 }, true)
    answers({ d, "get", "key" }, 5)
  end)

  it("compares as == does: numbers by value, and never types with each other", function()
    local d = dicts.new()
    d:set("one", 1)
    answers({ d, "cas", "one", "1", 2 }, false, 1)
    answers({ d, "cas", "one", true, 2 }, false, 1)
    answers({ d, "cas", "one", 1 + 0.0, 2 }, true)
    d:set("zero", 0)
    answers({ d, "cas", "zero", dicts.negative_zero, 2 }, true)
    d:set("nan", 0 / 0)
    assert.False((d:cas("nan", 0 / 0, 2)))
    d:set("text", "1")
    answers({ d, "cas", "text", 1, 2 }, false, "1")
    d:set("no", false)
    answers({ d, "cas", "no", nil, 2 }, false, false)
  end)

  it("sets flags and expiry as set does, and deletes for nil", function()
    local d = dicts.new()
    d:set("key", 1, 100, 7)
    answers({ d, "cas", "key", 1, 2 }, true)
    answers({ d, "get", "key" }, 2)
    answers({ d, "ttl", "key" }, 0)
    answers({ d, "cas", "key", 2, 3, 100, 5 }, true)
    answers({ d, "get", "key" }, 3, 5)
    assert.True(d:ttl "key" > 90)
    answers({ d, "cas", "key", 4, nil, n = 5 }, false, 3)
    answers({ d, "cas", "key", 3, nil, n = 5 }, true)
    answers({ d, "get_stale", "key" }, nil)
  end)

  it("takes what set takes", function()
    local d = dicts.new()
    answers({ d, "cas", nil, 1, 2, n = 5 }, nil, "nil key")
    answers({ d, "cas", "", 1, 2 }, nil, "empty key")
    answers({ d, "cas", "key", nil, {} }, nil, "bad value type")
    expect.misuse("bad argument #2", d.cas, d, {}, 1, 2)
    expect.misuse('bad "exptime" argument', d.cas, d, "key", nil, 2, -1)
    assert.same({}, d:get_keys())
  end)

  it("lets one of several processes be the first", function()
    local d, name = dicts.new { capacity = 2 ^ 19 }
    local others = { dicts.user(name), dicts.user(name) }
    for i, other in ipairs(others) do
      other:send([[
        report "there"
        local number, won = ..., 0
        d:wait("go", nil)
        for i = 1, 3000 do
          won = won + (d:cas("key " .. i, nil, number) and 1 or 0)
        end
        return won]], i)
      assert.equal("there", other:receive())
    end
    d:set("go", true)
    local won = others[1]:receive() + others[2]:receive()
    assert.equal(3000, won)
  end)

  it("that expects and stores nothing tells what is there, whoever comes between", function()
    local d, name = dicts.new()
    local other = dicts.user(name)
    other:send([[
      report "there"
      while d:get "end" == nil do
        d:set("key", 1)
        d:delete "key"
      end]])
    assert.equal("there", other:receive())
    for _ = 1, 100000 do
      local done, word = d:cas("key", nil, nil)
      if done == nil then
        error(word)
      end
    end
    d:set("end", true)
    other:receive()
  end)

  it("loses no change among several processes", function()
    local d, name = dicts.new()
    local add = [[
      for _ = 1, 1000 do
        local old = d:get "n"
        repeat
          local took, actual = d:cas("n", old, (old or 0) + 1)
          old = actual
        until took
      end]]
    local others = { dicts.user(name), dicts.user(name) }
    for _, other in ipairs(others) do
      other:send(add)
    end
    for _, other in ipairs(others) do
      other:receive()
    end
    answers({ d, "get", "n" }, 2000)
  end)
end)

describe("update", function()
  after_each(scratch.clean)

  it("stores what the function makes of what is there, and gives it", function()
    local d = dicts.new()
    local seen = dicts.results()
    local function into(value)
      return function(...)
        seen = dicts.results(...)
        return value
      end
    end
    answers({ d, "update", "key", into "first" }, "first")
    assert.same({ n = 1 }, seen)
    for _, value in ipairs { 2, "other", true, false, ("long"):rep(2000), 0.5 } do
      local old = d:get "key"
      answers({ d, "update", "key", into(value) }, value)
      assert.same({ n = 1, old }, seen)
      answers({ d, "get", "key" }, value)
    end
    answers({ d, "update", "key", into(nil) }, nil)
    answers({ d, "get_stale", "key" }, nil)
    answers({ d, "update", "key", into(nil) }, nil)
    assert.same({}, d:get_keys())
  end)

  it("keeps expiry and flags, or sets them", function()
    local d = dicts.new()
    local function same(value) return value end
    local function longer(value) return value .. "longer" end
    d:set("key", "value", 100, 7)
    answers({ d, "update", "key", same }, "value")
    answers({ d, "get", "key" }, "value", 7)
    answers({ d, "update", "key", longer }, "valuelonger")
    answers({ d, "get", "key" }, "valuelonger", 7)
    local ttl = d:ttl "key"
    assert.True(ttl > 90 and ttl <= 100)
    answers({ d, "update", "key", same, 1000, 3 }, "valuelonger")
    answers({ d, "get", "key" }, "valuelonger", 3)
    assert.True(d:ttl "key" > 900)
    answers({ d, "update", "key", same, 0, 0 }, "valuelonger")
    answers({ d, "get", "key" }, "valuelonger")
    answers({ d, "ttl", "key" }, 0)
  end)

  it("begins with nothing where a value has expired", function()
    local d = dicts.new()
    d:set("key", "value", 0.001, 7)
    dicts.let_expire()
    answers({ d, "update", "key", function(old) return tostring(old) end }, "nil")
    answers({ d, "get", "key" }, "nil")
    answers({ d, "ttl", "key" }, 0)
  end)

  it("changes nothing when the function raises, or gives what cannot be stored", function()
    local d = dicts.new()
    d:set("key", "value", 100, 7)
    local message = expect.misuse("mine", d.update, d, "key", function() error "mine" end)
    assert.truthy(message:find "mine")
    local thrown = {}
    local ok, caught = pcall(d.update, d, "key", function() error(thrown) end)
    assert.False(ok)
    assert.equal(thrown, caught)
    answers({ d, "update", "key", function() return {} end }, nil, "bad value type")
    expect.misuse("bad argument #2 to 'update'", d.update, d, "key")
    expect.misuse("bad argument #2 to 'update'", d.update, d, "key", "text")
    answers({ d, "update", "", print }, nil, "empty key")
    answers({ d, "get", "key" }, "value", 7)
  end)

  it("raises when the function writes the same key, by any method", function()
    local d, name = dicts.new()
    local again = expect.success(require "shmseg".dict.open(name))
    for _, write in ipairs {
      function() return d:set("key", 1) end, function() return d:delete "key" end,
      function() return d:incr("key", 1) end, function() return d:expire("key", 1) end,
      function() return d:rpush("key", 1) end,
      function() return d:update("key", function() return 1 end) end,
    } do
      d:set("key", 5)
      expect.misuse("update", d.update, d, "key", function() return assert((write())) end)
      answers({ d, "get", "key" }, 5)
    end
    answers({ d, "update", "key", function(old) -- others may be written
      assert(d:set("other", 1))
      assert(again:get "key" == old)
      return old + 1
    end }, 6)
    answers({ d, "set", "key", 7 }, true, nil, false) -- and the same one afterwards
  end)

  it("leaves the key to be written when a hook raises, at any of its instructions", function()
    local d = dicts.new()
    local function add(old)
      return (old or 0) + 1
    end
    dicts.interrupt_each_instruction(function()
      d:update(("key"):rep(20), add)
    end, function()
      answers({ d, "set", ("key"):rep(20), 7 }, true, nil, false)
    end)
  end)

  it("is called again when somebody was faster", function()
    local d, name = dicts.new()
    local other = dicts.user(name)
    local calls = 0
    d:set("key", "a")
    answers({ d, "update", "key", function(old)
      calls = calls + 1
      if calls == 1 then
        other:call "d:set('key', 'b')"
      elseif calls == 2 then
        other:call "d:set('key', 'c') d:set('key', 'b')" -- changed, and came back
      elseif calls == 3 then
        other:call "d:flush_all()"
      elseif calls == 4 then
        other:call "d:set('unrelated', 'x')"
      end
      return tostring(old) .. calls
    end }, "nil4")
    assert.equal(4, calls)
    answers({ d, "get", "key" }, "nil4")
  end)

  it("may yield in its function, and another coroutine may write the key meanwhile", function()
    if _VERSION == "Lua 5.1" and not jit then
      return -- no pcall can be yielded across
    end
    local d = dicts.new()
    local task = coroutine.wrap(function()
      return d:update("key", function(old) return coroutine.yield(old) end)
    end)
    assert.is_nil(task())
    d:set("key", "theirs")
    assert.equal("theirs", task "too late")
    answers({ d, "get", "key" }, "theirs")
    assert.equal("in time", task "in time")
    answers({ d, "get", "key" }, "in time")
  end)

  it("loses no change among several processes", function()
    local d, name = dicts.new()
    local others = { dicts.user(name), dicts.user(name) }
    for i, other in ipairs(others) do
      other:send([[
        local letter = ...
        for _ = 1, 300 do
          assert(d:update("text", function(old) return (old or "") .. letter end))
        end]], i == 1 and "a" or "b")
    end
    for _, other in ipairs(others) do
      other:receive()
    end
    local text = d:get "text"
    assert.equal(300, select(2, text:gsub("a", "")))
    assert.equal(600, #text)
  end)
end)

describe("wait", function()
  after_each(scratch.clean)

  it("gives at once what differs from what was seen", function()
    local d = dicts.new()
    for _, value in ipairs { 1, "text", true, false, 0.5 } do
      d:set("key", value, 0, 7)
      answers({ d, "wait", "key", nil, LONG, n = 5 }, value)
      answers({ d, "wait", "key", "other", LONG }, value)
      answers({ d, "wait", "key", value, 0 }, nil, "timeout")
      answers({ d, "wait", "key", value, 0.005 }, nil, "timeout")
    end
    d:set("key", 1)
    answers({ d, "wait", "key", 1 + 0.0, 0 }, nil, "timeout")
    answers({ d, "wait", "key", "1", 0 }, 1)
    answers({ d, "wait", "absent", 1, LONG }, nil)
    answers({ d, "wait", "absent", nil, 0, n = 5 }, nil, "timeout")
  end)

  it("takes timeouts as every call does", function()
    local d = dicts.new()
    for _, timeout in ipairs { 0 / 0, "soon", true, {} } do
      expect.misuse("bad argument", d.wait, d, "key", nil, timeout)
    end
    for _, timeout in ipairs { 0, -1, -math.huge, 1e-9, 0.001 } do
      answers({ d, "wait", "key", nil, timeout, n = 5 }, nil, "timeout")
    end
    answers({ d, "wait", nil, nil, 0, n = 5 }, nil, "nil key")
    answers({ d, "wait", "", nil, 0, n = 5 }, nil, "empty key")
  end)

  it("wakes at each way to change the value", function()
    local d, name = dicts.new()
    local other = dicts.user(name)
    for _, case in ipairs {
      { function() d:set("key", 2) end, 2 },
      { function() d:set("key", "text") end, "text" },
      { function() d:replace("key", true) end, true },
      { function() d:incr("key", 1) end, 2 },
      { function() d:cas("key", 1, 5) end, 5 },
      { function() d:update("key", function(old) return old + 6 end) end, 7 },
      { function() d:set_many { key = 8 } end, 8 },
      { function() d:delete "key" end, nil },
      { function() d:flush_all() end, nil },
    } do
      d:set("key", 1)
      other:send_to_sleep "d:wait('key', 1)"
      case[1]()
      assert.equal(case[2], other:receive())
    end
    d:delete "key"
    for _, make in ipairs {
      function() d:set("key", 1) end, function() d:add("key", 1) end,
      function() d:incr("key", 1, 0) end,
    } do
      other:send_to_sleep "d:wait('key', nil, 60)"
      make()
      assert.equal(1, other:receive())
      d:delete "key"
    end
  end)

  it("sleeps on when other keys change, and when the same value comes again", function()
    local d, name = dicts.new { capacity = 16384 }
    local other = dicts.user(name)
    d:set("key", 1)
    other:send_to_sleep "d:wait('key', 1)"
    for i = 1, 100 do
      d:set("other " .. i, i)
      d:set("key", 1)
    end
    d:expire("key", 1000)
    d:set("key", "now")
    assert.equal("now", other:receive())
  end)

  it("ends when the value expires, though nobody wakes it", function()
    local d, name = dicts.new()
    local other = dicts.user(name)
    d:set("key", 1, 0.03)
    other:send "return d:wait('key', 1)"
    assert.is_nil(other:receive())
  end)

  it("polls through a handle that only reads", function()
    local d, name = dicts.new()
    local other = require "spec.support.peer".start()
    other:call("d = assert(shmseg.dict.open(..., 'r'))", name)
    d:set("key", 1)
    other:send_to_sleep "d:wait('key', 1)"
    d:set("key", 2)
    assert.equal(2, other:receive())
  end)

  it("says that a list came", function()
    local d, name = dicts.new()
    local other = dicts.user(name)
    other:send_to_sleep "d:wait('key', nil)"
    d:rpush("key", 1)
    local value, why = other:receive()
    assert.is_nil(value)
    assert.equal("value is a list", why)
  end)
end)
