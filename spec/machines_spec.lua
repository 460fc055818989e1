-- SPDX-License-Identifier: MIT
-- Two processes: of each kind of object as little as tells whether it works
-- between them. They may be of two machines (.ci/cross --peers).

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local owners = require "spec.support.owners"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"

local kinds = {
  mutex = {},
  rwlock = {},
  semaphore = { permits = 2 },
  event = {},
  cell = { capacity = 64 },
  queue = { capacity = 4096 },
  broadcast = { capacity = 4096 },
  dict = { capacity = 65536 },
}

-- A new object, a peer that has it, too, as `it`, and its name.
local function shared(kind)
  local name = scratch.name()
  local object = expect.success(shmseg[kind].open(name, "x", kinds[kind]))
  local other = peer.start()
  other:call("it = assert(shmseg[...].open((select(2, ...))))", kind, name)
  return object, other, name
end

describe("two processes", function()
  local has_this_order = true

  setup(function()
    local segment = expect.success(shmseg.open(scratch.name(), "x", 4))
    segment:set_u32(0, 1)
    local read = "return assert(shmseg.open(...)):get_u32(0)"
    local seen = peer.start():call(read, segment:name())
    has_this_order = seen == 1
    scratch.clean()
  end)
  after_each(scratch.clean)

  -- What they cannot do when their byte orders differ.
  local function they(promise, f)
    it(promise, function()
      if not has_this_order then
        pending("the other process has another byte order")
      end
      f()
    end)
  end

  it("read the same bytes, whatever their byte orders", function()
    local segment = expect.success(shmseg.open(scratch.name(), "x", 64))
    local after = segment:pack(0, "<i2 >i4 <d s1", -2, 70000, 0.5, "text")
    local read = "return assert(shmseg.open(...)):unpack(0, '<i2 >i4 <d s1')"
    assert.same({ -2, 70000, 0.5, "text", after }, { peer.start():call(read, segment:name()) })
  end)

  they("see each other's numbers, of each type", function()
    local segment = expect.success(shmseg.open(scratch.name(), "x", 64))
    segment:set_i16(0, -3)
    segment:set_f32(2, 1.5)
    segment:set_u64(6, 2 ^ 52 + 1)
    segment:atomic(16, "i64"):store(-5)
    local read = [[
      local segment = assert(shmseg.open(...))
      local number = segment:atomic(16, "i64")
      return segment:get_i16(0), segment:get_f32(2), segment:get_u64(6), number:add(2)]]
    local numbers = { -3, 1.5, 2 ^ 52 + 1, -5 }
    assert.same(numbers, { peer.start():call(read, segment:name()) })
    assert.equal(-3, segment:atomic(16, "i64"):load())
  end)

  they("pass each other messages, also when one sleeps for them", function()
    local queue, other = shared "queue"
    other:send_to_sleep("it:pop()")
    expect.success(queue:push "to a sleeper")
    assert.equal("to a sleeper", other:receive())

    other:send("for i = 1, 300 do assert(it:push(('%d '):format(i):rep(i % 40 + 1))) end")
    for i = 1, 300 do
      assert.equal(("%d "):format(i):rep(i % 40 + 1), queue:pop(60))
    end
    other:receive()
  end)

  they("hear each other's broadcasts", function()
    local broadcast, other = shared "broadcast"
    local heard = expect.success(broadcast:subscribe())
    other:call("heard = assert(it:subscribe())")
    expect.success(broadcast:publish "here")
    other:call("assert(it:publish 'there')")
    for _, message in ipairs { "here", "there" } do
      assert.equal(message, (heard:next(60)))
      assert.equal(message, (other:call("return heard:next(60)")))
    end
  end)

  they("see a cell's latest value", function()
    local cell, other = shared "cell"
    expect.success(cell:set "from here")
    assert.equal("from here", (other:call("return it:get()")))
    other:call("assert(it:set 'from there')")
    assert.equal("from there", (cell:get()))
  end)

  they("have the same dict", function()
    local dict, other = shared "dict"
    for i = 1, 100 do
      expect.success(dict:set("key " .. i, i % 2 == 0 and i + 0.5 or ("value "):rep(i)))
    end
    assert.equal(100, other:call([[
      local right = 0
      for i = 1, 100 do
        local value = i % 2 == 0 and i + 0.5 or ("value "):rep(i)
        right = right + (it:get("key " .. i) == value and 1 or 0)
      end
      assert(it:set("new", true))
      assert(it:delete "key 1")
      assert(it:incr("count", 2, 40))
      return right]]))
    assert.is_true(dict:get "new")
    assert.is_nil(dict:get "key 1")
    assert.equal(43, dict:incr("count", 1))
  end)

  they("wait for each other's event and permits", function()
    local event, other = shared "event"
    other:send_to_sleep("it:wait(60)")
    expect.success(event:set())
    assert.is_true(other:receive())

    local semaphore, third = shared "semaphore"
    expect.success(semaphore:acquire(0))
    third:send_to_sleep("it:acquire(60)")
    expect.success(semaphore:release())
    assert.is_true(third:receive())
  end)

  for kind, how in pairs {
    mutex = { owner = "mutex", lock = "lock" },
    rwlock = { owner = "write", lock = "write_lock" },
  } do
    they(("exclude each other by a %s, and learn of a killed owner"):format(kind), function()
      local lock, other, name = shared(kind)
      local owner = owners.start(how.owner, name)
      expect.failure("timeout", lock[how.lock](lock, 0))
      other:send_to_sleep(("it:%s(60)"):format(how.lock))
      owner:signal "KILL"
      owner:finish()
      assert.equal("abandoned", (select(2, other:receive())))
      other:signal "KILL"
      other:finish()
      assert.equal("abandoned", (select(2, lock[how.lock](lock, 60))))
    end)
  end

  it("of two byte orders refuse each other's objects, and change nothing", function()
    for kind, options in pairs(kinds) do
      local name = scratch.name()
      local object = expect.success(shmseg[kind].open(name, "x", options))
      if has_this_order then -- as the other one would have made it
        local segment = expect.success(shmseg.open(name))
        segment:write(0, segment:read(0, 4):reverse())
      end
      local bytes = scratch.bytes(name)
      for _, mode in ipairs { "r", "rw", "c" } do
        local _, _, code = peer.start():call(
          "local kind, name, mode, options = ... return shmseg[kind].open(name, mode, options)",
          kind, name, mode, options)
        assert.equal("incompatible", code)
      end
      assert.equal(bytes, scratch.bytes(name))
      object:close()
    end
  end)
end)
