-- SPDX-License-Identifier: MIT
-- Arrays of scalars: elements, many at once, and what ends them. Arrays of structs stand in
-- struct_spec.lua, and what a peer does to them in view_spec.lua.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local garbage = require "spec.support.garbage"
local interpret = require "spec.support.interpret"
local machine = require "spec.support.machine"
local scalars = require "spec.support.scalars"
local scratch = require "spec.support.scratch"

local load_string = loadstring or load
local nan = 0 / 0

local function segment(size)
  return expect.success(shmseg.anonymous(size or 64))
end

-- Five i32, 10 to 50, at offset 8 of 40 bytes.
local function five()
  local seg = segment(40)
  local a = seg:array(8, "i32", 5)
  a:set(1, 10, 20, 30, 40, 50)
  return a, seg
end

local function collect(...)
  return { n = select("#", ...), ... }
end

-- 1, nil, 3 and 4, of length 4 on every Lua: 5.5 begins to look at the length that it found last.
local function gap()
  local list = { 1, 2, 3, 4 }
  assert(#list == 4)
  list[2] = nil
  return list
end

describe("an element", function()
  after_each(scratch.clean)

  for _, type in ipairs(scalars) do
    local of_type = "of type " .. type.name
    it(of_type .. " holds each value of the type, and is all that changes", function()
      local seg = segment(4 * type.size + 3)
      local a = seg:array(3, type.name)
      assert.equal(4, #a)
      for _, value in ipairs(type.good) do
        for i = 1, 4 do
          seg:fill(0, #seg, 0xAA)
          a[i] = value[1]
          assert.equal(value[2], a[i])
          assert.equal(value[2], seg["get_" .. type.name](seg, 3 + (i - 1) * type.size))
          local before, after = 3 + (i - 1) * type.size, (4 - i) * type.size
          assert.equal(("\170"):rep(before), seg:read(0, before))
          assert.equal(("\170"):rep(after), seg:read(#seg - after))
        end
      end
    end)

    it(of_type .. " refuses other values and stays as it was", function()
      local seg = segment(3 * type.size)
      local a = seg:array(0, type.name)
      seg:fill(0, #seg, 1)
      local before = seg:read()
      for _, value in ipairs(type.bad) do
        expect.misuse("bad argument #3", function()
          a[2] = value
        end)
        expect.misuse({ "value 1", type.name }, a.set, a, 1, value, type.good[1][1])
        local list = { type.good[1][1], type.good[2][1], value }
        expect.misuse({ "value 3", type.name }, a.set, a, 1, list)
        expect.misuse({ "value", type.name }, a.fill, a, value)
      end
      expect.misuse("bad argument #3", function()
        a[2] = nil
      end)
      assert.equal(before, seg:read())
    end)
  end

  it("says what is wrong with a value", function()
    local a = segment():array(0, "u8")
    expect.misuse({ "out of range for u8", "256" }, function()
      a[1] = 256
    end)
    expect.misuse("no integer representation", function()
      a[1] = 0.5
    end)
    expect.misuse({ "number expected", "string" }, function()
      a[1] = "text"
    end)
    expect.misuse({ "number expected", "nil" }, function()
      a[1] = nil
    end)
    local flags = segment():array(0, "bool")
    expect.misuse({ "boolean expected", "number" }, function()
      flags[1] = 1
    end)
  end)

  it("of type bool is true for any byte but zero", function()
    local seg = segment(3)
    seg:write(0, "\0\2\255")
    assert.same({ false, true, true }, seg:array(0, "bool"):totable())
  end)

  it("of type f32 and f64 may be NaN", function()
    for _, type in ipairs { "f32", "f64" } do
      local a = segment():array(0, type)
      a[1] = nan
      assert.truthy(a[1] ~= a[1])
    end
  end)

  it("stands in the machine's own byte order", function()
    local seg = segment()
    local cases = { { "i16", "=i2", -2 }, { "u32", "=I4", 2 ^ 31 }, { "f64", "=d", 0.1 } }
    for _, case in ipairs(cases) do
      local a = seg:array(0, case[1])
      a[2] = case[3]
      assert.equal(case[3], (seg:unpack(#seg / #a, case[2])))
    end
  end)

  it("of a 64-bit type is exact on every Lua that can hold it", function()
    local seg = segment()
    for _, type in ipairs { "i64", "u64" } do
      local a = seg:array(0, type)
      seg:fill(0, 8, 0xFF)
      if math.type then
        assert.equal(-1, a[1])
        assert.equal("integer", math.type(a[1]))
      elseif type == "i64" then
        assert.equal(-1, a[1])
      elseif jit then
        local most = scalars.uint64(2 ^ 32 - 1, 2 ^ 32 - 1)
        assert.equal(most, a[1])
        assert.same({ most, 0 }, { a:get(1, 2) })
        assert.equal(most, a:totable()[1])
        assert.equal(0, a:totable()[2])
      else
        expect.misuse("exactly", function()
          return a[1]
        end)
        expect.misuse("exactly", a.get, a, 1, 2)
        expect.misuse("exactly", a.totable, a)
      end
      seg:set_i32(0, 1)
      seg:set_i32(4, 2 ^ 21) -- 2^53 + 1, or with the other order not so much
      if math.type then
        assert.equal(seg:get_i64(0), a[1])
      elseif jit then
        assert.equal(seg:get_i64(0), a[1])
        assert.equal(scalars.int64(1, 2 ^ 21), a[1])
      elseif not pcall(seg.get_i64, seg, 0) then
        expect.misuse("exactly", function()
          return a[1]
        end)
      end
    end
  end)
end)

describe("an index", function()
  after_each(scratch.clean)

  it("counts from 1 to the length", function()
    local a = five()
    assert.equal(5, #a)
    assert.same({ 10, 20, 30, 40, 50 }, { a[1], a[2], a[3], a[4], a[5] })
    assert.equal(20, a[2.0])
  end)

  it("may be a string that is an integer, as for Lua's own functions", function()
    local a = five()
    assert.equal(20, a["2"])
    a["2"] = 7
    assert.equal(7, a["2.0"])
    assert.same({ 7, 30 }, { a:get("2", "3") })
  end)

  it("that leads outside, or is no integer, gives nil", function()
    local a = five()
    local others = {
      0, -1, 6, 7, 2 ^ 31, 2 ^ 32 + 1, 2 ^ 53, -2 ^ 63, 2 ^ 63, 1e300, 0.5, 1.5, nan, math.huge,
      -math.huge, true, false, print, {}, "", "name", "0", "6", "1.5",
    }
    for _, i in ipairs(others) do
      assert.is_nil(a[i], tostring(i))
    end
    assert.is_nil(a[nil])
    if math.type then
      assert.is_nil(a[math.mininteger])
      assert.is_nil(a[math.maxinteger])
    end
  end)

  it("that leads outside raises when assigned to, and names the index and the length", function()
    local a, seg = five()
    local before = seg:read()
    for _, i in ipairs { 0, -1, 6, 2 ^ 32 + 1, -2 ^ 62 } do
      local text = ("%d"):format(i):gsub("%-", "%%-")
      expect.misuse({ "argument #2", "out of range", text, "elements are 1 to 5" }, function()
        a[i] = 1
      end)
    end
    for _, i in ipairs { 0.5, nan, math.huge, 2 ^ 63, true, "name", print, {} } do
      expect.misuse("bad argument #2", function()
        a[i] = 1
      end)
    end
    assert.equal(before, seg:read())
  end)

  it("of 64-bit cdata will do", function()
    if not jit then
      pending("this is no LuaJIT")
    end
    local a = five()
    assert.equal(20, a[scalars.int64(2)])
    a[scalars.uint64(2)] = 7
    assert.same({ 7, 30 }, { a:get(scalars.int64(2), scalars.uint64(3)) })
    assert.is_nil(a[scalars.uint64(0, 2 ^ 31)])
    expect.misuse("out of range", function()
      a[scalars.uint64(0, 2 ^ 31)] = 1
    end)
    for _, other in ipairs(scalars.other_cdata) do
      assert.is_nil(a[other])
      expect.misuse({ "bad argument #2", "cdata" }, function()
        a[other] = 1
      end)
    end
  end)

  it("tells that there are no elements where there are none", function()
    local a = segment():array(0, "i32", 0)
    expect.misuse({ "out of range", "no elements" }, function()
      a[1] = 1
    end)
    expect.misuse({ "out of range", "no elements" }, a.get, a, 1)
  end)

  it("never overflows into the segment", function()
    local seg = segment(4096)
    local a = seg:array(0, "u64")
    -- Times 8 these are 0, 8 and 16 again, but for 64 bits.
    for _, i in ipairs { 2 ^ 61 + 1, 2 ^ 61 + 2 ^ 10, -2 ^ 61 + 1, 2 ^ 62 + 2 } do
      assert.is_nil(a[i])
      expect.misuse("out of range", function()
        a[i] = 1
      end)
      expect.misuse("out of range", a.set, a, i, 1)
      expect.misuse("out of range", a.get, a, i)
      expect.misuse("out of range", a.get, a, 1, i < 0 and 2 ^ 61 or i)
    end
    assert.equal(("\0"):rep(4096), seg:read())
  end)
end)

describe("an array", function()
  after_each(scratch.clean)

  it("has all the elements that fit when no count is given", function()
    local seg = segment(41)
    for offset, count in pairs { [0] = 10, [1] = 10, [2] = 9, [37] = 1, [38] = 0, [41] = 0 } do
      assert.equal(count, #seg:array(offset, "i32"), offset)
      assert.equal(count, #seg:array(offset, "i32", nil), offset)
    end
    assert.equal(2, #seg:slice(1, 10):array(1, "i32"))
  end)

  it("lies at any offset, aligned or not", function()
    local seg = segment(64)
    for offset = 0, 16 do
      local a = seg:array(offset, "f64", 3)
      a:set(1, 1.5, 2.5, 3.5)
      assert.equal(2.5, seg:get_f64(offset + 8))
    end
  end)

  it("of a slice counts from the slice, and ends with it", function()
    local seg = segment(64)
    local slice = seg:slice(10, 20)
    local a = slice:array(2, "u16", 3)
    a[1] = 0x4141
    assert.equal("AA", seg:read(12, 2))
    expect.misuse("out of range", slice.array, slice, 16, "u16", 3)
    slice:slice(4, 4):array(1, "u8", 1)[1] = 66
    assert.equal("B", seg:read(15, 1))
  end)

  it("of no elements is of use to loops", function()
    for _, a in ipairs { segment():array(64, "i32"), segment():array(0, "i32", 0) } do
      assert.equal(0, #a)
      assert.is_nil(a[1])
      assert.same({}, a:totable())
      assert.equal(0, select("#", a:get(1, 0)))
      assert.True(a:fill(1))
      assert.True(a:set(1, {}))
      for _ in a:ipairs() do
        error "an element"
      end
      expect.misuse("out of range", function()
        a[1] = 1
      end)
    end
  end)

  it("overlaps others as memory does", function()
    local seg = segment(8)
    local bytes, words = seg:array(0, "u8"), seg:array(0, "u16")
    words[2] = 0x0101 * 65
    assert.equal(65, bytes[3])
    bytes:fill(66)
    assert.equal(0x0101 * 66, words[4])
  end)

  it("has its methods, and no others", function()
    local a = five()
    for _, name in ipairs { "get", "set", "totable", "fill", "ipairs" } do
      assert.equal("function", type(a[name]))
    end
    for _, name in ipairs { "close", "size", "__index", "__len", "nothing" } do
      assert.is_nil(a[name])
    end
    expect.misuse("bad argument #2", function()
      a.get = print
    end)
  end)

  it("prints its length and type", function()
    assert.equal("shmseg.array (5 of i32)", tostring((five())))
    local a, seg = five()
    seg:close()
    assert.equal("shmseg.array (closed)", tostring(a))
    assert.equal("shmseg.array", getmetatable(a).__name)
  end)

  it("reaches beyond 4 GiB", function()
    if machine.small then
      pending(machine.small)
    end
    local seg, message = shmseg.anonymous(2 ^ 32 + 4096, { reserve = false })
    if not seg then
      pending("no such segment here: " .. message)
    end
    local a = seg:array(0, "u8")
    a[2 ^ 32 + 2] = 7
    assert.equal(7, seg:get_u8(2 ^ 32 + 1))
    assert.equal(0, a[2])
    assert.same({ 7, 0 }, a:totable(2 ^ 32 + 2, 2 ^ 32 + 3))
    expect.misuse("", a.get, a, 1, 2 ^ 32)
    for less = 0, 24 do -- near the largest int
      expect.misuse("", a.get, a, 1, 2 ^ 31 - less)
    end
    expect.misuse("more elements than Lua can take", a.totable, a)
    seg:close()
  end)
end)

describe("segment:array checks its arguments in this order:", function()
  after_each(scratch.clean)

  it("the segment", function()
    local seg = segment()
    for _, self in ipairs { 1, "text", {}, io.stdout, seg:array(0, "i32"), seg:atomic(0, "i32") } do
      expect.misuse({ "bad argument", "shmseg.segment" }, seg.array, self, "no", "none", "no")
    end
    seg:close()
    expect.misuse("bad argument #%d", seg.array, seg, "no", "i32", 1)
  end)

  it("then the offset", function()
    local seg = segment()
    for _, offset in ipairs { "no", 1.5, nan, true, {} } do
      expect.misuse("bad argument #1", function()
        seg:array(offset, "none", "no")
      end)
    end
    expect.misuse("bad argument #1", function()
      seg:array()
    end)
  end)

  it("then the type, which it names", function()
    local seg = segment()
    for _, type in ipairs { "none", "char", "int", "i32 ", "I32", "", "i32\0" } do
      expect.misuse({ "bad argument #2", "invalid option" }, function()
        seg:array(100, type, "no")
      end)
    end
    expect.misuse("'int', not one of bool, i8, .*, f32, f64", seg.array, seg, 0, "int")
    for _, type in ipairs { true, {}, print } do
      expect.misuse("bad argument #2", function()
        seg:array(100, type, "no")
      end)
    end
    expect.misuse("bad argument #2", function()
      seg:array(0)
    end)
  end)

  it("then the count", function()
    local seg = segment()
    for _, count in ipairs { "no", 1.5, nan, true, {} } do
      expect.misuse("bad argument #3", function()
        seg:array(100, "i32", count)
      end)
    end
  end)

  it("then whether the segment is open", function()
    local seg = segment()
    seg:close()
    expect.misuse("closed", seg.array, seg, 100, "i32")
    expect.misuse("closed", seg.array, seg, 0, "i32", 1)
  end)

  it("and last the range, with offset, count and size", function()
    local seg = segment()
    for _, case in ipairs {
      { 65 }, { -1 }, { 2 ^ 53 }, { 60, 2 }, { 0, 17 }, { 64, 1 }, { 0, -1 },
      { 0, 2 ^ 62 }, { 4, 2 ^ 61 }, { 0, 2 ^ 62 + 2 ^ 10 },
    } do
      expect.misuse({ "bad argument #1", "out of range", "offset", "count", "size 64" }, function()
        seg:array(case[1], "i32", case[2])
      end)
    end
    if math.type then
      expect.misuse("out of range", seg.array, seg, math.maxinteger, "i32", math.maxinteger)
      expect.misuse("out of range", seg.array, seg, 0, "i32", math.mininteger)
    end
  end)
end)

describe("get", function()
  after_each(scratch.clean)

  it("gives one element, or those from i to j", function()
    local a = five()
    assert.same({ n = 1, 20 }, collect(a:get(2)))
    assert.same({ n = 3, 20, 30, 40 }, collect(a:get(2, 4)))
    assert.same({ n = 5, 10, 20, 30, 40, 50 }, collect(a:get(1, #a)))
    assert.same({ n = 1, 50 }, collect(a:get(5, nil)))
  end)

  it("gives nothing when j lies before i", function()
    local a = five()
    for _, range in ipairs { { 1, 0 }, { 6, 5 }, { 3, -7 }, { 100, 1 } } do
      assert.same({ n = 0 }, collect(a:get(range[1], range[2])))
    end
  end)

  it("raises outside, with the range and the length", function()
    local a = five()
    local ranges = { { 0 }, { 6 }, { -1 }, { 0, 3 }, { 3, 6 }, { 6, 6 }, { -5, -1 }, { 1, 2 ^ 53 } }
    for _, range in ipairs(ranges) do
      expect.misuse({ "bad argument #1", "out of range", "elements are 1 to 5" }, function()
        a:get(range[1], range[2])
      end)
    end
  end)

  it("raises rather than overflow Lua's stack", function()
    local a = segment(2 ^ 22):array(0, "u8")
    expect.misuse("too many values", a.get, a, 1, #a)
    assert.equal(4000, select("#", a:get(1, 4000)))
  end)

  it("names the argument that is no integer", function()
    local a = five()
    for _, wrong in ipairs { "no", 1.5, true, {} } do
      expect.misuse("bad argument #1", function()
        a:get(wrong, "no")
      end)
      expect.misuse("bad argument #2", function()
        a:get(100, wrong)
      end)
    end
    expect.misuse("bad argument #1", function()
      a:get()
    end)
  end)
end)

describe("set", function()
  after_each(scratch.clean)

  it("takes values", function()
    local a, seg = five()
    assert.True(a:set(2, -1))
    assert.same({ 10, -1, 30, 40, 50 }, a:totable())
    a:set(3, 1, 2, 3)
    assert.same({ 10, -1, 1, 2, 3 }, a:totable())
    a:set(1, 5, 4, 3, 2, 1)
    assert.same({ 5, 4, 3, 2, 1 }, a:totable())
    assert.equal(("\0"):rep(8), seg:read(0, 8))
    assert.equal(("\0"):rep(12), seg:read(28))
  end)

  it("takes a table of values, which may be empty", function()
    local a = five()
    a:set(2, { 1, 2, 3 })
    assert.same({ 10, 1, 2, 3, 50 }, a:totable())
    a:set(1, a:totable(3, 5))
    assert.same({ 2, 3, 50, 3, 50 }, a:totable())
    a:set(3, {})
    assert.same({ 2, 3, 50, 3, 50 }, a:totable())
  end)

  it("takes a table's values by their __index too", function()
    local a = five()
    a:set(1, setmetatable(gap(), { __index = function() return 2 end }))
    assert.same({ 1, 2, 3, 4, 50 }, a:totable())
  end)

  it("changes nothing when one value is wrong", function()
    local a = five()
    expect.misuse("value 3", a.set, a, 1, 1, 2, "three", 4)
    expect.misuse("value 3", a.set, a, 1, { 1, 2, "three", 4 })
    expect.misuse("value 2", a.set, a, 1, 1, nil, 3)
    expect.misuse("value 2", a.set, a, 1, gap())
    expect.misuse("value 1", a.set, a, 1, { 1 }, { 2 })
    expect.misuse("value 2", a.set, a, 1, 1, 2 ^ 31)
    assert.same({ 10, 20, 30, 40, 50 }, a:totable())
  end)

  it("changes nothing when it would reach outside", function()
    local a, seg = five()
    local before = seg:read()
    expect.misuse({ "bad argument #2", "more values than elements" }, function()
      a:set(1, { 1, 2, 3, 4, 5, 6 })
    end)
    for _, i in ipairs { 4, 5, 6, 0, -1, 100, 2 ^ 53, -2 ^ 63 } do
      expect.misuse({ "bad argument #1", "out of range", "elements are 1 to 5" }, function()
        a:set(i, 1, 2, 3)
      end)
      expect.misuse("out of range", a.set, a, i, { 1, 2, 3 })
    end
    assert.equal(before, seg:read())
  end)

  it("writes nothing where there are no values, wherever that is", function()
    local a, seg = five()
    local before = seg:read()
    local indexes = { 0, 6, -1, 100, -2 ^ 63, 2 ^ 62 }
    if math.type then
      indexes[#indexes + 1] = math.mininteger -- i - 1 has no place in 64 bits
      indexes[#indexes + 1] = math.maxinteger
    end
    for _, i in ipairs(indexes) do
      assert.True(a:set(i, {}))
      expect.misuse("out of range", a.set, a, i, 1)
    end
    assert.equal(before, seg:read())
  end)

  it("names the argument that is missing or no index", function()
    local a = five()
    expect.misuse("bad argument #1", function()
      a:set("no", 1)
    end)
    expect.misuse({ "bad argument #2", "value expected" }, function()
      a:set(1)
    end)
  end)

  it("takes as many values as Lua can pass", function()
    local a = segment(8 * 4000):array(0, "f64")
    local values = {}
    for i = 1, #a do
      values[i] = i / 2
    end
    a:set(1, (table.unpack or unpack)(values))
    assert.same(values, a:totable())
    a:fill(0)
    a:set(1, values)
    assert.same(values, a:totable())
  end)
end)

describe("totable", function()
  after_each(scratch.clean)

  it("gives all elements, or those from i, or those from i to j", function()
    local a = five()
    assert.same({ 10, 20, 30, 40, 50 }, a:totable())
    assert.same({ 30, 40, 50 }, a:totable(3))
    assert.same({ 10, 20 }, a:totable(nil, 2))
    assert.same({ 20, 30 }, a:totable(2, 3))
    assert.same({}, a:totable(3, 2))
    assert.same({}, a:totable(6))
  end)

  it("gives a table of its own each time", function()
    local a = five()
    local list = a:totable()
    list[1] = "changed"
    assert.equal(10, a[1])
    assert.equal(10, a:totable()[1])
    assert.is_nil(getmetatable(list))
  end)

  it("raises outside, with the range and the length", function()
    local a = five()
    for _, range in ipairs { { 0 }, { -1 }, { 0, 3 }, { 3, 6 }, { nil, 6 } } do
      expect.misuse({ "bad argument #1", "out of range", "elements are 1 to 5" }, function()
        a:totable(range[1], range[2])
      end)
    end
    expect.misuse("bad argument #1", function()
      a:totable("no", "no")
    end)
    expect.misuse("bad argument #2", function()
      a:totable(1, "no")
    end)
  end)

  it("keeps false in a table of booleans", function()
    local a = segment(3):array(0, "bool")
    a:set(1, false, true, false)
    assert.same({ false, true, false }, a:totable())
  end)
end)

describe("fill", function()
  after_each(scratch.clean)

  it("sets every element, and nothing else", function()
    local a, seg = five()
    assert.True(a:fill(-1))
    assert.same({ -1, -1, -1, -1, -1 }, a:totable())
    assert.equal(("\0"):rep(8) .. ("\255"):rep(20) .. ("\0"):rep(12), seg:read())
  end)

  it("wants a value", function()
    local a = five()
    expect.misuse({ "bad argument #1", "value expected" }, function()
      a:fill()
    end)
    assert.equal(10, a[1])
  end)
end)

describe("ipairs", function()
  after_each(scratch.clean)

  local ways = { method = function(a) return a:ipairs() end }
  if math.type then
    ways["function of Lua"] = ipairs
  end
  for name, ways_ipairs in pairs(ways) do
    it("as a " .. name .. " goes through all elements", function()
      local a = five()
      local seen = {}
      for i, value in ways_ipairs(a) do
        seen[i] = value
      end
      assert.same({ 10, 20, 30, 40, 50 }, seen)
    end)

    it("as a " .. name .. " does not end at false or zero", function()
      local a = segment(4):array(0, "bool")
      local count = 0
      for _, value in ways_ipairs(a) do
        assert.False(value)
        count = count + 1
      end
      assert.equal(4, count)
    end)

    it("as a " .. name .. " sees what was changed meanwhile", function()
      local a = five()
      for i, value in ways_ipairs(a) do
        if i < #a then
          a[i + 1] = value + 1
        end
      end
      assert.same({ 10, 11, 12, 13, 14 }, a:totable())
    end)

    it("as a " .. name .. " raises when the segment is closed on the way", function()
      local a, seg = five()
      expect.misuse("closed", function()
        for i in ways_ipairs(a) do
          if i == 2 then
            seg:close()
          end
        end
      end)
    end)
  end
end)

describe("an array's life:", function()
  after_each(scratch.clean)

  -- Every use of `a`, an array of i32.
  local reading = {
    "#a", "a[1]", "a[9]", "a:get(1)", "a:get(2, 1)", "a:totable()", "a:totable(2, 1)",
  }
  local writing = { "a:set(1, 1)", "a:set(1, {})", "a:fill(1)" }
  local function use(source)
    return assert(load_string("local a = ... return " .. source))
  end
  local function assign(a)
    a[1] = 1
  end
  local function assign_outside(a)
    a[9] = 1
  end

  it("it keeps its segment", function()
    local name = scratch.name()
    local a = expect.success(shmseg.open(name, "x", 64)):array(0, "i32")
    for _ = 1, 3 do
      collectgarbage()
    end
    a[1] = 65 + 66 * 256 + 66 * 256 ^ 2 + 65 * 256 ^ 3 -- the same in both byte orders
    assert.truthy(scratch.bytes(name):find("ABBA", 1, true))
    assert.equal(16, #a)
  end)

  it("closing the segment ends it", function()
    local a, seg = five()
    seg:close()
    for _, list in ipairs { reading, writing } do
      for _, source in ipairs(list) do
        expect.misuse("closed", use(source), a)
      end
    end
    expect.misuse("closed", assign, a)
    expect.misuse("closed", assign_outside, a)
    expect.misuse("closed", function()
      for _ in a:ipairs() do
        error "an element"
      end
    end)
  end)

  it("closing a slice leaves its arrays alone", function()
    local seg = segment()
    local slice = seg:slice(0, 16)
    local a = slice:array(0, "i32")
    slice:close()
    a[1] = 7
    assert.equal(7, a[1])
    seg:close()
    expect.misuse("closed", assign, a)
  end)

  it("a read-only segment's can be read and not written", function()
    local name = scratch.name()
    local writer = expect.success(shmseg.open(name, "x", 20))
    writer:array(0, "i32"):set(1, 10, 20, 30, 40, 50)
    local before = scratch.bytes(name)
    local a = expect.success(shmseg.open(name, "r")):array(0, "i32")
    for _, source in ipairs(reading) do
      use(source)(a)
    end
    assert.same({ 10, 20, 30, 40, 50 }, a:totable())
    for _, source in ipairs(writing) do
      expect.misuse("read%-only", use(source), a)
    end
    expect.misuse("read%-only", assign, a)
    expect.misuse("read%-only", assign_outside, a)
    assert.equal(before, scratch.bytes(name))
  end)

  it("its methods refuse another self", function()
    local a, seg = five()
    local others = { 1, "text", {}, print, io.stdout, seg, seg:slice(0), seg:atomic(0, "i32") }
    for _, self in ipairs(others) do
      for _, name in ipairs { "get", "set", "totable", "fill", "ipairs" } do
        expect.misuse({ "bad argument", "shmseg.array" }, a[name], self, 1, 1)
      end
      for _, name in ipairs { "__index", "__newindex", "__len", "__tostring" } do
        expect.misuse("bad argument", getmetatable(a)[name], self, 1, 1)
      end
    end
    expect.misuse("bad argument", a.get)
  end)

  it("reading and writing elements makes no garbage", function()
    if jit then
      interpret() -- compiled code takes memory of its own
      jit.flush()
    end
    local seg = segment()
    for _, type in ipairs(scalars) do
      local a = seg:array(0, type.name)
      local value = type.good[1][1]
      local function touch()
        for _ = 1, 100 do
          a[2] = value
          value = a[2]
        end
      end
      assert.equal(0, garbage(touch), type.name)
    end
  end)
end)
