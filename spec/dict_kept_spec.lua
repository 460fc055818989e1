-- SPDX-License-Identifier: MIT
-- shmseg.dict: get of values that a handle has read so often that it has kept their strings.

local shmseg = require "shmseg"
local dicts = require "spec.support.dicts"
local expect = require "spec.support.expect"
local scratch = require "spec.support.scratch"

local answers = dicts.answers

local function read_often(d, ...)
  for _ = 1, 2000 do
    for i = 1, select("#", ...) do
      d:get((select(i, ...)))
    end
  end
end

-- A dict, its name, and a key whose value was read often.
local function kept(value, options)
  local d, name = dicts.new(options)
  d:set("key", value or "first")
  read_often(d, "key")
  answers({ d, "get", "key" }, value or "first")
  return d, name
end

describe("get of a value that was read often", function()
  after_each(scratch.clean)

  it("gives what another process has stored since", function()
    local d, name = kept()
    local other = dicts.user(name)
    for _, value in ipairs { "other", "", ("long"):rep(300), "first", "first\0" } do
      other:call("d:set('key', ...)", value)
      answers({ d, "get", "key" }, value)
      answers({ d, "get", "key" }, value)
    end
  end)

  it("gives values of other types", function()
    local d = kept()
    d:set("key", 7)
    answers({ d, "get", "key" }, 7)
    d:incr("key", 1)
    answers({ d, "get", "key" }, 8)
    d:set("key", "text", 0, 5)
    read_often(d, "key")
    answers({ d, "get", "key" }, "text", 5)
    d:delete("key")
    d:rpush("key", "element")
    answers({ d, "get", "key" }, nil, "value is a list")
  end)

  it("gives nil for one that was deleted", function()
    local d = kept()
    d:delete("key")
    answers({ d, "get", "key" }, nil)
    d:add("key", "first")
    answers({ d, "get", "key" }, "first")
  end)

  it("gives nil for one that has expired", function()
    local d = kept()
    d:expire("key", 0.001)
    dicts.let_expire()
    answers({ d, "get", "key" }, nil)
    d:set("key", "short", 0.02)
    read_often(d, "key")
    shmseg.sleep(0.03)
    answers({ d, "get", "key" }, nil)
  end)

  it("gives nil after a flush, and the value when it lives again", function()
    local d = kept()
    d:flush_all()
    answers({ d, "get", "key" }, nil)
    d:expire("key", 0)
    answers({ d, "get", "key" }, "first")
    read_often(d, "key")
    d:flush_all()
    answers({ d, "get", "key" }, nil)
  end)

  it("gives nil for one that was evicted, and counts as a use before", function()
    local d = kept("hot", { capacity = 65536 })
    for i = 1, 2000 do
      d:set("other " .. i, ("v"):rep(60))
      answers({ d, "get", "key" }, "hot")
    end
    for i = 1, 4000 do
      d:set("other " .. i, ("w"):rep(60))
    end
    answers({ d, "get", "key" }, nil)
  end)

  it("gives each key its own value when many keys are read", function()
    local d = dicts.new { capacity = 2 ^ 20 }
    local keys = {}
    for i = 1, 3000 do
      keys[i] = "key " .. i
      d:set(keys[i], "value " .. i)
    end
    for round = 1, 12 do
      for i = 1, 3000 do
        assert.equal("value " .. i, d:get("key " .. i))
      end
      d:set(keys[round], "value " .. round)
    end
  end)

  it("knows a key by its bytes when it is no string", function()
    local d = dicts.new()
    d:set(12, "number")
    d:set(true, "boolean")
    read_often(d, 12, true, "12")
    answers({ d, "get", 12 }, "number")
    answers({ d, "get", "12" }, "number")
    answers({ d, "get", 13 }, nil)
    answers({ d, "get", true }, "boolean")
    answers({ d, "get", false }, nil)
  end)

  it("keeps no long keys from being collected", function()
    local d = dicts.new { capacity = 2 ^ 20 }
    d:set("key", "first")
    read_often(d, "key")
    collectgarbage()
    collectgarbage()
    local before = collectgarbage("count")
    for i = 1, 50 do
      local key = ("k"):rep(60000) .. i
      d:set(key, "value")
      for _ = 1, 50 do
        d:get(key)
      end
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(collectgarbage("count") - before < 1000)
  end)

  it("raises once the dict is closed", function()
    local d = kept()
    d:close()
    expect.misuse({ "closed" }, d.get, d, "key")
  end)

  it("makes a value anew that a codec has made", function()
    local decoded = 0
    local d = dicts.new { codec = {
      encode = tostring,
      decode = function(text)
        decoded = decoded + 1
        return text
      end,
    } }
    d:set("key", "text")
    read_often(d, "key")
    assert.equal(2000, decoded)
  end)
end)

-- A dict, its name, and a key to whose number was added often; it is 2000.
local function counted()
  local d, name = dicts.new()
  d:set("key", 0)
  for _ = 1, 2000 do
    d:incr("key", 1)
  end
  answers({ d, "get", "key" }, 2000)
  return d, name
end

describe("incr of a number that was added to often", function()
  after_each(scratch.clean)

  it("adds to what another process has stored since", function()
    local d, name = counted()
    local other = dicts.user(name)
    other:call "d:incr('key', 5)"
    answers({ d, "incr", "key", 1 }, 2006)
    other:call "d:set('key', 70)"
    answers({ d, "incr", "key", 1 }, 71)
    other:call "d:set('key', 0.5)"
    answers({ d, "incr", "key", 1 }, 1.5)
    other:call "d:set('key', 'text')"
    answers({ d, "incr", "key", 1 }, nil, "not a number")
    other:call "d:delete('key')"
    answers({ d, "incr", "key", 1 }, nil, "not found")
    answers({ d, "get", "key" }, nil)
  end)

  it("adds floats, and texts that read as numbers", function()
    local d = counted()
    answers({ d, "incr", "key", 0.5 }, 2000.5)
    answers({ d, "incr", "key", "1" }, 2001.5)
    answers({ d, "incr", "key", 1, 7 }, 2002.5, nil, false)
  end)

  it("finds nothing once it has expired or was flushed", function()
    local d = counted()
    d:expire("key", 0.001)
    dicts.let_expire()
    answers({ d, "incr", "key", 1 }, nil, "not found")
    d = counted()
    d:flush_all()
    answers({ d, "incr", "key", 1 }, nil, "not found")
    d:expire("key", 0)
    answers({ d, "incr", "key", 1 }, 2001)
  end)

  it("keeps its flags and wakes who waits for it", function()
    local d, name = counted()
    d:set("key", 1, 0, 9)
    for _ = 1, 2000 do
      d:incr("key", 1)
    end
    answers({ d, "get", "key" }, 2001, 9)
    local other = dicts.user(name)
    other:send "report 'there'; report((d:wait('key', 2001, 5)))"
    assert.equal("there", other:receive())
    shmseg.sleep(0.05)
    d:incr("key", 1)
    assert.equal(2002, other:receive())
  end)

  it("voids a claim", function()
    local d = counted()
    local claim = d:claim("key")
    d:incr("key", 1)
    claim:set("computed")
    answers({ d, "get", "key" }, 2001)
  end)

  it("loses no sum of two processes", function()
    local d, name = counted()
    local other = dicts.user(name)
    other:send "for _ = 1, 20000 do d:incr('key', 1) end report 'done'"
    for _ = 1, 20000 do
      d:incr("key", 1)
    end
    assert.equal("done", other:receive())
    answers({ d, "get", "key" }, 42000)
  end)

  it("is refused inside update of the key", function()
    local d = counted()
    expect.misuse("key", function()
      d:update("key", function()
        d:incr("key", 1)
      end)
    end)
    answers({ d, "get", "key" }, 2000)
  end)
end)
