-- SPDX-License-Identifier: MIT
-- Atomics: one word that processes and threads change in one step. Waiting for it stands in
-- atomic_wait_spec.lua.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local garbage = require "spec.support.garbage"
local host = require "spec.support.host"
local interpret = require "spec.support.interpret"
local peer = require "spec.support.peer"
local scalars = require "spec.support.scalars"
local scratch = require "spec.support.scratch"

local nan = 0 / 0
local exact = math.type ~= nil

local types = {
  i32 = { size = 4, least = -2 ^ 31, most = 2 ^ 31 - 1, minus_one = -1 },
  u32 = { size = 4, least = 0, most = 2 ^ 32 - 1, minus_one = 2 ^ 32 - 1 },
  i64 = { size = 8, minus_one = -1 },
  u64 = { size = 8, minus_one = exact and -1 or nil },
}
if exact then
  for _, name in ipairs { "i64", "u64" } do
    types[name].least, types[name].most = math.mininteger, math.maxinteger
  end
end

local function atomic(type)
  local seg = expect.success(shmseg.anonymous(64))
  return seg:atomic(16, type), seg
end

local function each_type(f)
  for name, type in pairs(types) do
    f(name, type)
  end
end

describe("an atomic", function()
  after_each(scratch.clean)

  each_type(function(name, type)
    it("of type " .. name .. " gives the old value with every operation", function()
      local n, seg = atomic(name)
      seg:fill(0, #seg, 0xAA)
      assert.True(n:store(0))
      assert.equal(0, n:load())
      assert.equal(0, n:store(5) and n:swap(5) - 5)
      assert.equal(5, n:swap(12))
      assert.equal(12, n:add(3))
      assert.equal(15, n:sub(5))
      assert.equal(10, n:band(6))
      assert.equal(2, n:bor(5))
      assert.equal(7, n:bxor(13))
      assert.equal(10, n:load())
      assert.equal(10, seg["get_" .. name](seg, 16))
      assert.equal(("\170"):rep(16), seg:read(0, 16))
      assert.equal(("\170"):rep(48 - type.size), seg:read(16 + type.size))
    end)

    it("of type " .. name .. " compares and swaps", function()
      local n = atomic(name)
      assert.same({ true }, { n:cas(0, 7) })
      assert.same({ false, 7 }, { n:cas(0, 8) })
      assert.same({ false, 7 }, { n:cas(8, 8) })
      assert.same({ true }, { n:cas(7, 7) })
      assert.same({ true }, { n:cas(7, 0) })
      assert.equal(0, n:load())
    end)

    it("of type " .. name .. " takes negative operands", function()
      local n = atomic(name)
      n:store(10)
      assert.equal(10, n:add(-3))
      assert.equal(7, n:sub(-3))
      assert.equal(10, n:band(-2))
      assert.equal(10, n:load())
      n:store(-1)
      if type.minus_one then
        assert.equal(type.minus_one, n:load())
        assert.same({ true }, { n:cas(-1, 3) })
        n:store(-1)
        assert.equal(type.minus_one, n:bxor(-1))
        assert.equal(0, n:load())
      end
    end)

    if type.most then
      it("of type " .. name .. " wraps", function()
        local n = atomic(name)
        n:store(type.most)
        assert.equal(type.most, n:add(1))
        assert.equal(type.least, n:sub(1))
        assert.equal(type.most, n:load())
      end)
    end

    it("of type " .. name .. " lies at multiples of " .. type.size .. " only", function()
      local seg = expect.success(shmseg.anonymous(64))
      for offset = 0, 64 - type.size do
        if offset % type.size == 0 then
          assert.equal(0, seg:atomic(offset, name):load())
        else
          local patterns = { "bad argument #1", "misaligned", name, "multiple of " .. type.size }
          expect.misuse(patterns, function()
            seg:atomic(offset, name)
          end)
        end
      end
      -- What counts is the segment's offset, not the slice's.
      assert.equal(0, seg:slice(3):atomic(type.size - 3 + 8, name):load())
      expect.misuse("misaligned", function()
        seg:slice(3):atomic(0, name)
      end)
    end)
  end)

  it("of 32 bits takes an operand's low bits", function()
    for _, name in ipairs { "i32", "u32" } do
      local n = atomic(name)
      n:store(2 ^ 32 + 5)
      assert.equal(5, n:load())
      assert.equal(5, n:add(2 ^ 32))
      assert.equal(5, n:add(2 ^ 40 + 1))
      assert.equal(6, n:sub(-2 ^ 32 + 1))
      assert.same({ true }, { n:cas(2 ^ 33 + 5, -2 ^ 34 + 9) })
      assert.equal(9, n:load())
      n:store(2 ^ 31)
      assert.equal(name == "i32" and -2 ^ 31 or 2 ^ 31, n:load())
      n:store(-2 ^ 31)
      assert.equal(name == "i32" and -2 ^ 31 or 2 ^ 31, n:load())
    end
  end)

  if exact then
    it("of 64 bits is exact", function()
      for _, name in ipairs { "i64", "u64" } do
        local n = atomic(name)
        local odd = math.tointeger(2 ^ 53) + 1
        n:store(odd)
        assert.equal(odd, n:load())
        assert.equal("integer", math.type(n:load()))
        assert.equal(odd, n:add(odd))
        assert.equal(2 * odd, n:swap(math.mininteger + 1))
        assert.equal(math.mininteger + 1, n:sub(2))
        assert.equal(math.maxinteger, n:bxor(-1))
        assert.same({ true }, { n:cas(math.mininteger, odd) })
        assert.same({ false, odd }, { n:cas(odd - 1, 0) })
        assert.equal(odd, n:add(2.0))
        assert.equal(odd + 2, n:load())
      end
    end)
  else
    it("of 64 bits raises before it changes what a number cannot hold", function()
      if jit then
        pending("LuaJIT has cdata for it")
      end
      for _, name in ipairs { "i64", "u64" } do
        local n, seg = atomic(name)
        n:store(2 ^ 53)
        assert.equal(2 ^ 53, n:add(1))
        local before = seg:read()
        for _, operation in ipairs { "swap", "add", "sub", "band", "bor", "bxor" } do
          expect.misuse("exactly", n[operation], n, 1)
          assert.equal(before, seg:read(), operation)
        end
        expect.misuse("exactly", n.load, n)
        expect.misuse("exactly", n.cas, n, 0, 1)
        assert.equal(before, seg:read())
        -- What can be held can be put there, and what is there can be replaced.
        assert.True(n:store(2 ^ 60))
        assert.equal(2 ^ 60, n:add(2 ^ 60))
        assert.equal(2 ^ 61, n:load())
      end
    end)

    it("of 64 bits takes cdata, and gives cdata where a number would not be exact", function()
      if not jit then
        pending("this is no LuaJIT")
      end
      for name, make in pairs { i64 = scalars.int64, u64 = scalars.uint64 } do
        local n = atomic(name)
        local odd = make(1, 2 ^ 21) -- 2^53 + 1
        assert.True(n:store(odd))
        assert.equal(odd, n:load())
        assert.equal("cdata", type(n:load()))
        assert.equal(odd, n:add(1))
        assert.equal(2 ^ 53 + 2, n:load())
        assert.equal("number", type(n:load()))
        assert.equal(2 ^ 53 + 2, n:sub(make(1)))
        assert.equal(odd, n:swap(odd + 2))
        assert.equal(odd + 2, n:band(odd))
        assert.equal(odd, n:bor(make(6)))
        assert.equal(odd + 6, n:bxor(odd + 6))
        assert.equal(0, n:swap(odd))
        assert.same({ false, odd }, { n:cas(odd - 1, 0) })
        assert.same({ true }, { n:cas(odd, odd + 2) })
        assert.equal(odd + 2, n:load())
        assert.same({ true }, { n:cas(scalars.int64(3, 2 ^ 21), scalars.uint64(7)) })
        assert.equal(7, n:load())
        n:store(scalars.uint64(2 ^ 32 - 1, 2 ^ 31)) -- 2^63 + 2^32 - 1
        assert.equal(make(2 ^ 32 - 1, 2 ^ 31), n:load())
        n:store(-scalars.int64(5))
        assert.equal(make(0) - 5, n:load())
        for _, other in ipairs(scalars.other_cdata) do
          expect.misuse({ "bad argument", "cdata" }, n.add, n, other)
          expect.misuse({ "bad argument", "cdata" }, n.cas, n, other, 1)
        end
      end
      local n = atomic "u32"
      n:store(scalars.uint64(7, 9))
      assert.equal(7, n:add(scalars.int64(1)))
      assert.equal(8, n:wait(scalars.int64(7), 0))
    end)

    it("of type u64 holds what a number can, up to 2^64", function()
      local n, seg = atomic "u64"
      n:store(2 ^ 63)
      assert.equal(2 ^ 63, n:add(2 ^ 62))
      assert.equal(2 ^ 63 + 2 ^ 62, n:load())
      n:store(-1)
      assert.equal(("\255"):rep(8), seg:read(16, 8))
      assert.same({ true }, { n:cas(-1, 2 ^ 63) })
      local i = atomic "i64"
      i:store(2 ^ 63)
      assert.equal(-2 ^ 63, i:load())
      assert.equal(-2 ^ 63, i:add(-1024))
      assert.equal(2 ^ 63 - 1024, i:load())
    end)
  end

  it("refuses operands that are no integers, and names them", function()
    each_type(function(name)
      local n = atomic(name)
      n:store(7)
      for _, wrong in ipairs {
        1.5, nan, math.huge, -math.huge, 1e300, 2 ^ 64, -2 ^ 64, "text", true, {}, print,
      } do
        expect.misuse("bad argument #1", function() n:store(wrong) end)
        expect.misuse("bad argument #1", function() n:swap(wrong) end)
        expect.misuse("bad argument #1", function() n:add(wrong) end)
        expect.misuse("bad argument #1", function() n:sub(wrong) end)
        expect.misuse("bad argument #1", function() n:band(wrong) end)
        expect.misuse("bad argument #1", function() n:bor(wrong) end)
        expect.misuse("bad argument #1", function() n:bxor(wrong) end)
        expect.misuse("bad argument #1", function() n:cas(wrong, wrong) end)
        expect.misuse("bad argument #2", function() n:cas(7, wrong) end)
      end
      expect.misuse({ "bad argument #1", "number expected" }, function() n:add() end)
      expect.misuse({ "bad argument #2", "number expected" }, function() n:cas(7) end)
      expect.misuse("no integer representation", function() n:add(1.5) end)
      assert.equal(7, n:load())
    end)
  end)

  it("of a closed segment raises, and of a read-only one where it would write", function()
    local name = scratch.name()
    local writer = expect.success(shmseg.open(name, "x", 64))
    writer:atomic(16, "u32"):store(7)
    local seg = expect.success(shmseg.open(name, "r"))
    each_type(function(type)
      local n = seg:atomic(16, type)
      assert.equal(7, n:load())
      for _, operation in ipairs { "store", "swap", "add", "sub", "band", "bor", "bxor" } do
        expect.misuse("read%-only", n[operation], n, 0)
        expect.misuse("bad argument", n[operation], n, "text")
      end
      expect.misuse("read%-only", n.cas, n, 7, 8)
      expect.misuse("read%-only", n.cas, n, 8, 8)
    end)
    assert.equal(7, writer:get_u32(16))
    writer:close()
    each_type(function(type)
      local n, closing = atomic(type)
      closing:close()
      for _, operation in ipairs { "load", "store", "swap", "add", "sub", "band", "bor", "bxor" } do
        expect.misuse("closed", n[operation], n, 0)
      end
      expect.misuse("closed", n.cas, n, 0, 1)
      expect.misuse("bad argument", n.add, n, "text")
    end)
  end)

  it("refuses another self", function()
    local n, seg = atomic "i32"
    for _, self in ipairs { 1, "text", {}, print, io.stdout, seg, seg:array(0, "i32") } do
      for _, operation in ipairs {
        "load", "store", "swap", "add", "sub", "band", "bor", "bxor", "cas", "wait", "notify",
      } do
        expect.misuse({ "bad argument", "shmseg.atomic" }, n[operation], self, 1, 1)
      end
    end
    expect.misuse("bad argument", n.load)
  end)

  it("prints its type, and that it is closed", function()
    local n, seg = atomic "u64"
    assert.equal("shmseg.atomic (u64)", tostring(n))
    seg:close()
    assert.equal("shmseg.atomic (closed)", tostring(n))
    assert.equal("shmseg.atomic", getmetatable(n).__name)
    assert.is_nil(n.nothing)
  end)

  it("keeps its segment", function()
    local name = scratch.name()
    local n = expect.success(shmseg.open(name, "x", 64)):atomic(0, "u32")
    for _ = 1, 3 do
      collectgarbage()
    end
    n:store(65)
    assert.equal("A", scratch.bytes(name):sub(1, 4):gsub("%z", ""))
    assert.equal(65, n:load())
  end)

  it("makes no garbage", function()
    if jit then
      interpret() -- compiled code takes memory of its own
      jit.flush()
    end
    each_type(function(name)
      local n = atomic(name)
      local function touch()
        for _ = 1, 100 do
          n:add(1)
          n:cas(n:load(), 0)
          n:store(7)
        end
      end
      assert.equal(0, garbage(touch))
    end)
  end)
end)

describe("segment:atomic checks its arguments in this order:", function()
  after_each(scratch.clean)

  it("segment, offset, type, life, range, alignment", function()
    local seg = expect.success(shmseg.anonymous(64))
    local closed = expect.success(shmseg.anonymous(64))
    closed:close()
    for _, self in ipairs { 1, "text", {}, io.stdout, seg:array(0, "i32") } do
      expect.misuse({ "bad argument", "shmseg.segment" }, seg.atomic, self, "no", "none")
    end
    for _, offset in ipairs { "no", 1.5, nan, true, {} } do
      expect.misuse("bad argument #1", function() closed:atomic(offset, "none") end)
    end
    for _, type in ipairs {
      "none", "i8", "u16", "f32", "f64", "bool", "char", "", "I32", "i32\0", true, {},
    } do
      expect.misuse("bad argument #2", function() closed:atomic(101, type) end)
    end
    expect.misuse("bad argument #2", function() closed:atomic(101) end)
    expect.misuse("invalid option 'f64'", function() seg:atomic(0, "f64") end)
    expect.misuse("closed", function() closed:atomic(101, "i32") end)
    for _, offset in ipairs { 61, 64, 101, -1, -4, 2 ^ 53, -2 ^ 63 } do
      local patterns = { "bad argument #1", "out of range", "offset", "count 4", "size 64" }
      expect.misuse(patterns, function() seg:atomic(offset, "i32") end)
    end
    expect.misuse("misaligned", function() seg:atomic(3, "i32") end)
    expect.misuse({ "out of range", "count 8" }, function() seg:slice(0, 12):atomic(8, "i64") end)
  end)
end)

describe("a struct's atomic", function()
  after_each(scratch.clean)

  local Inner = shmseg.struct("Inner", { { "n", "u32" }, { "x", "i32" } })
  local Outer = shmseg.struct("Outer", {
    { "id", "u64" }, { "child", Inner }, { "list", Inner, 2 }, { "counts", "i64", 3 },
    { "small", "u8" }, { "ratio", "f64" }, { "text", "char", 4 }, { "rest", "pad", 4 },
  })

  it("is that of the field its path names, with the field's type", function()
    local seg = expect.success(shmseg.anonymous(256))
    for path, type in pairs {
      id = "u64",
      ["child.x"] = "i32",
      ["child.n"] = "u32",
      ["list[2].x"] = "i32",
      ["counts[3]"] = "i64",
    } do
      local n = Outer:atomic(seg, 16, path)
      assert.equal("shmseg.atomic (" .. type .. ")", tostring(n))
      n:store(7)
      assert.equal(7, seg["get_" .. type](seg, 16 + Outer:offset(path)))
      assert.equal(7, n:swap(0))
    end
    assert.equal(("\0"):rep(256), seg:read())
    local p = Outer:at(seg, 0)
    Outer:atomic(seg, 0, "child.x"):add(-5)
    assert.equal(-5, p.child.x)
  end)

  it("is refused where there is no integer of 32 or 64 bits", function()
    local seg = expect.success(shmseg.anonymous(256))
    for _, path in ipairs {
      "small", "ratio", "text", "rest", "child", "list", "list[1]", "counts", "none", "",
    } do
      expect.misuse("", Outer.atomic, Outer, seg, 0, path)
    end
    for _, path in ipairs { 1, true, {} } do
      expect.misuse("string expected", Outer.atomic, Outer, seg, 0, path)
    end
    expect.misuse("string expected", Outer.atomic, Outer, seg, 0)
  end)

  it("is refused where the field is misaligned or outside", function()
    local seg = expect.success(shmseg.anonymous(256))
    expect.misuse("misaligned", Outer.atomic, Outer, seg, 4, "id")
    assert.equal(0, Outer:atomic(seg, 4, "child.x"):load())
    expect.misuse("out of range", Outer.atomic, Outer, seg, 256, "id")
    expect.misuse("out of range", Outer.atomic, Outer, seg, -64, "id")
    for _, path in ipairs { "child.x", "list[2].x", "counts[3]" } do -- the field would be inside
      expect.misuse({ "out of range", "offset %-8," }, Outer.atomic, Outer, seg, -8, path)
    end
    local packed = shmseg.struct("Packed", { { "c", "u8" }, { "n", "u32" } }, { packed = true })
    expect.misuse("misaligned", packed.atomic, packed, seg, 0, "n")
    assert.equal(0, packed:atomic(seg, 3, "n"):load())
    seg:close()
    expect.misuse("closed", Outer.atomic, Outer, seg, 0, "id")
  end)

  it("blames the caller for a wrong segment or offset, and names it", function()
    local seg = expect.success(shmseg.anonymous(256))
    local calls = {
      function() Outer:atomic(1, 0, "id") end,
      function() Outer:atomic(nil, 0, "id") end,
      function() Outer:atomic({}, 0, "id") end,
      function() Outer:atomic(seg, nil, "id") end,
      function() Outer:atomic(seg, "no", "id") end,
      function() Outer:atomic(seg, {}, "id") end,
      function() Outer:atomic(seg, 1.5, "id") end,
      function() Outer:atomic(seg, 256, "id") end,
    }
    for i, call in ipairs(calls) do
      local ok, message = pcall(call)
      assert.False(ok)
      assert.is_nil(message:find("struct.lua", 1, true), i .. ": " .. message)
      assert.truthy(message:find "bad argument" or message:find "expected", i .. ": " .. message)
    end
  end)
end)

describe("many processes", function()
  after_each(scratch.clean)

  local processes = 4
  local rounds = 1000000

  -- Runs a chunk in each process and gives the word at 0 and the chunks' results. The chunks call
  -- `meet()` for all to go on together: on few processors they would else run one by one.
  local function run(type, chunk)
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 64))
    local others, results = {}, {}
    for i = 1, processes do
      others[i] = peer.start()
      others[i]:send([[
        local name, type, rounds, i = ...
        local seg = assert(shmseg.open(name))
        local n = seg:atomic(0, type)
        local arrived, gate = seg:atomic(8, "u32"), seg:atomic(12, "u32")
        local function meet()
          local seen = gate:load()
          if arrived:add(1) == 3 then
            arrived:store(0)
            gate:add(1)
            gate:notify()
          else
            gate:wait(seen)
          end
        end
        meet()
        ]] .. chunk, name, type, rounds, i)
    end
    for i, other in ipairs(others) do
      results[i] = other:receive()
    end
    return seg:atomic(0, type):load(), results
  end

  for _, type in ipairs { "i32", "u64" } do
    it("add to one word of type " .. type .. ", and the sum is exact", function()
      assert.equal(processes * rounds, (run(type, [[
        for _ = 1, 20 do
          for _ = 1, rounds / 20 do n:add(1) end
          meet()
        end
        return true]])))
    end)
  end

  it("add by cas, and the sum is exact", function()
    local sum = run("u32", [[
      local seen = n:load()
      for i = 1, rounds do
        if i % 50000 == 0 then meet() end
        local done, actual
        repeat
          done, actual = n:cas(seen, seen + 1)
          seen = done and seen + 1 or actual
        until done
      end
      return true]])
    assert.equal(processes * rounds, sum)
  end)

  it("draw numbers, each once", function()
    local _, results = run("u32", [[
      local drawn = {}
      for j = 1, 1000 do drawn[j] = n:add(1) end
      return drawn]])
    local seen = {}
    for _, drawn in ipairs(results) do
      for j, number in ipairs(drawn) do
        assert.is_nil(seen[number])
        seen[number] = true
        assert.truthy(j == 1 or number > drawn[j - 1])
      end
    end
    assert.equal(processes * 1000, #seen + 1) -- from 0 on
  end)

  it("set and clear bits of their own, and lose none", function()
    local bits = run("u32", [[
      local bit = 2 ^ (i - 1)
      for _ = 1, 100001 do
        n:bxor(bit)
        n:bor(bit * 256)
        n:band(-bit * 65536 - 1)
      end
      return true]])
    assert.equal(15 + 15 * 256, bits)
  end)

  it("take turns, and see in memory what was written before", function()
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 64))
    local other = peer.start()
    other:send([[
      local seg = assert(shmseg.open((...)))
      local turn, wrong = seg:atomic(0, "u32"), 0
      for i = 1, 20000, 2 do
        turn:wait(i - 1)
        if seg:get_u32(8) ~= i then wrong = wrong + 1 end
        seg:set_u32(12, i)
        turn:store(i + 1)
        turn:notify()
      end
      return wrong]], name)
    local turn, wrong = seg:atomic(0, "u32"), 0
    for i = 1, 20000, 2 do
      seg:set_u32(8, i)
      turn:store(i)
      turn:notify()
      turn:wait(i)
      if seg:get_u32(12) ~= i then
        wrong = wrong + 1
      end
    end
    assert.equal(0, wrong)
    assert.equal(0, other:receive())
  end)
end)

describe("threads with Lua states of their own", function()
  after_each(scratch.clean)

  it("add to one word, and the sum is exact", function()
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 64))
    local script = scratch.file [[
      local _, name = ...
      local n = assert(require "shmseg".open(name)):atomic(0, "i64")
      for _ = 1, 200000 do n:add(1) end]]
    local lines, reason = host.run("assert(host.threads(4, ...))", script, name)
    if not lines then
      pending(reason)
    end
    assert.equal(800000, seg:atomic(0, "i64"):load())
  end)
end)

describe("a forked child", function()
  after_each(scratch.clean)

  it("adds to the word of its parent's handle, and wakes the parent", function()
    local lines, reason = host.run([[
      local seg = assert(require "shmseg".anonymous(64))
      local n, done = seg:atomic(0, "u32"), seg:atomic(8, "u32")
      local child = host.fork()
      if child == 0 then
        for _ = 1, 1000 do n:add(1) end
        done:store(1)
        done:notify()
        host._exit(0)
      end
      for _ = 1, 1000 do n:add(1) end
      print(done:wait(0))
      print(host.wait(child), n:load())]])
    if not lines then
      pending(reason)
    end
    assert.same({ "1", "0\t2000" }, lines)
  end)
end)
