-- SPDX-License-Identifier: MIT
-- Arrays and other arrays: copying elements from one to the other, and comparing the two.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local garbage = require "spec.support.garbage"
local scalars = require "spec.support.scalars"
local scratch = require "spec.support.scratch"

local nan, huge = 0 / 0, math.huge

-- A new array of these values.
local function array(type, values, count)
  local seg = expect.success(shmseg.anonymous(8 * (count or #values) + 8))
  local a = seg:array(0, type, count or #values)
  a:set(1, values)
  return a
end

local function text(a)
  local parts = {}
  for i, value in a:ipairs() do
    parts[i] = tostring(value):gsub("%.0$", "")
  end
  return table.concat(parts, " ")
end

describe("setting elements from another array", function()
  after_each(scratch.clean)

  it("copies all of it, those from j on, or those from j to k", function()
    local other = array("i32", { 1, 2, 3, 4 })
    local a = array("i32", { 0, 0, 0, 0, 0, 0 })
    assert.True(a:set(2, other))
    assert.equal("0 1 2 3 4 0", text(a))
    assert.True(a:set(1, other, 3))
    assert.equal("3 4 2 3 4 0", text(a))
    assert.True(a:set(6, other, 2, 2))
    assert.equal("3 4 2 3 4 2", text(a))
    assert.True(a:set(3, other, nil, 2))
    assert.equal("3 4 1 2 4 2", text(a))
    assert.equal("1 2 3 4", text(other))
  end)

  it("copies nothing when k lies before j, wherever that is", function()
    local a, other = array("u8", { 1, 2 }), array("u8", { 3, 4 })
    for _, i in ipairs { -5, 0, 1, 3, 100 } do
      assert.True(a:set(i, other, 2, 1))
      assert.True(a:set(i, other, 100, -100))
    end
    assert.True(a:set(9, array("u8", {}, 0)))
    assert.equal("1 2", text(a))
  end)

  it("raises outside of either, with the range and the length, and changes nothing", function()
    local a, other = array("u16", { 1, 2, 3 }), array("u16", { 7, 8 })
    for _, case in ipairs {
      { 3, nil, nil, "#2", "3 to 4", "1 to 3" }, { 0, nil, nil, "#2", "0 to 1", "1 to 3" },
      { 4, 1, 1, "#2", "range: 4", "1 to 3" }, { 2 ^ 53, nil, nil, "#2", "9007199254740992" },
      { 1, 0, nil, "#4", "0 to 2", "1 to 2" }, { 1, 1, 3, "#4", "1 to 3", "1 to 2" },
      { 1, 3, 3, "#4", "range: 3", "1 to 2" }, { 1, -2 ^ 53, 2 ^ 53, "#4" },
    } do
      local patterns = { case[4], case[5], case[6] }
      expect.misuse(patterns, a.set, a, case[1], other, case[2], case[3])
    end
    expect.misuse("#4", a.set, a, 1, other, "x")
    expect.misuse("#5", a.set, a, 1, other, 1, 1.5)
    assert.equal("1 2 3", text(a))
  end)

  it("may overlap, within a segment and between two handles of one", function()
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 40000))
    local peer = expect.success(shmseg.open(name))
    for _, from in ipairs { seg, peer } do
      for _, shift in ipairs { 1, 3, 1500, -1, -3, -1500 } do
        local a, expected = seg:array(0, "i32", 6000), {}
        for i = 1, 6000 do
          a[i] = i
        end
        local source, target = 2001, 2001 + shift
        a:set(target, from:array(0, "i32", 6000), source, source + 2000)
        for i = 1, 6000 do
          local moved = i >= target and i <= target + 2000
          expected[i] = moved and i - shift or i
        end
        assert.same(expected, a:totable())
      end
    end
  end)

  for _, type in ipairs(scalars) do
    it("of the type " .. type.name .. " copies each value as it is", function()
      local values = {}
      for i, value in ipairs(type.good) do
        values[i] = value[1]
      end
      local other = array(type.name, values)
      local a = array(type.name, {}, #values)
      assert.True(a:set(1, other))
      for i, value in ipairs(type.good) do
        assert.equal(value[2], a[i])
      end
    end)
  end

  it("converts numbers of another type, in the ranges of values from Lua", function()
    local a = array("f64", { 1, -2, 300, 0.5, 2 ^ 31, nan, huge })
    local small = array("i16", {}, 3)
    assert.True(small:set(1, a, 1, 3))
    assert.equal("1 -2 300", text(small))
    local wide = array("f32", {}, 7)
    assert.True(wide:set(1, a))
    assert.equal("1 -2 300 0.5 2147483648", text(wide):match "^(.-) %-?nan" or text(wide))
    assert.truthy(wide[6] ~= wide[6] and wide[7] == huge)
    for _, case in ipairs {
      { "i16", 4, "0.5" }, { "u8", 3, "300" }, { "i32", 5, "2147483648" }, { "i64", 6, "nan" },
      { "u64", 7, "inf" },
    } do
      local target = array(case[1], { 7, 7 })
      local message = { "value 2: " .. case[1] .. " expected, got %-?" .. case[3] }
      local pair = array("f64", { 1, a[case[2]] })
      expect.misuse(message, target.set, target, 1, pair)
      assert.equal("7 7", text(target))
    end
  end)

  it("takes a negative number for the same bits of an unsigned one, as a value from Lua", function()
    local bytes = array("u8", {}, 2)
    assert.True(bytes:set(1, array("i32", { -128, 255 })))
    assert.equal("128 255", text(bytes))
    expect.misuse({ "value 2", "%-129" }, bytes.set, bytes, 1, array("i32", { 1, -129 }))
    local words = array("u64", {}, 1)
    assert.True(words:set(1, array("i8", { -1 })))
    local halves = array("i64", { 0 })
    local seg = expect.success(shmseg.anonymous(8))
    seg:array(0, "u64"):set(1, words)
    assert.equal(("\255"):rep(8), seg:read())
    expect.misuse({ "value 1", "i64 expected, got 18446744073709551615" }, halves.set, halves, 1,
      seg:array(0, "u64"))
    local floats = array("f64", { 0 })
    assert.True(floats:set(1, seg:array(0, "u64")))
    assert.equal(2 ^ 64, floats[1])
    assert.True(seg:array(0, "u64"):set(1, array("f64", { 2 ^ 63 })))
    floats:set(1, seg:array(0, "u64"))
    assert.equal(2 ^ 63, floats[1])
    expect.misuse("u64 expected", words.set, words, 1, array("f64", { 2 ^ 64 }))
  end)

  it("converts within a segment, also where source and target overlap", function()
    local seg = expect.success(shmseg.anonymous(800))
    local bytes, wide = seg:array(0, "u8", 100), seg:array(0, "f64", 100)
    for i = 1, 100 do
      bytes[i] = i
    end
    assert.True(wide:set(1, bytes))
    for i = 1, 100 do
      assert.equal(i, wide[i])
    end
    assert.True(bytes:set(1, wide))
    assert.equal(100, bytes[100])
  end)

  it("refuses elements that are no numbers, unless they are of the same type", function()
    local Point = shmseg.struct("Point", { { "x", "i32" }, { "name", "char", 8 } })
    local Other = shmseg.struct("Other", { { "x", "i32" }, { "name", "char", 8 } })
    local Names = shmseg.struct("Names", { { "title", "char", 4 }, { "n", "u8", 4 } })
    local seg = expect.success(shmseg.anonymous(256))
    local points, more = Point:array(seg, 0, 3), Point:array(seg, 128, 3)
    points:set(1, { { x = 1, name = "a" }, { x = 2, name = "b" }, { x = 3, name = "c" } })
    assert.True(more:set(2, points, 2))
    assert.same({ x = 2, name = "b" }, more:get(2))
    assert.same({ x = 3, name = "c" }, more:get(3))
    assert.equal(0, more:get(1).x)
    local flags, numbers = seg:array(0, "bool", 2), seg:array(0, "u8", 2)
    for _, case in ipairs {
      { points, Other:array(seg, 0, 1), "struct, and not struct" },
      { points, numbers, "u8, and not struct" }, { numbers, points, "struct, and not u8" },
      { flags, numbers, "u8, and not bool" }, { numbers, flags, "bool, and not u8" },
    } do
      expect.misuse({ "#3", "another type: " .. case[3] }, case[1].set, case[1], 1, case[2])
    end
    local field = Names:at(seg, 64).n
    assert.True(field:set(1, array("u8", { 9, 8 }), 1))
    assert.equal("9 8 0 0", text(field))
  end)

  it("wants a target that can be written and a source that can be read", function()
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 8))
    local reader = expect.success(shmseg.open(name, "r"))
    local a, other = seg:array(0, "u8"), reader:array(0, "u8")
    a:set(1, 1, 2, 3)
    assert.True(a:set(5, other, 1, 3))
    assert.equal("1 2 3 0 1 2 3 0", text(a))
    expect.misuse("read%-only", other.set, other, 1, a)
    reader:close()
    expect.misuse("closed", a.set, a, 1, other)
    expect.misuse("closed", other.set, other, 1, a)
  end)

  it("fails as truncated when a peer has cut either", function()
    for _, type in ipairs { "u8", "f64" } do
      for which = 1, 2 do
        local name = scratch.name()
        local seg = expect.success(shmseg.open(name, "x", 65536))
        local cut = seg:array(32768, "u8", 1000)
        local whole = array(type, {}, 1000)
        expect.success(expect.success(shmseg.open(name)):resize(4096))
        local to, from = which == 1 and cut or whole, which == 1 and whole or cut
        expect.failure("truncated", to:set(1, from))
        expect.success(seg:refresh())
        expect.misuse("out of range", to.set, to, 1, from)
      end
    end
  end)

  it("makes no garbage where the types are the same", function()
    local a, other = array("i32", {}, 100), array("i32", {}, 100)
    assert.equal(0, garbage(function()
      for _ = 1, 100 do
        a:set(1, other)
        a:set(3, other, 5, 9)
        a:compare(other)
      end
    end))
  end)
end)

describe("comparing two arrays", function()
  after_each(scratch.clean)

  it("gives 0, or the order of the first elements that differ, and where", function()
    local a = array("i32", { 5, -6, 7 })
    local function results(...)
      return { n = select("#", ...), ... }
    end
    assert.same({ n = 1, 0 }, results(a:compare(array("i32", { 5, -6, 7 }))))
    assert.same({ n = 1, 0 }, results(a:compare(a)))
    assert.same({ n = 2, -1, 2 }, results(a:compare(array("i32", { 5, 6, 7 }))))
    assert.same({ n = 2, 1, 1 }, results(a:compare(array("i32", { 4, 9, 9 }))))
    assert.same({ n = 2, 1, 3 }, results(a:compare(array("i32", { 5, -6, 6 }))))
  end)

  it("puts an array before a longer one that begins with it", function()
    local a, longer = array("u8", { 1, 2 }), array("u8", { 1, 2, 0 })
    assert.same({ -1, 3 }, { a:compare(longer) })
    assert.same({ 1, 3 }, { longer:compare(a) })
    assert.same({ 1, 2 }, { array("u8", { 1, 3 }):compare(longer) })
    local none = array("u8", {}, 0)
    assert.same({ -1, 1 }, { none:compare(a) })
    assert.same({ 0 }, { none:compare(none) })
  end)

  for _, type in ipairs(scalars) do
    it("of the type " .. type.name .. " goes by their values", function()
      local least = type.name == "bool" and { false, true }
        or type.name:find "^u" and { 1, 200 } or { -2, 3 }
      local low, high = array(type.name, { least[1] }), array(type.name, { least[2] })
      assert.same({ -1, 1 }, { low:compare(high) })
      assert.same({ 1, 1 }, { high:compare(low) })
      assert.same({ 0 }, { high:compare(high) })
    end)
  end

  it("finds the difference wherever it is", function()
    local a, other = array("u16", {}, 10000), array("u16", {}, 10000)
    for _, at in ipairs { 1, 2, 2047, 2048, 2049, 4096, 5000, 9999, 10000 } do
      a[at] = 1
      assert.same({ 1, at }, { a:compare(other) })
      assert.same({ -1, at }, { other:compare(a) })
      a[at] = 0
    end
  end)

  it("takes zeroes for equal, and every NaN for equal and last", function()
    for _, type in ipairs { "f32", "f64" } do
      assert.same({ 0 }, { array(type, { 0, nan }):compare(array(type, { -0.0, -nan })) })
      assert.same({ 1, 1 }, { array(type, { nan }):compare(array(type, { huge })) })
      assert.same({ -1, 2 }, { array(type, { 1, huge }):compare(array(type, { 1, nan })) })
    end
    local seg = expect.success(shmseg.anonymous(4))
    seg:write(0, "\1\2\0\1")
    assert.same({ 1, 2 }, { seg:array(0, "bool", 2):compare(seg:array(1, "bool", 2)) })
    assert.same({ 0 }, { seg:array(0, "bool", 1):compare(seg:array(1, "bool", 1)) })
  end)

  it("refuses structs, and elements of another type", function()
    local Point = shmseg.struct("Point", { { "x", "i32" } })
    local seg = expect.success(shmseg.anonymous(64))
    local points = Point:array(seg, 0)
    expect.misuse("structs have no order", points.compare, points, points)
    local a = seg:array(0, "i32")
    expect.misuse({ "#2", "another type: u32, and not i32" }, a.compare, a, seg:array(0, "u32"))
    expect.misuse("shmseg.array expected", a.compare, a, { 1 })
    expect.misuse("shmseg.array expected", a.compare, a)
  end)

  it("fails as truncated when a peer has cut either, and raises when it is closed", function()
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 65536))
    local cut, whole = seg:array(0, "u8", 65536), array("u8", {}, 65536)
    expect.success(expect.success(shmseg.open(name)):resize(4096))
    expect.failure("truncated", cut:compare(whole))
    expect.success(seg:refresh())
    seg:resize(65536)
    expect.success(expect.success(shmseg.open(name)):resize(4096))
    expect.failure("truncated", whole:compare(cut))
    seg:close()
    expect.misuse("closed", whole.compare, whole, cut)
    expect.misuse("closed", cut.compare, cut, whole)
  end)
end)
