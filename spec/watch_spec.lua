-- SPDX-License-Identifier: MIT
-- Watches, within one process: what makes the descriptor readable, and what ends that. The whole
-- file runs once more for the other way: see its end.

local shmseg = require "shmseg"
local build = require "spec.support.build"
local census = require "spec.support.census"
local expect = require "spec.support.expect"
local finalizer = require "spec.support.finalizer"
local peer = require "spec.support.peer"
local poll = require "spec.support.poll"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local page = shmseg.pagesize
local LONG = 60 -- seconds: longer than any wake takes

local way = shmseg.features().watch
local missing = not way and "there are no watches here" or poll.missing

-- A test that needs watches.
local function test(sentence, f)
  it(sentence, function()
    if missing then
      pending(missing)
    end
    return f()
  end)
end

-- Readable at this moment?
local function is_ready(watch)
  return poll.readable(watch:fd())
end

-- Becomes readable, by a wake that may still be on its way.
local function gets_ready(watch)
  return poll.readable(watch:fd(), LONG)
end

-- What a descriptor of this process is: "eventfd" or "timerfd".
local function kind_of(fd)
  return (shell.run("readlink /proc/$PPID/fd/" .. fd):match "%[(%w+)%]")
end

-- The nouns. Each is opened in a segment, by options; `watch` makes a watch that sleeps at first;
-- `bring`, through another handle, makes it readable; `take` undoes that, and gives what was seen.
local nouns = {
  ["a queue's messages"] = {
    kind = "queue", options = { capacity = 64 },
    watch = function(q) return q:watch "pop" end,
    bring = function(q) assert(q:push "x") end,
    take = function(q) assert(q:pop(0)) end,
  },
  ["a queue's room"] = {
    kind = "queue", options = { capacity = 8 },
    before = function(q) assert(q:push "12345678") end,
    watch = function(q) return q:watch "push" end,
    bring = function(q) assert(q:pop(0)) end,
    take = function(q) assert(q:push "12345678") end,
  },
  ["a subscription"] = {
    kind = "broadcast", options = { capacity = 64 },
    of = function(b) return b:subscribe() end,
    watch = function(s) return s:watch() end,
    bring = function(b) assert(b:publish "x") end,
    take = function(s) assert(s:next(0)) end,
  },
  ["a cell"] = {
    kind = "cell", options = { capacity = 64 },
    before = function(c) assert(c:set "old") end,
    watch = function(c) return c:watch(1) end,
    bring = function(c) assert(c:set "new") end,
    take = function(c) return (select(2, c:get())) end,
  },
  ["an event"] = {
    kind = "event", wakes_readers = true,
    watch = function(e) return e:watch() end,
    bring = function(e) assert(e:set()) end,
    take = function(_, e) assert(e:clear()) end,
  },
  ["a counting signal"] = {
    kind = "semaphore", options = { permits = 9, signal = true },
    watch = function(s) return s:watch() end,
    bring = function(s) assert(s:post()) end,
    take = function(s) assert(s:acquire(0)) end,
  },
  ["a dict's key"] = {
    kind = "dict", options = { capacity = 8192 }, size = 65536,
    watch = function(d) return d:watch "key" end,
    bring = function(d) assert(d:set("key", "value")) end,
    take = function(_, d) assert(d:delete "key") end,
  },
}

-- Opens the noun twice, through two segment handles: the one that watches (with that mode), and the
-- other; and what they are in, behind a page.
local function open(noun, mode)
  local name = scratch.name()
  local theirs = assert(shmseg.open(name, "x", page + (noun.size or page)))
  local other = assert(shmseg[noun.kind].open(theirs:slice(page), "c", noun.options))
  local segment = assert(shmseg.open(name, mode or "rw"))
  local object = assert(shmseg[noun.kind].open(segment:slice(page), mode or "rw"))
  if noun.before then
    noun.before(other)
  end
  return noun.of and noun.of(object) or object, other, segment, object, theirs
end

for what, noun in pairs(nouns) do
  describe("a watch of " .. what, function()
    after_each(scratch.clean)

    test("is readable once there is something, stays so until rearm, and is then again", function()
      local object, other = open(noun)
      local watch = expect.success(noun.watch(object))
      assert.False(is_ready(watch))
      for _ = 1, 3 do
        noun.bring(other)
        assert.True(gets_ready(watch))
        local seen = noun.take(object, other)
        assert.True(is_ready(watch))
        assert.True(watch:rearm(seen))
        assert.False(is_ready(watch))
      end
    end)

    test("is readable at once when there is something already, at making and at rearm", function()
      local object, other = open(noun)
      noun.bring(other)
      local watch = expect.success(noun.watch(object))
      assert.True(is_ready(watch))
      for _ = 1, 3 do
        assert.True(watch:rearm())
        assert.True(is_ready(watch))
      end
    end)

    test("and another one on the same handle are both readable", function()
      local object, other = open(noun)
      local one, two = expect.success(noun.watch(object)), expect.success(noun.watch(object))
      assert.not_equal(one:fd(), two:fd())
      noun.bring(other)
      assert.True(gets_ready(one))
      assert.True(gets_ready(two))
      one:close()
      assert.True(is_ready(two))
    end)

    test("rearmed many times in a row costs no wake", function()
      local object, other = open(noun)
      local watch = expect.success(noun.watch(object))
      for _ = 1, 100 do
        assert.True(watch:rearm())
      end
      assert.False(is_ready(watch))
      noun.bring(other)
      assert.True(gets_ready(watch))
    end)

    test("is readable for good when the handle is closed, and then raises that", function()
      local object = open(noun)
      local watch = expect.success(noun.watch(object))
      object:close()
      assert.True(is_ready(watch))
      for _ = 1, 2 do
        expect.misuse("closed", watch.rearm, watch)
        assert.True(is_ready(watch))
      end
      assert.equal("number", type(watch:fd()))
      watch:close()
    end)

    test("is readable for good when the segment is closed, and then raises that", function()
      local object, _, segment = open(noun)
      local watch = expect.success(noun.watch(object))
      segment:close()
      assert.True(is_ready(watch))
      expect.misuse("closed", watch.rearm, watch)
      assert.True(is_ready(watch))
    end)

    test("goes on when the segment is resized, also to another address", function()
      local object, other, segment, _, theirs = open(noun)
      local watch = expect.success(noun.watch(object))
      local fd = watch:fd()
      assert(segment:resize(2 ^ 22))
      assert.False(is_ready(watch))
      noun.bring(other)
      assert.True(gets_ready(watch))
      local seen = noun.take(object, other)
      assert.True(watch:rearm(seen))
      assert(theirs:refresh())
      assert(segment:resize(2 ^ 23))
      assert(segment:refresh())
      assert.False(is_ready(watch))
      noun.bring(other)
      assert.True(gets_ready(watch))
      assert.equal(fd, watch:fd())
    end)

    test("tells at rearm that a peer has cut the segment, and leaves it readable", function()
      local object, _, _, _, theirs = open(noun)
      local watch = expect.success(noun.watch(object))
      assert(shmseg.open(theirs:name())):resize(page)
      local message = expect.failure("truncated", watch:rearm())
      assert.truthy(message:find("^" .. noun.kind), message)
      assert.True(is_ready(watch))
      watch:close()
    end)

    test("keeps what it watches alive", function()
      local object, other = open(noun)
      local kept = setmetatable({ object }, { __mode = "v" })
      local watch = expect.success(noun.watch(object))
      object = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      assert.truthy(kept[1])
      noun.bring(other)
      assert.True(gets_ready(watch))
      assert.True(watch:rearm())
    end)

    test("through a read-only handle is told all the same", function()
      local object, other = open(noun, "r")
      local watch = expect.success(noun.watch(object))
      if noun.wakes_readers then
        assert.equal("eventfd", kind_of(watch:fd()))
        assert.False(is_ready(watch))
        noun.bring(other)
        assert.True(gets_ready(watch))
        return
      end
      assert.equal("timerfd", kind_of(watch:fd()))
      for _ = 1, 3 do -- nothing has come: a timer
        assert.True(gets_ready(watch))
        assert.True(watch:rearm())
      end
      noun.bring(other)
      assert.True(watch:rearm())
      assert.True(is_ready(watch))
    end)
  end)
end

describe("a watch of a queue", function()
  after_each(scratch.clean)

  local function queue(capacity)
    return assert(shmseg.queue.open(nil, "x", { capacity = capacity, temporary = true }))
  end

  test("takes the direction, and no other word", function()
    local q = queue(64)
    for _, word in ipairs { "", "POP", "pops", "r", "pop\0" } do
      expect.misuse({ "bad argument #2", "not one of pop, push" }, q.watch, q, word)
    end
    expect.misuse("bad argument #2", q.watch, q)
    expect.misuse("bad argument #2", q.watch, q, {})
  end)

  test("is told of the shutdown, in both directions", function()
    local q = queue(8)
    q:push "12345678"
    local push = expect.success(q:watch "push")
    q:shutdown()
    assert.True(gets_ready(push))
    assert.equal("12345678", q:pop(0))
    local pop = expect.success(q:watch "pop")
    assert.True(is_ready(pop))
    expect.failure("shutdown", q:pop(0))
  end)

  test("says that there is room when the message fits for which there was none", function()
    local q = queue(100)
    for _ = 1, 3 do
      q:push(("x"):rep(20)) -- records of 32 bytes
    end
    expect.failure("timeout", q:push(("y"):rep(80), 0))
    local watch = expect.success(q:watch "push")
    assert.False(is_ready(watch)) -- though a small one fits
    while not q:push(("y"):rep(80), 0) do
      assert(q:pop(0))
      local room = gets_ready(watch)
      assert.True(room)
      assert.True(watch:rearm())
    end
  end)

  test("says that there is room, of a message that went well, when a small one fits", function()
    local q = queue(100)
    q:push(("x"):rep(20))
    local watch = expect.success(q:watch "push")
    assert.True(is_ready(watch))
  end)

  test("is readable for nothing where another consumer was faster", function()
    local q = queue(64)
    local watch = expect.success(q:watch "pop")
    q:push "x"
    assert.True(gets_ready(watch))
    assert.equal("x", q:pop(0))
    assert.True(is_ready(watch))
    assert.True(watch:rearm())
    assert.False(is_ready(watch))
  end)
end)

describe("a watch of a subscription", function()
  after_each(scratch.clean)

  local function broadcast()
    return assert(shmseg.broadcast.open(nil, "x", { capacity = 64, temporary = true }))
  end

  test("is told of messages that were lost, and of the shutdown", function()
    local b = broadcast()
    local s = b:subscribe()
    local watch = expect.success(s:watch())
    for _ = 1, 50 do
      b:publish(("x"):rep(40))
    end
    assert.True(gets_ready(watch))
    assert.True(#s:drain() > 0)
    assert.True(watch:rearm())
    assert.False(is_ready(watch))
    b:shutdown()
    assert.True(gets_ready(watch))
  end)

  test("ends with the broadcast, too; and not with another subscription", function()
    local b = broadcast()
    local s, other = b:subscribe(), b:subscribe()
    local watch, left = expect.success(s:watch()), expect.success(other:watch())
    s:close()
    assert.True(is_ready(watch))
    assert.False(is_ready(left))
    expect.misuse("subscription is closed", s.watch, s)
    expect.misuse("subscription is closed", watch.rearm, watch)
    b:close()
    assert.True(is_ready(left))
    expect.misuse("closed", left.rearm, left)
    s:close()
    other:close()
  end)
end)

describe("a watch of a cell", function()
  after_each(scratch.clean)

  local function cell()
    return assert(shmseg.cell.open(nil, "x", { capacity = 64, temporary = true }))
  end

  test("waits for any value when no version is given", function()
    local c = cell()
    local watch = expect.success(c:watch())
    assert.False(is_ready(watch))
    c:set "first"
    assert.True(gets_ready(watch))
    assert.True(watch:rearm()) -- which keeps what was seen: none
    assert.True(is_ready(watch))
    assert.True(watch:rearm(1))
    assert.False(is_ready(watch))
    assert.True(watch:rearm(nil)) -- that is: the one it has
    assert.False(is_ready(watch))
  end)

  test("takes versions alone, and a wrong one changes nothing", function()
    local c = cell()
    c:set "first"
    local watch = expect.success(c:watch(1))
    for _, wrong in ipairs { -1, 0.5, "first", {}, true, 0 / 0 } do
      expect.misuse("bad argument #2", c.watch, c, wrong)
      expect.misuse("bad argument #2", watch.rearm, watch, wrong)
    end
    assert.False(is_ready(watch))
    assert.True(watch:rearm())
    assert.False(is_ready(watch))
    assert.True(watch:rearm "1")
    assert.False(is_ready(watch))
  end)
end)

describe("a watch of an atomic", function()
  after_each(scratch.clean)

  -- The same word through two handles.
  local function words(type)
    local name = scratch.name()
    local segment = assert(shmseg.open(name, "x", 2 * page))
    local other = assert(shmseg.open(name))
    return segment:atomic(page, type or "u32"), other:atomic(page, type or "u32"), segment
  end

  -- Changes the word, and notifies those that wait, which are so many: a thread, which sleeps for a
  -- watch, may be awake at this moment; then it sees the change.
  local function change(n, waiting)
    n:add(1)
    local woken = n:notify()
    assert.True(woken == waiting or way == "thread", woken)
  end

  test("is told by notify, and counts among those that wait", function()
    local n, other = words()
    change(other, 0)
    local watch = expect.success(n:watch(1))
    assert.False(is_ready(watch))
    change(other, 1)
    assert.True(gets_ready(watch))
    change(other, 0) -- it waits no more, until rearm
    assert.True(watch:rearm(n:load()))
    assert.False(is_ready(watch))
    change(other, 1)
    assert.True(gets_ready(watch))
  end)

  test("is readable at once when the word is another one", function()
    local n = words "i32"
    n:store(-1)
    local watch = expect.success(n:watch(0))
    assert.True(is_ready(watch))
    for _, same in ipairs { -1, 4294967295, "-1" } do
      assert.True(watch:rearm(same))
      assert.False(is_ready(watch))
    end
    assert.True(watch:rearm(1))
    assert.True(is_ready(watch))
  end)

  test("that is rearmed with another word seen waits for that one alone", function()
    local n, other = words()
    local watch = expect.success(n:watch(0))
    other:store(1) -- and nobody is notified
    assert.True(watch:rearm(1))
    assert.False(is_ready(watch))
    change(other, 1) -- not 2: the old wait is over
    assert.True(gets_ready(watch))
    assert.True(watch:rearm(0))
    assert.True(is_ready(watch))
  end)

  test("that is closed, or ended, waits no more", function()
    local n, other, segment = words()
    local one, two = expect.success(n:watch(0)), expect.success(n:watch(0))
    change(other, 2)
    assert.True(gets_ready(one) and gets_ready(two))
    assert.True(one:rearm(1) and two:rearm(1))
    one:close()
    change(other, 1)
    assert.True(gets_ready(two))
    assert.True(two:rearm(2))
    segment:close()
    change(other, 0)
    assert.True(is_ready(two))
    expect.misuse("closed", two.rearm, two)
  end)

  test("is of 32 bits, of a shared mapping, and of a word that is there", function()
    local _, _, segment = words()
    for _, type in ipairs { "i64", "u64" } do
      local wide = segment:atomic(page, type)
      expect.misuse("only an i32 or u32", wide.watch, wide, 0)
    end
    local n = segment:atomic(page, "u32")
    for _, wrong in ipairs { 0.5, "x", {}, true } do
      expect.misuse("bad argument #2", n.watch, n, wrong)
    end
    expect.misuse("bad argument #2", n.watch, n)
    local private = assert(shmseg.map(scratch.file(("x"):rep(64)), "r", nil, { private = true }))
    local alone = private:atomic(0, "u32")
    expect.misuse("private mapping", alone.watch, alone, 0)
    segment:close()
    expect.misuse("closed segment", n.watch, n, 0)
  end)

  test("through a read-only handle is told by notify, and by no timer", function()
    local _, other, segment = words()
    local reader = assert(shmseg.open(segment:name(), "r")):atomic(page, "u32")
    local watch = expect.success(reader:watch(0))
    assert.equal("eventfd", kind_of(watch:fd()))
    assert.False(is_ready(watch))
    change(other, 1)
    assert.True(gets_ready(watch))
  end)

  test("goes on when the segment is resized, and tells of a cut", function()
    local n, other, segment = words()
    local watch = expect.success(n:watch(0))
    assert(segment:resize(2 ^ 22))
    change(other, 1)
    assert.True(gets_ready(watch))
    assert.True(watch:rearm(1))
    assert(shmseg.open(segment:name())):resize(page)
    local message = expect.failure("truncated", watch:rearm())
    assert.truthy(message:find('segment "', 1, true), message)
    assert.True(is_ready(watch))
  end)

  test("in a segment without a name is told by another handle of it", function()
    local segment = assert(shmseg.anonymous(4096))
    local other = assert(shmseg.from_fd(segment:fd())):atomic(8, "i32")
    local watch = expect.success(segment:atomic(8, "i32"):watch(0))
    change(other, 1)
    assert.True(gets_ready(watch))
  end)
end)

describe("a watch of a dict's key", function()
  after_each(scratch.clean)

  local function dict(options)
    options = options or {}
    options.capacity, options.temporary = 16384, true
    return assert(shmseg.dict.open(nil, "x", options))
  end

  test("compares what was seen as == does", function()
    local d = dict()
    for _, value in ipairs { true, false, 1, 0.5, "", "text", ("x"):rep(2000) } do
      assert(d:set("key", value))
      local watch = expect.success(d:watch("key", value))
      assert.False(is_ready(watch), tostring(value))
      assert.True(watch:rearm "another")
      assert.True(is_ready(watch))
      assert.True(watch:rearm(nil)) -- the key was not there
      assert.True(is_ready(watch))
      assert.True(watch:rearm(value))
      assert.False(is_ready(watch))
      d:delete "key"
      assert.True(gets_ready(watch))
      assert.True(watch:rearm(nil))
      assert.False(is_ready(watch))
      watch:close()
    end
  end)

  test("keeps what was seen when rearm says nothing", function()
    local d = dict()
    local watch = expect.success(d:watch("key", nil))
    d:set("key", 1)
    assert.True(gets_ready(watch))
    assert.True(watch:rearm())
    assert.True(is_ready(watch))
    assert.True(watch:rearm(1))
    assert.True(watch:rearm())
    assert.False(is_ready(watch))
  end)

  test("is told of no other key, unless by chance", function()
    local d = dict()
    local watch = expect.success(d:watch("key", nil))
    d:set("other", 1)
    assert.True(watch:rearm())
    assert.False(is_ready(watch))
    d:incr("key", 1, 0)
    assert.True(gets_ready(watch))
  end)

  test("takes keys and values as dict:wait does, and a failure is nil and the word", function()
    local d = dict()
    assert.same({ nil, "empty key" }, { d:watch "" })
    assert.same({ nil, "key too long" }, { d:watch(("x"):rep(70000)) })
    assert.same({ nil, "bad value type" }, { d:watch("key", {}) })
    expect.misuse("bad argument #2", d.watch, d, {})
    assert.same({ nil, "nil key" }, { d:watch() })
    d:rpush("list", 1)
    assert.same({ nil, "value is a list" }, { d:watch "list" })
    local numbered = expect.success(d:watch(12))
    d:set("12", "x")
    assert.True(gets_ready(numbered))
  end)

  test("says at rearm what is wrong, with the name, and stays as it was", function()
    local d = dict()
    local name = d:segment():name()
    local watch = expect.success(d:watch "key")
    local message = expect.failure("bad value type", watch:rearm {})
    assert.equal(('dict "%s": bad value type'):format(name), message)
    assert.False(is_ready(watch))
    assert.True(watch:rearm())
    assert.False(is_ready(watch))
    d:rpush("key", 1)
    message = expect.failure("value is a list", watch:rearm())
    assert.equal(('dict "%s": value is a list'):format(name), message)
    assert.True(is_ready(watch))
  end)

  test("goes through the codec", function()
    local d = dict { codec = { encode = tostring, decode = function(text)
      return "decoded " .. text
    end } }
    d:set("key", "text")
    local watch = expect.success(d:watch("key", "decoded text"))
    assert.False(is_ready(watch))
    d:set("key", "text") -- again
    assert.True(gets_ready(watch))
    assert.True(watch:rearm "text")
    assert.True(is_ready(watch))
  end)

  test("that Lua code closes while it is rearmed raises that", function()
    local closes
    local d = dict { codec = { encode = tostring, decode = function(text)
      if closes then
        closes:close()
      end
      return text
    end } }
    d:set("key", "text")
    local watch = expect.success(d:watch("key", "text"))
    local before = census.descriptors()
    closes = watch
    expect.misuse("watch is closed", watch.rearm, watch)
    assert.truthy(tostring(watch):find "closed")
    closes = nil
    watch = expect.success(d:watch("key", "text"))
    assert.equal(before, census.descriptors())
    closes = d
    expect.misuse("closed", watch.rearm, watch)
    assert.True(is_ready(watch))
    watch:close()
    closes = nil
  end)

  test("tells by timeout when the value expires", function()
    local d = dict()
    d:set("key", "short", 0.4)
    local watch = expect.success(d:watch("key", "short"))
    local first = watch:timeout()
    assert.True(first <= 0.4 and first >= 0, first)
    repeat
      local left = watch:timeout()
      assert.True(left <= first and left >= 0)
      first = left
    until left == 0
    repeat until d:get "key" == nil -- clocks differ by a moment
    assert.True(watch:rearm())
    assert.True(is_ready(watch))
    assert.True(watch:rearm(nil))
    assert.False(is_ready(watch))
    assert.equal(1, watch:timeout())
    d:set("key", "long", 1000)
    assert.True(gets_ready(watch))
    assert.True(watch:rearm "long")
    assert.equal(1, watch:timeout())
  end)
end)

describe("what has no watch", function()
  after_each(scratch.clean)

  test("is a lock, since its wake is for one sleeper", function()
    local segment = assert(shmseg.anonymous(8192))
    assert.is_nil(assert(shmseg.mutex.open(segment:slice(0, 4096), "c")).watch)
    assert.is_nil(assert(shmseg.rwlock.open(segment:slice(4096), "c")).watch)
  end)

  test("is a semaphore of permits: misuse", function()
    local s = assert(shmseg.semaphore.open(assert(shmseg.anonymous(4096)), "c", { permits = 2 }))
    expect.misuse({ "semaphore", "counting signal" }, s.watch, s)
    s:close()
    expect.misuse("closed", s.watch, s)
  end)
end)

describe("a watch", function()
  after_each(scratch.clean)

  local function event()
    return assert(shmseg.event.open(nil, "x", { temporary = true }))
  end

  test("has what an event loop asks for", function()
    local watch = expect.success(event():watch())
    assert.equal("number", type(watch:fd()))
    assert.True(watch:fd() > 2)
    assert.equal(watch:fd(), watch:pollfd())
    assert.equal("r", watch:events())
    assert.equal(1, watch:timeout())
    local metatable = getmetatable(watch)
    assert.equal("shmseg.watch", metatable.__name)
    assert.equal("function", type(metatable.__gc))
    assert.equal("function", type(metatable.__close))
  end)

  test("prints as what it is of", function()
    local name = scratch.name()
    local d = assert(shmseg.dict.open(name, "x", { capacity = 2 ^ 16 }))
    local watch = expect.success(d:watch("key"))
    assert.equal(("shmseg.watch (of shmseg.dict (%s))"):format(name), tostring(watch))
    d:close()
    assert.equal("shmseg.watch (of shmseg.dict (closed))", tostring(watch))
    local word = assert(shmseg.anonymous(8)):atomic(0, "u32")
    assert.equal("shmseg.watch (of shmseg.atomic (u32))", tostring(word:watch(0)))
    watch:close()
    assert.equal("shmseg.watch (closed)", tostring(watch))
  end)

  test("closes twice, and is of no use afterwards", function()
    local e = event()
    local watch = expect.success(e:watch())
    watch:close()
    watch:close()
    for _, method in ipairs { "fd", "rearm", "events", "timeout", "pollfd" } do
      expect.misuse("watch is closed", watch[method], watch)
    end
    assert.truthy(tostring(watch):find "closed")
    assert.True(e:set())
    e:close()
    watch:close()
  end)

  test("has nothing that was seen, but for a cell's, an atomic's and a key's", function()
    local watch = expect.success(event():watch())
    assert.True(watch:rearm(nil))
    for _, seen in ipairs { 1, "pop", {}, true } do
      expect.misuse("bad argument #2", watch.rearm, watch, seen)
    end
    assert.False(is_ready(watch))
  end)

  test("refuses what is no watch", function()
    local watch = expect.success(event():watch())
    for _, self in ipairs { 1, {}, io.stdout, "x", event() } do
      for _, method in ipairs { "fd", "rearm", "events", "timeout", "pollfd", "close" } do
        expect.misuse("shmseg.watch expected", watch[method], self)
      end
    end
  end)

  test("of what is closed cannot be made", function()
    local segment = assert(shmseg.anonymous(2 ^ 18))
    local arguments = { queue = "pop", dict = "key" }
    for i, kind in ipairs { "queue", "cell", "event", "dict", "broadcast" } do
      local object = assert(shmseg[kind].open(segment:slice(i * 32768, 32768), "c"))
      local watched = kind == "broadcast" and object:subscribe() or object
      object:close()
      expect.misuse("closed", watched.watch, watched, arguments[kind])
    end
  end)

  test("gives its descriptors back: closed, forgotten, or not made", function()
    local e = event()
    local q = assert(shmseg.queue.open(nil, "x", { capacity = 64, temporary = true }))
    local function churn()
      for _ = 1, 10 do
        expect.success(e:watch()):close()
        expect.success(q:watch "pop") -- and forgets it
        pcall(q.watch, q, "pops")
      end
      collectgarbage()
      collectgarbage()
    end
    churn()
    local before, mappings = census.descriptors(), census.mappings()
    churn()
    assert.equal(before, census.descriptors())
    assert.equal(mappings, census.mappings())
  end)

  test("is collected together with what it watches, in any order", function()
    local before
    for round = 1, 3 do
      for _, noun in pairs(nouns) do
        local object = open(noun)
        expect.success(noun.watch(object))
        local watch = expect.success(noun.watch(object))
        if round == 2 then
          watch:close()
        elseif round == 3 then
          finalizer(function() -- which sees what has been finalized, or not yet
            pcall(watch.rearm, watch)
            pcall(object.close, object)
            pcall(watch.rearm, watch)
          end)
        end
      end
      local segment = assert(shmseg.anonymous(64))
      expect.success(segment:atomic(0, "u32"):watch(0))
      segment = nil -- luacheck: ignore
      scratch.clean()
      collectgarbage()
      collectgarbage()
      before = before or census.descriptors()
    end
    collectgarbage()
    assert.equal(before, census.descriptors())
  end)

  if _VERSION >= "Lua 5.4" then
    test("closes with its block from Lua 5.4 on", function()
      local watch = expect.success(event():watch())
      assert(load 'local watch <close> = ...; return watch:fd()')(watch)
      expect.misuse("watch is closed", watch.fd, watch)
    end)
  end
end)

describe("the other way to watch", function()
  after_each(scratch.clean)

  -- The words that run this file, and nothing else, with the other way; or why not.
  local function words()
    local other = way == "thread" and "io_uring" or "thread"
    local prefix = { "env", "SHMSEG_WATCH=" .. other }
    local probe = peer.start(prefix)
    if probe:call "return shmseg.features().watch" ~= other then
      return nil, ("this machine has no way %q"):format(other)
    end
    for _, word in ipairs(peer.command()) do
      prefix[#prefix + 1] = word
    end
    prefix[#prefix + 1] = ".ci/busted.lua"
    prefix[#prefix + 1] = "spec/watch_spec.lua"
    return prefix
  end

  if not os.getenv "SHMSEG_WATCH" and build.possible() then
    test("holds all of this", function()
      local command, reason = words()
      if not command then
        pending(reason)
      end
      local run = process.start(command)
      local status, lines = run:finish()
      assert.equal(0, status, table.concat(lines, "\n") .. run:stderr())
    end)
  end
end)
