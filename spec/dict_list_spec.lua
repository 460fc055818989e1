-- SPDX-License-Identifier: MIT
-- shmseg.dict: lists. lpush, rpush, lpop, rpop and llen.

local dicts = require "spec.support.dicts"
local expect = require "spec.support.expect"
local scratch = require "spec.support.scratch"

local answers = dicts.answers

-- All elements, which are taken from the left.
local function taken(d, key)
  local all = {}
  for value in function() return d:lpop(key) end do
    all[#all + 1] = value
  end
  return all
end

describe("a list in a dict", function()
  after_each(scratch.clean)

  it("grows on both ends and is taken from both", function()
    local d = dicts.new()
    answers({ d, "rpush", "list", "b" }, 1)
    answers({ d, "rpush", "list", "c" }, 2)
    answers({ d, "lpush", "list", "a" }, 3)
    answers({ d, "llen", "list" }, 3)
    answers({ d, "lpop", "list" }, "a")
    answers({ d, "rpop", "list" }, "c")
    answers({ d, "lpop", "list" }, "b")
    answers({ d, "lpop", "list" }, nil)
    answers({ d, "rpop", "list" }, nil)
  end)

  it("holds strings of every length and numbers, and keeps their types", function()
    local d = dicts.new { capacity = 2 ^ 20 }
    local values = {
      "", "x", "12", "\0\1", ("y"):rep(100), ("z"):rep(10000), 12, -1, 0.5, 1 / 0, -1 / 0, 2 ^ 53,
    }
    for _, push in ipairs { "rpush", "lpush" } do
      for i, value in ipairs(values) do
        answers({ d, push, "list", value }, i)
      end
      for _, value in ipairs(values) do
        answers({ d, push == "rpush" and "lpop" or "rpop", "list" }, value)
      end
    end
    d:rpush("list", 1)
    d:rpush("list", 1 + 0.0)
    local subtype = math.type or type -- luacheck: ignore
    assert.equal(subtype(1), subtype((d:lpop "list")))
    assert.equal(subtype(1 + 0.0), subtype((d:lpop "list")))
    d:rpush("list", dicts.negative_zero)
    assert.equal(-1 / 0, 1 / d:lpop "list")
    assert.equal(1, d:rpush("list", 0 / 0))
    local nan = d:lpop "list"
    assert.not_equal(nan, nan)
  end)

  it("holds many elements in their order", function()
    local d = dicts.new { capacity = 2 ^ 20 }
    for i = 1, 1000 do
      assert.equal(2 * i - 1, d:rpush("list", i))
      assert.equal(2 * i, d:lpush("list", -i))
    end
    for i = 1000, 1, -1 do
      assert.equal(-i, d:lpop "list")
      assert.equal(i, d:rpop "list")
    end
    assert.same({}, d:get_keys())
  end)

  it("takes its key along with the last element, and its memory", function()
    local d = dicts.new()
    local free = d:free_space()
    for _, pop in ipairs { "lpop", "rpop" } do
      d:rpush("list", ("x"):rep(1000))
      answers({ d, pop, "list" }, ("x"):rep(1000))
      assert.same({}, d:get_keys())
      answers({ d, "llen", "list" }, 0)
      answers({ d, "get", "list" }, nil)
      answers({ d, "ttl", "list" }, nil, "not found")
      answers({ d, "add", "list", 1 }, true, nil, false)
      d:delete "list"
      assert.equal(free, d:free_space())
    end
  end)

  it("refuses elements that are neither strings nor numbers, after a look at the key", function()
    local d = dicts.new()
    for _, push in ipairs { "lpush", "rpush" } do
      for _, value in ipairs { true, false, {}, print, io.stdout } do
        answers({ d, push, "list", value }, nil, "bad value type")
        answers({ d, push, "", value }, nil, "empty key")
        answers({ d, push, nil, value }, nil, "nil key")
      end
      answers({ d, push, "list" }, nil, "bad value type")
      answers({ d, push, "list", nil, n = 4 }, nil, "bad value type")
      answers({ d, push, "list", 1, "more" }, push == "lpush" and 1 or 2)
    end
    answers({ d, "lpop", "list", "more" }, 1)
    answers({ d, "llen", "list", "more" }, 1)
  end)

  it("is no value, and a value is no list", function()
    local d = dicts.new()
    for _, value in ipairs { 1, "text", true } do
      d:set("value", value, 0, 3)
      for _, method in ipairs { "lpush", "rpush", "lpop", "rpop", "llen" } do
        answers({ d, method, "value", 1 }, nil, "value not a list")
      end
      answers({ d, "get", "value" }, value, 3)
    end
    d:rpush("list", 1)
    answers({ d, "get", "list" }, nil, "value is a list")
    answers({ d, "get_stale", "list" }, nil, "value is a list")
    answers({ d, "incr", "list", 1 }, nil, "not a number")
    answers({ d, "add", "list", 1 }, false, "exists", false)
    answers({ d, "cas", "list", 1, 2 }, nil, "value is a list")
    answers({ d, "cas", "list", nil, 2 }, nil, "value is a list")
    answers({ d, "update", "list", function() return 1 end }, nil, "value is a list")
    answers({ d, "wait", "list", 1, 0 }, nil, "value is a list")
    answers({ d, "fetch", "list", function() return 1 end }, nil, "value is a list")
    assert.same({}, d:get_many { "list" })
    for key, value in d:pairs "list" do
      assert.same({ "list", { 1 } }, { key, value })
    end
    answers({ d, "llen", "list" }, 1)
  end)

  it("has no expiry at first, and keeps the one it is given when it grows", function()
    local d = dicts.new()
    d:rpush("list", 1)
    answers({ d, "ttl", "list" }, 0)
    answers({ d, "expire", "list", 100 }, true)
    answers({ d, "rpush", "list", 2 }, 2)
    answers({ d, "lpush", "list", 0 }, 3)
    answers({ d, "lpop", "list" }, 0)
    local ttl = d:ttl "list"
    assert.True(ttl > 90 and ttl <= 100)
    answers({ d, "expire", "list", 0 }, true)
    answers({ d, "ttl", "list" }, 0)
  end)

  it("that has expired is none, and a push makes a new one without an expiry", function()
    local d = dicts.new()
    for _, push in ipairs { "lpush", "rpush" } do
      for _, make in ipairs {
        function() d:rpush("key", "old") d:rpush("key", "older") end,
        function() d:set("key", "old", 0, 7) end,
      } do
        for _, finish in ipairs {
          function() d:expire("key", 0.001) dicts.let_expire() end,
          function() d:flush_all() end,
        } do
          d:delete "key"
          make()
          finish()
          answers({ d, "llen", "key" }, 0)
          answers({ d, "lpop", "key" }, nil)
          answers({ d, "rpop", "key" }, nil)
          answers({ d, push, "key", "new" }, 1)
          answers({ d, "ttl", "key" }, 0)
          assert.same({ "new" }, taken(d, "key"))
        end
      end
    end
  end)

  it("that has expired lives again with all its elements when it is given more time", function()
    local d = dicts.new()
    for i = 1, 3 do
      d:rpush("list", i)
    end
    d:expire("list", 0.001)
    dicts.let_expire()
    answers({ d, "llen", "list" }, 0)
    answers({ d, "expire", "list", 100 }, true)
    answers({ d, "llen", "list" }, 3)
    d:flush_all()
    answers({ d, "llen", "list" }, 0)
    answers({ d, "expire", "list", 100 }, true)
    assert.same({ 1, 2, 3 }, taken(d, "list"))
  end)

  it("goes as a whole when its key is set or deleted, and its memory comes back", function()
    local d = dicts.new()
    local free = d:free_space()
    for _, finish in ipairs {
      function() d:set("list", 1) end,
      function() d:replace("list", 1) end,
      function() d:delete "list" end,
      function() d:set("list", nil) end,
      function() d:expire("list", 0.001) dicts.let_expire() d:flush_expired() end,
      function() d:flush_all() d:flush_expired() end,
    } do
      for i = 1, 30 do
        d:rpush("list", ("x"):rep(50 * i))
      end
      assert.True(d:free_space() < free - 50 * 15 * 31)
      finish()
      assert.is_nil(d:lpop "list")
      d:delete "list"
      assert.equal(free, d:free_space())
    end
  end)

  for _, evict in ipairs { "lru", "none" } do
    it("pushes nothing live out of a dict of evict " .. evict, function()
      local d = dicts.new { capacity = 16384, evict = evict }
      local count, format = dicts.fill(d, 20)
      for _, push in ipairs { "lpush", "rpush" } do
        answers({ d, push, "list", ("x"):rep(200) }, nil, "no memory") -- nil, not false
      end
      answers({ d, "llen", "list" }, 0)
      assert.equal(count, #d:get_keys(0))
      for i = 1, 6 do
        d:delete(format:format(i))
      end
      answers({ d, "rpush", "list", "x" }, 1)
      repeat
        local length = d:rpush("list", ("x"):rep(20))
      until not length
      assert.equal("no memory", select(2, d:rpush("list", ("x"):rep(20))))
      assert.equal("x", d:lpop "list")
      assert.equal(count - 6 + 1, #d:get_keys(0))
      for i = 7, count do
        assert.equal(20, #d:get(format:format(i)))
      end
    end)
  end

  it("is refused an element that can never fit, and stays as it was", function()
    local d = dicts.new { capacity = 16384 }
    d:rpush("list", 1)
    answers({ d, "rpush", "list", ("x"):rep(20000) }, nil, "no memory")
    answers({ d, "lpush", "new", ("x"):rep(20000) }, nil, "no memory")
    assert.equal(2, d:stats().refused)
    answers({ d, "llen", "list" }, 1)
    assert.same({ "list" }, d:get_keys())
  end)

  it("makes room for an element of what has expired", function()
    local d = dicts.new { capacity = 16384 }
    local count = dicts.fill(d, 20)
    for i = 1, count do
      d:expire("fill " .. i, 0.001)
    end
    dicts.let_expire()
    answers({ d, "rpush", "list", ("x"):rep(5000) }, 1)
    answers({ d, "rpush", "list", ("y"):rep(5000) }, 2)
    assert.same({ "list" }, d:get_keys())
    assert.equal(0, d:stats().evicted)
  end)

  it("is one list for several processes", function()
    local d, name = dicts.new()
    local other = dicts.user(name)
    other:send [[
      local sum = 0
      while sum < 500 * 501 do
        local value = d:lpop "list"
        if value then sum = sum + value end
      end
      return sum]]
    for i = 1, 500 do
      expect.success(d:rpush("list", i))
      expect.success(d:lpush("list", i))
    end
    assert.equal(500 * 501, other:receive())
    answers({ d, "llen", "list" }, 0)
  end)
end)
