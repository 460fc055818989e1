-- SPDX-License-Identifier: MIT
-- The handle of a dict: what it is given, what runs in the midst of its calls, and how it ends.

local shmseg = require "shmseg"
local collector = require "spec.support.collector"
local expect = require "spec.support.expect"
local dicts = require "spec.support.dicts"
local finalizer = require "spec.support.finalizer"
local scratch = require "spec.support.scratch"

-- Each method, with arguments that are right.
local calls = {
  add = { "key", 1 }, cas = { "key", nil, 1 }, claim = { "key", 0 }, capacity = {},
  delete = { "key" }, expire = { "key", 1 }, fetch = { "key", tostring }, flush_all = {},
  flush_expired = {}, free_space = {}, get = { "key" }, get_keys = {}, get_many = { { "key" } },
  get_stale = { "key" }, incr = { "key", 1, 0 }, llen = { "list" }, lpop = { "list" },
  lpush = { "list", 1 }, pairs = {}, replace = { "key", 1 }, rpop = { "list" },
  rpush = { "list", 1 }, safe_add = { "key", 1 }, safe_set = { "key", 1 }, set = { "key", 1 },
  set_many = { { key = 1 } }, stats = {}, ttl = { "key" }, update = { "key", tostring },
  wait = { "key", nil, 0 }, watch = { "key" },
}

local function call(d, method)
  return d[method](d, (table.unpack or unpack)(calls[method], 1, 3))
end

-- What went wrong, without "spec/dict_spec.lua:17: " at its beginning; and that line.
local function misuse(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.False(ok)
  local line, rest = message:match "^[^:]*spec/dict_spec%.lua:(%d+): (.*)$"
  return rest or message, tonumber(line)
end

local codec = {
  encode = function(value)
    return type(value) == "table" and "table " .. table.concat(value, ",") or "text " .. value
  end,
  decode = function(bytes)
    local list = {}
    local kind, words = bytes:match "^(%a+) (.*)$"
    for word in words:gmatch "[^,]+" do
      list[#list + 1] = word
    end
    return kind == "table" and list or words
  end,
}

describe("the handle of a dict", function()
  after_each(scratch.clean)

  it("has the methods of the manual, and no others", function()
    local d = dicts.new()
    local common = { close = true, segment = true, unlink = true }
    for name in pairs(getmetatable(d).__index) do
      assert.truthy(calls[name] or common[name], name)
    end
    for name in pairs(calls) do
      assert.equal("function", type(d[name]), name)
    end
  end)

  it("says which number or word disagrees, in words", function()
    local _, name = dicts.new { capacity = 65536, items = 500 }
    local function message(options)
      return expect.failure("incompatible", shmseg.dict.open(name, "c", options))
    end
    assert.equal(('dict "%s": evict "lru", "none" asked'):format(name),
      message { capacity = 65536, evict = "none" })
    assert.equal(('dict "%s": items 500, 501 asked'):format(name),
      message { capacity = 65536, items = 501 })
    assert.equal(('dict "%s": capacity 65536, 65537 asked'):format(name),
      message { capacity = 65537 })
    for _, word in ipairs { "LRU", "", 1, true } do
      expect.misuse('option "evict": "lru" or "none" expected', shmseg.dict.open, name, "c",
        { capacity = 65536, evict = word })
    end
    for _, items in ipairs { 0, -1, 1.5, "many", {} } do
      expect.misuse('option "items"', shmseg.dict.open, name, "c",
        { capacity = 65536, items = items })
    end
    expect.misuse('option "capacity": needed', shmseg.dict.open, name, "c", { items = 5 })
    expect.misuse('option "capacity": needed', shmseg.dict.size_for, { evict = "none" })
  end)

  it("says how to write a capacity that has a unit", function()
    local hints = { ["10m"] = "10 * 2^20", ["64 KiB"] = "64 * 2^10", ["1G"] = "1 * 2^30" }
    for given, hint in pairs(hints) do
      assert.equal(('option "capacity": number expected, got %q: write %s'):format(given, hint),
        expect.misuse("expected", shmseg.dict.size_for, { capacity = given }))
    end
    assert.equal('option "capacity": number expected, got "ten"',
      expect.misuse("expected", shmseg.dict.size_for, { capacity = "ten" }))
  end)

  it("needs more room for more items", function()
    local size_for = shmseg.dict.size_for
    local few, many = size_for { capacity = 2 ^ 20 }, size_for { capacity = 2 ^ 20, items = 15000 }
    assert.truthy(few > 2 ^ 20 and many > few)
    assert.equal(few, size_for { capacity = 2 ^ 20, evict = "none" })
    local seg = expect.success(shmseg.anonymous(many))
    local options = { capacity = 2 ^ 20, items = 15000 }
    local d = expect.success(shmseg.dict.open(seg, "c", options))
    assert.equal(2 ^ 20, d:capacity())
  end)

  it("that only reads is refused by cas, update and pops before they look", function()
    local d, name = dicts.new()
    d:set("key", 1)
    local reader = expect.success(shmseg.dict.open(name, "r"))
    expect.misuse("read%-only", reader.cas, reader, "key", 2, 3)
    for _, pop in ipairs { "lpop", "rpop" } do
      expect.misuse("read%-only", reader[pop], reader, "key")
      expect.misuse("read%-only", reader[pop], reader, "no list")
    end
    local called = false
    for _, method in ipairs { "update", "fetch" } do
      expect.misuse("read%-only", reader[method], reader, "key", function() called = true end)
    end
    assert.False(called)
  end)

  it("that only reads, or is closed, is refused by calls that would change nothing", function()
    local d, name = dicts.new()
    local reader = expect.success(shmseg.dict.open(name, "r"))
    expect.misuse("read%-only", reader.lpop, reader, "absent")
    expect.misuse("read%-only", reader.set, reader, "key", ("x"):rep(65536))
    expect.misuse("read%-only", reader.set_many, reader, {})
    d:close()
    expect.misuse("closed", d.set_many, d, {})
    expect.misuse("closed", d.get_many, d, {})
  end)

  it("is refused by each method when it is closed", function()
    for method in pairs(calls) do
      local d = dicts.new()
      d:close()
      expect.misuse("closed", call, d, method)
      local other = dicts.new()
      local seg = other:segment()
      seg:close()
      expect.misuse("closed", call, other, method)
    end
    local d = dicts.new()
    d:close()
    expect.misuse("closed", function() return #d end)
  end)

  it("blames the line that called it, and counts the arguments as they are written", function()
    local d = dicts.new()
    local text, line = misuse(function() d:set({}, 1) end)
    assert.equal("bad argument #1 to 'set' (string expected, got table)", text)
    for expected, fn in pairs {
      ["bad \"exptime\" argument"] = function() d:set("key", 1, -1) end,
      ["bad argument #1 to 'update' (string expected, got table)"] = function()
        d:update({}, tostring)
      end,
      ["bad argument #2 to 'update' (function expected, got number)"] = function()
        d:update("key", 1)
      end,
      ["bad argument #2 to 'fetch' (function expected, got number)"] = function()
        d:fetch("key", 1)
      end,
      ["option \"stale\": number expected, got boolean"] = function()
        d:fetch("key", tostring, { stale = true })
      end,
      ["option \"ttl\": out of range: -1"] = function()
        d:fetch("key", tostring, { ttl = -1 })
      end,
      ["option \"flags\": out of range: 4294967296"] = function()
        d:fetch("key", tostring, { flags = 4294967296 })
      end,
      ["option \"stale\": out of range: nan"] = function()
        d:fetch("key", tostring, { stale = math.huge - math.huge })
      end,
      ["bad argument #1 to 'get_many' (a key: string expected, got table)"] = function()
        d:get_many { "key", {} }
      end,
      ["bad argument #1 to 'set_many' (a key: string expected, got function)"] = function()
        d:set_many { [tostring] = 1 }
      end,
    } do
      local got, where = misuse(fn)
      assert.equal(expected, (got:gsub("%-nan", "nan")))
      assert.truthy(where and where > line and where < line + 40)
    end
    dicts.answers({ d, "get_keys" }, {})
  end)

  it("can be closed by what it is given, by encode and by decode", function()
    for _, method in ipairs { "set", "add", "cas", "set_many", "claim" } do
      local d
      local own = {
        encode = function()
          d:close()
          return "x"
        end,
        decode = tostring,
      }
      d = dicts.new { codec = own }
      local claim = d:claim "claimed"
      expect.misuse("closed", function()
        if method == "claim" then
          claim:set "x"
        elseif method == "cas" then
          d:cas("key", nil, "x")
        elseif method == "set_many" then
          d:set_many { one = "x", two = "x" }
        else
          d[method](d, "key", "x")
        end
      end)
    end
    local d, name = dicts.new { codec = codec }
    d:set("one", "x")
    d:set("two", "x")
    local own = {
      encode = tostring,
      decode = function(bytes)
        d:close()
        return bytes
      end,
    }
    for _, read in ipairs {
      function() return d:get "one", d:get "one" end,
      function() return d:get_many { "one", "two" } end,
      function()
        for _ in d:pairs() do end
      end,
      function() return d:update("one", tostring) end,
      function() return d:cas("one", "y", 1), d:get "one" end,
      function() return d:fetch("one", tostring), d:get "one" end,
    } do
      d = expect.success(shmseg.dict.open(name, "rw", { codec = own }))
      expect.misuse("closed", read)
    end
  end)
end)

describe("a large value", function()
  after_each(scratch.clean)

  it("is read whole when a finalizer closes the dict in the midst of get, or get raises", function()
    for round = 1, 4 do
      local d = dicts.new { capacity = 1000000 }
      local value = tostring(round):rep(200000)
      d:set("key", value)
      collectgarbage()
      collectgarbage()
      finalizer(function()
        d:close()
      end)
      local ok, got
      repeat
        ok, got = pcall(d.get, d, "key")
        assert.True(not ok or got == value)
      until not ok
      assert.truthy(got:find "closed", got)
    end
  end)

  it("is read whole when a finalizer reads and writes others in the midst of get", function()
    local d = dicts.new { capacity = 4000000 }
    for _, size in ipairs { 50000, 300000 } do
      for round = 1, 3 do
        local other, fired = ("b"):rep(size), false
        d:set("key", ("c"):rep(100000))
        d:get "key"
        collectgarbage()
        collectgarbage()
        collectgarbage "stop"
        local multiplier = collector("stepmul", 1000000)
        finalizer(function()
          fired = true
          for i = 1, 5 do
            d:set("other " .. i, other)
          end
          d:get "other 1"
        end)
        d:set("key", round .. ("a"):rep(100000)) -- an equal string elsewhere would be taken
        collectgarbage "restart"
        local got
        for _ = 1, 10 do
          got = fired and got or d:get "key"
        end
        collector("stepmul", multiplier)
        assert.True(got == round .. ("a"):rep(100000))
      end
    end
  end)

  it("may be a list's element", function()
    local d = dicts.new { capacity = 2000000 }
    for _, size in ipairs { 511, 512, 513, 70000, 900000 } do
      local value = ("e"):rep(size)
      assert.equal(1, d:rpush("list", value))
      assert.True(value == d:lpop "list")
    end
  end)
end)

describe("an integer in a dict", function()
  after_each(scratch.clean)

  it("that no number holds raises on 5.1 and 5.2, and is exact elsewhere", function()
    local d, name = dicts.new()
    d:set("key", 9007199254740991)
    assert.equal(2 ^ 53, d:incr("key", 1))
    if not rawget(_G, "jit") and not math.type then
      expect.misuse("no number holds", d.incr, d, "key", 1)
      assert.equal(2 ^ 53, d:get "key")
      d:set("key", 9007199254740987)
      local seg = expect.success(shmseg.open(name, "rw"))
      local at = seg:read():find("\251\255\255\255\255\255\31\0", 1, true)
      seg:write(at - 1, "\1\0\0\0\0\0\32\0")
      seg:close()
      expect.misuse("no number holds", d.get, d, "key")
      expect.misuse("no number holds", d.get_many, d, { "key" })
      expect.misuse("no number holds", d.incr, d, "key", 2)
      assert.equal(2 ^ 53, d:incr("key", -1))
      return
    end
    assert.equal("9007199254740993", (tostring(d:incr("key", 1)):gsub("LL$", "")))
    assert.equal("9007199254740993", (tostring(d:get "key"):gsub("LL$", "")))
    assert.equal(2 ^ 53 - 1, d:incr("key", -2))
  end)

  it("may be a 64-bit one of LuaJIT's FFI", function()
    local found, ffi = pcall(require, "ffi")
    if not found or not rawget(_G, "jit") then
      pending "there is no FFI here"
    end
    local d = dicts.new()
    local large = ffi.new("int64_t", 2 ^ 62) + 1
    d:set("key", large)
    assert.True(large == d:get "key")
    d:set("key", ffi.new("uint64_t", 7))
    assert.equal(7, d:get "key")
    assert.equal("number", type(d:get "key"))
    assert.equal(12, d:incr("key", ffi.new("int64_t", 5)))
    assert.True(d:cas("key", ffi.new("int64_t", 12), large))
    assert.True(d:cas("key", large, 1))
    dicts.answers({ d, "set", "key", ffi.new("uint64_t", -1) }, nil, "bad value type")
    dicts.answers({ d, "set", "key", ffi.new("char[4]") }, nil, "bad value type")
    expect.misuse("string expected, got cdata", d.get, d, large)
  end)
end)

describe("pairs of a dict", function()
  after_each(scratch.clean)

  it("keeps the dict it goes over", function()
    local function iterator()
      local d = dicts.new()
      d:set("key", 1)
      return d:pairs()
    end
    local next_pair = iterator()
    collectgarbage()
    collectgarbage()
    assert.same({ "key", 1 }, { next_pair() })
    assert.same({}, { next_pair() })
    assert.same({}, { next_pair() })
  end)

  it("raises when the dict is closed in the midst, and when decode does", function()
    local d, name = dicts.new { codec = codec }
    d:set_many { one = { "a", "b" }, two = "text", three = 3 }
    local seen = {}
    for key, value in d:pairs() do
      seen[key] = value
    end
    assert.same({ one = { "a", "b" }, two = "text", three = 3 }, seen)
    local plain = expect.success(shmseg.dict.open(name))
    local text = expect.misuse("and this handle has none %(incompatible%)", function()
      for _ in plain:pairs() do end
    end)
    assert.truthy(text:find(name, 1, true))
    assert.truthy(text:find('a codec made the value of key "%a+",'))
    local broken = { encode = tostring, decode = function() error("cannot be decoded", 0) end }
    local other = expect.success(shmseg.dict.open(name, "rw", { codec = broken }))
    local next_pair = other:pairs "t"
    assert.equal("cannot be decoded", expect.misuse("decoded", function()
      while next_pair() do end
    end))
    expect.misuse("ended by an error", next_pair)
    next_pair = d:pairs()
    next_pair()
    d:close()
    expect.misuse("closed", function()
      while next_pair() do end
    end)
  end)

  it("gives each key once when a finalizer runs the iterator, or it is refused there", function()
    local d = dicts.new { capacity = 1000000 }
    for i = 1, 300 do
      d:set("key " .. i, ("x"):rep(1000) .. i)
    end
    for _ = 1, 5 do
      local next_pair, seen, count = d:pairs(), {}, 0
      local function take(key)
        if key then
          assert.Nil(seen[key])
          seen[key], count = true, count + 1
        end
        return key
      end
      for _ = 1, 20 do
        finalizer(function()
          local ok, key = pcall(next_pair)
          if ok then
            take(key)
          end
        end)
      end
      repeat until not take(next_pair())
      assert.equal(300, count)
    end
  end)
end)

describe("update of a dict", function()
  after_each(scratch.clean)

  it("is of one coroutine: another one may write the key meanwhile, and is not lost", function()
    if _VERSION == "Lua 5.1" and not rawget(_G, "jit") then
      pending "no coroutine yields in a pcall here"
    end
    local d = dicts.new()
    d:set("key", 1)
    local co = coroutine.wrap(function()
      return d:update("key", function(old)
        coroutine.yield(old)
        return old * 10
      end)
    end)
    assert.equal(1, co())
    d:set("key", 2)
    assert.equal(2, co())
    assert.equal(20, co())
    assert.equal(20, d:get "key")
    coroutine.wrap(function() -- never resumed
      d:update("key", coroutine.yield)
    end)()
    collectgarbage()
    assert.True((d:set("key", 3)))
    assert.equal(4, d:update("key", function(old) return old + 1 end))
  end)

  it("may update other keys in its function, and the same one when it has raised", function()
    local d = dicts.new()
    assert.equal(2, d:update("one", function()
      return d:update("two", function() return 1 end) + 1
    end))
    local thing = {}
    local ok, raised = pcall(d.update, d, "one", function() error(thing) end)
    assert.False(ok)
    assert.equal(thing, raised)
    assert.True((d:set("one", 5)))
    for _, write in ipairs {
      function() d:set_many { one = 1 } end,
      function() d:update("one", tostring) end,
      function() d:claim("one", 0) end,
      function() d:fetch("one", tostring) end,
      function() d:lpush("one", 1) end,
      function() d:expire("one", 1) end,
    } do
      expect.misuse('dict "[^"]+": key "one": its update has', d.update, d, "one", write)
      expect.misuse('dict "[^"]+": key "one": its update has', d.update, d, "one", function()
        d:update("two", tostring)
        write()
      end)
    end
    assert.equal(5, d:get "one")
  end)

  it("raises when its function closes the dict, as fetch does, and blames the line", function()
    for _, method in ipairs { "update", "fetch" } do
      local d = dicts.new()
      local text, line = misuse(function()
        d[method](d, "key", function()
          d:close()
          return 1
        end)
      end)
      assert.truthy(text:find "closed", text)
      assert.truthy(line)
    end
  end)
end)

describe("a claim of a dict", function()
  after_each(scratch.clean)

  it("tells its key, and keeps its dict", function()
    local function make()
      return dicts.new():claim "the key"
    end
    local claim = make()
    assert.equal("shmseg.claim (the key)", tostring(claim))
    collectgarbage()
    collectgarbage()
    assert.True((claim:set(1)))
    assert.equal("shmseg.claim (ended)", tostring(claim))
    expect.misuse('dict "[^"]+": the claim of key "the key" has ended', claim.set, claim, 1)
    claim:cancel()
  end)

  it("goes with its dict in any order", function()
    local _, name = dicts.new()
    for round = 1, 20 do
      local d = expect.success(shmseg.dict.open(name))
      local claims = {}
      for i = 1, 8 do
        claims[i] = expect.success(d:claim("key " .. i, 10))
      end
      if round % 3 == 0 then
        d:close()
        claims[2]:cancel()
      elseif round % 3 == 1 then
        claims[round % 8 + 1] = nil
        collectgarbage()
      end
      claims, d = nil, nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
    end
  end)

  it("is given back with its dict, though the segment stays open", function()
    local seg = expect.success(shmseg.anonymous(65536))
    local d = expect.success(shmseg.dict.open(seg, "c"))
    local claim = expect.success(d:claim "key")
    d:close()
    assert.equal("shmseg.claim (ended)", tostring(claim))
    local again = expect.success(shmseg.dict.open(seg))
    assert.truthy((again:claim("key", 0)))
  end)

  it("is given back when the scope ends, from Lua 5.4 on", function()
    local load_text = rawget(_G, "loadstring") or load
    local scope = load_text [[
      local d = ...
      do
        local claim <close> = d:claim "key"
        assert(select(2, d:claim("key", 0)) == "timeout")
      end
      return d:claim("key", 0)]]
    if not scope then
      pending "no variable is closed here"
    end
    assert.truthy(scope(dicts.new()))
  end)
end)

describe("what sleeps in a dict", function()
  after_each(scratch.clean)

  it("is interrupted by a signal that was asked for", function()
    local d, name = dicts.new()
    d:set("key", 1)
    local claim = expect.success(d:claim "claimed")
    for _, sleep in ipairs {
      "d:wait('key', 1)", "d:claim 'claimed'", "d:fetch('claimed', tostring, { timeout = 600 })",
    } do
      local other = dicts.user(name)
      other:call "stop = shmseg.signals 'INT'"
      other:send_to_sleep(sleep)
      other:signal "INT"
      assert.same({ n = 2, nil, "interrupted" }, dicts.results(other:receive()))
    end
    assert.True((claim:set(1)))
  end)
end)
