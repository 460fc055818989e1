-- SPDX-License-Identifier: MIT
-- Objects that a hook uses in the midst of another call. On LuaJIT a call is a Lua function of
-- several steps, with one piece of private memory for all objects.

local shmseg = require "shmseg"
local scratch = require "spec.support.scratch"

-- Objects to be used, and a function that uses them, and some of their like, in every way.
local function objects()
  local s = assert(shmseg.anonymous(2 ^ 20))
  scratch.defer(function()
    s:close()
  end)
  local size = 2 ^ 16
  local function open(noun, place, capacity)
    return assert(shmseg[noun].open(s:slice(place * size, size), "c", { capacity = capacity }))
  end
  local o = {
    segment = s,
    cell = open("cell", 0, 512), other_cell = open("cell", 1, 512),
    queue = open("queue", 2, 1024), other_queue = open("queue", 3, 1024),
    broadcast = open("broadcast", 4, 1024), dict = open("dict", 5, 2048),
    popped = {}, noted = {}, count = 0,
  }
  o.subscription, o.other_subscription = o.broadcast:subscribe(), o.broadcast:subscribe()
  o.other_cell:set "other"
  o.dict:set("other", "another value", 0, 7)

  function o.note(message, sequence, lost)
    if message then
      table.insert(o.noted, { message = message, sequence = sequence, lost = lost })
    end
  end

  function o.use()
    o.count = o.count + 1
    o.other_cell:get()
    o.other_cell:set(("z"):rep(o.count % 400))
    o.other_queue:push "other message"
    o.other_queue:pop(0)
    o.broadcast:publish(("other %d"):format(o.count))
    o.other_subscription:next(0)
    o.dict:get "other"
    o.dict:incr("other count", 1, 0)
    if o.count % 2 == 0 then
      table.insert(o.popped, (o.queue:pop(0)))
    end
    if o.count % 5 == 0 then
      o.note(o.subscription:next(0))
    end
    if o.count % 3 == 0 then
      o.dict:incr("count", 1)
    end
  end
  return o
end

-- Has the methods do in the interpreter what they do when they are compiled, where that differs.
-- The compiler is at rest meanwhile: the end of a recording would change that again.
local function as_compiled(cell, is_so)
  jit.off(true)
  jit.off()
  local get, i, name = getmetatable(cell).__index.get, 0
  repeat
    i = i + 1
    name = debug.getupvalue(get, i)
  until name == "recording"
  debug.setupvalue(get, i, is_so) -- all methods have it
  if not is_so then
    jit.on()
  end
end

-- Calls fn while the hook uses the objects between any two instructions.
local function hooked(o, fn, ...)
  local function hook()
    debug.sethook()
    o.use()
    debug.sethook(hook, "", 1)
  end
  local function unhooked(...)
    debug.sethook()
    return ...
  end
  debug.sethook(hook, "", 1)
  return unhooked(fn(...))
end

-- Asserts that the values behind the first argument are those that it has, and so many.
local function gives(expected, ...)
  assert.equal(expected.n or #expected, select("#", ...))
  for i = 1, select("#", ...) do
    assert.equal(expected[i], (select(i, ...)))
  end
end

-- The table where a dict keeps values, and where in it that of a key is, which is read often here.
local function kept_place(d, key)
  for _ = 1, 2000 do
    d:get(key)
  end
  local own = require("shmseg.core").front.kept[d]
  for index = 10, 5000 do
    if own[index + 1] == key then
      return own, index
    end
  end
end

for _, compiled in ipairs(shmseg.features().ffi and { false, true } or { false }) do
  describe("a hook in the midst of a call" .. (compiled and " as it is compiled" or ""), function()
    after_each(scratch.clean)

    local function made()
      local o = objects()
      if compiled then
        as_compiled(o.cell, true)
        scratch.defer(function()
          as_compiled(o.cell, false)
        end)
      end
      return o
    end

    it("does not mix up what cells and dicts have", function()
      local o = made()
      o.cell:set "a value"
      o.dict:set("text", "a text")
      o.dict:set("number", 1.5, 0, 3)
      o.dict:set("boolean", true)
      for i = 1, 100 do
        gives({ "a value", i }, hooked(o, o.cell.get, o.cell))
        assert.equal(i + 1, hooked(o, o.cell.set, o.cell, "a value"))
        gives({ "a text" }, hooked(o, o.dict.get, o.dict, "text"))
        gives({ 1.5, 3 }, hooked(o, o.dict.get, o.dict, "number"))
        gives({ true }, hooked(o, o.dict.get, o.dict, "boolean"))
        gives({ true, nil, false, n = 3 }, hooked(o, o.dict.set, o.dict, "text", "a text"))
      end
      assert.is_true(o.count > 100)
    end)

    it("loses no message, and doubles none", function()
      local o = made()
      for i = 1, 300 do
        assert.is_true(hooked(o, o.queue.push, o.queue, "message " .. i))
        table.insert(o.popped, (hooked(o, o.queue.pop, o.queue, 0)))
      end
      assert.equal(300, #o.popped)
      local seen = {}
      for _, message in ipairs(o.popped) do
        assert.is_nil(seen[message])
        seen[message] = message:match "^message %d+$"
        assert.equal(message, seen[message])
      end
    end)

    -- What next has given, in all, when it was called while the hook uses the objects.
    local function next_often(o)
      for _ = 1, 100 do
        o.broadcast:publish "a message"
        o.broadcast:publish "a message"
        o.note(hooked(o, o.subscription.next, o.subscription, 0))
      end
      table.sort(o.noted, function(a, b)
        return a.sequence < b.sequence
      end)
      for i = 2, #o.noted do
        local noted, before = o.noted[i], o.noted[i - 1].sequence
        assert.equal(before + noted.lost + 1, noted.sequence)
        assert.is_truthy(noted.message == "a message" or noted.message:match "^other %d+$")
      end
      assert.is_true(#o.noted > 100)
    end

    it("changes neither a subscription nor its message", function()
      next_often(made())
    end)

    it("that drains a subscription does not move it back", function()
      local o = made()
      function o.use()
        o.count = o.count + 1
        if o.count % 29 == 0 then
          local list, sequence, lost = o.subscription:drain(1)
          o.note(list[1], sequence, lost)
        end
      end
      next_often(o)
    end)

    it("adds to a number once for each call", function()
      local o = made()
      o.dict:set("count", 0)
      local last = 0
      for _ = 1, 300 do
        local sum = hooked(o, o.dict.incr, o.dict, "count", 1, 0)
        assert.is_true(sum > last)
        last = sum
      end
      local used = math.floor(o.count / 3)
      assert.equal(300 + used, o.dict:get "count")
    end)
  end)
end

describe("a dict's number", function()
  after_each(scratch.clean)

  it("is NaN when a peer has written one with any bits", function()
    local o = objects()
    local place
    o.dict:set("float", 123456.789)
    for offset = 0, o.segment:size() - 8, 8 do
      if o.segment:get_f64(offset) == 123456.789 then
        place = offset
      end
    end
    assert.is_truthy(place)
    local high = o.segment:get_u32(place) == 0x40fe240c -- the half that comes first
    for _, bits in ipairs {
      { 0x03020100, 0xfff90504 }, { 0xffffffff, 0xffffffff }, { 0, 0xffff0001 }, { 1, 0x7ff00000 },
      { 0x1000, 0xfffa8000 }, { 0x1000, 0xfffe0000 },
    } do
      o.segment:set_u32(high and place + 4 or place, bits[1])
      o.segment:set_u32(high and place or place + 4, bits[2])
      for _ = 1, 200 do
        local value = o.dict:get "float"
        assert.equal("number", type(value))
        assert.is_true(value ~= value)
      end
    end
  end)
end)

describe("get of a value that is kept", function()
  after_each(scratch.clean)

  -- Another value is there for one instruction only, whichever that is; the dict keeps one anew.
  it("gives no other one that a hook has put in its place", function()
    if not shmseg.features().ffi then
      return -- the C function takes it in one step
    end
    local o = objects()
    as_compiled(o.cell, true)
    scratch.defer(function()
      as_compiled(o.cell, false)
    end)
    o.dict:set("text", "a text")
    local own, index = kept_place(o.dict, "text")
    for i = 1, 60 do
      o.count = 0
      function o.use()
        o.count = o.count + 1
        own[index] = o.count == i and "another value" or "a text"
        if o.count == i then
          o.dict:set("other", i .. " times")
          for _ = 1, 12 do
            o.dict:get "other"
          end
        end
      end
      gives({ "a text" }, hooked(o, o.dict.get, o.dict, "text"))
      own[index] = "a text"
    end
  end)
end)
