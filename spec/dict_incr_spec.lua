-- SPDX-License-Identifier: MIT
-- shmseg.dict: incr.

local dicts = require "spec.support.dicts"
local expect = require "spec.support.expect"
local scratch = require "spec.support.scratch"

local answers = dicts.answers
local subtype = math.type or function() return "number" end -- luacheck: ignore
local INTEGERS = math.maxinteger ~= nil -- luacheck: ignore

describe("incr", function()
  after_each(scratch.clean)

  it("adds to a number: one result without init, three with it", function()
    local d = dicts.new()
    d:set("n", 5)
    answers({ d, "incr", "n", 3 }, 8)
    answers({ d, "incr", "n", -10 }, -2)
    answers({ d, "incr", "n", 0.5 }, -1.5)
    answers({ d, "incr", "n", 1, 100 }, -0.5, nil, false)
    answers({ d, "incr", "n", 1, false }, 0.5)
    answers({ d, "incr", "n", 1, nil, n = 5 }, 1.5)
    answers({ d, "get", "n" }, 1.5)
  end)

  it("keeps the expiry and the flags of what is there, and ignores init_ttl then", function()
    local d = dicts.new()
    d:set("n", 1, 100, 7)
    local before = d:ttl "n"
    answers({ d, "incr", "n", 1 }, 2)
    answers({ d, "incr", "n", 1, 0, 1000 }, 3, nil, false)
    answers({ d, "get", "n" }, 3, 7)
    local after = d:ttl "n"
    assert.True(after > 90 and after <= before)
    d:set("n", 1)
    d:incr("n", 1, 0, 1000)
    answers({ d, "ttl", "n" }, 0)
  end)

  it("finds nothing without init, and begins at init with it", function()
    local d = dicts.new()
    answers({ d, "incr", "n", 1 }, nil, "not found")
    answers({ d, "incr", "n", 1, false }, nil, "not found")
    answers({ d, "get_stale", "n" }, nil)
    answers({ d, "incr", "n", 2, 40 }, 42, nil, false)
    answers({ d, "get", "n" }, 42)
    answers({ d, "ttl", "n" }, 0)
    answers({ d, "incr", "timed", 1, 0, 100 }, 1, nil, false)
    local ttl = d:ttl "timed"
    assert.True(ttl > 90 and ttl <= 100)
  end)

  it("begins anew where a value has expired, of any type and with flags", function()
    local d = dicts.new()
    for _, before in ipairs { 100, "text", false } do
      d:set("n", before, 0.001, 7)
      dicts.let_expire()
      answers({ d, "incr", "n", 1 }, nil, "not found")
      answers({ d, "incr", "n", 1, 0 }, 1, nil, false)
      answers({ d, "get", "n" }, 1)
      answers({ d, "ttl", "n" }, 0)
    end
    d:delete "n"
    d:rpush("n", 1)
    d:flush_all()
    answers({ d, "incr", "n", 1 }, nil, "not found")
    answers({ d, "incr", "n", 1, 0 }, 1, nil, false)
  end)

  it("adds to numbers only, also with init", function()
    local d = dicts.new()
    d:set("text", "12")
    d:set("yes", true)
    d:rpush("list", 1)
    for _, key in ipairs { "text", "yes", "list" } do
      answers({ d, "incr", key, 1 }, nil, "not a number")
      answers({ d, "incr", key, 1, 0 }, nil, "not a number")
      answers({ d, "incr", key, 1, 0, 5 }, nil, "not a number")
    end
    answers({ d, "get", "text" }, "12")
    answers({ d, "llen", "list" }, 1)
  end)

  it("takes numbers in text for its arguments", function()
    local d = dicts.new()
    answers({ d, "incr", "n", "1", "5", "100" }, 6, nil, false)
    assert.True(d:ttl "n" > 90)
    answers({ d, "incr", "n", "0.5" }, 6.5)
    answers({ d, "incr", "short", 1, 0, "0.001" }, 1, nil, false)
    dicts.let_expire()
    answers({ d, "get", "short" }, nil)
  end)

  it("raises for what is no number, after it has looked at the key, and adds nothing", function()
    local d = dicts.new()
    d:set("n", 1)
    for _, value in ipairs { "x", true, {}, print } do
      expect.misuse("cannot convert", d.incr, d, "n", value)
      answers({ d, "incr", "", value }, nil, "empty key")
    end
    expect.misuse("cannot convert", d.incr, d, "n")
    expect.misuse("cannot convert", d.incr, d, "n", nil, 1)
    for kind, init in pairs { boolean = true, table = {}, string = "x", ["function"] = print } do
      local words = "bad init arg: number expected, got " .. kind
      expect.misuse(words, d.incr, d, "n", 1, init)
    end
    for kind, ttl in pairs { boolean = false, table = {}, string = "x", ["function"] = print } do
      local words = "bad init_ttl arg: number expected, got " .. kind
      expect.misuse(words, d.incr, d, "n", 1, 0, ttl)
    end
    for _, ttl in ipairs { -1, -0.0001, "-1", -1 / 0 } do
      expect.misuse('bad "init_ttl" argument', d.incr, d, "n", 1, 0, ttl)
    end
    expect.misuse("init_ttl", d.incr, d, "n", 1, 0, 0 / 0)
    for _, ttl in ipairs { 0, 1, "1" } do
      local words = 'must provide "init" when providing "init_ttl"'
      expect.misuse(words, d.incr, d, "n", 1, nil, ttl)
      expect.misuse(words, d.incr, d, "n", 1, false, ttl)
    end
    answers({ d, "get", "n" }, 1)
    assert.same({ "n" }, d:get_keys())
  end)

  it("never lets a new number expire for an init_ttl of 0, nil or infinity", function()
    local d = dicts.new()
    for i, ttl in ipairs { 0, -0.0, 1 / 0 } do
      answers({ d, "incr", i, 1, 0, ttl }, 1, nil, false)
      answers({ d, "ttl", i }, 0)
    end
    answers({ d, "incr", "nil", 1, 0, nil, n = 6 }, 1, nil, false)
    answers({ d, "ttl", "nil" }, 0)
  end)

  it("spreads infinity and NaN as Lua's + does", function()
    local d = dicts.new()
    d:set("n", 1)
    answers({ d, "incr", "n", 1 / 0 }, 1 / 0)
    answers({ d, "incr", "n", 1 }, 1 / 0)
    local nan = d:incr("n", -1 / 0)
    assert.not_equal(nan, nan)
    nan = d:incr("n", 1)
    assert.not_equal(nan, nan)
    nan = d:get "n"
    assert.not_equal(nan, nan)
    answers({ d, "set", "n", dicts.negative_zero }, true, nil, false)
    assert.equal(-1 / 0, 1 / d:incr("n", dicts.negative_zero))
  end)

  it("makes an integer of integers, which wraps, and else a float", function()
    local d = dicts.new()
    for _, case in ipairs {
      { 1, 2, "integer" }, { 1, 2.5, "float" }, { 1.5, 2, "float" }, { 1.5, 1.5, "float" },
    } do
      local first, second, expected = case[1], case[2], case[3]
      expected = INTEGERS and expected or "number"
      d:set("n", first)
      local sum = d:incr("n", second)
      assert.equal(first + second, sum)
      assert.equal(expected, subtype(sum))
      assert.equal(expected, subtype((d:get "n")))
      d:delete "n"
      sum = d:incr("n", second, first)
      assert.equal(first + second, sum)
      assert.equal(expected, subtype(sum))
    end
    if INTEGERS then
      d:set("n", math.maxinteger) -- luacheck: ignore
      answers({ d, "incr", "n", 1 }, math.mininteger) -- luacheck: ignore
      answers({ d, "get", "n" }, math.mininteger) -- luacheck: ignore
      d:set("n", 2 ^ 53)
      answers({ d, "incr", "n", 1 }, 2 ^ 53)
    end
  end)

  it("has 64 bits also where a number has 53: such an integer is cdata there, or raises", function()
    if INTEGERS then
      return
    end
    local d = dicts.new()
    d:set("n", 2 ^ 53 - 1)
    answers({ d, "incr", "n", 1 }, 2 ^ 53)
    if jit then
      assert.equal("9007199254740993LL", tostring((d:incr("n", 1))))
      assert.equal("9007199254740993LL", tostring((d:get "n")))
      local ffi = require "ffi"
      local big = ffi.cast("int64_t", 2 ^ 60) + 1
      answers({ d, "set", "big", big }, true, nil, false)
      assert.True(d:get "big" == big)
      assert.True(d:incr("big", ffi.cast("int64_t", 2)) == big + 2)
    else
      local claim = d:claim "n"
      expect.misuse("64%-bit integer", d.incr, d, "n", 1)
      expect.misuse("64%-bit integer", d.incr, d, "new", 2 ^ 53 - 1, 2 ^ 53 - 2)
      answers({ d, "get", "n" }, 2 ^ 53)
      answers({ d, "get_stale", "new" }, nil)
      assert.truthy(claim:set(2 ^ 53 - 1))
      answers({ d, "incr", "n", 2 ^ 53 - 3 }, 2 ^ 54 - 4) -- a number holds it
    end
    d:set("n", 5)
    answers({ d, "get", "n" }, 5)
  end)

  it("adds up what several handles add, again and again", function()
    local d, name = dicts.new()
    local other = dicts.user(name)
    other:send "for _ = 1, 5000 do assert(d:incr('n', 1, 0)) end"
    for _ = 1, 5000 do
      expect.success(d:incr("n", 1, 0))
    end
    other:receive()
    answers({ d, "get", "n" }, 10000)
    answers({ d, "set", "n", "text" }, true, nil, false)
    answers({ d, "incr", "n", 1 }, nil, "not a number")
  end)
end)
