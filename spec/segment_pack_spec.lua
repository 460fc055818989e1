-- SPDX-License-Identifier: MIT
-- pack and unpack: string.pack's formats on every Lua.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local machine = require "spec.support.machine"
local scalars = require "spec.support.scalars"
local scratch = require "spec.support.scratch"

local nan, huge = 0 / 0, math.huge
local unpack_table = table.unpack or unpack

local function create(size)
  return expect.success(shmseg.anonymous(size or 64))
end

-- Formats with values, and the bytes they are, which all Luas must agree on; true: where addresses
-- have 64 bits.
local known = {
  { "b", { -1 }, "\255" },
  { "B", { 255 }, "\255" },
  { "<h", { -2 }, "\254\255" },
  { ">h", { -2 }, "\255\254" },
  { "<H", { 513 }, "\1\2" },
  { ">H", { 513 }, "\2\1" },
  { "<i4", { 16909060 }, "\4\3\2\1" },
  { ">i4", { 16909060 }, "\1\2\3\4" },
  { "<I4", { 4294967295 }, "\255\255\255\255" },
  { "<i3", { -2 }, "\254\255\255" },
  { ">I3", { 66051 }, "\1\2\3" },
  { "<i1", { -128 }, "\128" },
  { "<i8", { 2 ^ 53 }, "\0\0\0\0\0\0\32\0" },
  { ">i8", { -1 }, ("\255"):rep(8) },
  { "<i5", { -2 }, "\254\255\255\255\255" },
  { "<I7", { 2 ^ 48 }, "\0\0\0\0\0\0\1" },
  { "<i16", { -2 }, "\254" .. ("\255"):rep(15) },
  { ">i16", { 1 }, ("\0"):rep(15) .. "\1" },
  { "<I16", { 258 }, "\2\1" .. ("\0"):rep(14) },
  { "<l", { 1 }, "\1\0\0\0\0\0\0\0", true },
  { "<j", { -1 }, ("\255"):rep(8) },
  { "<J", { 1 }, "\1\0\0\0\0\0\0\0" },
  { "<T", { 1 }, "\1\0\0\0\0\0\0\0", true },
  { "<f", { 1 }, "\0\0\128\63" },
  { ">f", { -2 }, "\192\0\0\0" },
  { "<d", { 1 }, "\0\0\0\0\0\0\240\63" },
  { ">d", { 0.5 }, "\63\224\0\0\0\0\0\0" },
  { "<n", { 1 }, "\0\0\0\0\0\0\240\63" },
  { "z", { "text" }, "text\0" },
  { "z", { "" }, "\0" },
  { "s1", { "text" }, "\4text" },
  { "<s2", { "text" }, "\4\0text" },
  { ">s4", { "" }, "\0\0\0\0" },
  { "<s", { "ab" }, "\2\0\0\0\0\0\0\0ab", true },
  { "<s3", { "a\0b" }, "\3\0\0a\0b" },
  { "c5", { "ab" }, "ab\0\0\0" },
  { "c0", { "" }, "" },
  { "c3", { "abc" }, "abc" },
  { "xBx", { 7 }, "\0\7\0" },
  { "<!4 B i4", { 1, 2 }, "\1\0\0\0\2\0\0\0" },
  { "<! B i8", { 1, 2 }, "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0", true },
  { "<!2 B i4", { 1, 2 }, "\1\0\2\0\0\0" },
  { "<!8 B Xi4 B", { 1, 2 }, "\1\0\0\0\2" },
  { "<!4 i2 Xi8 z", { 1, "q" }, "\1\0\0\0q\0" },
  { "<!4 B s4", { 1, "ab" }, "\1\0\0\0\2\0\0\0ab" },
  { "<i2 >i2 <i2", { 1, 1, 1 }, "\1\0\0\1\1\0" },
  { " < i2  B ", { 1, 2 }, "\1\0\2" },
  { "", {}, "" },
  { "<!1 B i4", { 1, 2 }, "\1\2\0\0\0" },
}

describe("packing", function()
  after_each(scratch.clean)

  for _, case in ipairs(known) do
    local format, values, bytes, wide = unpack_table(case)

    it(("%q gives the known bytes and back"):format(format), function()
      if wide and machine.small then
        pending(machine.small)
      end
      local seg = create(#bytes + 3)
      seg:fill(0, #bytes + 3, 170)
      assert.equal(#bytes, seg:pack(0, format, unpack_table(values)))
      assert.equal(bytes .. "\170\170\170", seg:read())
      local back = { seg:unpack(0, format) }
      assert.equal(#bytes, table.remove(back))
      assert.equal(#values, #back)
      for i, value in ipairs(values) do
        if format == "c5" then
          value = "ab\0\0\0"
        end
        assert.equal(value, back[i])
      end
    end)
  end

  it("works at any offset, also up to the very end", function()
    local seg = create(20)
    assert.equal(7, seg:pack(3, "<i4", 7))
    assert.equal(20, seg:pack(16, "<i4", 8))
    assert.same({ 7, 7 }, { seg:unpack(3, "<i4") })
    assert.same({ 8, 20 }, { seg:unpack(16, "<i4") })
    assert.equal(20, seg:pack(20, ""))
    assert.same({ 20 }, { seg:unpack(20, "") })
  end)

  it("aligns from the start of the view", function()
    local seg = create(64)
    assert.equal(8, seg:pack(1, "<!4 i4", 1))
    assert.equal("\0\0\0\0\1\0\0\0", seg:read(0, 8))
    assert.same({ 1, 8 }, { seg:unpack(1, "<!4 i4") })
    local slice = seg:slice(33)
    assert.equal(8, slice:pack(1, "<!4 i4", 1))
    assert.equal(1, seg:get_u8(37))
  end)

  it("knows the machine's order, which = and no sign mean", function()
    local seg = create(64)
    for _, format in ipairs { "i4", "=i4", "<i4 =", ">=i4" } do
      seg:fill(0, 8)
      seg:pack(0, format, 16909060)
      if format ~= "<i4 =" then
        assert.equal(16909060, seg:get_i32(0))
      end
    end
  end)

  it("writes nothing when any value is wrong", function()
    local seg = create(32)
    for _, arguments in ipairs {
      { "<i4 i1", 1, 128 },
      { "<i4 i1", 1, -129 },
      { "B", 256 },
      { "B", -129 },
      { "<i4 z", 1, "a\0b" },
      { "<i4 c2", 1, "abc" },
      { "<i4 s1", 1, ("x"):rep(256) },
      { "<i4 i4", 1, "x" },
      { "<i4 i4", 1, 0.5 },
      { "<i4 i4", 1, nan },
      { "<i4 i4", 1, huge },
      { "<i4 i4", 1, 2 ^ 53 },
      { "<i4 i8", 1, 2 ^ 64 },
      { "<i4 i4", 1 },
      { "<i4 d", 1, {} },
      { "<i4 z", 1, {} },
      { "<i4 s", 1, true },
      { "<i4 y", 1, 1 },
      { "<i4 i17", 1, 1 },
      { "<i4 i0", 1, 1 },
      { "<i4 !3 i8", 1, 1 },
      { "<i4 c", 1, "x" },
      { "<i4 X", 1 },
      { "<i4 Xz", 1 },
      { "<i4 c99999999999999999999", 1, "x" },
      { "<i4 !32", 1 },
      { "<i4 c32", 1, "" },
      { "<i4 s4", 1, ("x"):rep(25) },
      { "<i4 z", 1, ("x"):rep(28) },
    } do
      local ok = pcall(seg.pack, seg, 0, unpack_table(arguments))
      assert.False(ok, arguments[1])
      assert.equal(("\0"):rep(32), seg:read(), arguments[1])
    end
  end)

  it("names the wrong argument", function()
    expect.misuse({ "bad argument #4", "pack" }, function()
      create():pack(0, "<i4 i1", 1, 128)
    end)
    expect.misuse("invalid format option 'y'", function()
      create():pack(0, "y", 1)
    end)
    expect.misuse("invalid format option 'y'", function()
      create():unpack(0, "y")
    end)
    for _, format in ipairs { true, {}, print } do
      expect.misuse("bad argument #2", function()
        create():pack(0, format)
      end)
      expect.misuse("bad argument #2", function()
        create():unpack(0, format)
      end)
    end
  end)

  it("stays inside the bounds", function()
    local seg = create(32)
    expect.misuse({ "out of range", "offset 30", "count 4", "size 32" }, function()
      seg:pack(30, "<i4", 1)
    end)
    expect.misuse({ "out of range", "offset 30", "count 4", "size 32" }, function()
      seg:unpack(30, "<i4")
    end)
    expect.misuse("out of range", function()
      seg:slice(0, 4):pack(1, "z", "abc")
    end)
    expect.misuse("", function()
      seg:pack(1, "c9223372036854775807", "x")
    end)
    expect.misuse("", function()
      seg:unpack(1, "c9223372036854775807")
    end)
    expect.misuse("", function()
      seg:unpack(0, ("c2147483647"):rep(5))
    end)
    assert.equal(("\0"):rep(32), seg:read())
  end)
end)

describe("unpacking", function()
  after_each(scratch.clean)

  it("stays inside the bounds whatever the bytes claim", function()
    local seg = create(32)
    seg:fill(0, 32, 255)
    for _, format in ipairs { "s1", "s4", "s8", "s", "<s8", ">s8", "z", "<s16" } do
      expect.misuse("", function()
        seg:unpack(0, format)
      end)
    end
    for claim = 0, 40 do
      seg:fill(0, 1, claim)
      local ok, text = pcall(seg.unpack, seg, 0, "s1")
      assert.equal(claim <= 31, ok)
      assert.truthy(not ok or #text == claim)
    end
    seg:pack(0, "<I8", 2 ^ 53)
    expect.misuse("", function()
      seg:unpack(0, "<s8")
    end)
    local slice = seg:slice(8, 8)
    expect.misuse("", function()
      slice:unpack(0, "z")
    end)
  end)

  it("reads no further than the format names", function()
    local seg = create(64)
    seg:write(0, "a\0b\0")
    assert.same({ "a", "b", 4 }, { seg:unpack(0, "zz") })
  end)

  it("gives hundreds of values", function()
    local seg = create(600)
    for i = 0, 599 do
      seg:set_u8(i, i % 256)
    end
    local values = { seg:unpack(0, ("B"):rep(600)) }
    assert.equal(601, #values)
    assert.equal(600, values[601])
    for i = 1, 600 do
      assert.equal((i - 1) % 256, values[i])
    end
  end)

  it("refuses integers that do not fit", function()
    local seg = create(32)
    seg:fill(0, 32, 1)
    for _, format in ipairs { "<i9", "<I16", ">i16" } do
      expect.misuse("", function()
        seg:unpack(0, format)
      end)
    end
    if not math.type and not jit then
      for _, format in ipairs { "<i8", "<I8", ">j" } do
        expect.misuse("", function()
          seg:unpack(0, format)
        end)
      end
    end
  end)
end)

describe("packing 64-bit cdata", function()
  after_each(scratch.clean)

  it("takes it for numbers, and unpacking gives it where a number is not exact", function()
    if not jit then
      pending("this is no LuaJIT")
    end
    local seg = create(64)
    local odd, most = scalars.int64(1, 2 ^ 21), scalars.uint64(2 ^ 32 - 1, 2 ^ 32 - 1)
    local format = "<!4 i1 i8 I8 j d f c4 >i8 i4"
    local after = seg:pack(0, format, 1, odd, most, -odd, scalars.int64(3), scalars.uint64(4),
      "text", odd, scalars.int64(5))
    assert.equal(4 + 4 * 8 + 4 + 4 + 8 + 4, after)
    assert.same({ 1, odd, most, -odd, 3, 4, "text", odd, 5, after }, { seg:unpack(0, format) })
    assert.equal("\1\0\0\0\1\0\0\0\0\0\32\0", seg:read(0, 12))
  end)

  it("refuses what does not fit or is no integer, and writes nothing", function()
    if not jit then
      pending("this is no LuaJIT")
    end
    local seg = create(64)
    local large = scalars.uint64(0, 2 ^ 31)
    for format, value in pairs {
      j = large, i8 = large, i4 = scalars.int64(0, 1), B = scalars.int64(256),
      b = scalars.int64(128), I4 = -scalars.int64(1),
    } do
      expect.misuse("bad argument #5", seg.pack, seg, 0, "i4" .. format, 1, value)
    end
    for _, other in ipairs(scalars.other_cdata) do
      for _, format in ipairs { "j", "J", "i4", "f", "d" } do
        expect.misuse({ "bad argument #5", "cdata" }, seg.pack, seg, 0, "i4" .. format, 1, other)
      end
    end
    assert.equal(("\0"):rep(64), seg:read())
  end)
end)

if string.pack then
  describe("packing, beside string.pack,", function()
    after_each(scratch.clean)

    local integers = {
      0, 1, -1, 127, 128, -128, -129, 255, 256, 32767, -32768, 65535, 2 ^ 31 - 1, -2 ^ 31,
      2 ^ 32 - 1,
    }
    for _, value in ipairs {
      2 ^ 32, 2 ^ 53, math.maxinteger, math.mininteger, 0.5, 1.0, -0.0, 2 ^ 63, 1e300,
    } do
      integers[#integers + 1] = value
    end

    -- `!` alone means the same on every Lua here; string.pack counts long double too from 5.5 on.
    local native = "!" .. math.min(string.packsize("!b Xi16 b") - 1, 8)
    local function of_string_pack(format)
      return (format:gsub("!(%d*)", { [""] = native }))
    end

    -- The same outcome from both: the same bytes and the same values back, or an error from both.
    local function agree(format, ...)
      local seg = create(512)
      local theirs = of_string_pack(format)
      local ok, bytes = pcall(string.pack, theirs, ...)
      local done, after = pcall(seg.pack, seg, 0, format, ...)
      assert.equal(ok, done, format .. ": " .. tostring(ok and after or bytes))
      if not ok then
        assert.equal(("\0"):rep(512), seg:read())
        return
      end
      assert.equal(#bytes, after, format)
      assert.equal(bytes, seg:read(0, after), format)
      assert.same({ string.unpack(theirs, seg:read()) }, {
        (function(...)
          local values = { ... }
          values[#values] = values[#values] + 1
          return unpack_table(values)
        end)(seg:unpack(0, format)),
      })
    end

    it("agrees for integers of every width and order", function()
      local formats = { "b", "B", "h", "H", "i", "I", "l", "L", "j", "J", "T" }
      for width = 0, 17 do
        formats[#formats + 1] = "i" .. width
        formats[#formats + 1] = "I" .. width
      end
      for _, format in ipairs(formats) do
        for _, order in ipairs { "<", ">", "=", "<!", ">!4" } do
          for _, value in ipairs(integers) do
            agree(order .. format, value)
          end
        end
      end
    end)

    it("agrees for floats and strings", function()
      for _, order in ipairs { "<", ">" } do
        for _, format in ipairs { "f", "d", "n" } do
          for _, value in ipairs { 0, 1, -1.5, 1e300, huge, -huge, 2 ^ -149 } do
            agree(order .. format, value)
          end
        end
        for _, format in ipairs {
          "z", "s", "s1", "s2", "s3", "s8", "s16", "c0", "c1", "c7", "c300",
        } do
          for _, value in ipairs {
            "", "a", "abc", "a\0b", ("x"):rep(255), ("x"):rep(256), 12, 1.5,
          } do
            agree(order .. format, value)
          end
        end
      end
    end)

    it("agrees for alignment and padding", function()
      for _, head in ipairs { "!", "!1", "!2", "!4", "!8", "!16", "!3", "!0", "!17", "" } do
        for _, format in ipairs {
          "b i8", "b xXi4 h", "h s4", "b d", "b Xi3 b", "b Xi16 b", "Xd b", "b Xb b", "b X",
        } do
          agree(head .. format, 1, format:find "s" and "text" or 2, 3)
        end
      end
    end)

    it("agrees where formats are wrong", function()
      for _, format in ipairs {
        "y", "i", "i99", "c", "z1", "!99", "Xz", "X", "Xc1", "1", "%", "\0", "i4\0", "<>", "x x",
      } do
        agree(format, 1, 2)
      end
    end)

    it("agrees for random formats", function()
      math.randomseed(20240229)
      local parts = {
        "b", "B", "<", ">", "=", "!4", "!", "!2", "i3", "I5", "h", "j", "d", "f", "x", "Xi4", "z",
        "s1", "c4", " ",
      }
      for _ = 1, 3000 do
        local format, values = "", {}
        for _ = 1, math.random(8) do
          local part = parts[math.random(#parts)]
          format = format .. part
          if part:find "[zsc]" then
            values[#values + 1] = ("xyz"):sub(1, math.random(0, 3))
          elseif part:find "^[bBhjdfI]" or part == "i3" then
            values[#values + 1] = math.random(0, 120)
          end
        end
        agree(format, unpack_table(values))
      end
    end)

    it("agrees wherever it begins when nothing is aligned", function()
      local seg = create(64)
      for offset = 0, 20 do
        seg:fill(0, 64, 255)
        seg:pack(offset, "<i4 z s1 d", -7, "zero", "one", 0.25)
        assert.same(
          { string.unpack("<i4 z s1 d", seg:read(), offset + 1) },
          { -7, "zero", "one", 0.25, select(5, seg:unpack(offset, "<i4 z s1 d")) + 1 }
        )
      end
    end)

    it("agrees with string.unpack of the whole about alignment at any offset", function()
      local seg = create(64)
      seg:fill(0, 64, 1)
      for offset = 0, 20 do
        for _, format in ipairs { "<!4 i4", "<!8 b i8", "<!2 h b i4" } do
          local expected = { string.unpack(format, seg:read(), offset + 1) }
          expected[#expected] = expected[#expected] - 1
          assert.same(expected, { seg:unpack(offset, format) })
        end
      end
    end)
  end)
end
