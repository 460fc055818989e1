-- SPDX-License-Identifier: MIT
-- shmseg.dict: get_many, set_many, pairs, # and stats.

local shmseg = require "shmseg"
local dicts = require "spec.support.dicts"
local expect = require "spec.support.expect"
local scratch = require "spec.support.scratch"

local answers = dicts.answers

local function collected(...)
  local all = {}
  for key, value in ... do
    assert.is_nil(all[key])
    all[key] = value
  end
  return all
end

describe("get_many", function()
  after_each(scratch.clean)

  it("gives the values that are there by their keys", function()
    local d = dicts.new()
    d:set("text", "value", 0, 7)
    d:set("no", false)
    d:set("short", 1, 0.001)
    d:set("long", ("x"):rep(20000))
    d:rpush("list", 1)
    dicts.let_expire()
    local keys = { "text", "no", "short", "list", "absent", "long", "text" }
    assert.same({ text = "value", no = false, long = ("x"):rep(20000) }, d:get_many(keys))
    assert.same({}, d:get_many {})
    assert.same({ "text", "no", "short", "list", "absent", "long", "text" }, keys)
  end)

  it("gives hundreds of them", function()
    local d = dicts.new { capacity = 2 ^ 20 }
    local keys, expected = {}, {}
    for i = 1, 700 do
      keys[i], expected["key " .. i] = "key " .. i, ("v"):rep(i)
      d:set(keys[i], expected[keys[i]])
    end
    assert.same(expected, d:get_many(keys))
  end)

  it("raises for what is no list of keys", function()
    local d = dicts.new()
    expect.misuse("bad argument #2", d.get_many, d)
    expect.misuse("bad argument #2", d.get_many, d, "key")
    expect.misuse("bad argument #2 .*a key: string expected, got table", d.get_many, d, { {} })
  end)
end)

describe("set_many", function()
  after_each(scratch.clean)

  it("stores all keys and values of a table, with one time to live", function()
    local d = dicts.new()
    local values = { text = "value", no = false, n = 0.5, [12] = "twelve" }
    assert.True(d:set_many(values))
    answers({ d, "get", "12" }, "twelve")
    values[12], values["12"] = nil, "twelve"
    assert.same(values, d:get_many { "text", "no", "n", "12" })
    answers({ d, "ttl", "text" }, 0)
    assert.True(d:set_many({ text = "other" }, 100))
    assert.True(d:ttl "text" > 90)
    answers({ d, "ttl", "n" }, 0)
    assert.True(d:set_many {})
  end)

  it("says what is wrong with one of them", function()
    local d = dicts.new { evict = "none", capacity = 16384 }
    for _, values in ipairs { { key = {} }, { key = print } } do
      local value, why = d:set_many(values)
      assert.same({ nil, "bad value type" }, { value, why })
    end
    local value, why = d:set_many { [""] = 1 }
    assert.same({ nil, "empty key" }, { value, why })
    value, why = d:set_many { large = ("x"):rep(20000) }
    assert.same({ nil, "no memory" }, { value, why })
    expect.misuse("bad argument #2", d.set_many, d)
    expect.misuse('bad "exptime" argument', d.set_many, d, { key = 1 }, -1)
    assert.same({}, d:get_keys())
  end)
end)

describe("pairs", function()
  after_each(scratch.clean)

  it("gives each live key once, with its value; a list as a table", function()
    local d = dicts.new()
    assert.same({}, collected(d:pairs()))
    local expected = { [""] = nil, a = 1, ab = "text", abc = false, list = { 1, "two", 3.5 } }
    for key, value in pairs(expected) do
      if key ~= "list" then
        d:set(key, value, 0, 7)
      end
    end
    for _, element in ipairs(expected.list) do
      d:rpush("list", element)
    end
    d:set("short", 1, 0.001)
    dicts.let_expire()
    assert.same(expected, collected(d:pairs()))
    assert.same(expected, collected(d:pairs(nil)))
    assert.same(expected, collected(d:pairs ""))
    d:flush_all()
    assert.same({}, collected(d:pairs()))
  end)

  it("gives those that begin with a prefix", function()
    local d = dicts.new()
    for _, key in ipairs { "a", "ab", "abc", "b", "a\0", "a\0b", "\255", "12", "1" } do
      d:set(key, key)
    end
    for prefix, keys in pairs {
      a = { "a", "a\0", "a\0b", "ab", "abc" }, ab = { "ab", "abc" }, abc = { "abc" }, abcd = {},
      ["a\0"] = { "a\0", "a\0b" }, ["\255"] = { "\255" }, c = {},
    } do
      local got = {}
      for key in d:pairs(prefix) do
        got[#got + 1] = key
      end
      table.sort(got)
      assert.same(keys, got)
    end
    assert.same({ ["1"] = "1", ["12"] = "12" }, collected(d:pairs(1)))
    expect.misuse("bad argument #2", d.pairs, d, {})
  end)

  it("gives thousands of them, and long keys and values", function()
    local d = dicts.new { capacity = 2 ^ 21 }
    local expected = {}
    for i = 1, 3000 do
      expected["key " .. i] = i
    end
    expected[("k"):rep(65535)] = ("v"):rep(100000)
    d:set_many(expected)
    assert.same(expected, collected(d:pairs()))
  end)

  it("lets the loop delete and write what it likes", function()
    local d = dicts.new { capacity = 2 ^ 20 }
    for i = 1, 500 do
      d:set("key " .. i, i)
    end
    local seen = 0
    for key, value in d:pairs "key " do
      seen = seen + 1
      answers({ d, "get", key }, value)
      d:delete(key)
      d:set("other " .. value, ("x"):rep(value))
    end
    assert.equal(500, seen)
    assert.same({}, collected(d:pairs "key "))
    assert.equal(500, #d)
  end)

  it("may be left, and several run at once", function()
    local d = dicts.new()
    for i = 1, 20 do
      d:set("key " .. i, i)
    end
    local pairs_of_pairs = 0
    for key in d:pairs() do
      for other in d:pairs() do
        pairs_of_pairs = pairs_of_pairs + 1
        if other == key then
          break
        end
      end
    end
    assert.True(pairs_of_pairs >= 20 and pairs_of_pairs <= 400)
    local next_key, state, key = d:pairs()
    d:close()
    expect.misuse("closed", next_key, state, key)
  end)

  it("takes memory for what the prefix chooses, and not for what it leaves out", function()
    local d = dicts.new { capacity = 2 ^ 20 }
    for i = 1, 1000 do
      d:set(("never seen %d "):format(i) .. ("k"):rep(200), i)
    end
    d:set("chosen", 1)
    local allocated = require "spec.support.garbage"(function()
      assert.same({ chosen = 1 }, collected(d:pairs "chosen"))
    end)
    assert.True(allocated < 50, allocated)
  end)
end)

describe("# and stats", function()
  after_each(scratch.clean)

  it("count items and bytes", function()
    local d, name = dicts.new()
    local reader = expect.success(shmseg.dict.open(name, "r"))
    assert.same({
      count = 0, bytes = 0, capacity = 65536, free = 65536, evicted = 0, expired = 0, refused = 0,
      repaired = 0,
    }, d:stats())
    d:set("key", "12345", 0, 7)
    d:set("longer key", "")
    assert.equal(2, #d)
    assert.equal(2, #reader)
    local stats = reader:stats()
    assert.same({ 2, 3 + 5 + 10 }, { stats.count, stats.bytes })
    assert.equal(d:free_space(), stats.free)
    d:set("key", "1")
    assert.equal(3 + 1 + 10, d:stats().bytes)
    d:delete "longer key"
    assert.same({ 1, 4 }, { #d, d:stats().bytes })
    d:delete "key"
    assert.same({ 0, 0, 65536 }, { #d, d:stats().bytes, d:stats().free })
  end)

  it("count what has expired until it is reclaimed, and not what was flushed", function()
    local d = dicts.new()
    d:set("short", 1, 0.001)
    d:set("live", 1)
    dicts.let_expire()
    assert.equal(2, #d)
    d:flush_expired()
    assert.same({ 1, 1 }, { #d, d:stats().expired })
    d:set("short", 1, 0.001)
    dicts.let_expire()
    d:set("short", 2) -- in the place of what has expired
    assert.same({ 2, 2 }, { #d, d:stats().expired })
    d:delete "short"
    d:flush_all()
    assert.same({ 0, 0 }, { #d, d:stats().bytes })
    d:set("after", 1)
    assert.equal(1, #d)
    d:expire("live", 0)
    assert.equal(2, #d)
  end)

  it("count what was evicted and refused", function()
    local d = dicts.new { capacity = 16384 }
    for i = 1, 1000 do
      d:set("key " .. i, i)
    end
    local stats = d:stats()
    assert.equal(1000, stats.count + stats.evicted)
    assert.equal(0, stats.refused)
    d:safe_set("no", ("x"):rep(1000))
    assert.equal(1, d:stats().refused)
    for _, method in ipairs { "set", "safe_add", "rpush" } do -- they can never fit
      d[method](d, "no", ("x"):rep(16384))
    end
    d:incr(("k"):rep(16384), 1, 0)
    assert.equal(5, d:stats().refused)
  end)

  it("agree with what is there in a dict of several parts", function()
    local d = dicts.new { capacity = 2 ^ 22 }
    local bytes = 0
    for i = 1, 2000 do
      local key, value = "key " .. i, ("v"):rep(i % 500)
      d:set(key, value)
      bytes = bytes + #key + #value
    end
    assert.same({ 2000, bytes }, { #d, d:stats().bytes })
    assert.equal(2000, #d:get_keys(0))
    d:flush_all()
    assert.same({ 0, 0 }, { #d, d:stats().bytes })
    assert.equal(2000, d:flush_expired())
    assert.equal(2 ^ 22, d:free_space())
  end)
end)
