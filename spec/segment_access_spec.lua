-- SPDX-License-Identifier: MIT
-- Reading and writing bytes: read, write, fill, copy, compare, find, dump, flush, advise, slices,
-- and the numbers get_ and set_ know.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local sandbox = require "spec.support.sandbox"
local scalars = require "spec.support.scalars"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local nan, huge = 0 / 0, math.huge
local has_integers = math.type ~= nil
local load_string = loadstring or load

local function create(size)
  return expect.success(shmseg.anonymous(size or 32))
end

local function with(bytes)
  local seg = create(#bytes)
  seg:write(0, bytes)
  return seg
end

local function sign(n)
  return n < 0 and -1 or n > 0 and 1 or 0
end

describe("reading", function()
  after_each(scratch.clean)

  it("gives everything, the rest from an offset, or a count of bytes", function()
    local seg = with "0123456789"
    assert.equal("0123456789", seg:read())
    assert.equal("0123456789", seg:read(nil))
    assert.equal("3456789", seg:read(3))
    assert.equal("345", seg:read(3, 3))
    assert.equal("9", seg:read(9))
    assert.equal("012", seg:read(nil, 3))
    assert.equal("3456789", seg:read(3, nil))
  end)

  it("may name no bytes, also at the end", function()
    local seg = with "0123456789"
    assert.equal("", seg:read(0, 0))
    assert.equal("", seg:read(10))
    assert.equal("", seg:read(10, 0))
  end)

  it("is binary safe at every length", function()
    local all = {}
    for i = 0, 255 do
      all[#all + 1] = string.char(i)
    end
    local text = table.concat(all):rep(3)
    local seg = with(text)
    for count = 0, #text, 7 do
      assert.equal(text:sub(1, count), seg:read(0, count))
    end
  end)

  it("and the size and the length operator agree on the size", function()
    local seg = create(77)
    assert.equal(77, seg:size())
    assert.equal(77, #seg)
    assert.equal(77, #seg:read())
  end)
end)

describe("writing", function()
  after_each(scratch.clean)

  it("returns the next offset and touches nothing else", function()
    local seg = with "0123456789"
    assert.equal(6, seg:write(2, "abcd"))
    assert.equal("01abcd6789", seg:read())
    assert.equal(10, seg:write(9, "z"))
    assert.equal(10, seg:write(10, ""))
    assert.equal(0, seg:write(0, ""))
    assert.equal("01abcd678z", seg:read())
  end)

  it("takes numbers as strings do, and nothing else", function()
    local seg = create()
    assert.equal(2, seg:write(0, 42))
    assert.equal("42", seg:read(0, 2))
    for _, value in ipairs { true, {}, print, io.stdout } do
      expect.misuse("bad argument #2", function()
        seg:write(0, value)
      end)
    end
    expect.misuse("bad argument #2", function()
      seg:write(0)
    end)
  end)
end)

describe("filling", function()
  after_each(scratch.clean)

  it("puts a byte, 0 if none is given, and returns the next offset", function()
    local seg = with "0123456789"
    assert.equal(5, seg:fill(2, 3, 65))
    assert.equal("01AAA56789", seg:read())
    assert.equal(10, seg:fill(8, 2))
    assert.equal("01AAA567\0\0", seg:read())
    assert.equal(10, seg:fill(10, 0, 255))
    assert.equal(10, seg:fill(0, 10, 255))
    assert.equal(("\255"):rep(10), seg:read())
  end)

  it("takes no other byte than 0 to 255", function()
    local seg = create()
    for _, byte in ipairs { -1, 256, 0.5, nan, huge, 2 ^ 53, "x", true, {} } do
      expect.misuse("bad argument #3", function()
        seg:fill(0, 4, byte)
      end)
    end
    assert.equal(("\0"):rep(32), seg:read())
  end)
end)

describe("copying", function()
  after_each(scratch.clean)

  it("takes all of a segment, the rest of it, or a count of bytes", function()
    local seg, source = with "..........", with "abcdef"
    assert.equal(8, seg:copy(2, source))
    assert.equal("..abcdef..", seg:read())
    assert.equal(2, seg:copy(0, source, 4))
    assert.equal("efabcdef..", seg:read())
    assert.equal(10, seg:copy(8, source, 1, 2))
    assert.equal("efabcdefbc", seg:read())
    assert.equal(10, seg:copy(10, source, 6))
    assert.equal(3, seg:copy(3, source, 0, 0))
    assert.equal("efabcdefbc", seg:read())
  end)

  it("onto itself is right when the ranges overlap", function()
    for _, case in ipairs {
      { 2, 0, 6, "01012345" }, { 0, 2, 6, "23456767" }, { 1, 1, 4, "01234567" },
    } do
      local seg = with "01234567"
      assert.equal(case[1] + case[3], seg:copy(case[1], seg, case[2], case[3]))
      assert.equal(case[4], seg:read())
    end
  end)

  it("onto itself is right at any size and through slices and other handles too", function()
    local text = {}
    for i = 1, 40000 do
      text[i] = string.char(i * 7919 % 251)
    end
    text = table.concat(text)
    for _, shift in ipairs { 1, 63, 4096, 20000 } do
      for _, way in ipairs { "handle", "slice" } do
        local name = scratch.name()
        local seg = expect.success(shmseg.open(name, "x", #text))
        local other = way == "slice" and seg:slice(0) or expect.success(shmseg.open(name))
        seg:write(0, text)
        seg:copy(shift, other, 0, #text - shift)
        assert.True(seg:read() == text:sub(1, shift) .. text:sub(1, -shift - 1), way)
        seg:write(0, text)
        seg:copy(0, other, shift)
        assert.True(seg:read() == text:sub(shift + 1) .. text:sub(-shift), way)
      end
    end
  end)

  it("copies from a read-only segment", function()
    local name = scratch.name()
    expect.success(shmseg.open(name, "x", 8)):write(0, "readonly")
    local seg = create()
    assert.equal(8, seg:copy(0, (expect.success(shmseg.open(name, "r")))))
    assert.equal("readonly", seg:read(0, 8))
  end)

  it("takes the source's bytes also where two handles only seem to be of one object", function()
    local folder = scratch.path "overlay"
    assert(shell.succeeds("mkdir " .. shell.quote(folder)))
    local words, reason = sandbox.overlay(folder)
    if not words then
      pending(reason)
    end
    local bytes = peer.start(words):call([[
      local old = assert(shmseg.map(..., "r"))
      local new = assert(shmseg.map(..., "rw"))
      new:write(0, "above\n")
      if old:read() ~= "below\n" then
        return "below\n" -- a system that does not tell them apart
      end
      new:copy(0, old)
      return new:read()]], folder .. "/file")
    assert.equal("below\n", bytes)
  end)

  it("takes no source but a segment", function()
    local seg = create()
    for _, source in ipairs { "text", 1, true, {}, io.stdout } do
      expect.misuse("bad argument #2", function()
        seg:copy(0, source)
      end)
    end
    expect.misuse("bad argument #2", function()
      seg:copy(0)
    end)
  end)
end)

describe("comparing", function()
  after_each(scratch.clean)

  it("tells order and first difference, for strings and segments", function()
    local seg = with "abcdef"
    for _, case in ipairs {
      { 0, "abcdef", 0 },
      { 0, "abc", 0 },
      { 2, "cdef", 0 },
      { 6, "", 0 },
      { 0, "abd", -1, 2 },
      { 0, "abb", 1, 2 },
      { 3, "dff", -1, 4 },
      { 5, "\255", -1, 5 },
      { 5, "\0", 1, 5 },
    } do
      assert.same({ case[3], case[4] }, { seg:compare(case[1], case[2]) })
      if case[2] ~= "" then
        assert.same({ case[3], case[4] }, { seg:compare(case[1], with(case[2])) })
        local slice = with("?" .. case[2] .. "?"):slice(1, #case[2])
        assert.same({ case[3], case[4] }, { seg:compare(case[1], slice) })
      end
    end
  end)

  it("finds the first difference wherever it is", function()
    local seg = create(5000)
    for _, where in ipairs { 0, 1, 7, 8, 9, 63, 64, 4095, 4096, 4999 } do
      local text = ("\0"):rep(where) .. "\1" .. ("\0"):rep(4999 - where)
      local order, at = seg:compare(0, text)
      assert.same({ -1, where }, { sign(order), at })
    end
  end)

  it("takes no source that reaches past the end", function()
    local seg = create(32)
    expect.misuse({ "out of range", "30", "4", "32" }, function()
      seg:compare(30, "text")
    end)
    expect.misuse("out of range", function()
      seg:compare(0, create(33))
    end)
  end)

  it("takes no source but strings and segments", function()
    for _, source in ipairs { true, {}, print, io.stdout } do
      expect.misuse("bad argument #2", function()
        create():compare(0, source)
      end)
    end
  end)
end)

describe("finding", function()
  after_each(scratch.clean)

  it("gives the offset of the first place, or nil", function()
    local seg = with "one two one"
    assert.equal(0, seg:find "one")
    assert.equal(8, seg:find("one", 1))
    assert.equal(4, seg:find "two")
    assert.is_nil((seg:find("one", 9)))
    assert.is_nil((seg:find "three"))
    assert.equal(1, select("#", seg:find "three"))
    assert.equal(8, seg:find("one", 8))
    assert.equal(10, seg:find("e", 3))
  end)

  it("stays within the count", function()
    local seg = with "one two one"
    assert.is_nil((seg:find("one", 1, 9)))
    assert.equal(8, seg:find("one", 1, 10))
    assert.is_nil((seg:find("one", 8, 2)))
    assert.is_nil((seg:find("one", 0, 0)))
  end)

  it("finds the empty string where it begins", function()
    local seg = with "text"
    assert.equal(0, seg:find "")
    assert.equal(2, seg:find("", 2))
    assert.equal(4, seg:find("", 4))
  end)

  it("finds bytes of all kinds and needles of all lengths", function()
    local text = {}
    for i = 1, 3000 do
      text[i] = string.char(i * i * 31 % 256)
    end
    text = table.concat(text)
    local seg = with(text)
    for _, length in ipairs { 1, 2, 3, 8, 100, 3000 } do
      for first = 1, #text - length + 1, 331 do
        local needle = text:sub(first, first + length - 1)
        assert.equal(text:find(needle, 1, true) - 1, seg:find(needle))
      end
    end
    assert.is_nil((seg:find(text .. "x")))
    assert.equal(3, with("aaabaaab"):find "baaab")
    assert.equal(1, with("\0\0\0"):find("\0\0", 1))
  end)
end)

describe("finding from the end", function()
  after_each(scratch.clean)

  -- What rfind should find: the last offset from `from` on where all of needle lies before `stop`.
  local function last(text, needle, from, stop)
    for at = stop - #needle, from, -1 do
      if text:sub(at + 1, at + #needle) == needle then
        return at
      end
    end
  end

  it("gives the offset of the last place, or nil", function()
    local seg = with "one two one"
    assert.equal(8, seg:rfind "one")
    assert.equal(8, seg:rfind("one", 8))
    assert.is_nil((seg:rfind("one", 9)))
    assert.equal(4, seg:rfind "two")
    assert.is_nil((seg:rfind "three"))
    assert.equal(1, select("#", seg:rfind "three"))
    assert.equal(10, seg:rfind "e")
    assert.equal(0, seg:rfind "one two one")
    assert.is_nil((seg:rfind "one two one "))
  end)

  it("stays within the count, as find does", function()
    local seg = with "one two one"
    assert.equal(0, seg:rfind("one", 0, 10))
    assert.equal(8, seg:rfind("one", 0, 11))
    assert.is_nil((seg:rfind("one", 1, 9)))
    assert.is_nil((seg:rfind("one", 8, 2)))
    assert.is_nil((seg:rfind("one", 0, 0)))
    assert.equal(2, seg:slice(2, 6):rfind("two", nil, nil))
  end)

  it("finds the empty string where it ends", function()
    local seg = with "text"
    assert.equal(4, seg:rfind "")
    assert.equal(4, seg:rfind("", 2))
    assert.equal(3, seg:rfind("", 1, 2))
    assert.equal(4, seg:rfind("", 4))
  end)

  it("finds what overlaps itself, and needles of all lengths", function()
    local text = ("ab"):rep(700) .. ("a"):rep(1100) .. ("abc"):rep(70) .. ("\0b"):rep(9)
    local seg = with(text)
    for _, needle in ipairs {
      "a", "b", "c", "\0", "ab", "ba", "aba", "aa", ("a"):rep(257), ("a"):rep(1100),
      ("a"):rep(1101), ("ab"):rep(700), ("ab"):rep(701), "cab", "c\0", "cb", text,
      text:sub(2), text:sub(1, -2),
    } do
      for _, from in ipairs { 0, 1, 600, 1399, 2000, #text - 3 } do
        for _, stop in ipairs { #text, #text - 1, 2600, 1401, 2500 } do
          if from <= stop then
            assert.equal(last(text, needle, from, stop), (seg:rfind(needle, from, stop - from)))
          end
        end
      end
    end
  end)

  it("finds what lies far from the end, and across the pieces in which it looks", function()
    local seg = create(400000)
    for _, at in ipairs { 0, 5, 200000, 268640, 334176, 399742, 399743, 399995 } do
      seg:fill(0, #seg)
      seg:write(at, "comet")
      assert.equal(at, seg:rfind "comet")
      assert.equal(at + 4, seg:rfind "t")
      seg:write(0, "comet")
      assert.equal(at, seg:rfind "comet")
    end
  end)
end)

describe("a dump", function()
  after_each(scratch.clean)

  local function hexdump(bytes)
    local path = scratch.file(bytes)
    return (shell.run("hexdump -C " .. shell.quote(path)))
  end

  it("is what hexdump -C prints", function()
    if not shell.has "hexdump" then
      pending("there is no hexdump here")
    end
    local all = {}
    for i = 0, 255 do
      all[#all + 1] = string.char(i)
    end
    all = table.concat(all)
    for _, bytes in ipairs {
      "x",
      "sixteen bytes...",
      "more than sixteen",
      all,
      ("\0"):rep(100),
      ("\0"):rep(16) .. "a" .. ("\0"):rep(64),
      ("same sixteen byt"):rep(4) .. "and a tail",
      all .. all,
    } do
      assert.equal(hexdump(bytes), with(bytes):dump())
    end
  end)

  it("has the known form", function()
    local expected = [[
00000000  48 65 6c 6c 6f 2c 20 77  6f 72 6c 64 0a 00 ff 7f  |Hello, world....|
00000010  21                                                |!|
00000011
]]
    assert.equal(expected, with("Hello, world\n\0\255\127!"):dump())
  end)

  it("shows a part under its own offsets", function()
    local seg = with(("0123456789abcdef"):rep(2))
    assert.equal("00000010  30 31 32 33", seg:dump(16, 4):sub(1, 21))
    assert.truthy(seg:dump(16, 4):find("|0123|\n00000014\n$"))
    assert.truthy(seg:dump(30):find("^0000001e  65 66 "))
    assert.truthy(seg:slice(16):dump():find("^00000000  30 31 "))
  end)
end)

describe("flush and advise", function()
  after_each(scratch.clean)

  it("take a range or a hint", function()
    local seg = expect.success(shmseg.map(scratch.path(), "x", 3 * shmseg.pagesize))
    seg:write(5000, "flushed")
    for _, range in ipairs { {}, { 5000 }, { 5000, 7 }, { 1, 1 }, { 3 * shmseg.pagesize, 0 } } do
      assert.truthy(expect.success(seg:flush(range[1], range[2])))
    end
    for _, hint in ipairs { "normal", "sequential", "random", "willneed" } do
      assert.truthy(expect.success(seg:advise(hint)), hint)
    end
    assert.equal("flushed", seg:read(5000, 7))
  end)

  it("take no unknown hint", function()
    for _, hint in ipairs { "", "often", 1, true, {} } do
      expect.misuse("bad argument #1", function()
        create():advise(hint)
      end)
    end
  end)
end)

describe("a segment's pointer", function()
  after_each(scratch.clean)

  it("is the address of its first byte #maps", function()
    local seg = create(8192)
    local address = seg:pointer()
    assert.equal("number", type(address))
    assert.truthy(address > 0)
    assert.equal(address % shmseg.pagesize, 0)
    assert.equal(address + 100, seg:slice(100):pointer())
    local maps = assert(io.open("/proc/self/maps"))
    local text = maps:read("*a")
    maps:close()
    assert.truthy(text:find(("\n0*%x%%-%%x+ rw%%-s"):format(address)))
  end)
end)

-- Every call that names a range of bytes, with the places of its offset and its count.
local ranges = {
  { "read", "seg:read(a, b)" },
  { "fill", "seg:fill(a, b or 1, 88)" },
  { "dump", "seg:dump(a, b)" },
  { "flush", "seg:flush(a, b)" },
  { "slice", "seg:slice(a, b)" },
  { "find", "seg:find('x', a, b)", 2 },
  { "rfind", "seg:rfind('x', a, b)", 2 },
  { "copy", "other:copy(0, seg, a, b)", 3 },
}
local places = {
  { "write", "seg:write(a, 'data')" },
  { "copy", "seg:copy(a, other)" },
  { "compare", "seg:compare(a, 'data')" },
  { "pack", "seg:pack(a, '<i4', 1)" },
  { "unpack", "seg:unpack(a, '<i4')" },
}
for _, type_name in ipairs {
  "bool", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64",
} do
  local value = type_name == "bool" and "true" or "1"
  places[#places + 1] = { "get_" .. type_name, "seg:get_" .. type_name .. "(a)" }
  places[#places + 1] = { "set_" .. type_name, "seg:set_" .. type_name .. "(a, " .. value .. ")" }
end

local function compile(source)
  return assert(load_string("local seg, other, a, b = ... " .. source))
end

local not_integers = { 0.5, -0.5, 31.5, nan, huge, -huge, 1e300 }
local far = { -1, -2, 33, 2 ^ 31, 2 ^ 32, 2 ^ 53, 2 ^ 62, -2 ^ 31, -2 ^ 53, -2 ^ 63 }
if math.maxinteger then
  for _, value in ipairs {
    math.maxinteger, math.mininteger, math.maxinteger - 31, math.mininteger + 1,
  } do
    far[#far + 1] = value
  end
end
for _, value in ipairs { 2 ^ 63, 2 ^ 64, -2 ^ 64 } do
  not_integers[#not_integers + 1] = value
end

for _, kind in ipairs { "segment", "slice" } do
  describe("the bounds of a " .. kind, function()
    local seg, other, around
    before_each(function()
      around = with(("0123456789abcdef"):rep(4))
      seg = around:slice(16, 32)
      if kind == "segment" then
        around = with(("0123456789abcdef"):rep(2))
        seg = around
      end
      other = create(32)
    end)
    after_each(scratch.clean)

    local function refuse(patterns, call, a, b)
      local before, untouched = around:read(), other:read()
      expect.misuse(patterns, call, seg, other, a, b)
      assert.equal(before, around:read())
      assert.equal(untouched, other:read())
    end

    for _, case in ipairs(ranges) do
      local call = compile(case[2])
      local first = case[3] or 1

      it("hold for the offset of " .. case[1], function()
        for _, offset in ipairs(far) do
          refuse({ "bad argument #" .. first, case[1], "out of range", "size 32" }, call, offset, 1)
          refuse({ "out of range", "size 32" }, call, offset, 0)
          refuse({ "out of range", "size 32" }, call, offset)
        end
        for _, offset in ipairs(not_integers) do
          refuse({ "bad argument #" .. first, case[1] }, call, offset, 1)
        end
        for _, offset in ipairs { "x", true, {} } do
          refuse({ "bad argument #" .. first }, call, offset, 1)
        end
      end)

      it("hold for the count of " .. case[1], function()
        for _, count in ipairs(far) do
          refuse({ "out of range", "size 32" }, call, 0, count)
          refuse({ "out of range", "size 32", "offset 5" }, call, 5, count)
        end
        for _, count in ipairs(not_integers) do
          refuse({ "bad argument #" .. first + 1, case[1] }, call, 0, count)
        end
        for _, count in ipairs { "x", true, {} } do
          refuse({ "bad argument #" .. first + 1 }, call, 0, count)
        end
      end)

      it("hold for the sum of offset and count of " .. case[1], function()
        for _, pair in ipairs { { 32, 1 }, { 31, 2 }, { 1, 32 }, { 17, 16 } } do
          refuse(
            { "out of range", "offset " .. pair[1], "count " .. pair[2], "size 32" },
            call,
            pair[1],
            pair[2]
          )
        end
        local top = math.maxinteger or 2 ^ 62
        for _, pair in ipairs {
          { top, top }, { 1, top }, { 32, top }, { top, 1 }, { 16, top - 15 }, { 2 ^ 62, 2 ^ 62 },
        } do
          refuse("out of range", call, pair[1], pair[2])
        end
      end)
    end

    for _, case in ipairs(places) do
      it("hold for the offset of " .. case[1], function()
        local call = compile(case[2])
        local patterns = { "bad argument #1", case[1], "out of range", "offset", "size 32" }
        for _, offset in ipairs(far) do
          refuse(patterns, call, offset)
        end
        refuse(patterns, call, 32)
        for _, offset in ipairs(not_integers) do
          refuse({ "bad argument #1", case[1] }, call, offset)
        end
        for _, offset in ipairs { "x", true, {}, false } do
          refuse("bad argument #1", call, offset)
        end
        expect.misuse("bad argument #1", call, seg, other)
      end)
    end

    it("hold to the byte for numbers of every width", function()
      for name, width in pairs {
        i8 = 1, u8 = 1, bool = 1, i16 = 2, u16 = 2, i32 = 4, f32 = 4, i64 = 8, f64 = 8,
      } do
        local value = name ~= "bool" and 1
        assert.equal(32, seg["set_" .. name](seg, 32 - width, value))
        assert.equal(value, seg["get_" .. name](seg, 32 - width))
        local range = { "out of range", "offset " .. 33 - width, "count " .. width, "size 32" }
        expect.misuse(range, function()
          seg["get_" .. name](seg, 33 - width)
        end)
        expect.misuse("out of range", function()
          seg["set_" .. name](seg, 33 - width, value)
        end)
      end
    end)

    it("let integers through however they are written", function()
      assert.equal("2", seg:read(2.0, 1.0))
      assert.equal("2", seg:read("2", "1"))
    end)
  end)
end

describe("a slice", function()
  after_each(scratch.clean)

  it("is a segment of its own over the same bytes", function()
    local seg = with "0123456789"
    local slice = seg:slice(2, 5)
    assert.equal("23456", slice:read())
    assert.equal(5, #slice)
    assert.equal(5, slice:size())
    assert.equal(3, slice:write(0, "abc"))
    assert.equal("01abc56789", seg:read())
    assert.equal("rw", slice:mode())
    assert.equal("abc56789", seg:slice(2):read())
    assert.equal("c5", slice:slice(2, 2):read())
    assert.equal(0, seg:slice(10):size())
    assert.equal("", seg:slice(3, 0):read())
    assert.equal(2, slice:find "c")
    assert.same({ 0 }, { slice:compare(0, "abc56") })
  end)

  it("stays inside its bounds, also a slice of a slice", function()
    local slice = with("0123456789"):slice(2, 5)
    expect.misuse({ "out of range", "size 5" }, function()
      slice:read(0, 6)
    end)
    expect.misuse({ "out of range", "size 5" }, function()
      slice:slice(1, 5)
    end)
    expect.misuse({ "out of range", "size 2" }, function()
      slice:slice(3, 2):write(1, "ab")
    end)
  end)

  it("keeps its segment alive", function()
    local slice
    do
      local seg = with "kept alive"
      slice = seg:slice(0, 4)
    end
    collectgarbage()
    collectgarbage()
    assert.equal("kept", slice:read())
  end)

  it("of a read-only segment is read-only", function()
    local name = scratch.name()
    expect.success(shmseg.open(name, "x", 8))
    local slice = expect.success(shmseg.open(name, "r")):slice(0, 4)
    assert.equal("r", slice:mode())
    expect.misuse("read%-only", function()
      slice:write(0, "x")
    end)
  end)

  it("that is closed ends alone", function()
    local seg = with "0123456789"
    local slice, other = seg:slice(2), seg:slice(3)
    slice:close()
    slice:close()
    expect.misuse("closed", function()
      slice:read()
    end)
    assert.equal("3", other:read(0, 1))
    assert.equal("0", seg:read(0, 1))
  end)

  it("cannot be resized or unlinked", function()
    local name = scratch.name()
    local slice = expect.success(shmseg.open(name, "x", 64)):slice(0, 32)
    expect.misuse("slice", function()
      slice:resize(16)
    end)
    expect.misuse("slice", function()
      slice:unlink()
    end)
    assert.equal(64, #scratch.bytes(name))
  end)
end)

describe("get_ and set_", function()
  after_each(scratch.clean)

  local little
  do
    local probe = expect.success(shmseg.anonymous(2))
    probe:set_u16(0, 1)
    little = probe:read(0, 1) == "\1"
  end

  local function native(bytes)
    return little and bytes or bytes:reverse()
  end

  local limits = {
    i8 = { 1, -2 ^ 7, 2 ^ 7 - 1 },
    u8 = { 1, -2 ^ 7, 2 ^ 8 - 1 },
    i16 = { 2, -2 ^ 15, 2 ^ 15 - 1 },
    u16 = { 2, -2 ^ 15, 2 ^ 16 - 1 },
    i32 = { 4, -2 ^ 31, 2 ^ 31 - 1 },
    u32 = { 4, -2 ^ 31, 2 ^ 32 - 1 },
  }
  for name, limit in pairs(limits) do
    local width, least, most = (table.unpack or unpack)(limit)
    local span = 2 ^ (8 * width)

    it("keep every " .. name .. " of its range at any alignment", function()
      local seg = create(32)
      local get, set = seg["get_" .. name], seg["set_" .. name]
      for _, value in ipairs { least, least + 1, -1, 0, 1, 42, most - 1, most } do
        for offset = 0, 8 do
          assert.equal(offset + width, set(seg, offset, value))
          local expected = value
          if name:sub(1, 1) == "u" and value < 0 then
            expected = value + span
          end
          assert.equal(expected, get(seg, offset))
          local bytes, rest = "", expected % span
          for _ = 1, width do
            bytes = bytes .. string.char(rest % 256)
            rest = math.floor(rest / 256)
          end
          assert.equal(native(bytes), seg:read(offset, width))
        end
      end
      if has_integers then
        assert.equal("integer", math.type(get(seg, 0)))
      end
    end)

    it("refuse every number outside of " .. name, function()
      local seg = create(32)
      local far_values = {
        least - 1, most + 1, -span, span, 2 ^ 53, -2 ^ 53, 2 ^ 63, 2 ^ 64, huge, -huge, nan,
      }
      for _, value in ipairs(far_values) do
        expect.misuse("bad argument", function()
          seg["set_" .. name](seg, 0, value)
        end)
      end
      for _, value in ipairs { 0.5, -0.5, "x", true, {} } do
        expect.misuse("bad argument", function()
          seg["set_" .. name](seg, 0, value)
        end)
      end
      expect.misuse("bad argument", function()
        seg["set_" .. name](seg, 0)
      end)
      assert.equal(("\0"):rep(32), seg:read())
    end)
  end

  for _, name in ipairs { "i64", "u64" } do
    it("keep every " .. name .. " that a number of any Lua holds", function()
      local seg = create(32)
      local get, set = seg["get_" .. name], seg["set_" .. name]
      for _, value in ipairs { 0, 1, 255, 2 ^ 31, 2 ^ 32, 2 ^ 52, 2 ^ 53 } do
        assert.equal(11, set(seg, 3, value))
        assert.equal(value, get(seg, 3))
      end
      set(seg, 0, 2 ^ 53 - 1)
      assert.equal(native "\255\255\255\255\255\255\31\0", seg:read(0, 8))
      set(seg, 0, -1)
      assert.equal(("\255"):rep(8), seg:read(0, 8))
      set(seg, 0, -2 ^ 63)
      assert.equal(native "\0\0\0\0\0\0\0\128", seg:read(0, 8))
    end)

    it("refuse every number outside of " .. name, function()
      local seg = create(32)
      local wrong = { 2 ^ 64, -2 ^ 64, 1e300, huge, -huge, nan, 0.5, 2 ^ 51 + 0.5, "x", true, {} }
      if name == "i64" then
        wrong[#wrong + 1] = 2 ^ 63
      end
      for _, value in ipairs(wrong) do
        expect.misuse("bad argument", function()
          seg["set_" .. name](seg, 0, value)
        end)
      end
      assert.equal(("\0"):rep(32), seg:read())
    end)
  end

  it("give i64 negative numbers back", function()
    local seg = create(32)
    for _, value in ipairs { -1, -255, -2 ^ 31, -2 ^ 53 } do
      seg:set_i64(0, value)
      assert.equal(value, seg:get_i64(0))
    end
  end)

  if has_integers then
    it("are exact for 64 bits, and u64 gives Lua's integer", function()
      local seg = create(32)
      local odd = math.tointeger(2 ^ 53) + 1
      for _, value in ipairs { math.maxinteger, math.mininteger, odd, -odd, -1 } do
        for _, name in ipairs { "i64", "u64" } do
          seg["set_" .. name](seg, 1, value)
          assert.equal(value, seg["get_" .. name](seg, 1))
          assert.equal("integer", math.type(seg["get_" .. name](seg, 1)))
        end
      end
    end)
  else
    it("give cdata for 64 bits that a number cannot hold exactly, and take it", function()
      if not jit then
        pending("this is no LuaJIT")
      end
      local seg = create(32)
      for name, make in pairs { i64 = scalars.int64, u64 = scalars.uint64 } do
        local odd = make(1, 2 ^ 21)
        for _, value in ipairs { odd, -odd, make(2 ^ 32 - 1, 2 ^ 31 - 1) } do
          assert.equal(11, seg["set_" .. name](seg, 3, value))
          assert.equal(value, seg["get_" .. name](seg, 3))
          assert.equal("cdata", type(seg["get_" .. name](seg, 3)))
        end
        local least = name == "i64" and -2 ^ 63 or 2 ^ 63
        for _, value in ipairs { 0, 2 ^ 53, 2 ^ 53 + 2, 2 ^ 62, least } do
          assert.equal(11, seg["set_" .. name](seg, 3, make(0) + value))
          assert.equal(value, seg["get_" .. name](seg, 3))
          assert.equal("number", type(seg["get_" .. name](seg, 3)))
        end
      end
      seg:set_u64(0, -scalars.int64(1)) -- either reading
      assert.equal(scalars.uint64(0) - 1, seg:get_u64(0))
      assert.equal(-1, seg:get_i64(0))
      expect.misuse({ "bad argument", "out of range" }, seg.set_i64, seg, 0,
        scalars.uint64(0, 2 ^ 31))
      expect.misuse({ "bad argument", "out of range for i32" }, seg.set_i32, seg, 0,
        scalars.int64(0, 1))
      assert.equal(-1, seg:get_i64(0))
    end)

    it("take references to 64-bit integers by what they refer to", function()
      if not jit then
        pending("this is no LuaJIT")
      end
      local ffi = require "ffi"
      local seg, words = create(32), ffi.new("int64_t[2]", 5, 77)
      seg:set_i64(0, ffi.cast("int64_t &", words + 1))
      assert.equal(77, seg:get_i64(0))
      seg:set_u64(ffi.cast("const uint64_t &", ffi.new("uint64_t[1]", 8)), 7)
      assert.equal(7, seg:get_u64(8))
    end)

    it("take cdata for offsets and counts, and no cdata of other types", function()
      if not jit then
        pending("this is no LuaJIT")
      end
      local seg = create(32)
      assert.equal(12, seg:set_i32(scalars.uint64(8), scalars.int64(7)))
      assert.equal(7, seg:get_i32(scalars.int64(8)))
      assert.equal(4, #seg:read(scalars.uint64(8), scalars.int64(4)))
      assert.equal(4, #seg:slice(scalars.uint64(8), scalars.int64(4)))
      for _, offset in ipairs { scalars.uint64(0, 2 ^ 31), -scalars.int64(1), scalars.int64(32) } do
        expect.misuse("out of range", seg.get_i32, seg, offset)
      end
      for _, other in ipairs(scalars.other_cdata) do
        expect.misuse({ "bad argument", "cdata" }, seg.get_i32, seg, other)
        expect.misuse({ "bad argument", "cdata" }, seg.set_i32, seg, 0, other)
        expect.misuse({ "bad argument", "cdata" }, seg.set_f64, seg, 0, other)
      end
    end)

    it("raise for 64 bits that a number cannot hold exactly", function()
      if jit then
        pending("LuaJIT has cdata for it")
      end
      local seg = create(32)
      seg:set_i64(0, 2 ^ 53)
      seg:set_u8(little and 0 or 7, 1)
      for _, name in ipairs { "get_i64", "get_u64" } do
        expect.misuse("", function()
          local _ = seg[name](seg, 0)
        end)
      end
      seg:write(0, ("\255"):rep(8))
      assert.equal(-1, seg:get_i64(0))
      expect.misuse("", function()
        local _ = seg:get_u64(0)
      end)
    end)

    it("take either reading of 64 bits", function()
      local seg = create(32)
      seg:set_u64(0, 2 ^ 63)
      assert.equal(native "\0\0\0\0\0\0\0\128", seg:read(0, 8))
      assert.equal(2 ^ 63, math.abs(seg:get_u64(0)))
      seg:set_u64(0, 2 ^ 64 - 2048)
      assert.equal(native "\0\248\255\255\255\255\255\255", seg:read(0, 8))
    end)
  end

  it("keep floats as the machine does", function()
    local seg = create(32)
    for _, value in ipairs { 0, 1, -1, 0.5, 1.5e300, -2 ^ -1074, 2 ^ 53, huge, -huge, 0.1 } do
      assert.equal(9, seg:set_f64(1, value))
      assert.equal(value, seg:get_f64(1))
    end
    for _, value in ipairs { 0, 1, -1, 0.5, 2 ^ 24, 2 ^ -149, 2 ^ 127, huge, -huge } do
      assert.equal(5, seg:set_f32(1, value))
      assert.equal(value, seg:get_f32(1))
    end
    for _, value in ipairs { 2 ^ 128, -2 ^ 128, 1.5e300 } do -- finite, and no f32
      expect.misuse({ "bad argument", "out of range for f32" }, seg.set_f32, seg, 1, value)
    end
    seg:set_f32(1, nan)
    assert.not_equal(seg:get_f32(1), seg:get_f32(1))
    seg:set_f32(0, 0.1)
    assert.not_equal(0.1, seg:get_f32(0))
    assert.truthy(math.abs(seg:get_f32(0) - 0.1) < 1e-8)
    seg:set_f64(0, nan)
    assert.not_equal(seg:get_f64(0), seg:get_f64(0))
    seg:set_f64(0, 1)
    assert.equal(native "\0\0\0\0\0\0\240\63", seg:read(0, 8))
    seg:set_f32(0, 1)
    assert.equal(native "\0\0\128\63", seg:read(0, 4))
    for _, name in ipairs { "set_f32", "set_f64" } do
      for _, value in ipairs { "x", true, {} } do
        expect.misuse("bad argument", function()
          seg[name](seg, 0, value)
        end)
      end
    end
  end)

  it("keep booleans as one byte, and read every other byte as true", function()
    local seg = create(4)
    assert.equal(2, seg:set_bool(1, true))
    assert.equal("\0\1\0\0", seg:read())
    assert.True(seg:get_bool(1))
    assert.False(seg:get_bool(0))
    seg:set_bool(1, false)
    assert.equal("\0\0\0\0", seg:read())
    seg:fill(0, 1, 2)
    assert.True(seg:get_bool(0))
    for _, value in ipairs { 1, 0, "true", {} } do
      expect.misuse("bad argument", function()
        seg:set_bool(0, value)
      end)
    end
    expect.misuse("bad argument", function()
      seg:set_bool(0)
    end)
  end)
end)
