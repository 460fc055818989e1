-- SPDX-License-Identifier: MIT
-- shmseg.dict: set, safe_set, add, safe_add, replace and delete; keys, values and flags.

local dicts = require "spec.support.dicts"
local expect = require "spec.support.expect"
local scratch = require "spec.support.scratch"

local answers = dicts.answers
local STORES = { "set", "safe_set", "add", "safe_add", "replace" }
local NAN = 0 / 0

-- Its bits: -0.0 and 0, 1 and 1.0 are not the same, NaN is.
local function bits(value)
  if type(value) ~= "number" then
    return value
  end
  local subtype = math.type and math.type(value) or "number" -- luacheck: ignore
  if value ~= value then
    return subtype .. " NaN"
  end
  return ("%s %.17g %g"):format(subtype, value, 1 / value)
end

describe("a dict", function()
  after_each(scratch.clean)

  it("gives back every string, number and boolean as it was stored", function()
    local d = dicts.new()
    local all = ""
    for i = 0, 255 do
      all = all .. string.char(i)
    end
    local values = {
      "", "x", "12", all, ("long"):rep(5000), true, false, 0, 1, -1, 0.5, -0.5, 1e300, -1e-300,
      1 / 0, -1 / 0, NAN, dicts.negative_zero, 2 ^ 53, -2 ^ 53, 2 ^ 53 - 1, 1e15, 2 ^ 31, 2 ^ 63,
      math.maxinteger or 1, math.mininteger or 1, -- luacheck: ignore
    }
    for i, value in ipairs(values) do
      answers({ d, "set", "key", value }, true, nil, false)
      answers({ d, "set", i, value }, true, nil, false)
      assert.equal(bits(value), bits((d:get "key")))
    end
    for i, value in ipairs(values) do
      assert.equal(bits(value), bits((d:get(i))))
    end
  end)

  it("tells 1 from 1.0, where Lua does", function()
    if not math.type then -- luacheck: ignore
      return
    end
    local d = dicts.new()
    d:set("integer", 1)
    d:set("float", 1 + 0.0)
    assert.equal("integer", math.type((d:get "integer"))) -- luacheck: ignore
    assert.equal("float", math.type((d:get "float"))) -- luacheck: ignore
  end)

  it("has keys of every byte and of 1 to 65,535 bytes", function()
    local d = dicts.new { capacity = 2 ^ 20 }
    local keys = { "\0", "a\0b", "\255\254", " ", ("k"):rep(255), ("k"):rep(256), ("k"):rep(65535) }
    for i, key in ipairs(keys) do
      answers({ d, "set", key, i }, true, nil, false)
    end
    for i, key in ipairs(keys) do
      answers({ d, "get", key }, i)
    end
    local longest = ("k"):rep(65535)
    answers({ d, "set", longest, "a" }, true, nil, false)
    answers({ d, "get", longest }, "a")
    answers({ d, "get", longest:sub(2) .. "l" }, nil)
  end)

  it("takes a number as the key that it is in text, a whole one without a point", function()
    local d = dicts.new()
    for number, text in pairs {
      [12] = "12", [-3] = "-3", [0.5] = "0.5", [1e10] = "10000000000", [0] = "0",
    } do
      d:set(number, "value")
      answers({ d, "get", text }, "value")
      answers({ d, "get", number + 0.0 }, "value")
      d:delete(text)
      answers({ d, "get", number }, nil)
    end
    d:rpush(7, "x")
    answers({ d, "llen", "7" }, 1)
  end)

  it("refuses no key, an empty one and one that is too long, in three words", function()
    local d = dicts.new()
    local long = ("k"):rep(65536)
    for _, call in ipairs {
      { "get" }, { "get_stale" }, { "set", 1 }, { "safe_set", 1 }, { "add", 1 }, { "safe_add", 1 },
      { "replace", 1 }, { "delete" }, { "incr", 1 }, { "incr", 1, 0 }, { "ttl" }, { "expire", 1 },
      { "lpush", 1 }, { "rpush", 1 }, { "lpop" }, { "rpop" }, { "llen" },
    } do
      local method, first, second = call[1], call[2], call[3]
      assert.same({ nil, "nil key" }, { d[method](d, nil, first, second) })
      assert.same({ nil, "empty key" }, { d[method](d, "", first, second) })
      assert.same({ nil, "key too long" }, { d[method](d, long, first, second) })
      assert.equal(2, select("#", d[method](d, "", first, second)))
    end
    assert.same({}, d:get_keys())
  end)

  it("raises for keys that are neither strings nor numbers", function()
    local d = dicts.new()
    for _, key in ipairs { {}, print, coroutine.create(function() end) } do
      for _, method in ipairs { "get", "get_stale", "ttl", "delete", "lpop", "llen" } do
        expect.misuse("bad argument #2", d[method], d, key)
      end
      for _, method in ipairs { "set", "add", "incr", "lpush", "expire" } do
        expect.misuse("bad argument #2", d[method], d, key, 1)
      end
    end
  end)

  it("raises for a self that is no dict", function()
    local d = dicts.new()
    for _, self in ipairs { 1, "d", {}, io.stdout } do
      expect.misuse("bad argument #1 to", d.get, self, "key")
      expect.misuse("bad argument #1 to", d.set, self, "key", 1)
      expect.misuse("bad argument #1 to", d.get_keys, self)
      expect.misuse("bad argument #1 to", d.flush_expired, self)
    end
    expect.misuse("bad argument #1 to", d.capacity)
    d:close()
    expect.misuse("closed", d.get, d, "key")
    expect.misuse("closed", d.set, d, "key", 1)
  end)

  it("blames the line that calls it, and no line of C", function()
    local d = dicts.new()
    local words = 'bad "exptime" argument'
    assert.equal(words, expect.misuse(words, d.set, d, "key", 1, -1))
    assert.equal(words, expect.misuse(words, d.expire, d, "key", -1))
    local here = "^spec/dict_set_spec%.lua:%d+: "
    expect.misuse(here .. words, function() d:set("key", 1, -1) end)
    expect.misuse(here .. "bad argument #1 to 'get'", function() d:get {} end)
    expect.misuse(here .. "bad argument #2 to 'fetch'", function() d:fetch("key", 1) end)
    expect.misuse(here .. "bad argument #2 to 'update'", function() d:update("key", 1) end)
    expect.misuse(here .. words, function() d:update("key", print, -1) end)
  end)

  it("refuses a value that is neither a string, a number nor a boolean: nil, not false", function()
    local d = dicts.new()
    d:set("key", "old")
    for _, value in ipairs { {}, print, io.stdout, coroutine.create(function() end) } do
      for _, method in ipairs(STORES) do
        answers({ d, method, "key", value }, nil, "bad value type")
      end
    end
    answers({ d, "get", "key" }, "old")
  end)

  it("looks at the arguments before the store, and in one order", function()
    local d = dicts.new()
    for _, method in ipairs(STORES) do
      expect.misuse('bad "exptime" argument', d[method], d, nil, {}, -1, {})
      answers({ d, method, nil, {}, 0, {}, n = 6 }, nil, "nil key")
      answers({ d, method, "", {}, 0, {} }, nil, "empty key")
      answers({ d, method, "key", {}, 0, {} }, nil, "bad value type")
      expect.misuse("bad argument #5", d[method], d, "key", "value", 0, {})
      expect.misuse("bad argument #5", d[method], d, "key", nil, 0, {})
    end
    assert.same({}, d:get_keys())
  end)
end)

describe("set", function()
  after_each(scratch.clean)

  for _, method in ipairs { "set", "safe_set" } do
    it("in the form of " .. method .. " replaces whatever is there, lists too", function()
      local d = dicts.new()
      for _, before in ipairs { 1, "text", true, ("long"):rep(1000), "" } do
        for _, after in ipairs { 2, "other", false, ("longer"):rep(1000), "" } do
          answers({ d, method, "key", before }, true, nil, false)
          answers({ d, method, "key", after }, true, nil, false)
          answers({ d, "get", "key" }, after)
        end
        d:delete "key"
        d:rpush("key", "a")
        d:rpush("key", "b")
        answers({ d, method, "key", before }, true, nil, false)
        answers({ d, "get", "key" }, before)
        answers({ d, "llen", "key" }, nil, "value not a list")
      end
      assert.same({ "key" }, d:get_keys())
    end)

    it("in the form of " .. method .. " sets flags and expiry anew: 0 and never", function()
      local d = dicts.new()
      d:set("key", "value", 100, 7)
      answers({ d, "get", "key" }, "value", 7)
      assert.True(d:ttl "key" > 90)
      answers({ d, method, "key", "other" }, true, nil, false)
      answers({ d, "get", "key" }, "other")
      answers({ d, "ttl", "key" }, 0)
    end)

    it("in the form of " .. method .. " deletes when it is given nil", function()
      local d = dicts.new()
      d:set("key", "value", 0, 7)
      d:rpush("list", 1)
      for _, key in ipairs { "key", "list", "absent" } do
        answers({ d, method, key, nil, n = 4 }, true, nil, false)
        answers({ d, method, key }, true, nil, false)
        answers({ d, "get_stale", key }, nil)
      end
      assert.same({}, d:get_keys())
    end)
  end

  it("ignores more arguments than it has", function()
    local d = dicts.new()
    answers({ d, "set", "key", 1, 0, 0, "more", {} }, true, nil, false)
    answers({ d, "get", "key", "more", {} }, 1)
    answers({ d, "delete", "key", "more" }, true, nil, false)
  end)

  it("takes flags as signed or unsigned 32 bits, and get gives them signed", function()
    local d = dicts.new()
    for _, case in ipairs {
      { 1, 1 }, { -1, -1 }, { 7.9, 7 }, { -7.9, -7 }, { 2 ^ 31 - 1, 2 ^ 31 - 1 }, { true, 1 },
      { 2 ^ 31, -2 ^ 31 }, { 2 ^ 32 - 1, -1 }, { -2 ^ 31, -2 ^ 31 },
    } do
      for _, method in ipairs(STORES) do
        d:delete "key"
        if method == "replace" then
          d:set("key", 1)
        end
        answers({ d, method, "key", "value", nil, case[1], n = 6 }, true, nil, false)
        answers({ d, "get", "key" }, "value", case[2])
        answers({ d, "get_stale", "key" }, "value", case[2], false)
      end
    end
    for _, none in ipairs { 0, -0.0, 0.9, -0.9, false } do
      d:set("key", "value", nil, none)
      answers({ d, "get", "key" }, "value")
      answers({ d, "get_stale", "key" }, "value", nil, false)
    end
  end)

  it("raises for flags that have no 32 bits, and stores nothing", function()
    local d = dicts.new()
    for _, flags in ipairs { NAN, 1 / 0, -1 / 0, 2 ^ 32, -2 ^ 31 - 1, "x", {}, print } do
      local why = type(flags) == "number" and "out of range: %-?[%dni]" or "number expected"
      expect.misuse("bad argument #5 .*" .. why, d.set, d, "key", 1, 0, flags)
    end
    assert.same({}, d:get_keys())
  end)
end)

describe("add", function()
  after_each(scratch.clean)

  for _, method in ipairs { "add", "safe_add" } do
    it("in the form of " .. method .. " stores only what is absent or has expired", function()
      local d = dicts.new()
      answers({ d, method, "key", "first", 0, 5 }, true, nil, false)
      answers({ d, method, "key", "second" }, false, "exists", false)
      answers({ d, "get", "key" }, "first", 5)
      d:rpush("list", 1)
      answers({ d, method, "list", "second" }, false, "exists", false)
      answers({ d, "llen", "list" }, 1)
      d:set("key", "short", 0.001, 9)
      dicts.let_expire()
      answers({ d, method, "key", "third" }, true, nil, false)
      answers({ d, "get", "key" }, "third")
      answers({ d, "ttl", "key" }, 0)
      d:flush_all()
      answers({ d, method, "list", "now a value" }, true, nil, false)
      answers({ d, "get", "list" }, "now a value")
    end)

    it("in the form of " .. method .. " has a word for nil, before it looks", function()
      local d = dicts.new()
      d:set("key", "value")
      for _, key in ipairs { "key", "absent" } do
        local words = "attempt to add or replace nil values"
        answers({ d, method, key, nil, n = 4 }, false, words, false)
        answers({ d, method, key }, false, words, false)
      end
      answers({ d, "get", "key" }, "value")
    end)
  end
end)

describe("replace", function()
  after_each(scratch.clean)

  it("stores only in the place of what is live, lists too", function()
    local d = dicts.new()
    answers({ d, "replace", "key", "value" }, false, "not found", false)
    answers({ d, "get_stale", "key" }, nil)
    d:set("key", "old", 100, 7)
    answers({ d, "replace", "key", "new" }, true, nil, false)
    answers({ d, "get", "key" }, "new")
    answers({ d, "ttl", "key" }, 0)
    answers({ d, "replace", "key", "again", 100, 3 }, true, nil, false)
    answers({ d, "get", "key" }, "again", 3)
    assert.True(d:ttl "key" > 90)
    d:lpush("list", 1)
    answers({ d, "replace", "list", "value" }, true, nil, false)
    answers({ d, "get", "list" }, "value")
    d:set("key", "short", 0.001)
    dicts.let_expire()
    answers({ d, "replace", "key", "late" }, false, "not found", false)
    d:set("key", "flushed")
    d:flush_all()
    answers({ d, "replace", "key", "late" }, false, "not found", false)
    answers({ d, "get", "key" }, nil)
  end)

  it("has a word for nil, before it looks", function()
    local d = dicts.new()
    d:set("key", "value")
    local words = "attempt to add or replace nil values"
    answers({ d, "replace", "key", nil, n = 4 }, false, words, false)
    answers({ d, "replace", "absent" }, false, words, false)
    answers({ d, "get", "key" }, "value")
  end)
end)

describe("delete", function()
  after_each(scratch.clean)

  it("takes away what is there, and says true also when nothing was", function()
    local d = dicts.new()
    d:set("value", 1)
    d:set("short", 1, 0.001)
    d:rpush("list", 1)
    dicts.let_expire()
    for _, key in ipairs { "value", "short", "list", "absent" } do
      answers({ d, "delete", key }, true, nil, false)
      answers({ d, "get_stale", key }, nil)
      answers({ d, "ttl", key }, nil, "not found")
      answers({ d, "llen", key }, 0)
    end
    answers({ d, "delete" }, nil, "nil key")
    answers({ d, "delete", "" }, nil, "empty key")
    assert.equal(0, #d)
  end)
end)
