-- SPDX-License-Identifier: MIT
-- shmseg.dict: what fits, what goes to make room, and what is refused.

local dicts = require "spec.support.dicts"
local message_peer = require "spec.support.message_peer"
local scratch = require "spec.support.scratch"

local answers = dicts.answers

describe("a dict that is full", function()
  after_each(scratch.clean)

  for _, method in ipairs { "set", "add", "replace" } do
    it("drops live items for a " .. method .. ", which says so: forcible", function()
      local d = dicts.new { capacity = 16384 }
      d:set("key", "short")
      local count = dicts.fill(d, 100)
      if method == "add" then
        d:delete "key"
      end
      answers({ d, method, "key", ("x"):rep(5000) }, true, nil, true)
      answers({ d, "get", "key" }, ("x"):rep(5000))
      assert.True(#d:get_keys(0) < count)
      assert.True(d:stats().evicted > 20)
    end)
  end

  it("drops live items for a new number", function()
    local d = dicts.new { capacity = 16384 }
    local count = dicts.fill(d, 10)
    answers({ d, "incr", "n", 1, 0 }, 1, nil, true)
    answers({ d, "incr", "n", 1, 0 }, 2, nil, false)
    assert.equal(count, #d:get_keys(0))
  end)

  for _, method in ipairs { "safe_set", "safe_add" } do
    it("drops nothing live for a " .. method .. ": false, and the word", function()
      local d = dicts.new { capacity = 16384 }
      local count = dicts.fill(d, 100)
      answers({ d, method, "key", ("x"):rep(100) }, false, "no memory", false)
      answers({ d, "get_stale", "key" }, nil)
      assert.equal(count, #d:get_keys(0))
      assert.equal(0, d:stats().evicted)
      assert.True(d:stats().refused > 0)
    end)
  end

  it("drops what has expired first, and does not call that forcible", function()
    for _, evict in ipairs { "lru", "none" } do
      local d = dicts.new { capacity = 16384, evict = evict }
      local count = dicts.fill(d, 100)
      for i = 1, count, 2 do
        d:expire("fill " .. i, 0.001)
      end
      dicts.let_expire()
      answers({ d, "set", "key", ("x"):rep(100) }, true, nil, false)
      answers({ d, "safe_set", "other", ("x"):rep(4000) }, true, nil, false)
      answers({ d, "incr", "n", 1, 0 }, 1, nil, false)
      for i = 2, count, 2 do
        answers({ d, "get", "fill " .. i }, ("v"):rep(100))
      end
      local stats = d:stats()
      assert.equal(0, stats.evicted)
      assert.True(stats.expired > 20)
    end
  end)

  it("takes the memory of what was flushed for anything", function()
    for _, evict in ipairs { "lru", "none" } do
      local d = dicts.new { capacity = 65536, evict = evict }
      local count = dicts.fill(d, 100)
      for round = 1, 3 do
        answers({ d, "flush_all" }, true)
        answers({ d, "safe_set", "large", ("x"):rep(32768) }, true, nil, false)
        d:delete "large"
        d:flush_all()
        assert.equal(count, (dicts.fill(d, 100, round .. "fill%d")))
      end
      assert.equal(0, d:stats().evicted)
    end
  end)

  it("of evict none says no memory, and keeps everything", function()
    local d = dicts.new { capacity = 16384, evict = "none" }
    local count = dicts.fill(d, 10)
    for _, method in ipairs { "set", "add", "safe_set", "safe_add" } do
      answers({ d, method, "key", ("x"):rep(100) }, false, "no memory", false)
    end
    answers({ d, "incr", "key", 1, 0 }, nil, "no memory")
    answers({ d, "cas", "key", nil, ("x"):rep(100) }, nil, "no memory")
    answers({ d, "rpush", "key", "x" }, nil, "no memory")
    assert.equal(count, #d:get_keys(0))
    assert.equal(7, d:stats().refused - 1) -- the fill was refused once
  end)

  it("of evict none can replace each of its values, the largest too", function()
    local d = dicts.new { capacity = 65536, evict = "none" }
    local count = dicts.fill(d, 100)
    for _, method in ipairs { "set", "safe_set", "replace" } do
      for i = 1, count do
        answers({ d, method, "fill " .. i, ("w"):rep(100) }, true, nil, false)
        answers({ d, method, "fill " .. i, "short" }, true, nil, false)
        answers({ d, method, "fill " .. i, ("v"):rep(99) }, true, nil, false)
      end
    end
    assert.equal(count, #d:get_keys(0))
    d = dicts.new { capacity = 65536, evict = "none" }
    answers({ d, "set", "large", ("v"):rep(32768) }, true, nil, false)
    dicts.fill(d, 1)
    for i = 1, 5 do
      answers({ d, "set", "large", tostring(i):rep(32768) }, true, nil, false)
      answers({ d, "get", "large" }, tostring(i):rep(32768))
    end
  end)

  for _, capacity in ipairs { 65536, 2 ^ 22 } do
    for _, evict in ipairs { "lru", "none" } do
      local size = ("%d bytes, evict %s"):format(capacity, evict)
      it("gives a list's memory to what replaces it: " .. size, function()
        local d = dicts.new { capacity = capacity, evict = evict }
        local element, value = ("e"):rep(capacity / 64), ("v"):rep(capacity / 2)
        for _, is_stale in ipairs { false, true } do
          while d:rpush("list", element) do end
          if is_stale then
            d:expire("list", 0.001)
            dicts.let_expire()
          end
          answers({ d, "safe_set", "list", value }, true, nil, false)
          answers({ d, "get", "list" }, value)
          d:delete "list"
          assert.equal(capacity, d:free_space())
        end
      end)
    end
  end
end)

describe("a set that fails", function()
  after_each(scratch.clean)

  it("keeps the old value, its flags and its expiry", function()
    local d = dicts.new { capacity = 16384, evict = "none" }
    d:set("key", "old", 1000, 7)
    d:rpush("list", "element")
    dicts.fill(d, 10)
    for _, method in ipairs { "set", "safe_set", "replace" } do
      for _, size in ipairs { 2000, 20000 } do
        answers({ d, method, "key", ("x"):rep(size) }, false, "no memory", false)
        answers({ d, method, "list", ("x"):rep(size) }, false, "no memory", false)
      end
    end
    answers({ d, "get", "key" }, "old", 7)
    assert.True(d:ttl "key" > 900)
    answers({ d, "lpop", "list" }, "element")
  end)

  it("because it can never fit drops nothing", function()
    for _, evict in ipairs { "lru", "none" } do
      local d = dicts.new { capacity = 16384, evict = evict }
      local count = dicts.fill(d, 100)
      d:set("fill 1", "old")
      for _, method in ipairs { "set", "safe_set", "add", "safe_add", "replace" } do
        local key = method:find "add" and "new" or "fill 1"
        answers({ d, method, key, ("x"):rep(16384) }, false, "no memory", false)
        answers({ d, method, key, ("x"):rep(2 ^ 20) }, false, "no memory", false)
      end
      answers({ d, "get", "fill 1" }, "old")
      assert.equal(count, #d:get_keys(0))
      assert.equal(0, d:stats().evicted)
    end
  end)

  it("in an empty dict is refused as well", function()
    local d = dicts.new { capacity = 16384 }
    answers({ d, "set", "key", ("x"):rep(16384) }, false, "no memory", false)
    assert.same({}, d:get_keys())
  end)
end)

describe("a value of half the capacity", function()
  after_each(scratch.clean)

  for _, capacity in ipairs { 16384, 65536, 2 ^ 20, 2 ^ 22, 2 ^ 23 } do
    it(("fits a dict of %d bytes, whatever is in it"):format(capacity), function()
      local half = ("x"):rep(capacity / 2)
      local d = dicts.new { capacity = capacity }
      answers({ d, "set", "half", half }, true, nil, false)
      assert.True(half == d:get "half")
      d:delete "half"
      local size = capacity / 256
      dicts.fill(d, size)
      for i = 1, 3 do
        answers({ d, "set", "half " .. i, half }, true, nil, true)
        assert.True(half == d:get("half " .. i))
      end
      answers({ d, "set", "half 3", "" }, true, nil, false)
      answers({ d, "get", "half 3" }, "")
    end)
  end

  it("fits beside others in a dict of evict none, from whatever was freed", function()
    local d = dicts.new { capacity = 2 ^ 20, evict = "none" }
    local count = dicts.fill(d, 1000)
    for i = 1, count, 2 do
      d:delete("fill " .. i)
    end
    for i = 2, 40, 2 do
      d:delete("fill " .. i)
    end
    local half = ("x"):rep(2 ^ 19)
    answers({ d, "set", "half", half }, true, nil, false)
    assert.True(half == d:get "half")
    for i = 42, count, 2 do
      assert.equal(1000, #d:get("fill " .. i))
    end
  end)
end)

describe("free_space", function()
  after_each(scratch.clean)

  it("is the capacity less what is stored, rounded, and comes back", function()
    local d = dicts.new()
    local free = d:free_space()
    for _, size in ipairs { 1, 10, 100, 1000, 10000, 30000 } do
      d:set("key", ("x"):rep(size))
      local used = free - d:free_space()
      assert.True(used >= size + 3 and used < size + 3 + 128)
      d:set("key", ("y"):rep(size))
      assert.equal(used, free - d:free_space())
      d:set("key", true)
      d:delete "key"
      assert.equal(free, d:free_space())
    end
    assert.same({ free, d:capacity() }, { d:stats().free, d:stats().capacity })
  end)
end)

describe("the memory of a dict below 4 MiB", function()
  after_each(scratch.clean)

  local SIZES = { 1, 20, 100, 333, 1000 }

  it("is accounted to the byte: what a deleted key had is enough for one of its size", function()
    for _, size in ipairs(SIZES) do
      local d = dicts.new()
      local value = ("v"):rep(size)
      local n = 0
      repeat
        n = n + 1
        local ok, _, forcible = d:set(("key %05d"):format(n), value)
        assert.True(ok)
      until forcible
      d:delete(("key %05d"):format(n))
      answers({ d, "set", "key 90001", value }, true, nil, false)
      answers({ d, "set", "key 90002", value }, true, nil, true)
    end
  end)

  it("is full at the same number of items, in whatever order they come and go", function()
    for _, size in ipairs(SIZES) do
      local d = dicts.new { evict = "none" }
      local value, count = ("v"):rep(size), 0
      while d:set(("key %05d"):format(count + 1), value) do
        count = count + 1
      end
      for i = count, 1, -2 do
        d:delete(("key %05d"):format(i))
      end
      for i = 1, count do
        d:delete(("key %05d"):format(i))
      end
      for i = count, 1, -1 do
        answers({ d, "set", ("key %05d"):format(i), value }, true, nil, false)
      end
      answers({ d, "set", "key 90001", value }, false, "no memory", false)
    end
  end)
end)

describe("what is used", function()
  after_each(scratch.clean)

  local uses = {
    get = function(d) return d:get "hot" end,
    get_stale = function(d) return d:get_stale "hot" end,
    set = function(d) return d:set("hot", 1) end,
    incr = function(d) return d:incr("hot", 1) end,
    ["get_many"] = function(d) return d:get_many({ "hot" }).hot end,
  }
  for way, use in pairs(uses) do
    it("by " .. way .. " stays while others go", function()
      local d = dicts.new()
      d:set("hot", 1)
      for i = 1, 6000 do
        d:set("key " .. i, i)
        if i % 20 == 0 then
          assert.truthy(use(d))
        end
      end
      assert.True(d:stats().evicted > 4000)
    end)
  end

  it("not for long goes before what was stored just now", function()
    local d = dicts.new()
    local count = dicts.fill(d, 10, "old %d")
    for i = 1, count / 2 do
      answers({ d, "set", "new " .. i, i }, true, nil, true)
    end
    local left = 0
    for i = 1, count / 2 do
      left = left + (d:get("new " .. i) and 1 or 0)
    end
    assert.True(left > 0.9 * count / 2, left .. " of " .. count / 2)
  end)
end)

describe("memory that was freed", function()
  after_each(scratch.clean)

  local function random_size(most)
    return math.floor(math.exp(math.random() * math.log(most)))
  end

  for _, capacity in ipairs { 2 ^ 18, 2 ^ 23 } do
    it(("serves all sizes in a dict of %d bytes after many sets"):format(capacity), function()
      local scale = message_peer.scale
      local text = ("0123456789abcdef"):rep(capacity / 8 / 16)
      local function filled(d)
        local bytes, i = 0, 0
        repeat
          i = i + 1
          local size = i * 7919 % 1999
          local ok = d:safe_set("fill " .. i, text:sub(1, size))
          bytes = bytes + (ok and size or 0)
        until not ok
        return bytes
      end
      local fresh = filled(dicts.new { capacity = capacity })
      local d = dicts.new { capacity = capacity }
      for _ = 1, 2500 * scale do
        local value = text:sub(1, random_size(capacity / 8))
        local ok, why = d:set(math.random(1000), value)
        assert.True(ok, why)
      end
      for _ = 1, 50 do
        local key = math.random(1000)
        local value = d:get(key)
        assert.True(value == nil or value == text:sub(1, #value))
      end
      for _, key in ipairs(d:get_keys(0)) do
        d:delete(key)
      end
      assert.equal(d:capacity() - d:capacity() % 64, d:free_space())
      assert.True(filled(d) >= 0.9 * fresh)
    end)
  end
end)
