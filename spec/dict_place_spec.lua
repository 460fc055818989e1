-- SPDX-License-Identifier: MIT
-- Where a dict may lie, what a handle that only reads may do, and what is left when a peer cuts the
-- memory.

local shmseg = require "shmseg"
local dicts = require "spec.support.dicts"
local expect = require "spec.support.expect"
local host = require "spec.support.host"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local answers = dicts.answers

describe("a dict that a peer cuts", function()
  after_each(scratch.clean)

  -- Each method, with a handle that may do it.
  local operations = {
    "get('key')", "get_stale('key')", "ttl('key')", "get_many({ 'key' })", "get_keys()",
    "llen('list')", "stats()", "free_space()", "wait('key', nil, 0)", "wait('key', 1, 0.05)",
    "set('key', 1)", "set('new', ('x'):rep(20000))", "set('key', nil)", "safe_set('key', 1)",
    "add('key', 1)", "safe_add('key', 1)", "replace('key', 1)", "delete('key')",
    "incr('key', 1, 0)", "incr('n', 1)", "lpush('list', 1)", "rpush('list', 1)",
    "lpop('list')", "rpop('list')", "expire('key', 1)", "flush_all()", "flush_expired()",
    "cas('key', 1, 2)", "update('key', tostring)", "set_many({ key = 1 })",
    "fetch('key', tostring)", "claim('key', 0)",
  }

  local function victim(size)
    local name = scratch.name()
    local d = expect.success(shmseg.dict.open(name, "x", { capacity = 2 ^ 20 }))
    for i = 1, 300 do
      d:set("key " .. i, ("x"):rep(i))
    end
    d:set("key", ("long"):rep(3000))
    d:set("n", 1)
    d:rpush("list", ("e"):rep(5000))
    local whole = #scratch.bytes(name)
    d:close()
    local other = dicts.user(name)
    other:call "for _ in d:pairs() do end"
    local cutter = expect.success(shmseg.open(name, "rw"))
    return other, cutter, math.floor(whole * size / shmseg.pagesize) * shmseg.pagesize
  end

  it("to nothing fails in each method with that word, and no process dies of it #hole", function()
    local other, cutter = victim(0)
    assert(io.open(scratch.objects .. cutter:name(), "w")):close()
    for _ = 1, 2 do
      for _, operation in ipairs(operations) do
        local value, why = other:call("return d:" .. operation)
        assert.is_nil(value, operation)
        assert.equal("truncated", why, operation)
      end
    end
    for _, raising in ipairs { "#d", "(function() for _ in d:pairs() do end end)()" } do
      local ok, message = pcall(other.call, other, "return " .. raising)
      assert.False(ok)
      assert.truthy(tostring(message):find "truncated", message)
    end
  end)

  for _, size in ipairs { 0.1, 0.5, 0.9 } do
    it("to " .. size .. " of its bytes fails or succeeds, and no process dies #hole", function()
      local other, cutter, bytes = victim(size)
      expect.success(cutter:resize(bytes))
      for _, operation in ipairs(operations) do
        local value, why = other:call("return d:" .. operation)
        assert.True(value ~= nil or why == nil or type(why) == "string")
      end
      pcall(other.call, other, "for _ in d:pairs() do end")
      assert.equal(1, other:call "return 1")
    end)
  end

  it("under one who waits ends the wait #hole", function()
    local _, name = dicts.new()
    local others = { dicts.user(name), dicts.user(name) }
    others[1]:send_to_sleep "d:wait('key', nil)"
    dicts.user(name):call "claim = d:claim 'claimed'"
    others[2]:send_to_sleep "d:claim 'claimed'"
    assert(io.open(scratch.objects .. name, "w")):close()
    for _, other in ipairs(others) do
      local value, why = other:receive()
      assert.is_nil(value)
      assert.equal("truncated", why)
    end
  end)

  it("under work at random goes on failing, and no process dies of it #hole", function()
    local other, cutter, bytes = victim(0.6)
    other:send [[
      report "there"
      for _ = 1, 1e9 do
        local value, why = d:set("key " .. math.random(500), ("x"):rep(math.random(5000)))
        if why == "truncated" then return why end
        d:get("key " .. math.random(500))
        d:rpush("list", "x")
      end]]
    assert.equal("there", other:receive())
    shmseg.sleep(0.005)
    expect.success(cutter:resize(bytes))
    assert(io.open(scratch.objects .. cutter:name(), "w")):close()
    assert.equal("truncated", other:receive())
  end)
end)

describe("a handle that only reads", function()
  after_each(scratch.clean)

  it("gets, waits, lists and counts, and raises for what writes", function()
    local d, name = dicts.new()
    d:set("key", "value", 1000, 7)
    d:set("other", 1)
    d:rpush("list", 1)
    local before = scratch.bytes(name)
    local reader = expect.success(shmseg.dict.open(name, "r"))
    answers({ reader, "get", "key" }, "value", 7)
    answers({ reader, "get_stale", "key" }, "value", 7, false)
    answers({ reader, "get", "absent" }, nil)
    answers({ reader, "llen", "list" }, 1)
    assert.same({ key = "value", other = 1 }, reader:get_many { "key", "other" })
    assert.True(reader:ttl "key" > 900)
    assert.same({ "key", "list", "other" }, dicts.keys(reader))
    local all = {}
    for key, value in reader:pairs() do
      all[key] = value
    end
    assert.same({ key = "value", other = 1, list = { 1 } }, all)
    assert.equal(3, #reader)
    assert.same(d:stats(), reader:stats())
    assert.same({ d:capacity(), d:free_space() }, { reader:capacity(), reader:free_space() })
    answers({ reader, "wait", "key", "value", 0 }, nil, "timeout")
    answers({ reader, "wait", "key", "value", 0.02 }, nil, "timeout")
    answers({ reader, "wait", "key", "other", 60 }, "value")
    for _, call in ipairs {
      { "set", "key", 1 }, { "set", "key" }, { "safe_set", "key", 1 }, { "add", "new", 1 },
      { "safe_add", "new", 1 }, { "replace", "key", 1 }, { "delete", "key" },
      { "incr", "other", 1 }, { "lpush", "list", 1 }, { "rpush", "list", 1 }, { "lpop", "list" },
      { "rpop", "list" }, { "expire", "key", 1 }, { "flush_all" }, { "flush_expired" },
      { "cas", "key", "value", 2 }, { "update", "key", print }, { "set_many", { key = 1 } },
      { "claim", "key", 0 },
      { "fetch", "key", print },
    } do
      expect.misuse("read%-only", reader[call[1]], reader, call[2], call[3], call[4])
    end
    assert.True(before == scratch.bytes(name))
  end)

  it("of a dict that nobody has written to finds nothing", function()
    local _, name = dicts.new()
    local reader = expect.success(shmseg.dict.open(name, "r"))
    answers({ reader, "get", "key" }, nil)
    assert.same({}, reader:get_keys())
    assert.equal(0, #reader)
  end)
end)

describe("a dict", function()
  after_each(scratch.clean)

  local function works(d)
    answers({ d, "set", "key", "value" }, true, nil, false)
    answers({ d, "get", "key" }, "value")
    answers({ d, "set", "large", ("x"):rep(d:capacity() / 2) }, true, nil, false)
    answers({ d, "get", "large" }, ("x"):rep(d:capacity() / 2))
    answers({ d, "incr", "n", 1, 0 }, 1, nil, false)
    answers({ d, "rpush", "list", 1 }, 1)
    assert.same({ "key", "large", "list", "n" }, dicts.keys(d))
    d:delete "large"
  end

  it("lies in a slice beside other things", function()
    local seg = expect.success(shmseg.anonymous(2 ^ 20))
    seg:fill(0, 2 ^ 20, 255)
    local size = shmseg.dict.size_for { capacity = 65536 }
    seg:fill(4096, size, 0)
    local slice = seg:slice(4096, size)
    local d, created = expect.success(shmseg.dict.open(slice, "c", { capacity = 65536 }))
    assert.True(created)
    works(d)
    for i = 1, 2000 do
      d:set(i, ("x"):rep(i))
    end
    assert.equal(("\255"):rep(4096), seg:read(0, 4096))
    assert.equal(("\255"):rep(4096), seg:read(4096 + size, 4096))
    local again = expect.success(shmseg.dict.open(slice))
    answers({ again, "get", 2000 }, ("x"):rep(2000))
  end)

  it("fills a segment whose size is given, and has what fits as its capacity", function()
    for _, size in ipairs { 32768, 2 ^ 18, 2 ^ 21 } do
      local seg = expect.success(shmseg.anonymous(size))
      local d = expect.success(shmseg.dict.open(seg, "c"))
      assert.True(d:capacity() > size / 5 and d:capacity() < size, d:capacity())
      assert.True(shmseg.dict.size_for { capacity = d:capacity() } <= size)
      if size > 32768 then
        works(d)
      end
    end
  end)

  it("lies in a file, and is there again afterwards", function()
    local path = scratch.path "dict"
    local size = shmseg.dict.size_for { capacity = 65536 }
    local file = expect.success(shmseg.map(path, "c", size))
    local d = expect.success(shmseg.dict.open(file, "c", { capacity = 65536 }))
    works(d)
    d:set("timed", 1, 1000)
    d:close()
    file:close()
    local other = peer.start()
    other:call("file = assert(shmseg.map(...)) d = assert(shmseg.dict.open(file))", path)
    assert.equal("value", other:call "return d:get 'key'")
    assert.True(other:call "return d:ttl 'timed' > 900")
    other:call "d:set('theirs', 1)"
    other:quit()
    file = expect.success(shmseg.map(path, "r"))
    d = expect.success(shmseg.dict.open(file, "r"))
    answers({ d, "get", "theirs" }, 1)
    answers({ d, "get", "n" }, 1)
  end)

  it("lies in nameless memory that another process was handed", function()
    local seg = expect.success(shmseg.anonymous(2 ^ 19))
    local d = expect.success(shmseg.dict.open(seg, "c"))
    works(d)
    local other = peer.start()
    local path = ("/proc/%d/fd/%d"):format(shell.pid(), seg:fd())
    other:call("seg = assert(shmseg.map(...)) d = assert(shmseg.dict.open(seg))", path)
    assert.equal("value", other:call "return d:get 'key'")
    other:send_to_sleep "d:wait('news', nil)"
    d:set("news", "good")
    assert.equal("good", other:receive())
  end)

  it("is one for a fork'ed child and its parent; the child has none of its claims", function()
    local lines, reason = host.run [[
      local shmseg = require "shmseg"
      local d = assert(shmseg.dict.open(assert(shmseg.anonymous(2 ^ 19)), "c"))
      d:set("key", "of the parent")
      local claim = assert(d:claim "claimed")
      local child = host.fork()
      if child == 0 then
        claim:cancel()
        assert(d:get "key" == "of the parent")
        assert(select(2, d:claim("claimed", 0)) == "timeout")
        pcall(claim.set, claim, "of the child")
        assert(d:set("child", "of the child"))
        for _ = 1, 1000 do assert(d:incr("n", 1, 0)) end
        assert(d:claim "its own")
        host._exit(0)
      end
      for _ = 1, 1000 do assert(d:incr("n", 1, 0)) end
      print(host.wait(child), d:get "child", d:get "n", d:get "claimed")
      assert(d:claim("its own", 60)):cancel()
      assert(claim:set "of the parent")
      print((d:get "claimed"))]]
    if not lines then
      pending(reason)
    end
    assert.same({ "0\tof the child\t2000\tnil", "of the parent" }, lines)
  end)
end)
