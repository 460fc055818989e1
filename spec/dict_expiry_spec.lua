-- SPDX-License-Identifier: MIT
-- shmseg.dict: times to live. exptime, ttl, expire, flush_all and flush_expired.

local shmseg = require "shmseg"
local dicts = require "spec.support.dicts"
local expect = require "spec.support.expect"
local scratch = require "spec.support.scratch"

local answers = dicts.answers
local NAN = 0 / 0

-- The time to live is that, less what has passed since.
local function lives(d, key, seconds)
  local ttl = d:ttl(key)
  assert.True(ttl > seconds - 50 and ttl <= seconds, ttl)
end

describe("exptime", function()
  after_each(scratch.clean)

  -- Each way to store with an exptime, after which the key is `key`.
  local ways = {
    set = function(d, exptime) return d:set("key", 1, exptime) end,
    safe_set = function(d, exptime) return d:safe_set("key", 1, exptime) end,
    add = function(d, exptime) d:delete "key" return d:add("key", 1, exptime) end,
    safe_add = function(d, exptime) d:delete "key" return d:safe_add("key", 1, exptime) end,
    replace = function(d, exptime) d:set("key", 0) return d:replace("key", 1, exptime) end,
    cas = function(d, exptime) d:set("key", 0) return d:cas("key", 0, 1, exptime) end,
    update = function(d, exptime)
      d:set("key", 0)
      return d:update("key", function() return 1 end, exptime)
    end,
  }

  for way, store in pairs(ways) do
    it("of " .. way .. " is seconds, and 0 is never", function()
      local d = dicts.new()
      for _, never in ipairs { 0, dicts.negative_zero, 1 / 0, false } do
        assert.truthy((store(d, never)))
        answers({ d, "ttl", "key" }, 0)
      end
      assert.truthy((store(d, nil)))
      answers({ d, "ttl", "key" }, 0)
      for _, seconds in ipairs { 100, 100.5, 2 ^ 31, 1e9, 1e11 } do
        assert.truthy((store(d, seconds)))
        lives(d, "key", seconds)
      end
      assert.truthy((store(d, "100")))
      lives(d, "key", 100)
      assert.truthy((store(d, "0")))
      answers({ d, "ttl", "key" }, 0)
    end)

    it("of " .. way .. " below a millisecond counts as one", function()
      local d = dicts.new()
      for _, exptime in ipairs { 1e-9, 0.0005, 0.001, 0.0015, "0.0001", 2 ^ -1074 } do
        assert.truthy((store(d, exptime)))
        dicts.let_expire()
        answers({ d, "get", "key" }, nil)
      end
    end)

    it("of " .. way .. " is raised for when it is negative, NaN or no number", function()
      local d = dicts.new()
      d:set("key", 0)
      for _, exptime in ipairs { -1, -0.0001, -1 / 0, "-1" } do
        expect.misuse('bad "exptime" argument', store, d, exptime)
      end
      for _, exptime in ipairs { NAN, "x", "", true, {}, print } do
        expect.misuse("", store, d, exptime)
      end
      local value = d:get "key"
      assert.True(value == 0 or value == nil and way:find "add" ~= nil)
    end)
  end

  it("may be far beyond what a clock will ever show", function()
    local d = dicts.new()
    for _, seconds in ipairs { 1e15, 1e17, 1e300 } do
      answers({ d, "set", "key", 1, seconds }, true, nil, false)
      answers({ d, "get", "key" }, 1)
      answers({ d, "expire", "key", seconds }, true)
      local ttl = d:ttl "key"
      assert.True(ttl == 0 or ttl > 1e12)
    end
  end)
end)

describe("ttl", function()
  after_each(scratch.clean)

  it("is 0 without an expiry, and else what is left, in milliseconds as a fraction", function()
    local d = dicts.new()
    d:set("forever", 1)
    answers({ d, "ttl", "forever" }, 0)
    d:set("timed", 1, 100)
    lives(d, "timed", 100)
    local ttl = d:ttl "timed" * 1000
    assert.True(math.abs(ttl - math.floor(ttl + 0.5)) < 1e-6)
    answers({ d, "ttl", "absent" }, nil, "not found")
    assert.equal(1, select("#", d:ttl "timed"))
  end)

  it("is negative for what has expired and is still there, never 0", function()
    local d = dicts.new()
    d:set("short", 1, 0.001)
    repeat
      local ttl = d:ttl "short"
      assert.not_equal(0, ttl)
      assert.True(ttl <= 0.001)
    until ttl < -0.008
    answers({ d, "get", "short" }, nil)
    assert.equal(1, d:flush_expired())
    answers({ d, "ttl", "short" }, nil, "not found")
  end)

  it("is minus the time since the flush for what was flushed", function()
    local d = dicts.new()
    d:set("forever", 1)
    d:set("timed", 1, 1000)
    d:flush_all()
    shmseg.sleep(0.002)
    for _, key in ipairs { "forever", "timed" } do
      local ttl = d:ttl(key)
      assert.True(ttl < 0 and ttl > -50, ttl)
    end
  end)

  it("uses nothing and changes nothing", function()
    local d, name = dicts.new()
    d:set("key", 1, 100, 3)
    local reader = expect.success(shmseg.dict.open(name, "r"))
    lives(reader, "key", 100)
    answers({ d, "get", "key" }, 1, 3)
  end)
end)

describe("expire", function()
  after_each(scratch.clean)

  it("gives another time to live, and value and flags stay", function()
    local d = dicts.new()
    d:set("key", "value", 0, 7)
    for _, seconds in ipairs { 100, 5000, 60.5, 1e9 } do
      answers({ d, "expire", "key", seconds }, true)
      lives(d, "key", seconds)
      answers({ d, "get", "key" }, "value", 7)
    end
    answers({ d, "expire", "key", "200" }, true)
    lives(d, "key", 200)
    answers({ d, "expire", "absent", 100 }, nil, "not found")
  end)

  it("to 0 or infinity is never", function()
    local d = dicts.new()
    for _, never in ipairs { 0, dicts.negative_zero, 1 / 0, "0" } do
      d:set("key", 1, 100)
      answers({ d, "expire", "key", never }, true)
      answers({ d, "ttl", "key" }, 0)
    end
  end)

  it("to less than a millisecond is one", function()
    local d = dicts.new()
    for _, exptime in ipairs { 1e-9, 0.0009, 0.001 } do
      d:set("key", 1)
      answers({ d, "expire", "key", exptime }, true)
      dicts.let_expire()
      answers({ d, "get", "key" }, nil)
    end
  end)

  it("raises for nil, a negative one, NaN and no number, before it looks at the key", function()
    local d = dicts.new()
    d:set("key", 1)
    for _, key in ipairs { "key", "absent", "" } do
      expect.misuse('bad "exptime" argument', d.expire, d, key)
      for _, exptime in ipairs { false, -1, -0.0001, -1 / 0, "-1" } do
        expect.misuse('bad "exptime" argument', d.expire, d, key, exptime)
      end
      for _, exptime in ipairs { NAN, "x", true, {} } do
        expect.misuse("", d.expire, d, key, exptime)
      end
    end
    expect.misuse('bad "exptime" argument', d.expire, d, nil, nil)
    answers({ d, "ttl", "key" }, 0)
  end)

  it("revives what has expired and is still there, with value and flags", function()
    local d = dicts.new()
    d:set("key", "value", 0.001, 7)
    dicts.let_expire()
    answers({ d, "get", "key" }, nil)
    answers({ d, "expire", "key", 100 }, true)
    answers({ d, "get", "key" }, "value", 7)
    lives(d, "key", 100)
    d:expire("key", 0.001)
    dicts.let_expire()
    answers({ d, "expire", "key", 0 }, true)
    answers({ d, "get", "key" }, "value", 7)
    answers({ d, "ttl", "key" }, 0)
  end)
end)

describe("flush_all", function()
  after_each(scratch.clean)

  it("makes everything count as expired, whose values stay for get_stale and expire", function()
    local d = dicts.new()
    d:set("value", "v", 0, 7)
    d:set("timed", "t", 1000)
    d:rpush("list", 1)
    answers({ d, "flush_all" }, true)
    for _, key in ipairs { "value", "timed", "list" } do
      answers({ d, "get", key }, nil)
      assert.True(d:ttl(key) < 0)
    end
    answers({ d, "llen", "list" }, 0)
    assert.same({}, d:get_keys())
    assert.equal(0, #d)
    answers({ d, "get_stale", "value" }, "v", 7, true)
    answers({ d, "get_stale", "timed" }, "t", nil, true)
    answers({ d, "expire", "timed", 50 }, true)
    answers({ d, "get", "timed" }, "t")
    lives(d, "timed", 50)
    assert.same({ "timed" }, d:get_keys())
    answers({ d, "get", "value" }, nil)
  end)

  it("flushes again, also within one millisecond", function()
    local d = dicts.new()
    for i = 1, 20 do
      d:set("key", i)
      answers({ d, "get", "key" }, i)
      answers({ d, "flush_all" }, true)
      answers({ d, "get", "key" }, nil)
      answers({ d, "add", "key", -i }, true, nil, false)
      answers({ d, "flush_all" }, true)
    end
    answers({ d, "flush_all" }, true)
    answers({ d, "get", "key" }, nil)
  end)

  it("leaves what is stored afterwards, by everybody", function()
    local d, name = dicts.new()
    local other = dicts.user(name)
    d:set("before", 1)
    other:call "assert(d:flush_all()) assert(d:set('after', 2))"
    answers({ d, "get", "before" }, nil)
    answers({ d, "get", "after" }, 2)
    answers({ d, "incr", "before", 1 }, nil, "not found")
    assert.same({ "after" }, d:get_keys())
  end)
end)

describe("flush_expired", function()
  after_each(scratch.clean)

  local function with_expired(count)
    local d = dicts.new()
    for i = 1, count do
      d:set("short " .. i, i, 0.001)
    end
    d:set("live", 1)
    d:set("timed", 1, 1000)
    dicts.let_expire()
    return d
  end

  it("frees what has expired, and says how many", function()
    local d = with_expired(9)
    answers({ d, "flush_expired" }, 9)
    answers({ d, "flush_expired" }, 0)
    for i = 1, 9 do
      answers({ d, "get_stale", "short " .. i }, nil)
    end
    assert.same({ "live", "timed" }, dicts.keys(d))
  end)

  it("frees at most as many as it is told, and all for 0 and less", function()
    local d = with_expired(9)
    answers({ d, "flush_expired", 2 }, 2)
    answers({ d, "flush_expired", 1.9 }, 1)
    answers({ d, "flush_expired", "2" }, 2)
    answers({ d, "flush_expired", 100, "more" }, 4)
    for _, all in ipairs { 0, -1, -0.5, 0.5, false } do
      d = with_expired(3)
      answers({ d, "flush_expired", all or nil, n = 3 }, 3)
    end
    for _, max in ipairs { "x", true, {}, print } do
      expect.misuse("bad argument #2", d.flush_expired, d, max)
    end
  end)

  it("frees what was flushed, and gives the memory back", function()
    local d = dicts.new()
    local free = d:free_space()
    for i = 1, 20 do
      d:set("key " .. i, ("x"):rep(50 * i))
    end
    d:rpush("list", "element")
    d:flush_all()
    d:set("live", 1)
    answers({ d, "flush_expired" }, 21)
    d:delete "live"
    assert.equal(free, d:free_space())
  end)
end)
