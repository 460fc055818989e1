-- SPDX-License-Identifier: MIT
-- Records, whole records as tables, arrays of structs, and structs as codecs. What a peer does to
-- them stands in view_spec.lua, the layout in struct_layout_spec.lua.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local scalars = require "spec.support.scalars"
local garbage = require "spec.support.garbage"
local scratch = require "spec.support.scratch"

local nan = 0 / 0

local Other = shmseg.struct("Other", { { "x", "i32" }, { "y", "i32" } })
local Point = shmseg.struct("Point", {
  { "id", "u64" },
  { "pos", "f64", 3 },
  { "name", "char", 8 },
  { "child", Other },
  { "list", Other, 2 },
  { "words", "char", 4, 2 },
  { "flag", "bool" },
})

local function segment(size)
  return expect.success(shmseg.anonymous(size or 4096))
end

-- A record at offset 8 of a segment of zeroes.
local function point()
  local seg = segment()
  return Point:at(seg, 8), seg
end

-- The bytes of a field of the record at offset 8.
local function bytes(seg, path, count)
  return seg:read(8 + Point:offset(path), count)
end

describe("a record's field", function()
  after_each(scratch.clean)

  for _, type in ipairs(scalars) do
    local of_type = "of type " .. type.name
    local fields = { { "before", "u8" }, { "field", type.name }, { "after", "u8" } }
    local Three = shmseg.struct("Three", fields, { packed = true })

    it(of_type .. " holds each value, and is all that changes", function()
      local seg = segment(Three.size)
      local r = Three:at(seg, 0)
      for _, value in ipairs(type.good) do
        seg:fill(0, #seg, 0xAA)
        r.field = value[1]
        assert.equal(value[2], r.field)
        assert.equal(value[2], seg["get_" .. type.name](seg, 1))
        assert.equal(0xAA, r.before)
        assert.equal(0xAA, r.after)
      end
    end)

    it(of_type .. " refuses other values, by its name, and stays as it was", function()
      local seg = segment(Three.size)
      local r = Three:at(seg, 0)
      seg:fill(0, #seg, 1)
      for _, value in ipairs(type.bad) do
        expect.misuse({ "field", type.name .. " expected" }, function()
          r.field = value
        end)
        local all = { before = 2, field = value, after = 2 }
        expect.misuse({ "field", type.name .. " expected" }, Three.write, Three, seg, 0, all)
        expect.misuse({ "field", type.name .. " expected" }, Three.encode, { field = value })
      end
      expect.misuse({ "field", type.name .. " expected", "nil" }, function()
        r.field = nil
      end)
      assert.equal(("\1"):rep(#seg), seg:read())
    end)
  end

  it("of a 64-bit type is exact on every Lua that can hold it", function()
    local p, seg = point()
    seg:fill(0, 16, 0xFF)
    if math.type then
      assert.equal(-1, p.id)
      assert.equal(-1, Point:read(seg, 8).id)
    elseif jit then
      local most = scalars.uint64(2 ^ 32 - 1, 2 ^ 32 - 1)
      assert.equal(most, p.id)
      assert.equal(most, Point:read(seg, 8).id)
      assert.equal(most, Point.decode(seg:read(8, Point.size)).id)
      Point:write(seg, 8, { id = most - 1 })
      assert.equal(most - 1, p.id)
    else
      local function get()
        return p.id
      end
      expect.misuse("exactly", get)
      expect.misuse("exactly", Point.read, Point, seg, 8)
      expect.misuse("exactly", Point.decode, seg:read(8, Point.size))
    end
  end)

  it("that there is not is misuse to read and to write, and is named", function()
    local p = point()
    for _, name in ipairs { "none", "", "ID", "id ", "pos[1]", "child.x", "__index", "at" } do
      local named = "unknown field '" .. name:gsub("%W", "%%%0") .. "'"
      expect.misuse(named, function()
        return p[name]
      end)
      expect.misuse(named, function()
        p[name] = 1
      end)
    end
    for _, key in ipairs { 1, 1.5, nan, true, {}, print, "id\0" } do
      expect.misuse("unknown field", function()
        return p[key]
      end)
    end
    expect.misuse("unknown field", function()
      return p[nil]
    end)
    expect.misuse("unknown field", function()
      p[1] = 1
    end)
  end)

  it("that is padding is no field", function()
    local Padded = shmseg.struct("Padded", { { "a", "u8" }, { "rest", "pad", 3 }, { "b", "u8" } })
    local seg = segment(5)
    seg:fill(0, 5, 1)
    local r = Padded:at(seg, 0)
    expect.misuse("unknown field", function()
      return r.rest
    end)
    expect.misuse("unknown field", Padded.write, Padded, seg, 0, { rest = "abc" })
    assert.same({ a = 1, b = 1 }, Padded:read(seg, 0))
    Padded:write(seg, 0, { a = 2, b = 2 })
    assert.equal("\2\1\1\1\2", seg:read())
    assert.equal("\2\0\0\0\2", Padded.encode { a = 2, b = 2 })
  end)

  it("may have any name, as records have no methods", function()
    local names = {
      "read", "write", "at", "array", "atomic", "offset", "size", "align", "close", "encode",
      "name", "__index", "__newindex", "__gc", "__len", "__metatable", "self", "n", "_", "end_",
    }
    local fields, value = {}, {}
    for i, name in ipairs(names) do
      fields[i] = { name, "u16" }
      value[name] = i
    end
    local All = shmseg.struct("All", fields)
    local seg = segment()
    local r = All:at(seg, 0)
    for i, name in ipairs(names) do
      r[name] = i
    end
    assert.same(value, All:read(seg, 0))
    assert.equal(5, r.atomic)
  end)

  it("makes no garbage when it is a scalar", function()
    local p = point()
    p.id, p.flag = 7, true
    assert.equal(0, garbage(function()
      for i = 1, 100 do
        p.id = i
        p.flag = not p.flag
        assert(p.id == i)
      end
    end))
  end)
end)

describe("a field's name", function()
  after_each(scratch.clean)

  -- Strings of more than 40 characters are not interned: the next equal one is another.
  it("may be long, and outlives the strings of the definition", function()
    local long = "temperature_of_the_outer_hull_in_degrees_celsius"
    local function define()
      local name = { long:sub(1, 30), long:sub(31) } -- made now: no constant keeps it alive
      return shmseg.struct("Hull", {
        { table.concat(name), "f64" }, { "of_" .. table.concat(name), "char", 8, 2 },
      })
    end
    local Hull = define()
    for i = 1, 100 do
      local _ = ("%s%d"):format(("x"):rep(#long), i)
      collectgarbage()
    end
    local value = { [long] = 21.5, ["of_" .. long] = { "a", "b" } }
    assert.same(value, Hull.decode(Hull.encode(value)))
    local seg = segment()
    Hull:write(seg, 0, value)
    assert.same(value, Hull:read(seg, 0))
    assert.equal(21.5, Hull:at(seg, 0)[long])
    expect.misuse("of_" .. long .. "%[2%]: string expected", Hull.encode, {
      ["of_" .. long] = { "a", 1 },
    })
    local cell = expect.success(shmseg.cell.open(seg:slice(1024), "c", {
      capacity = 64,
      codec = Hull,
    }))
    cell:set(value)
    assert.same(value, (cell:get()))
  end)
end)

describe("a record's string", function()
  after_each(scratch.clean)

  it("is padded with zero bytes to the field's length", function()
    local p, seg = point()
    seg:fill(0, #seg, 0xAA)
    for text, stored in pairs {
      [""] = ("\0"):rep(8),
      a = "a\0\0\0\0\0\0\0",
      ["1234567"] = "1234567\0",
      ["12345678"] = "12345678",
      ["a\0b"] = "a\0b\0\0\0\0\0",
    } do
      p.name = text
      assert.equal(stored, bytes(seg, "name", 8))
      assert.equal(stored:match("^%Z*"), p.name)
      assert.equal(0xAA, seg:get_u8(8 + Point:offset "name" - 1))
      assert.equal(0xAA, seg:get_u8(8 + Point:offset "child"))
      local encoded = Point.encode { name = text }
      assert.equal(stored, encoded:sub(Point:offset "name" + 1, Point:offset "child"))
    end
  end)

  it("that is too long is misuse, and nothing is written", function()
    local p, seg = point()
    p.name, p.words = "before", { "one", "two" }
    local before = seg:read()
    for _, text in ipairs { "123456789", ("long"):rep(1000), ("\0"):rep(9), "1234567é" } do
      local patterns = { "name: ", "at most 8 bytes", "got " .. #text }
      expect.misuse(patterns, function()
        p.name = text
      end)
      expect.misuse(patterns, Point.write, Point, seg, 8, { id = 1, name = text })
      expect.misuse(patterns, Point.encode, { name = text })
    end
    expect.misuse({ "words%[2%]: ", "at most 4 bytes", "got 5" }, function()
      p.words = { "a", "three" }
    end)
    expect.misuse({ "value: ", "at most 4 bytes" }, function()
      p.words[1] = "three"
    end)
    expect.misuse({ "value 2: ", "at most 4 bytes" }, p.words.set, p.words, 1, "a", "three")
    expect.misuse("at most 4 bytes", p.words.fill, p.words, "three")
    assert.equal(before, seg:read())
  end)

  it("whose field says so is cut, and no UTF-8 sequence in its middle", function()
    local Cut = shmseg.struct("Cut", {
      { "name", "char", 8, cut = true }, { "words", "char", 4, 2, cut = true }, { "after", "u8" },
    })
    local seg = segment()
    local r = Cut:at(seg, 0)
    for text, stored in pairs {
      ["12345678"] = "12345678",
      ["123456789"] = "12345678",
      [("long"):rep(1000)] = "longlong",
      ["1234567é"] = "1234567",
      ["123456é8"] = "123456é",
      ["12345€8"] = "12345€",
      ["123456€"] = "123456",
      ["1234567€"] = "1234567",
      ["1234😀9"] = "1234😀",
      ["12345😀"] = "12345",
      ["123456😀"] = "123456",
      ["1234567😀"] = "1234567",
      ["😀😀😀"] = "😀😀",
      ["éééé8"] = "éééé",
      ["1234567e\204\129"] = "1234567e", -- a character that follows is a sequence of its own
      -- What is not UTF-8 is cut by bytes.
      [("\128"):rep(9)] = ("\128"):rep(8),
      ["1234567\195"] = "1234567\195",
      ["1234567\195x"] = "1234567\195",
      ["123456\226\130x"] = "123456\226\130",
      ["1234567\192\128"] = "1234567\192", -- too long a form
      ["123456\224\129\129"] = "123456\224\129",
      ["12345\240\128\128\128"] = "12345\240\128\128",
      ["123456\237\160\128"] = "123456\237\160", -- half of a pair
      ["12345\244\144\128\128"] = "12345\244\144\128", -- beyond Unicode
      ["12345\245\128\128\128"] = "12345\245\128\128",
      ["1234567\255\255"] = "1234567\255",
      ["1234\195\169\169\169\169"] = "1234\195\169\169\169",
    } do
      r.name, r.after = "xxxxxxxx", 7
      r.name = text
      assert.equal(stored .. ("\0"):rep(8 - #stored), seg:read(0, 8))
      assert.equal(stored, r.name)
      assert.equal(stored, Cut.decode(Cut.encode { name = text }).name)
      assert.equal(7, r.after)
    end
    r.words = { "three", "123é" }
    assert.same({ "thre", "123" }, r.words:totable())
    r.words[1] = "€€"
    r.words:set(2, "12é")
    assert.same({ "€", "12é" }, r.words:totable())
    r.words:fill "five and more"
    assert.same({ "five", "five" }, r.words:totable())
    local Narrow = shmseg.struct("Narrow", { { "letter", "char", 1, cut = true } })
    assert.equal("\0", Narrow.encode { letter = "é" })
  end)

  it("ends at its first zero byte, whatever follows", function()
    local p, seg = point()
    seg:write(8 + Point:offset "name", "ab\0cd\0\0\255")
    assert.equal("ab", p.name)
    assert.equal("ab", Point:read(seg, 8).name)
    assert.equal("ab", Point.decode(seg:read(8, Point.size)).name)
    seg:write(8 + Point:offset "name", "12345678")
    assert.equal("12345678", p.name)
  end)

  it("is a string and nothing else", function()
    local p, seg = point()
    p.name = "before"
    for _, value in ipairs { 1, true, {}, print } do
      expect.misuse({ "name", "string expected" }, function()
        p.name = value
      end)
      local all = { id = 1, name = value }
      expect.misuse({ "name", "string expected" }, Point.write, Point, seg, 8, all)
    end
    expect.misuse("string expected", function()
      p.name = nil
    end)
    assert.equal("before", p.name)
    assert.equal(0, p.id)
  end)

  it("may be longer than what is copied on the stack", function()
    local Long = shmseg.struct("Long", { { "text", "char", 10000 }, { "after", "u8" } })
    local seg = segment(Long.size)
    local r = Long:at(seg, 0)
    r.text = ("x"):rep(9999)
    assert.equal(("x"):rep(9999), r.text)
    r.text = ("y"):rep(10000)
    assert.equal(("y"):rep(10000), r.text)
    assert.equal(0, r.after)
  end)

  it("is never broken by a peer that flips the bytes", function()
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 4096))
    local Text = shmseg.struct("Text", { { "text", "char", 32 }, { "list", "char", 16, 2 } })
    local r = Text:at(seg, 0)
    local flipper = peer.start()
    flipper:send([[
      local seg = assert(shmseg.open((...)))
      report "flips"
      while seg:get_u8(2000) == 0 do
        seg:fill(0, 64, 65)
        seg:fill(0, 64, 66)
      end
      return "stopped"]], name)
    assert.equal("flips", flipper:receive())
    local broken = 0
    for _ = 1, 5000 do
      local list = r.list
      for _, text in ipairs { r.text, list[1], Text:read(seg, 0).text, (list:get(2)) } do
        local same = text:sub(1, 1) .. text:sub(2)
        if text ~= same or not ({ [text] = true })[same] then
          broken = broken + 1
        end
      end
    end
    seg:set_u8(2000, 1)
    assert.equal("stopped", flipper:receive())
    assert.equal(0, broken)
  end)
end)

describe("a record's array", function()
  after_each(scratch.clean)

  it("is an array of the field's elements", function()
    local p, seg = point()
    p.pos[1] = 1.5
    p.pos[3] = 3.5
    assert.same({ 1.5, 0, 3.5 }, p.pos:totable())
    assert.equal(3, #p.pos)
    assert.equal(3.5, seg:get_f64(8 + Point:offset "pos[3]"))
    assert.is_nil(p.pos[4])
    expect.misuse("out of range", function()
      p.pos[4] = 1
    end)
    p.pos:fill(2)
    assert.same({ 2, 2, 2 }, p.pos:totable())
    assert.equal(0, p.id)
    assert.equal("", p.name)
  end)

  it("takes a table of values, in whole or in part, or another array", function()
    local p = point()
    p.pos = { 1, 2, 3 }
    assert.same({ 1, 2, 3 }, p.pos:totable())
    p.pos = { 9 }
    assert.same({ 9, 2, 3 }, p.pos:totable())
    p.pos = { [3] = 7 }
    assert.same({ 9, 2, 7 }, p.pos:totable())
    p.pos = {}
    assert.same({ 9, 2, 7 }, p.pos:totable())
    local q = point()
    q.pos = p.pos
    assert.same({ 9, 2, 7 }, q.pos:totable())
    q.pos = segment():array(0, "i32", 2)
    assert.same({ 0, 0, 7 }, q.pos:totable())
    p.pos = setmetatable({}, { __index = function(_, i) return i <= 3 and i * 10 or nil end })
    assert.same({ 10, 20, 30 }, p.pos:totable())
  end)

  it("refuses what is no list of its values, and stays as it was", function()
    local p = point()
    p.pos = { 1, 2, 3 }
    for _, value in ipairs { 1, "text", true, print } do
      expect.misuse({ "pos", "table expected" }, function()
        p.pos = value
      end)
    end
    expect.misuse({ "pos", "more than 3" }, function()
      p.pos = { 4, 5, 6, 7 }
    end)
    expect.misuse({ "pos", "f64 expected" }, function()
      p.pos = { 4, 5, "text" }
    end)
    expect.misuse("more than 3", function()
      p.pos = segment():array(0, "f64", 4)
    end)
    assert.same({ 1, 2, 3 }, p.pos:totable())
  end)

  it("of strings gives and takes strings", function()
    local p, seg = point()
    p.words = { "one", "four" }
    assert.equal("one", p.words[1])
    assert.equal("four", p.words[2])
    assert.equal("one\0four", bytes(seg, "words", 8))
    p.words[1] = "a"
    assert.same({ "a", "four" }, p.words:totable())
    p.words:set(1, "b", "c")
    assert.same({ "b", "c" }, { p.words:get(1, 2) })
    p.words:fill "d"
    assert.equal("d\0\0\0d\0\0\0", bytes(seg, "words", 8))
    expect.misuse("string expected", function()
      p.words[1] = 1
    end)
    assert.equal("shmseg.array (2 of char)", tostring(p.words))
  end)

  it("of structs gives records and takes tables", function()
    local p = point()
    p.list[1].x = 1
    p.list[2] = { x = 3, y = 4 }
    p.list[1] = { y = 2 }
    assert.same({ { x = 1, y = 2 }, { x = 3, y = 4 } }, p.list:totable())
    p.list = { { x = 9 } }
    assert.same({ { x = 9, y = 2 }, { x = 3, y = 4 } }, p.list:totable())
    assert.is_nil(p.list[3])
    expect.misuse("unknown field 'z'", function()
      p.list[1] = { z = 1 }
    end)
  end)

  it("makes no garbage after the first access", function()
    local p = point()
    p.pos[1] = 1
    assert.equal(0, garbage(function()
      for i = 1, 100 do
        p.pos[2] = i + 0.5
        assert(p.pos[2] == i + 0.5)
      end
    end))
  end)
end)

describe("a record's struct", function()
  after_each(scratch.clean)

  it("is a record", function()
    local p, seg = point()
    p.child.x = 5
    p.child.y = -6
    assert.equal(5, p.child.x)
    assert.equal(-6, seg:get_i32(8 + Point:offset "child.y"))
    assert.truthy(tostring(p.child):find("^shmseg%.record"))
    expect.misuse("unknown field 'z'", function()
      return p.child.z
    end)
  end)

  it("takes a table, in whole or in part", function()
    local p = point()
    p.child = { x = 1, y = 2 }
    p.child = { y = 3 }
    assert.same({ 1, 3 }, { p.child.x, p.child.y })
    p.child = {}
    assert.same({ 1, 3 }, { p.child.x, p.child.y })
    for _, value in ipairs { 1, "text", true, print } do
      expect.misuse({ "child", "table expected" }, function()
        p.child = value
      end)
    end
    expect.misuse("unknown field 'child%.z'", function()
      p.child = { x = 9, z = 1 }
    end)
    expect.misuse({ "child%.x: ", "i32 expected" }, function()
      p.child = { y = 9, x = "text" }
    end)
    assert.same({ 1, 3 }, { p.child.x, p.child.y })
  end)

  it("makes no garbage after the first access", function()
    local p = point()
    p.child.x = 1
    assert.equal(0, garbage(function()
      for i = 1, 100 do
        p.child.x = i
        assert(p.child.x == i)
      end
    end))
  end)

  it("may be nested deeply, or is refused when it is nested too deeply", function()
    local other = peer.start()
    local status = other:call [[
      local function nest(depth)
        local S, value = shmseg.struct("S0", { { "x", "u8" } }), { x = 7 }
        for i = 1, depth do
          S = shmseg.struct("S" .. i, { { "c", S } })
          value = { c = value }
        end
        return S, value
      end
      local S, value = nest(50)
      local seg = assert(shmseg.anonymous(1))
      S:write(seg, 0, value)
      local record, table = S:at(seg, 0), S:read(seg, 0)
      for _ = 1, 50 do record, table = record.c, table.c end
      assert(record.x == 7 and table.x == 7 and seg:get_u8(0) == 7)

      local ok, message = pcall(function()
        local S, value = nest(100000)
        S.decode(S.encode(value))
      end)
      assert(ok or message:find "deep", message)
      return "alive"]]
    assert.equal("alive", status)
  end)
end)

describe("a record", function()
  after_each(scratch.clean)

  it("prints, and says when it is closed", function()
    local p, seg = point()
    assert.equal(("shmseg.record (%d bytes)"):format(Point.size), tostring(p))
    assert.equal("shmseg.record", getmetatable(p).__name)
    seg:close()
    assert.truthy(tostring(p):find("closed", 1, true))
  end)

  it("lies at any offset, in a slice too", function()
    local seg = segment(Point.size + 20)
    for offset = 0, 10 do
      seg:fill(0, #seg)
      Point:at(seg, offset).id = 7
      assert.equal(7, seg:get_u64(offset))
      Point:at(seg:slice(3), offset).id = 8
      assert.equal(8, seg:get_u64(offset + 3))
    end
    expect.misuse("out of range", Point.at, Point, seg:slice(0, Point.size), 1)
  end)

  it("is aimed anew, and is the same then", function()
    local seg = segment()
    local p = Point:at(seg, 0)
    for i = 0, 9 do
      local q = Point:at(seg, i * Point.size, p)
      assert.True(rawequal(p, q))
      p.id = i
    end
    for i = 0, 9 do
      assert.equal(i, seg:get_u64(i * Point.size))
    end
    assert.equal(9, p.id)
  end)

  it("makes no garbage when it is aimed anew, with its parts or without", function()
    local seg = segment()
    local p = Point:at(seg, 0)
    local slice = seg:slice(8)
    local function loop()
      for i = 0, 9 do
        Point:at(seg, i * Point.size, p)
        p.id = i
        Point:at(slice, i * Point.size, p)
        p.id = i
      end
    end
    assert.equal(0, garbage(loop))
    p.pos[1], p.child.x = 1, 1
    assert.equal(0, garbage(function()
      loop()
      p.pos[1], p.child.x = 1, 1
    end))
  end)

  it("takes its parts along when it is aimed anew", function()
    local seg = segment()
    for i = 0, 9 do
      local value = { pos = { i }, child = { x = -i }, list = { {}, { y = 2 * i } } }
      Point:write(seg, i * Point.size, value)
    end
    local p = Point:at(seg, 0)
    local pos, child, list = p.pos, p.child, p.list
    for i = 0, 9 do
      Point:at(seg, i * Point.size, p)
      assert.True(rawequal(pos, p.pos))
      assert.equal(i, pos[1])
      assert.equal(-i, child.x)
      assert.equal(2 * i, list[2].y)
      assert.same({ i, -i }, { p.pos[1], p.child.x })
    end
  end)

  it("takes the parts of its parts along too", function()
    local Deep = shmseg.struct("Deep", { { "inner", Point }, { "n", "u8" } })
    local one, two = segment(), segment()
    local d = Deep:at(one, 0)
    local pos, child = d.inner.pos, d.inner.child
    Deep:write(one, 512, { inner = { pos = { 1.5 }, child = { y = 7 } } })
    Deep:write(two, 8, { inner = { pos = { 2.5 }, child = { y = 9 } } })
    Deep:at(one, 512, d)
    assert.same({ 1.5, 7 }, { pos[1], child.y })
    Deep:at(two, 8, d)
    assert.same({ 2.5, 9 }, { pos[1], child.y })
    one:close()
    collectgarbage()
    assert.same({ 2.5, 9 }, { d.inner.pos[1], d.inner.child.y })
  end)

  it("moves to another segment, and leaves the first one to itself", function()
    local one, two = segment(), segment()
    local p = Point:at(one, 0)
    local pos = p.pos
    p.pos[1] = 1
    assert.True(rawequal(p, Point:at(two, 16, p)))
    assert.equal(0, pos[1])
    p.pos[1] = 2
    assert.equal(2, two:get_f64(16 + Point:offset "pos"))
    assert.equal(1, one:get_f64(Point:offset "pos"))
    one:close()
    collectgarbage()
    collectgarbage()
    assert.equal(2, pos[1])
    two:close()
    expect.misuse("closed", function()
      return pos[1]
    end)
    expect.misuse("closed", function()
      return p.id
    end)
  end)

  it("keeps its segment, and so do its parts", function()
    local name = scratch.name()
    local p = Point:at(expect.success(shmseg.open(name, "x", 4096)), 0)
    local pos = p.pos
    local child = Point:at(expect.success(shmseg.open(name)), 0).child
    for _ = 1, 3 do
      collectgarbage()
    end
    p.id = 7
    assert.equal("\7", scratch.bytes(name):gsub("%z", ""))
    p = nil
    for _ = 1, 3 do
      collectgarbage()
    end
    pos[1] = 1.5
    child.x = 3
    local again = Point:read(expect.success(shmseg.open(name)), 0)
    assert.same({ 1.5, 3, 7 }, { again.pos[1], again.child.x, again.id })
    assert.is_nil(p)
  end)

  it("stays where it was when aiming fails", function()
    local p, seg = point()
    p.id = 7
    local closed = segment()
    closed:close()
    for _, case in ipairs {
      { seg, 5000 }, { seg, -1 }, { seg, 4096 - Point.size + 1 }, { closed, 0 }, { 1, 0 },
      { seg, "no" }, { seg, 1.5 },
    } do
      expect.misuse("", Point.at, Point, case[1], case[2], p)
      assert.equal(7, p.id)
    end
    p.pos[1] = 3
    expect.misuse("out of range", Point.at, Point, segment(8), 0, p)
    assert.same({ 7, 3 }, { p.id, p.pos[1] })
  end)

  it("of another record's field is not aimed, and goes on to be the field", function()
    local seg = segment()
    local p, q = Point:at(seg, 8), Point:at(seg, 200)
    p.child = { x = 1, y = 2 }
    expect.misuse({ "bad argument #3", "another record's field" }, function()
      Other:at(seg, 400, p.child)
    end)
    assert.same({ 1, 2 }, { p.child.x, p.child.y })
    local element = p.list[1] -- is no field's: a record of its own
    assert.equal(element, Other:at(seg, 200 + Point:offset("child"), element))
    q.child.x = 5
    assert.equal(5, element.x)
  end)

  it("of another struct is not aimed", function()
    local seg = segment()
    local other = Other:at(seg, 0)
    expect.misuse({ "bad argument #3", "another struct" }, function()
      Point:at(seg, 0, other)
    end)
    local twin = shmseg.struct("Other", { { "x", "i32" }, { "y", "i32" } })
    expect.misuse("another struct", Other.at, Other, seg, 0, twin:at(seg, 0))
    for _, wrong in ipairs { 1, "text", {}, seg, seg:array(0, "i32"), io.stdout } do
      expect.misuse({ "bad argument #3", "record" }, function()
        Point:at(seg, 0, wrong)
      end)
    end
    assert.equal("userdata", type(Other:at(seg, 0, nil)))
  end)

  it("of another struct is not read by this one's accessors", function()
    local seg = segment()
    local p, other = Point:at(seg, 0), Other:at(seg, 0)
    for _, self in ipairs { other, seg, seg:array(0, "u8"), 1, {}, io.stdout } do
      expect.misuse("", getmetatable(p).__index, self, "id")
      expect.misuse("", getmetatable(p).__newindex, self, "id", 1)
    end
    assert.equal(0, p.id)
  end)

  it("is closed with its segment", function()
    local p, seg = point()
    local pos, child = p.pos, p.child
    seg:close()
    for _, f in ipairs {
      function() return p.id end,
      function() p.id = 1 end,
      function() return p.name end,
      function() p.name = "x" end,
      function() return p.pos end,
      function() p.pos = { 1 } end,
      function() return p.child end,
      function() p.child = { x = 1 } end,
      function() return pos[1] end,
      function() pos[1] = 1 end,
      function() return child.x end,
      function() child.x = 1 end,
    } do
      expect.misuse("closed", f)
    end
  end)

  it("of a read-only segment cannot be written", function()
    local name = scratch.name()
    local writer = expect.success(shmseg.open(name, "x", 4096))
    Point:write(writer, 0, { id = 7, pos = { 1, 2, 3 }, name = "name", child = { x = 4 } })
    local before = scratch.bytes(name)
    local seg = expect.success(shmseg.open(name, "r"))
    local p = Point:at(seg, 0)
    assert.same({ 7, "name", 2, 4 }, { p.id, p.name, p.pos[2], p.child.x })
    for _, f in ipairs {
      function() p.id = 1 end,
      function() p.name = "x" end,
      function() p.pos = { 1 } end,
      function() p.child = {} end,
      function() p.pos[1] = 1 end,
      function() p.pos:fill(1) end,
      function() p.child.x = 1 end,
      function() p.list[1] = {} end,
      function() Point:write(seg, 0, {}) end,
      function() Point:array(seg, 0)[1] = {} end,
    } do
      expect.misuse("read%-only", f)
    end
    assert.equal(before, scratch.bytes(name))
  end)
end)

describe("a whole record", function()
  after_each(scratch.clean)

  local full = {
    id = 7,
    pos = { 1.5, 2.5, 3.5 },
    name = "name",
    child = { x = 1, y = -2 },
    list = { { x = 3, y = 4 }, { x = 5, y = 6 } },
    words = { "one", "two" },
    flag = true,
  }

  it("is written from a table and read into one", function()
    local seg = segment()
    assert.equal(8 + Point.size, Point:write(seg, 8, full))
    assert.same(full, Point:read(seg, 8))
    assert.equal(("\0"):rep(8), seg:read(0, 8))
    assert.equal(("\0"):rep(100), seg:read(8 + Point.size, 100))
    local slice = seg:slice(4)
    assert.equal(4 + Point.size, Point:write(slice, 4, { id = 8 }))
    assert.equal(8, Point:read(seg, 8).id)
    assert.equal(8, Point:read(slice, 4).id)
  end)

  it("keeps the fields that are absent from the table, at every depth", function()
    local seg = segment()
    seg:fill(0, #seg, 0xAA)
    Point:write(seg, 0, full)
    local before = seg:read()
    Point:write(seg, 0, {})
    Point:write(seg, 0, { pos = {}, child = {}, list = { {}, {} }, words = {} })
    assert.equal(before, seg:read())
    Point:write(seg, 0, { pos = { [2] = 9 }, child = { y = 8 }, words = { [2] = "z" } })
    Point:write(seg, 0, { list = { [2] = { x = 7 } } })
    local now = Point:read(seg, 0)
    assert.same({ 1.5, 9, 3.5 }, now.pos)
    assert.same({ x = 1, y = 8 }, now.child)
    assert.same({ { x = 3, y = 4 }, { x = 7, y = 6 } }, now.list)
    assert.same({ "one", "z" }, now.words)
    assert.same({ 7, "name", true }, { now.id, now.name, now.flag })
  end)

  it("leaves the padding between its fields alone", function()
    local Gaps = shmseg.struct("Gaps", { { "a", "u8" }, { "b", "u32" }, { "c", "u8" } })
    local seg = segment(Gaps.size)
    seg:fill(0, #seg, 0xAA)
    Gaps:write(seg, 0, { a = 0, b = 0, c = 0 })
    assert.equal("\0\170\170\170\0\0\0\0\0\170\170\170", seg:read())
  end)

  it("with an unknown field is misuse, at every depth, and nothing is written", function()
    local seg = segment()
    for _, wrong in ipairs {
      { id = 1, none = 1 },
      { id = 1, [1] = 1 },
      { id = 1, [1.5] = 2 },
      { id = 1, [true] = 1 },
      { id = 1, child = { z = 1 } },
      { id = 1, list = { { x = 1 }, { z = 1 } } },
      { id = 1, ["id\0"] = 1 },
    } do
      expect.misuse("unknown field", Point.write, Point, seg, 0, wrong)
      expect.misuse("unknown field", Point.encode, wrong)
    end
    expect.misuse("'none'", Point.encode, { none = 1 })
    expect.misuse("'child%.z'", Point.encode, { child = { z = 1 } })
    expect.misuse("'list%[2%]%.z'", Point.encode, { list = { {}, { z = 1 } } })
    assert.equal(("\0"):rep(#seg), seg:read())
  end)

  it("names the whole path of what is wrong in it", function()
    local Deep = shmseg.struct("Deep", { { "list", Point, 2 }, { "one", Point } })
    local seg = segment()
    for path, value in pairs {
      ["one.id: u64 expected"] = { one = { id = true } },
      ["one.pos[2]: f64 expected"] = { one = { pos = { 1, "text" } } },
      ["one.pos: table expected"] = { one = { pos = 1 } },
      ["one.pos: more than 3"] = { one = { pos = { 1, 2, 3, 4 } } },
      ["one.words[2]: string of at most 4 bytes"] = { one = { words = { "a", "12345" } } },
      ["list[2].child.x: i32 expected"] = { list = { {}, { child = { x = 0.5 } } } },
      ["list[1].list[2].y: i32 expected"] = { list = { { list = { {}, { y = {} } } } } },
      ["list[2]: table expected"] = { list = { {}, 7 } },
      ["list: table expected"] = { list = 7 },
      ["unknown field 'one.child.z'"] = { one = { child = { z = 1 } } },
      ["unknown field 'none'"] = { none = 1 },
      ["one.child: unknown field: a number"] = { one = { child = { 1 } } },
    } do
      local plain = path:gsub("%W", "%%%0")
      expect.misuse("^" .. plain, Deep.encode, value)
      expect.misuse(plain, Deep.write, Deep, seg, 0, value)
      local a = Deep:array(seg, 0, 2)
      expect.misuse(plain, function()
        a[1] = value
      end)
      expect.misuse("value 2: " .. plain, a.set, a, 1, {}, value)
      expect.misuse("value 2: " .. plain, a.set, a, 1, { {}, value })
      for field, inner in pairs(value) do
        local record = Deep:at(seg, 0)
        expect.misuse(plain, function()
          record[field] = inner
        end)
      end
    end
    assert.equal(("\0"):rep(#seg), seg:read())
  end)

  it("with one wrong value is not written at all", function()
    local seg = segment()
    for _, wrong in ipairs {
      { id = 1, flag = 1 },
      { id = 1, name = 1 },
      { id = 1, pos = 1 },
      { id = 1, pos = { 1, 2, 3, 4 } },
      { id = 1, child = 1 },
      { id = 1, list = { { x = 1.5 } } },
      { id = 1, words = { "a", 2 } },
      { id = -2 ^ 64 },
    } do
      expect.misuse("", Point.write, Point, seg, 0, wrong)
    end
    for _, wrong in ipairs { 1, "text", true, print, segment() } do
      expect.misuse({ "bad argument #3", "table" }, function()
        Point:write(seg, 0, wrong)
      end)
    end
    expect.misuse("bad argument #3", function()
      Point:write(seg, 0)
    end)
    assert.equal(("\0"):rep(#seg), seg:read())
  end)

  it("is taken from a table's __index too", function()
    local seg = segment()
    local defaults = { flag = true, name = "default", other = 1 }
    Point:write(seg, 0, setmetatable({ id = 1 }, { __index = defaults }))
    local now = Point:read(seg, 0)
    assert.same({ 1, true, "default" }, { now.id, now.flag, now.name })
  end)

  it("has its arguments checked in the order segment, offset, table, life, range", function()
    local seg, closed = segment(), segment()
    closed:close()
    local function bad(number, ...)
      expect.misuse("bad argument #" .. number, function(...) Point:read(...) end, ...)
      expect.misuse("bad argument #" .. number, function(...) Point:write(...) end, ...)
      expect.misuse("bad argument #" .. number, function(...) Point:at(...) end, ...)
      expect.misuse("bad argument #" .. number, function(...) Point:array(...) end, ...)
    end
    for _, wrong in ipairs { 1, "text", {}, io.stdout, seg:array(0, "i32") } do
      bad(1, wrong, "no", "no")
    end
    for _, wrong in ipairs { "no", 1.5, nan, true, {} } do
      bad(2, closed, wrong, "no")
      bad(2, seg, wrong, "no")
    end
    expect.misuse("bad argument #3", function()
      Point:write(closed, 5000, "no")
    end)
    expect.misuse("closed", Point.write, Point, closed, 5000, {})
    expect.misuse("closed", Point.read, Point, closed, 5000)
    expect.misuse("closed", Point.at, Point, closed, 5000)
    expect.misuse("closed", Point.array, Point, closed, 5000)
    local outside = { "bad argument #2", "out of range", "count " .. Point.size, "size 4096" }
    for _, offset in ipairs { 5000, -1, 4096 - Point.size + 1, 2 ^ 53, -2 ^ 63 } do
      expect.misuse(outside, function() Point:read(seg, offset) end)
      expect.misuse(outside, function() Point:at(seg, offset) end)
      expect.misuse(outside, function() Point:write(seg, offset, {}) end)
    end
  end)

  it("is encoded and decoded without a segment", function()
    local text = Point.encode(full)
    assert.equal("string", type(text))
    assert.equal(Point.size, #text)
    assert.same(full, Point.decode(text))
    local seg = segment()
    Point:write(seg, 0, full)
    assert.equal(seg:read(0, Point.size), text)
    -- Plain functions: a codec.
    local codec = { encode = Point.encode, decode = Point.decode }
    assert.same(full, codec.decode(codec.encode(full)))
  end)

  it("is encoded with zeroes for what is absent", function()
    assert.equal(("\0"):rep(Point.size), Point.encode {})
    local now = Point.decode(Point.encode { pos = { [2] = 1 }, name = "x" })
    assert.same({ 0, 1, 0 }, now.pos)
    assert.same({ x = 0, y = 0 }, now.child)
    assert.same({ 0, "x", false }, { now.id, now.name, now.flag })
  end)

  it("is decoded from a string of its very size", function()
    for _, length in ipairs { 0, 1, Point.size - 1, Point.size + 1, 2 * Point.size } do
      local patterns = { "bad argument #1", "bytes", tostring(Point.size) }
      expect.misuse(patterns, Point.decode, ("\0"):rep(length))
    end
    for _, wrong in ipairs { true, {}, print } do
      expect.misuse({ "bad argument #1", "string" }, Point.decode, wrong)
    end
    for _, wrong in ipairs { 1, "text", true, print } do
      expect.misuse({ "bad argument #1", "table" }, Point.encode, wrong)
    end
    expect.misuse("bad argument #1", Point.decode)
    expect.misuse("bad argument #1", Point.encode)
  end)
end)

describe("an array of structs", function()
  after_each(scratch.clean)

  it("has records as its elements", function()
    local seg = segment()
    local a = Other:array(seg, 4, 3)
    assert.equal(3, #a)
    a[2].x = 5
    a[2].y = 6
    assert.equal(5, seg:get_i32(4 + Other.size))
    assert.same({ x = 5, y = 6 }, Other:read(seg, 4 + Other.size))
    assert.is_nil(a[0])
    assert.is_nil(a[4])
    assert.equal("shmseg.array (3 of struct)", tostring(a))
    assert.equal(math.floor((#seg - 4) / Other.size), #Other:array(seg, 4))
  end)

  it("gives records of their own", function()
    local a = Other:array(segment(), 0, 3)
    local one, two = a[1], a[2]
    one.x, two.x = 1, 2
    assert.same({ 1, 2 }, { one.x, two.x })
    -- and they can be aimed anew
    assert.True(rawequal(one, Other:at(segment(), 0, one)))
    assert.equal(0, one.x)
    assert.equal(1, a[1].x)
  end)

  it("takes tables, one or many, in whole or in part", function()
    local a = Other:array(segment(), 0, 3)
    a[1] = { x = 1, y = 2 }
    a[1] = { y = 3 }
    a:set(2, { x = 4 }, { y = 5 })
    assert.same({ { x = 1, y = 3 }, { x = 4, y = 0 }, { x = 0, y = 5 } }, a:totable())
    a:set(1, { { x = 6 }, { x = 7 }, { x = 8 } })
    assert.same({ { x = 6, y = 3 }, { x = 7, y = 0 }, { x = 8, y = 5 } }, { a:get(1, 3) })
    a:set(3, { x = 9 })
    assert.same({ { x = 9, y = 5 } }, { a:get(3) })
    a:fill { y = 1 }
    assert.same({ { x = 6, y = 1 }, { x = 7, y = 1 }, { x = 9, y = 1 } }, a:totable())
    expect.misuse("unknown field 'z'", a.set, a, 1, { x = 1 }, { z = 1 })
    expect.misuse("unknown field 'z'", a.fill, a, { z = 1 })
    expect.misuse("table expected", a.set, a, 1, 1, 2)
    expect.misuse("table expected", function()
      a[1] = 1
    end)
    expect.misuse("out of range", function()
      a[4] = {}
    end)
    assert.same({ { x = 6, y = 1 }, { x = 7, y = 1 }, { x = 9, y = 1 } }, a:totable())
  end)

  it("is gone through by ipairs", function()
    local a = Other:array(segment(), 0, 3)
    for i, record in a:ipairs() do
      record.x = i
    end
    assert.same({ { x = 1, y = 0 }, { x = 2, y = 0 }, { x = 3, y = 0 } }, a:totable())
  end)

  it("raises outside the segment", function()
    local seg = segment(100)
    for _, case in ipairs {
      { 101 }, { -1 }, { 96, 1 }, { 0, 13 }, { 0, -1 }, { 0, 2 ^ 61 }, { 4, 2 ^ 60 },
    } do
      expect.misuse({ "bad argument #2", "out of range" }, function()
        Other:array(seg, case[1], case[2])
      end)
    end
    expect.misuse("bad argument #3", function()
      Other:array(seg, 0, "no")
    end)
  end)
end)
