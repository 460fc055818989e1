-- SPDX-License-Identifier: MIT
-- shmseg.dict: claim, and fetch, which is made of it.

local shmseg = require "shmseg"
local dicts = require "spec.support.dicts"
local expect = require "spec.support.expect"
local scratch = require "spec.support.scratch"

local answers = dicts.answers

local function two_handles(options)
  local d, name = dicts.new(options)
  return d, expect.success(shmseg.dict.open(name)), name
end

local function never()
  error "this is not to be called"
end

describe("a claim", function()
  after_each(scratch.clean)

  it("is one process's at a time: set stores and ends it, cancel ends it", function()
    local d, other = two_handles()
    for _, finish in ipairs { "set", "cancel" } do
      local claim = expect.success(d:claim "key")
      answers({ other, "claim", "key", 0 }, nil, "timeout")
      answers({ other, "claim", "key", 0.005 }, nil, "timeout")
      answers({ d, "claim", "key", 0 }, nil, "timeout")
      expect.success(other:claim("another key", 0)):cancel()
      answers({ d, "get", "key" }, nil)
      local stored = claim[finish](claim, "value", 100, 7)
      assert.equal(finish == "set" or nil, stored)
      expect.success(other:claim("key", 0)):cancel()
      if finish == "set" then
        answers({ other, "get", "key" }, "value", 7)
        assert.True(d:ttl "key" > 90)
        d:delete "key"
      else
        answers({ other, "get_stale", "key" }, nil)
      end
    end
  end)

  it("may be for a key that is there", function()
    local d = dicts.new()
    d:set("key", "old", 0, 7)
    local claim = expect.success(d:claim "key")
    answers({ d, "get", "key" }, "old", 7)
    assert.truthy((claim:set "new"))
    answers({ d, "get", "key" }, "new")
  end)

  it("is void after a write to the key, and after flush_all: nothing is stored", function()
    local d, other = two_handles()
    for _, write in ipairs {
      function() other:set("key", "theirs") end, function() other:incr("key", 1, 0) end,
      function() other:delete "key" end, function() other:rpush("key", 1) end,
      function() other:flush_all() end, function() d:set("key", "mine") end,
      function() other:add("key", "theirs") end, function() other:set_many { key = 1 } end,
      function() other:update("key", function() return "theirs" end) end,
      function() other:cas("key", nil, "theirs") end,
    } do
      d:delete "key"
      local claim = expect.success(d:claim "key")
      write()
      local before = dicts.results(d:get_stale "key")
      answers({ claim, "set", "too late" }, false, "changed", false)
      answers({ d, "get_stale", "key" }, (table.unpack or unpack)(before, 1, before.n))
      claim:cancel()
      expect.success(other:claim("key", 0)):cancel()
    end
  end)

  it("outlives writes that fail and writes to other keys", function()
    local d, other = two_handles()
    local claim = expect.success(d:claim "key")
    other:set("other", 1)
    other:replace("key", 1)
    other:incr("key", 1)
    other:cas("key", 1, 2)
    other:set("key", {})
    other:expire("key", 1)
    assert.truthy((claim:set "value"))
    answers({ d, "get", "key" }, "value")
  end)

  it("does not end by a set that raises or is refused", function()
    local d, other = two_handles { capacity = 16384 }
    local claim = expect.success(d:claim "key")
    expect.misuse('bad "exptime" argument', claim.set, claim, "value", -1)
    expect.misuse("bad argument", claim.set, claim, "value", 0, "flags")
    answers({ other, "claim", "key", 0 }, nil, "timeout")
    claim:cancel()
    expect.success(other:claim("key", 0)):cancel()
  end)

  it("that has ended does nothing", function()
    local d, other = two_handles()
    for _, finish in ipairs { "set", "cancel" } do
      local claim = expect.success(d:claim "key")
      claim[finish](claim, "value")
      local theirs = expect.success(other:claim("key", 0))
      claim:cancel()
      pcall(claim.set, claim, "again")
      answers({ d, "claim", "key", 0 }, nil, "timeout")
      assert.truthy((theirs:set "theirs"))
      answers({ d, "get", "key" }, "theirs")
    end
  end)

  it("ends when it is collected, when it is closed, and with its handle", function()
    local d, other = two_handles()
    expect.success(d:claim "collected")
    collectgarbage()
    collectgarbage()
    expect.success(other:claim("collected", 0)):cancel()
    if _VERSION >= "Lua 5.4" then
      assert((loadstring or load) [[
        local d, other = ...
        do
          local claim <close> = assert(d:claim "scope")
          assert(not other:claim("scope", 0))
        end
        assert(other:claim("scope", 0)):cancel()]])(d, other)
    end
    local claim = expect.success(d:claim "closed")
    d:close()
    expect.success(other:claim("closed", 0)):cancel()
    pcall(claim.set, claim, "late")
    claim:cancel()
    answers({ other, "get", "closed" }, nil)
  end)

  it("ends with its handle also when the segment stays open", function()
    local seg = expect.success(shmseg.anonymous(2 ^ 18))
    local d = expect.success(shmseg.dict.open(seg, "c"))
    local other = expect.success(shmseg.dict.open(seg))
    local claim = expect.success(d:claim "key")
    answers({ other, "claim", "key", 0 }, nil, "timeout")
    d:close()
    assert.truthy((expect.success(other:claim("key", 0)):set "value"))
    claim:cancel()
    answers({ other, "get", "key" }, "value")
  end)

  it("is one for each of several keys", function()
    local d, other = two_handles()
    local claims = {}
    for i = 1, 8 do
      claims[i] = expect.success(d:claim("key " .. i, 0))
    end
    for i = 1, 8 do
      answers({ other, "claim", "key " .. i, 0 }, nil, "timeout")
    end
    for i, claim in ipairs(claims) do
      claim:set(i)
    end
    for i = 1, 8 do
      answers({ d, "get", "key " .. i }, i)
    end
    for round = 1, 500 do
      expect.success(d:claim("round " .. round, 0)):cancel()
    end
  end)

  it("takes keys and timeouts as every call does", function()
    local d, _, name = two_handles()
    answers({ d, "claim" }, nil, "nil key")
    answers({ d, "claim", "", 0 }, nil, "empty key")
    expect.misuse("bad argument #2", d.claim, d, {})
    for _, timeout in ipairs { 0 / 0, "soon", true, {} } do
      expect.misuse("bad argument", d.claim, d, "key", timeout)
    end
    local reader = expect.success(shmseg.dict.open(name, "r"))
    expect.misuse("read%-only", reader.claim, reader, "key", 0)
  end)
end)

describe("fetch", function()
  after_each(scratch.clean)

  it("computes once, and hits from then on", function()
    local d, other = two_handles()
    local calls = 0
    local function fn(...)
      calls = calls + 1
      assert.same(dicts.results "key", dicts.results(...))
      return "value"
    end
    answers({ d, "fetch", "key", fn }, "value", "computed")
    answers({ d, "fetch", "key", fn }, "value", "hit")
    answers({ other, "fetch", "key", fn }, "value", "hit")
    answers({ d, "get", "key" }, "value")
    answers({ d, "ttl", "key" }, 0)
    assert.equal(1, calls)
    d:delete "key"
    for _, value in ipairs { false, true, 0, 0.5, "", ("x"):rep(20000) } do
      answers({ d, "fetch", "key", function() return value end }, value, "computed")
      answers({ d, "fetch", "key", never }, value, "hit")
      d:delete "key"
    end
  end)

  it("stores with the ttl and flags of its options, or the exptime beside the value", function()
    local d = dicts.new()
    local options = { ttl = 100, flags = 7 }
    answers({ d, "fetch", "key", function() return 1 end, options }, 1, "computed")
    answers({ d, "get", "key" }, 1, 7)
    local ttl = d:ttl "key"
    assert.True(ttl > 90 and ttl <= 100)
    d:delete "key"
    answers({ d, "fetch", "key", function() return 1, 1000 end, options }, 1, "computed")
    assert.True(d:ttl "key" > 900)
    d:delete "key"
    answers({ d, "fetch", "key", function() return 1, 0 end, options }, 1, "computed")
    answers({ d, "ttl", "key" }, 0)
    assert.same({ ttl = 100, flags = 7 }, options)
  end)

  it("computes again what has expired or was flushed", function()
    local d = dicts.new()
    d:set("key", "old", 0.001)
    dicts.let_expire()
    answers({ d, "fetch", "key", function() return "new" end, { stale = 100 } }, "new", "computed")
    d:flush_all()
    answers({ d, "fetch", "key", function() return "newer" end }, "newer", "computed")
    answers({ d, "get", "key" }, "newer")
  end)

  it("says empty when nothing comes of it, and stores nothing", function()
    local d, other = two_handles()
    answers({ d, "fetch", "key", function() end }, nil, "empty")
    answers({ d, "get_stale", "key" }, nil)
    expect.success(other:claim("key", 0)):cancel()
  end)

  it("raises what the function raises, and gives the claim back", function()
    local d, other = two_handles()
    local thrown = {}
    local ok, caught = pcall(d.fetch, d, "key", function() error(thrown) end)
    assert.False(ok)
    assert.equal(thrown, caught)
    expect.success(other:claim("key", 0)):cancel()
    expect.misuse("mine", d.fetch, d, "key", function() error "mine" end, { stale = 100 })
    expect.success(other:claim("key", 0)):cancel()
    answers({ d, "fetch", "key", function() return "now" end }, "now", "computed")
  end)

  it("gives the claim back when a hook raises, at any of its instructions", function()
    local d, other = two_handles()
    collectgarbage "stop" -- a claim that is lost would end when it is collected
    scratch.defer(function()
      collectgarbage "restart"
    end)
    dicts.interrupt_each_instruction(function()
      d:fetch("key", function()
        return "value"
      end)
    end, function(count)
      local claim, word = other:claim("key", 0)
      assert.truthy(claim, ("%s behind instruction %d"):format(tostring(word), count))
      claim:cancel()
      d:delete "key"
    end)
  end)

  it("gives the stale value when the function raises", function()
    local d, other = two_handles()
    d:set("key", "old", 0.001, 7)
    dicts.let_expire()
    local function fn() error "mine" end
    answers({ d, "fetch", "key", fn, { stale = 100 } }, "old", "stale")
    answers({ d, "fetch", "key", fn, { stale = 100 } }, "old", "stale")
    expect.misuse("mine", d.fetch, d, "key", fn)
    expect.misuse("mine", d.fetch, d, "key", fn, { stale = 0.0001 })
    expect.success(other:claim("key", 0)):cancel()
  end)

  it("gives the stale value at once while another one computes", function()
    local d, other = two_handles()
    d:set("key", "old", 0.001)
    dicts.let_expire()
    local claim = expect.success(other:claim "key")
    answers({ d, "fetch", "key", never, { stale = 100 } }, "old", "stale")
    claim:set "new"
    answers({ d, "fetch", "key", never, { stale = 100 } }, "new", "hit")
  end)

  it("computes by itself when the other one takes too long", function()
    local d, other = two_handles()
    local claim = expect.success(other:claim "key")
    local function mine() return "mine" end
    for _, timeout in ipairs { 0, 0.01 } do
      local value, how = d:fetch("key", mine, { timeout = timeout })
      assert.same({ "mine", "computed" }, { value, how })
      d:delete "key"
    end
    claim:cancel()
  end)

  it("gives the value and stores nothing after a write in between, or a flush", function()
    local d, other = two_handles()
    for _, who in ipairs { d, other } do
      for _, case in ipairs {
        { function() who:set("key", "theirs") end, "theirs" },
        { function() who:delete "key" end, nil },
        { function() who:flush_all() end, nil },
        { function() who:incr("key", 1, 41) end, 42 },
      } do
        d:delete "key"
        answers({ d, "fetch", "key", function()
          case[1]()
          return "mine"
        end }, "mine", "computed")
        answers({ d, "get", "key" }, case[2])
        expect.success(other:claim("key", 0)):cancel()
      end
    end
  end)

  it("inside of a fetch never waits: it computes by itself", function()
    local d, other = two_handles()
    local claim = expect.success(other:claim "inner")
    answers({ d, "fetch", "outer", function()
      answers({ d, "fetch", "inner", function() return "i" end }, "i", "computed")
      answers({ d, "fetch", "free", function() return "f" end }, "f", "computed")
      return "o"
    end }, "o", "computed")
    answers({ d, "get", "inner" }, "i")
    answers({ d, "get", "free" }, "f")
    claim:cancel()
  end)

  it("of the same key inside of its own function ends", function()
    local d = dicts.new()
    local inner = dicts.results()
    local value, how = d:fetch("key", function()
      inner = dicts.results(d:fetch("key", function() return "inner" end))
      return "outer"
    end)
    assert.same({ "outer", "computed" }, { value, how })
    assert.True(inner[1] == "inner" or inner[1] == nil and inner[2] == "timeout")
    assert.truthy((d:get "key"))
  end)

  it("may yield in its function, and other coroutines do not sleep for it", function()
    if _VERSION == "Lua 5.1" and not jit then
      return -- no pcall can be yielded across
    end
    local d = dicts.new()
    local tasks, log = {}, {}
    local function task(fn)
      tasks[#tasks + 1] = coroutine.create(fn)
    end
    d:set("stale", "old", 0.001)
    dicts.let_expire()
    for i = 1, 2 do
      task(function()
        local value, how = d:fetch("key", function()
          coroutine.yield()
          return "value " .. i
        end)
        log[#log + 1] = tostring(value) .. " " .. how
      end)
    end
    for i = 1, 2 do
      task(function()
        local value, how = d:fetch("stale", function()
          coroutine.yield()
          return "new " .. i
        end, { stale = 100 })
        log[#log + 1] = value .. " " .. how
      end)
    end
    while #tasks > 0 do
      for i = #tasks, 1, -1 do
        assert(coroutine.resume(tasks[i]))
        if coroutine.status(tasks[i]) == "dead" then
          table.remove(tasks, i)
        end
      end
    end
    table.sort(log)
    assert.same({ "new 2 computed", "nil timeout", "old stale", "value 2 computed" }, log)
    answers({ d, "get", "key" }, "value 2")
  end)

  it("in a coroutine that is never resumed keeps its claim only until it is collected", function()
    if _VERSION == "Lua 5.1" and not jit then
      return
    end
    local d, other = two_handles()
    do
      local task = coroutine.wrap(function() d:fetch("key", coroutine.yield) end)
      task()
      answers({ other, "claim", "key", 0 }, nil, "timeout")
    end
    for _ = 1, 3 do
      collectgarbage()
    end
    expect.success(other:claim("key", 0)):cancel()
  end)

  it("raises for arguments that are wrong, and gives the claim back", function()
    local d, other, name = two_handles()
    expect.misuse("bad argument #2 to 'fetch'", d.fetch, d, "key")
    expect.misuse("table expected, got number: write { ttl = 60 }", d.fetch, d, "key", never, 60)
    expect.misuse("the function comes before the options", d.fetch, d, "key", { ttl = 60 }, never)
    expect.misuse("bad argument #2 to 'fetch'", d.fetch, d, "key", "text")
    for _, options in ipairs {
      { ttl = -1 }, { ttl = "x" }, { ttl = 0 / 0 }, { stale = -1 }, { stale = "x" },
      { timeout = "x" }, { timeout = 0 / 0 }, { flags = "x" }, { flags = 2 ^ 33 }, "options",
    } do
      expect.misuse("", d.fetch, d, "key", never, options)
    end
    answers({ d, "fetch", nil, never }, nil, "nil key")
    answers({ d, "fetch", "", never }, nil, "empty key")
    for _, exptime in ipairs { -1, "x", 0 / 0, {} } do
      expect.misuse("exptime", d.fetch, d, "key", function() return 1, exptime end)
      expect.success(other:claim("key", 0)):cancel()
    end
    answers({ d, "fetch", "key", function() return {} end }, nil, "bad value type")
    expect.success(other:claim("key", 0)):cancel()
    local reader = expect.success(shmseg.dict.open(name, "r"))
    expect.misuse("read%-only", reader.fetch, reader, "key", never)
    d:set("key", 1)
    expect.misuse("read%-only", reader.fetch, reader, "key", never)
  end)

  it("computes without a claim when there are too many of them", function()
    local d, other = two_handles()
    local claims, why = {}
    repeat
      claims[#claims + 1], why = other:claim("key " .. #claims, 0)
    until why
    assert.equal("no memory", why)
    assert.True(#claims >= 8)
    for i = #claims, #claims + 5 do
      answers({ d, "fetch", "key " .. i, function() return i end }, i, "computed")
      answers({ d, "fetch", "key " .. i, never }, i, "hit")
    end
    for _, claim in ipairs(claims) do
      claim:cancel()
    end
  end)

  it("gives a value that cannot be stored for want of memory", function()
    local d = dicts.new { capacity = 16384 }
    local large = ("x"):rep(20000)
    local value, how = d:fetch("key", function() return large end)
    assert.True(value == large and how == "computed" or value == nil and how == "no memory")
    answers({ d, "get", "key" }, nil)
  end)

  it("carries what a codec makes", function()
    local name = scratch.name()
    local codec = {
      encode = function(value) return tostring(value.n) end,
      decode = function(text) return { n = tonumber(text) } end,
    }
    local d = expect.success(shmseg.dict.open(name, "x", { capacity = 65536, codec = codec }))
    answers({ d, "fetch", "key", function() return { n = 5 } end }, { n = 5 }, "computed")
    answers({ d, "fetch", "key", never }, { n = 5 }, "hit")
  end)
end)
