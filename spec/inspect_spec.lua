-- SPDX-License-Identifier: MIT
-- Looking at open objects: whose the locks are, whether the owners live, who waits, what is broken.
-- The command line tool is made of this.

local shmseg = require "shmseg"
local core = require "shmseg.core"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local here = tonumber(shell.pid())

local function open(kind, options)
  local name = scratch.name()
  return expect.success(shmseg[kind].open(name, "x", options)), name
end

local function inspect(kind, object)
  return expect.success(core[kind].inspect(object))
end

-- The entries of that word; those that sum up many words have no state.
local function entries(kind, object, word)
  local found = {}
  for _, entry in ipairs(inspect(kind, object)) do
    if entry.word == word then
      found[#found + 1] = entry
    end
  end
  return found
end

-- The only entry of that word.
local function entry(kind, object, word)
  local found = entries(kind, object, word)
  assert.equal(1, #found)
  return found[1]
end

local function without_owner(found)
  assert.truthy(found.owner >= 16)
  found.owner = nil
  return found
end

-- A peer that has the object open under that name in its words.
local function peer_with(kind, name)
  local other = peer.start()
  other:call(("o = shmseg.%s.open(...)"):format(kind), name)
  return other
end

local function end_by_force(other)
  other:signal "KILL"
  other:finish()
end

local options = {
  semaphore = { permits = 4 },
  cell = { capacity = 100 },
  queue = { capacity = 100 },
  broadcast = { capacity = 100 },
  dict = { capacity = 1000 },
}

describe("inspect", function()
  after_each(scratch.clean)

  it("finds nothing held, dead or waiting in a new object of any kind", function()
    for _, kind in ipairs(core.kinds) do
      for _, found in ipairs(inspect(kind, (open(kind, options[kind])))) do
        assert.equal("free", found.state or "free")
        assert.is_nil(found.owner)
        assert.truthy(not found.waiters or found.waiters == 0)
        assert.equal(0, found.taken or 0)
      end
    end
  end)

  it("tells who holds a mutex, through a handle for reading, too", function()
    local m, name = open "mutex"
    local reader = expect.success(shmseg.mutex.open(name, "r"))
    m:lock()
    local expected = {
      word = "lock", state = "held", alive = true, pids = { here }, waiters = false,
    }
    for _, handle in ipairs { m, reader } do
      assert.same(expected, without_owner(entry("mutex", handle, "lock")))
    end
    m:unlock()
    assert.same({ word = "lock", state = "free", waiters = false }, entry("mutex", reader, "lock"))
  end)

  it("tells that somebody waits, and which process it is that holds", function()
    local m, name = open "mutex"
    local holder, waiter = peer_with("mutex", name), peer_with("mutex", name)
    holder:call "o:lock()"
    waiter:send_to_sleep "o:lock()"
    local found = entry("mutex", m, "lock")
    assert.same({ holder.pid }, found.pids)
    assert.True(found.waiters)
  end)

  it("tells a dead owner from one that has closed its handle or is stopped", function()
    local m, name = open "mutex"
    local other = peer_with("mutex", name)
    other:call "o:lock()"
    other:signal "STOP"
    local found = entry("mutex", m, "lock")
    assert.same({ "held", true }, { found.state, found.alive })
    end_by_force(other)
    found = entry("mutex", m, "lock")
    assert.same({ word = "lock", state = "dead", alive = false, pids = {}, waiters = false },
      without_owner(found))
    local taker = expect.success(shmseg.mutex.open(name))
    assert.equal("abandoned", select(2, taker:lock()))
    taker:close()
    assert.same({ word = "lock", state = "abandoned", waiters = false }, entry("mutex", m, "lock"))
  end)

  it("tells the writer of an rwlock, and that one before it has died", function()
    local rw, name = open "rwlock"
    local other = peer_with("rwlock", name)
    other:call "o:write_lock()"
    end_by_force(other)
    assert.equal("dead", entry("rwlock", rw, "writer").state)
    rw:write_lock()
    local found = entry("rwlock", rw, "writer")
    assert.same({ "held", true, { here } }, { found.state, found.dirty, found.pids })
    rw:unlock()
    assert.equal("free", entry("rwlock", rw, "writer").state)
  end)

  it("tells the readers of an rwlock, dead ones too", function()
    local rw, name = open "rwlock"
    local living, dead = peer_with("rwlock", name), peer_with("rwlock", name)
    living:call "o:read_lock()"
    dead:call "o:read_lock()"
    end_by_force(dead)
    local found = entries("rwlock", rw, "reader")
    assert.equal(3, #found)
    local by_state = { [found[1].state] = found[1], [found[2].state] = found[2] }
    assert.same({ living.pid }, by_state.held.pids)
    assert.same({}, by_state.dead.pids)
    assert.same({ word = "reader", of = 64, taken = 2 }, found[3])
  end)

  it("tells the permits of a semaphore by who has acquired them", function()
    local s, name = open("semaphore", options.semaphore)
    local other = peer_with("semaphore", name)
    other:call "o:acquire() o:acquire()"
    s:acquire()
    local found = entries("semaphore", s, "permit")
    assert.equal(3, #found)
    table.sort(found, function(a, b)
      return (a.count or 0) > (b.count or 0)
    end)
    assert.same({ 2, { other.pid }, "held" }, { found[1].count, found[1].pids, found[1].state })
    assert.same({ 1, { here }, "held" }, { found[2].count, found[2].pids, found[2].state })
    assert.same({ word = "permit", of = 4, taken = 3 }, found[3])
  end)

  it("tells how many posts a signal has, and who waits for one", function()
    local s, name = open("semaphore", { permits = 9, signal = true })
    assert.same({ signal = true, permits = 9 }, core.look(name).geometry)
    s:post(3)
    assert.equal(3, entry("semaphore", s, "count").value)
    s:acquire()
    s:acquire()
    s:acquire()
    local other = peer_with("semaphore", name)
    other:send_to_sleep "o:acquire()"
    assert.equal(0, entry("semaphore", s, "count").value)
    assert.True(entry("semaphore", s, "posts").waiters)
  end)

  it("tells whether an event is set", function()
    local e = open "event"
    assert.same({ word = "event", set = false }, entry("event", e, "event"))
    e:set()
    assert.same({ word = "event", set = true }, entry("event", e, "event"))
  end)

  it("tells the version and the size of a cell's value", function()
    local c = open("cell", options.cell)
    assert.equal(0, entry("cell", c, "version").value)
    assert.same({}, entries("cell", c, "size"))
    for i = 1, 6 do
      c:set(("x"):rep(i * 10))
      assert.equal(i, entry("cell", c, "version").value)
      assert.equal(i * 10, entry("cell", c, "size").value)
    end
  end)

  it("tells who waits at a queue, a broadcast, a cell and a dict", function()
    for kind, wait in pairs {
      queue = { "messages", "o:pop()" },
      cell = { "values", "o:wait()" },
      broadcast = { "messages", "o:subscribe():next()" },
      dict = { "changes", "o:wait('key')" },
    } do
      local object, name = open(kind, options[kind])
      local other = peer_with(kind, name)
      other:send_to_sleep(wait[2])
      local found = entry(kind, object, wait[1])
      assert.truthy(found.waiters == true or found.waiters == 1)
    end
  end)

  it("lists of a dict's many words those that are not free, and sums up the rest", function()
    local d, name = open("dict", { capacity = 2 ^ 23 })
    local segment = expect.success(shmseg.open(name))
    local STRIPES, STRIPE, MANY = 512, 256, 64
    segment:set_u32(STRIPES + 6 * STRIPE, 123456) -- an identity that nobody has
    segment:set_u32(STRIPES + 8 * STRIPE, 2 ^ 30 + 1) -- free, after a death
    local found = entries("dict", d, "stripe")
    assert.same({
      { word = "stripe", index = 7, state = "dead", owner = 123456, alive = false, pids = {},
        waiters = false },
      { word = "stripe", index = 9, state = "abandoned", waiters = false },
      { word = "stripe", of = MANY, taken = 1 },
    }, found)
    assert.equal(0, entry("dict", d, "line").taken)
    assert.equal(MANY, entry("dict", d, "changes").of)
  end)

  it("takes words that are no words of the object's for what they are", function()
    for _, kind in ipairs(core.kinds) do
      for _, junk in ipairs { 0, 2, 15, 2 ^ 30, 2 ^ 31, 2 ^ 32 - 1 } do
        local object, name = open(kind, options[kind])
        local segment = expect.success(shmseg.open(name))
        for offset = 64, math.min(#segment, 4096) - 4, 4 do
          segment:set_u32(offset, junk)
        end
        for _, found in ipairs(inspect(kind, object)) do
          assert.truthy(found.word)
          assert.truthy(found.alive ~= true)
        end
      end
    end
  end)

  it("says that an object was cut, and raises that it is closed", function()
    for _, kind in ipairs(core.kinds) do
      local object, name = open(kind, options[kind])
      assert(shell.succeeds("truncate -s 0 " .. scratch.objects .. name))
      expect.failure("truncated", core[kind].inspect(object))
      object:close()
      expect.misuse("closed", core[kind].inspect, object)
      expect.misuse("closed", core[kind].check, object)
      expect.misuse("shmseg." .. kind .. " expected", core[kind].inspect, 7)
    end
  end)

  it("ends in order when a hook closes the object meanwhile", function()
    local d = open("dict", { capacity = 2 ^ 23 })
    debug.sethook(function()
      debug.sethook()
      d:close()
    end, "c")
    local ok, _, message = pcall(pcall, core.dict.inspect, d)
    debug.sethook()
    assert.True(ok)
    assert.truthy(tostring(message):find "closed")
  end)

  it("works on an object that lies in a slice, or in memory without a name", function()
    local segment = expect.success(shmseg.anonymous(4096))
    local m = expect.success(shmseg.mutex.open(segment:slice(1024, 128), "x"))
    m:lock()
    local found = entry("mutex", m, "lock")
    assert.same({ "held", { here } }, { found.state, found.pids })
  end)
end)

describe("check", function()
  after_each(scratch.clean)

  it("finds a new object of any kind in order", function()
    for _, kind in ipairs(core.kinds) do
      assert.is_nil(core[kind].check((open(kind, options[kind]))))
    end
  end)

  it("names the first thing that is broken", function()
    for _, kind in ipairs(core.kinds) do
      local object, name = open(kind, options[kind])
      local segment = expect.success(shmseg.open(name))
      for offset = 64, math.min(#segment, 4096) - 4, 4 do
        segment:set_u32(offset, 0)
      end
      assert.equal("string", type(core[kind].check(object)))
      segment:set_u32(4, 99)
      assert.truthy(core[kind].check(object):find "H1")
    end
  end)
end)
