-- SPDX-License-Identifier: MIT
-- LuaJIT: loops that its compiler has compiled see what other processes, and finalizers, change
-- meanwhile. Each loop runs in a process of its own, which is killed after a while: a change that
-- is not seen is a failure there.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local front = require "spec.support.front"
local scratch = require "spec.support.scratch"

-- What the loops use.
local PRELUDE = [[
local name, kind = ...
local Pair = shmseg.struct("FrontPoll", { { "x", "i32" }, { "wide", "u64" }, { "f", "f64" },
  { "text", "char", 8 },
  { "list", "i16", 2 }, { "inner", shmseg.struct("FrontPollInner", { { "y", "u8" } }) } })
local seg, c, q, b, s, d
if kind == "segment" then
  seg = assert(shmseg.open(name))
elseif kind == "cell" then
  c = assert(shmseg.cell.open(name))
elseif kind == "queue" then
  q = assert(shmseg.queue.open(name))
elseif kind == "broadcast" then
  b = assert(shmseg.broadcast.open(name))
  s = b:subscribe()
elseif kind == "dict" then
  d = assert(shmseg.dict.open(name))
end
]]

-- Polls until the condition holds; says that it polls once the loop is compiled.
local POLL = PRELUDE .. [[
SETUP
local function poll(most)
  for round = 1, most do
    if CONDITION then
      return "seen"
    end
  end
  return "never seen"
end
poll(1000)
report "loops"
return select(2, pcall(poll, 1e18))
]]

-- Makes a store in each round, until another word is not 0.
local STORE = PRELUDE .. [[
SETUP
local function store(most)
  for round = 1, most do
    ACTION
    if round % 1024 == 0 and seg:get_u8(4000) ~= 0 then
      break
    end
  end
end
store(1000)
report "loops"
store(1e18)
return "seen"
]]

-- Polls while finalizers run, one of which closes what is polled.
local FINALIZER = PRELUDE .. [[
SETUP
local garbage
local function poll(most)
  local sum = 0
  for round = 1, most do
    garbage = { round }
    ACTION
  end
  return "went on"
end
poll(1000)
getmetatable(newproxy(true)).__gc = function() -- luacheck: ignore newproxy
  CLOSE
end
return select(2, pcall(poll, 1e18))
]]

local SIZE = 8192

local function create(kind)
  local name = scratch.name()
  if kind == "segment" then
    return name, expect.success(shmseg.open(name, "x", SIZE))
  end
  return name, expect.success(shmseg[kind].open(name, "x", { capacity = 32768 }))
end

-- A function that sends a peer one of the programs, with the pieces that it has, and the name and
-- the kind.
local function sender()
  if front.missing() then
    pending(front.missing())
  end
  local peer = front.peer()
  return function(template, pieces, ...)
    peer:send((template:gsub("%u%u%u%u+", pieces)), ...)
    return peer
  end
end

-- Nanoseconds that the process has run; nil when it has ended.
local function time_of(process)
  local file = io.open(("/proc/%d/schedstat"):format(process.pid))
  local text = file and file:read "*a"
  if file then
    file:close()
  end
  return text and tonumber(text:match "^%d+")
end

-- Returns once the peer is in its loop: it has said so, and has run for some milliseconds after
-- that.
local function await_loop(peer)
  assert.equal("loops", peer:receive())
  local start = time_of(peer)
  repeat
    local now = time_of(peer)
  until not now or now > start + 3e6
end

-- What ended the loop; or that nothing did, and what it was to see.
local function result_of(peer, what)
  local ok, said = pcall(peer.receive, peer)
  return ok and said or ("%s: %s"):format(what, said)
end

local function cut(name, size)
  local seg = expect.success(shmseg.open(name))
  expect.success(seg:resize(size))
  seg:close()
end

-- --- what is polled: kind, name, setup, condition, what the peer does ---------------------------

local polls = { segment = {} }

local function poll(kind, title, setup, condition, change)
  local group = kind == "segment" and "segment" or "objects"
  polls[group] = polls[group] or {}
  table.insert(polls[group], { kind, title, setup, condition, change })
end

for _, type in ipairs {
  "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64", "bool",
} do
  local value = type == "bool" or 1
  poll("segment", "get_" .. type, "", ("seg:get_%s(64) == %s"):format(type, tostring(value)),
    function(seg)
    seg["set_" .. type](seg, 64, value)
  end)
end
local function one(seg)
  seg:set_u8(64, 1)
end
poll("segment", "an integer that no number holds", "local large = 2LL ^ 62 + 1",
  "seg:get_i64(64) == large", function(seg)
  seg:set_u8(71, 0x40)
  seg:set_u8(64, 1)
end)
poll("segment", "get_ of a slice", "local part = seg:slice(60, 20)", "part:get_i32(4) == 1", one)
poll("segment", "a[i]", "local a = seg:array(56, 'i32', 4)", "a[3] == 1", one)
poll("segment", "a[i] of 64 bits", "local a = seg:array(56, 'i64', 4)", "a[2] == 1", one)
poll("segment", "a[i] of floats", "local a = seg:array(56, 'f64', 4)", "a[2] > 0", one)
poll("segment", "a field", "local p = Pair:at(seg, 64)", "p.x == 1", one)
poll("segment", "a wide field", "local p = Pair:at(seg, 56)", "p.wide == 1", one)
poll("segment", "a field of floats", "local p = Pair:at(seg, 48)", "p.f > 0", one)
poll("segment", "a field of an inner record", "local p = Pair:at(seg, 64 - Pair:offset 'inner.y')",
  "p.inner.y == 1", one)
poll("segment", "a field's array", "local p = Pair:at(seg, 64 - Pair:offset 'list')",
  "p.list[1] == 1", one)
poll("segment", "a text field", "local p = Pair:at(seg, 64 - Pair:offset 'text')",
  "p.text == 'new'", function(seg)
  seg:write(64, "new")
end)
poll("segment", "read", "", "seg:read(64, 3) == 'new'", function(seg)
  seg:write(64, "new")
end)
for _, type in ipairs { "i32", "u32", "i64", "u64" } do
  local setup = ("local n = seg:atomic(64, '%s')"):format(type)
  poll("segment", "load of an atomic " .. type, setup, "n:load() == 1", one)
  poll("segment", "add to an atomic " .. type, setup, "n:add(0) == 1", one)
  poll("segment", "cas of an atomic " .. type, setup, "n:cas(1, 2)", one)
end
poll("cell", "get of a cell", "", "(c:get()) == 'new'", function(c) c:set "new" end)
poll("queue", "pop", "", "q:pop(0) == 'new'", function(q) q:push "new" end)
poll("queue", "push into a full queue", "while q:push('old', 0) do end", "q:push('new', 0)",
  function(q) q:drain(9) end)
poll("broadcast", "next", "", "s:next(0) == 'new'", function(b) b:publish "new" end)
poll("dict", "get of a dict", "d:set('k', 'old')", "d:get('k') == 'new'", function(d) d:set("k",
  "new") end)
poll("dict", "get of a new key", "", "d:get('k') == 7", function(d) d:set("k", 7) end)
poll("dict", "incr", "d:set('k', 1)", "d:incr('k', 0) == 7", function(d) d:set("k", 7) end)

describe("a compiled loop", function()
  after_each(scratch.clean)

  for group, cases in pairs(polls) do
    it("sees what a peer changes: " .. group, function()
      local send = sender()
      for _, case in ipairs(cases) do
        local name, object = create(case[1])
        local peer = send(POLL, { SETUP = case[3], CONDITION = case[4] }, name, case[1])
        await_loop(peer)
        case[5](object)
        assert.equal("seen", result_of(peer, case[2]))
      end
    end)
  end
end)

-- --- cuts ---------------------------------------------------------------------------------------

describe("a compiled loop", function()
  after_each(scratch.clean)

  local cuts = {
    { "segment", "", "seg:get_i32(5000) == nil" },
    { "segment", "", "seg:get_u64(5000) == nil" },
    { "segment", "", "seg:get_bool(5000) == nil" },
    { "segment", "", "seg:set_i32(5000, round % 100) == nil" },
    { "segment", "", "seg:read(5000, 8) == nil" },
    { "segment", "", "seg:write(5000, 'text') == nil" },
    { "segment", "local part = seg:slice(4096)", "part:get_f64(800) == nil" },
    { "segment", "local a = seg:array(4096, 'i32', 1000)", "a[900] == 5", "truncated" },
    { "segment", "local a = seg:array(4096, 'u8', 1000) local function set(i) a[900] = i end",
      "set(round % 100)",
      "truncated" },
    { "segment", "local p = Pair:at(seg, 6000)", "p.x == 5", "truncated" },
    { "segment", "local p = Pair:at(seg, 6000)", "p.text == 'x'", "truncated" },
    { "segment", "local p = Pair:at(seg, 6000) local function set(i) p.x = i end",
      "set(round % 100)", "truncated" },
    { "segment", "local n = seg:atomic(6000, 'u32')", "n:load() == nil" },
    { "segment", "local n = seg:atomic(6000, 'u64')", "n:add(1) == nil" },
    { "segment", "local n = seg:atomic(6000, 'i32')", "n:cas(1, 2) == nil" },
    { "segment", "local n = seg:atomic(6000, 'i32')", "n:store(1) == nil" },
    { "cell", "c:set('x')", "c:get() == nil" },
    { "cell", "", "c:set('x') == nil" },
    { "queue", "", "select(3, q:pop(0)) ~= 'timeout'" },
    { "queue", "", "q:push('x', 0) == nil or q:pop(0) == nil" },
    { "broadcast", "", "b:publish('x') == nil" },
    { "broadcast", "", "select(3, s:next(0)) ~= 'timeout'" },
    { "dict", "d:set('k', 'x')", "d:get('k') ~= 'x'" },
    { "dict", "", "not d:set('k', 'x')" },
    { "dict", "d:set('k', 1)", "d:incr('k', 1) == nil" },
  }
  it("ends when a peer cuts the memory", function()
    local send = sender()
    for _, case in ipairs(cuts) do
      local name = create(case[1])
      local peer = send(POLL, { SETUP = case[2], CONDITION = case[3] }, name, case[1])
      await_loop(peer)
      cut(name, case[1] == "segment" and 4096 or 1)
      local said = result_of(peer, case[2] .. " " .. case[3])
      assert.truthy(said:find(case[4] or "^seen$"), said)
    end
  end)
end)

-- --- stores -------------------------------------------------------------------------------------

describe("a peer sees each store that a compiled loop makes:", function()
  after_each(scratch.clean)

  local stores = {
    { "", "seg:set_i32(64, round)" }, { "", "seg:set_u32(64, round)" },
    { "", "seg:set_i64(64, round)" }, { "", "seg:set_u16(64, round % 65536)" },
    { "local part = seg:slice(32)", "part:set_i32(32, round)" },
    { "local a = seg:array(56, 'i32', 4)", "a[3] = round" },
    { "local p = Pair:at(seg, 64)", "p.x = round" },
    { "local n = seg:atomic(64, 'u32')", "n:store(round)" },
    { "local n = seg:atomic(64, 'u32')", "n:add(1)" },
    { "local texts = { [0] = 'a\\0\\0\\0', 'b\\0\\0\\0' }", "seg:write(64, texts[round % 2])" },
  }
  it("at once", function()
    local send = sender()
    for _, case in ipairs(stores) do
      local name, seg = create "segment"
      local peer = send(STORE, { SETUP = case[1], ACTION = case[2] }, name, "segment")
      await_loop(peer)
      local last, changes, looks = seg:get_u16(64), 0, 0
      repeat
        local now = seg:get_u16(64)
        changes = changes + (now ~= last and 1 or 0)
        last, looks = now, looks + 1
      until changes == 10 or looks % 10000 == 0 and not peer:lives()
      seg:set_u8(4000, 1)
      assert.equal("seen", result_of(peer, case[2]))
    end
  end)

  it("and answers, to and fro", function()
    local name, seg = create "segment"
    local peer = sender()(PRELUDE .. [[
      for round = 1, 200 do
        seg:set_i32(64, round)
        repeat until seg:get_i32(128) == round
      end
      return "done"]], {}, name, "segment")
    for round = 1, 200 do
      local looks = 0
      repeat
        looks = looks + 1
        assert(looks % 100000 ~= 0 or peer:lives(), "the other end is gone")
      until seg:get_i32(64) == round
      seg:set_i32(128, round)
    end
    assert.equal("done", peer:receive())
  end)
end)

-- --- closing ------------------------------------------------------------------------------------

describe("a compiled loop", function()
  after_each(scratch.clean)

  local closes = {
    { "segment", "", "sum = sum + seg:get_i32(64)" },
    { "segment", "", "sum = sum + tonumber(seg:get_u64(64))" },
    { "segment", "", "seg:set_i32(64, 7)" }, { "segment", "", "sum = sum + #seg:read(64, 7)" },
    { "segment", "", "seg:write(64, 'text')" },
    { "segment", "local part = seg:slice(64)", "sum = sum + part:get_f64(8)" },
    { "segment", "local a = seg:array(64, 'u16', 10)", "sum = sum + a[3]" },
    { "segment", "local a = seg:array(64, 'u16', 10)", "a[3] = 7" },
    { "segment", "local p = Pair:at(seg, 64)", "sum = sum + p.x" },
    { "segment", "local p = Pair:at(seg, 64)", "p.x = 7" },
    { "segment", "local n = seg:atomic(64, 'u32')", "sum = sum + n:load()" },
    { "segment", "local n = seg:atomic(64, 'u32')", "n:store(1)" },
    { "segment", "local n = seg:atomic(64, 'u32')", "n:add(1)" },
    { "segment", "local n = seg:atomic(64, 'i64')", "n:cas(1, 2)" },
    { "cell", "c:set('x')", "assert(c:get())", "c:close()" },
    { "cell", "", "assert(c:set('x'))", "c:close()" },
    { "queue", "", "assert(q:push('x')) assert(q:pop())", "q:close()" },
    { "queue", "", "assert(select(2, q:pop(0)) == 'timeout')", "q:close()" },
    { "broadcast", "", "assert(b:publish('x'))", "b:close()" },
    { "broadcast", "", "assert(select(2, s:next(0)) == 'timeout')", "b:close()" },
    { "broadcast", "", "assert(select(2, s:next(0)) == 'timeout')", "s:close()" },
    { "dict", "d:set('k', 'x')", "assert(d:get('k') == 'x')", "d:close()" },
    { "dict", "", "assert(d:set('k', 'x'))", "d:close()" },
    { "dict", "", "assert(d:incr('k', 1, 1))", "d:close()" },
  }
  it("ends when a finalizer closes what it uses", function()
    local send = sender()
    for _, case in ipairs(closes) do
      local name, close = create(case[1]), case[4] or "seg:close()"
      local peer = send(FINALIZER, { SETUP = case[2], ACTION = case[3], CLOSE = close }, name,
        case[1])
      local said = result_of(peer, case[3] .. " " .. close)
      assert.truthy(said:find "closed", case[3] .. ": " .. said)
    end
  end)
end)

-- --- waiting -----------------------------------------------------------------------------------

describe("a call that waits in a compiled loop", function()
  after_each(scratch.clean)

  local waits = {
    { "queue", "q:pop()", "q:push('x')" }, { "broadcast", "s:next()", "b:publish('x')" },
  }

  it("is woken, and ended by Ctrl-C and by a signal that the program has asked for", function()
    for _, case in ipairs(waits) do
      for _, asks in ipairs { false, true } do
        local name, object = create(case[1])
        local peer = sender()(PRELUDE .. [[
          local stop = SIGNALS
          local function serve(most)
            for round = 1, most do
              FEED
              local value, word = WAIT
              if not value then
                return word
              end
            end
          end
          serve(1000)
          report "loops"
          local ok, word = pcall(function()
            while true do
              local value, word = WAIT
              if not value then
                return word
              end
            end
          end)
          if stop then
            stop:close()
          end
          return word]], {
          SIGNALS = asks and "shmseg.signals 'INT'" or "nil", FEED = case[3], WAIT = case[2],
        }, name, case[1])
        assert.equal("loops", peer:receive())
        for _ = 1, 300 do
          expect.success((object.push or object.publish)(object, "more"))
        end
        peer:await_sleep()
        peer:signal "INT"
        local word = result_of(peer, case[2])
        assert.truthy(word:find(asks and "^interrupted$" or "interrupted!$"), word)
      end
    end
  end)
end)
