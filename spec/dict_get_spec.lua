-- SPDX-License-Identifier: MIT
-- shmseg.dict: get, get_stale, get_keys, and how a dict is opened.

local shmseg = require "shmseg"
local dicts = require "spec.support.dicts"
local expect = require "spec.support.expect"
local scratch = require "spec.support.scratch"

local answers = dicts.answers

describe("get", function()
  after_each(scratch.clean)

  it("gives one value, and the flags behind it only when they are not 0", function()
    local d = dicts.new()
    d:set("plain", "value")
    d:set("flagged", "value", 0, 3)
    d:set("no", false)
    answers({ d, "get", "plain" }, "value")
    answers({ d, "get", "flagged" }, "value", 3)
    answers({ d, "get", "no" }, false)
  end)

  it("gives one nil for what is absent, has expired or was flushed", function()
    local d = dicts.new()
    answers({ d, "get", "absent" }, nil)
    d:set("short", "value", 0.001, 3)
    dicts.let_expire()
    answers({ d, "get", "short" }, nil)
    d:set("flushed", "value", 0, 3)
    d:flush_all()
    answers({ d, "get", "flushed" }, nil)
    d:rpush("list", 1)
    d:expire("list", 0.001)
    dicts.let_expire()
    answers({ d, "get", "list" }, nil)
  end)

  it("says that a list is one", function()
    local d = dicts.new()
    d:rpush("list", 1)
    answers({ d, "get", "list" }, nil, "value is a list")
  end)
end)

describe("get_stale", function()
  after_each(scratch.clean)

  it("gives three results: the value, its flags or nil, and whether it is stale", function()
    local d = dicts.new()
    d:set("plain", "value")
    d:set("flagged", false, 0, -3)
    answers({ d, "get_stale", "plain" }, "value", nil, false)
    answers({ d, "get_stale", "flagged" }, false, -3, false)
    answers({ d, "get_stale", "absent" }, nil)
  end)

  it("gives what has expired, as long as no write has freed it", function()
    local d = dicts.new()
    d:set("short", "value", 0.001, 3)
    dicts.let_expire()
    for _ = 1, 3 do -- reads free nothing
      answers({ d, "get", "short" }, nil)
      answers({ d, "get_stale", "short" }, "value", 3, true)
    end
    assert.equal(1, d:flush_expired())
    answers({ d, "get_stale", "short" }, nil)
  end)

  it("says that a list is one, also when it has expired", function()
    local d = dicts.new()
    d:rpush("list", 1)
    answers({ d, "get_stale", "list" }, nil, "value is a list")
    d:expire("list", 0.001)
    dicts.let_expire()
    answers({ d, "get_stale", "list" }, nil, "value is a list")
    d:delete "list"
    answers({ d, "get_stale", "list" }, nil)
  end)
end)

describe("get_keys", function()
  after_each(scratch.clean)

  it("gives the live keys, of lists too, in a new table", function()
    local d = dicts.new()
    assert.same({}, d:get_keys())
    d:set("value", 1)
    d:set("no", false)
    d:rpush("list", 1)
    d:set("short", 1, 0.001)
    d:set("\0", "binary")
    dicts.let_expire()
    local keys = dicts.keys(d)
    assert.same({ "\0", "list", "no", "value" }, keys)
    assert.not_equal(d:get_keys(), d:get_keys())
    d:flush_all()
    assert.same({}, d:get_keys())
    d:set("after", 1)
    assert.same({ "after" }, d:get_keys())
  end)

  it("gives at most 1,024 of them, or as many as it is told, or all", function()
    local d = dicts.new { capacity = 2 ^ 20 }
    for i = 1, 1500 do
      d:set("key " .. i, i)
    end
    assert.equal(1024, #d:get_keys())
    assert.equal(1024, #d:get_keys(nil))
    for max, count in pairs {
      [1] = 1, [7.9] = 7, [1499] = 1499, [1501] = 1500, [0] = 1500, [-1] = 1500, [0.5] = 1500,
    } do
      local keys = d:get_keys(max)
      local seen, good = {}, 0
      for _, key in ipairs(keys) do
        good = good + (not seen[key] and "key " .. d:get(key) == key and 1 or 0)
        seen[key] = true
      end
      assert.same({ count, count }, { #keys, good })
    end
    assert.equal(12, #d:get_keys "12")
    assert.equal(3, #d:get_keys(3, "more"))
    for _, max in ipairs { "x", true, {}, print } do
      expect.misuse("bad argument #2", d.get_keys, d, max)
    end
  end)
end)

describe("dict.open", function()
  after_each(scratch.clean)

  it("makes a dict of the capacity that is asked for", function()
    local name = scratch.name()
    for _, capacity in ipairs { 8192, 16384, 65536, 100000, 2 ^ 20, 2 ^ 22 } do
      local d, created =
        expect.success(shmseg.dict.open(name, "c", { capacity = capacity }))
      assert.True(created)
      answers({ d, "capacity" }, capacity)
      assert.True(d:free_space() <= capacity)
      assert.True(d:free_space() > capacity - 64)
      local again, created_again = expect.success(shmseg.dict.open(name))
      assert.False(created_again)
      answers({ again, "capacity" }, capacity)
      answers({ d, "set", "key", "value" }, true, nil, false)
      answers({ again, "get", "key" }, "value")
      expect.success(d:unlink())
      d:close()
      again:close()
    end
  end)

  it("holds some items in 16 KiB", function()
    local d = dicts.new { capacity = 16384 }
    for i = 1, 50 do
      answers({ d, "safe_set", "key " .. i, ("v"):rep(100) }, true, nil, false)
    end
    assert.equal(50, #d)
  end)

  it("takes what evict and items are, and says what disagrees", function()
    local _, name = dicts.new { evict = "none", items = 500 }
    expect.success(shmseg.dict.open(name, "c", { capacity = 65536, evict = "none", items = 500 }))
    for what, value in pairs { evict = "lru", items = 501, capacity = 65537 } do
      local options = { capacity = 65536, evict = "none", items = 500 }
      options[what] = value
      local message = expect.failure("incompatible", shmseg.dict.open(name, "c", options))
      assert.truthy(message:find(what, 1, true), message)
    end
    local new = scratch.name()
    for _, evict in ipairs { "all", "", "LRU", true, {} } do
      local options = { capacity = 65536, evict = evict }
      expect.misuse("evict", shmseg.dict.open, new, "x", options)
    end
    for _, number in ipairs { -1, 0, "x", {}, 0 / 0 } do
      local misused = { capacity = 65536, items = number }
      expect.misuse("items", shmseg.dict.open, new, "x", misused)
      expect.misuse("capacity", shmseg.dict.open, new, "x", { capacity = number })
    end
    assert.is_nil(scratch.bytes(new))
  end)

  describe("with a codec", function()
    local d, plain

    before_each(function()
      local name = scratch.name()
      local codec = {
        encode = function(value)
          return type(value) == "table" and table.concat(value, ",") or value .. " as one"
        end,
        decode = function(text)
          local all = {}
          for word in text:gmatch "[^,]+" do
            all[#all + 1] = word
          end
          return all
        end,
      }
      d = expect.success(shmseg.dict.open(name, "x", { capacity = 65536, codec = codec }))
      plain = expect.success(shmseg.dict.open(name))
    end)

    it("lets it make strings of values, and values of strings", function()
      answers({ d, "set", "key", { "a", "b" }, 0, 7 }, true, nil, false)
      answers({ d, "get", "key" }, { "a", "b" }, 7)
      answers({ d, "get_stale", "key" }, { "a", "b" }, 7, false)
      assert.same({ key = { "a", "b" } }, d:get_many { "key" })
      for key, value in d:pairs() do
        assert.same({ "key", { "a", "b" } }, { key, value })
      end
      local function longer(old)
        old[#old + 1] = "c"
        return old
      end
      answers({ d, "update", "key", longer }, { "a", "b", "c" })
      answers({ d, "get", "key" }, { "a", "b", "c" }, 7)
      d:set("text", "all")
      answers({ d, "get", "text" }, { "all as one" })
    end)

    it("asks it for no number, no boolean and no element of a list", function()
      for _, value in ipairs { 5, 0.5, true, false } do
        answers({ d, "set", "key", value }, true, nil, false)
        answers({ d, "get", "key" }, value)
        answers({ plain, "get", "key" }, value)
      end
      answers({ d, "incr", "n", 1, 0 }, 1, nil, false)
      d:rpush("list", "element")
      answers({ plain, "lpop", "list" }, "element")
    end)

    it("gives strings of those who have none as they are, and says to these what it is", function()
      plain:set("key", "plain")
      answers({ d, "get", "key" }, "plain")
      d:set("key", { "a" }, 100)
      answers({ plain, "get", "key" }, nil, "incompatible")
      answers({ plain, "get_stale", "key" }, nil, "incompatible")
      assert.same({ "key" }, plain:get_keys())
      assert.True(plain:ttl "key" > 90)
      answers({ plain, "set", "key", "plain" }, true, nil, false)
    end)

    it("raises what it raises, and stores nothing", function()
      d:set("key", { "old" })
      expect.misuse("", d.set, d, "key", { {} })
      expect.misuse("", d.set_many, d, { key = print, other = 1 })
      answers({ d, "get", "key" }, { "old" })
      assert.same({ "key" }, d:get_keys())
    end)
  end)
end)
