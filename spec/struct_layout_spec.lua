-- SPDX-License-Identifier: MIT
-- The layout of structs: the one that a C compiler makes, and the C text that says so.

local shmseg = require "shmseg"
local build = require "spec.support.build"
local expect = require "spec.support.expect"
local layouts = require "spec.support.layouts"
local machine = require "spec.support.machine"
local scalars = require "spec.support.scalars"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local structs = 300

-- A C program with a function for each layout, in whose scope the text of cdef stands alone. Prints
-- for each a line of size, alignment and the offset of every path, and a line of the values of the
-- record that it reads from its input.
local head = [[
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
static void numbers(const size_t *list, size_t count) {
  for (size_t i = 0; i < count; i++)
    printf("%zu ", list[i]);
  printf("\n");
}
static void put_int(long long n) { printf("%lld ", n); }
static void put_float(double n) { printf("%.2f ", n); }
static void put_chars(const char *s, size_t n) { printf("'%.*s' ", (int)n, s); }
]]

local function c_value(path)
  local kind = path.field.type
  if kind == "char" then
    return ("put_chars(r.%s, sizeof r.%s);"):format(path.c, path.c)
  end
  return ("put_%s(r.%s);"):format(kind:find("^f") and "float" or "int", path.c)
end

local function c_function(index, layout, paths)
  local name = layout.struct.name
  local offsets, values = {}, {}
  for _, path in ipairs(paths) do
    offsets[#offsets + 1] = ("offsetof(%s, %s)"):format(name, path.c)
    if path.is_leaf and path.field.type ~= "pad" then
      values[#values + 1] = c_value(path)
    end
  end
  return (([[
static void layout@index(void) {
@cdef
  static const size_t list[] = { sizeof(@name), _Alignof(@name), @offsets };
  @name r;
  numbers(list, sizeof list / sizeof *list);
  if (fread(&r, sizeof r, 1, stdin) != 1)
    printf("no record");
  @values
  printf("\n");
}
]]):gsub("@(%a+)", {
    index = ("%d"):format(index),
    cdef = layout.struct:cdef(),
    name = name,
    offsets = table.concat(offsets, ",\n    "),
    values = table.concat(values, "\n  "),
  }))
end

local function lua_offsets(layout, paths)
  local list = { ("%d %d "):format(layout.struct.size, layout.struct.align) }
  for _, path in ipairs(paths) do
    list[#list + 1] = ("%d "):format(layout.struct:offset(path.lua))
  end
  return table.concat(list)
end

local function text(value, kind)
  if kind == "char" then
    return "'" .. value .. "' "
  elseif kind == "bool" then
    return value and "1 " or "0 "
  end
  return (kind:find("^f") and "%.2f " or "%d "):format(value)
end

local function lua_values(value, paths)
  local list = {}
  for _, path in ipairs(paths) do
    if path.is_leaf and path.field.type ~= "pad" then
      list[#list + 1] = text(layouts.at(value, path.lua), path.field.type)
    end
  end
  return table.concat(list)
end

describe("random structs", function()
  local seed = tonumber(os.getenv("SHMSEG_SEED")) or os.time()
  local all = {}

  setup(function()
    math.randomseed(seed)
    for i = 1, structs do
      local layout = layouts.random(2)
      all[i] = { layout = layout, paths = layouts.paths(layout), value = layouts.value(layout) }
    end
  end)
  after_each(scratch.clean)

  it("have the sizes, alignments, offsets and values that a C compiler gives them", function()
    if not build.possible() then
      pending("there is no C compiler here")
    end
    local source, calls, records = { head }, {}, {}
    for i, one in ipairs(all) do
      source[#source + 1] = c_function(i, one.layout, one.paths)
      calls[i] = ("  layout%d();\n"):format(i)
      records[i] = one.layout.struct.encode(one.value)
    end
    source[#source + 1] = "int main(void) {\n" .. table.concat(calls) .. "}\n"
    local path = scratch.file(table.concat(source), "layouts.c")
    local program = assert(build.program({ path }, "-O0"))
    local input = scratch.file(table.concat(records))
    local output, status = shell.run(shell.quote(program) .. " <" .. shell.quote(input))
    assert.equal(0, status)
    local lines = output:gmatch("([^\n]*)\n")
    for _, one in ipairs(all) do
      local about = ("seed %d:\n%s"):format(seed, one.layout.struct:cdef())
      assert.equal(lines(), lua_offsets(one.layout, one.paths), about)
      assert.equal(lines(), lua_values(one.value, one.paths), about)
    end
  end)

  it("give back what was written, by encode and decode, in whole and field by field", function()
    for _, one in ipairs(all) do
      local struct = one.layout.struct
      local about = ("seed %d:\n%s"):format(seed, struct:cdef())
      local bytes = struct.encode(one.value)
      assert.equal(struct.size, #bytes, about)
      assert.same(one.value, struct.decode(bytes), about)

      local seg = expect.success(shmseg.anonymous(struct.size + 3))
      assert.equal(3 + struct.size, struct:write(seg, 3, one.value))
      assert.equal("\0\0\0" .. bytes, seg:read(), about)
      assert.same(one.value, struct:read(seg, 3), about)
      local record = struct:at(seg, 3)
      for _, path in ipairs(one.paths) do
        if path.is_leaf and path.field.type ~= "pad" then
          assert.equal(layouts.at(one.value, path.lua), layouts.at(record, path.lua), about)
        end
      end

      seg:fill(0, #seg)
      for _, field in ipairs(one.layout.fields) do
        if field.type ~= "pad" then
          record[field.name] = one.value[field.name]
        end
      end
      assert.equal("\0\0\0" .. bytes, seg:read(), about)
      seg:close()
    end
  end)
end)

describe("a layout", function()
  local Inner = shmseg.struct("Inner", { { "x", "f64" }, { "flag", "bool" } })
  local Outer = shmseg.struct("Outer", {
    { "id", "u64" },
    { "pos", "f32", 3 },
    { "name", "char", 5 },
    { "words", "char", 8, 2 },
    { "rest", "pad", 6 },
    { "child", Inner },
    { "list", Inner, 2 },
  })

  it("is that of the example in the manual", function()
    if machine.alignment < 8 then
      pending("64-bit numbers lie at multiples of " .. machine.alignment .. " here")
    end
    local Other = shmseg.struct("Other", { { "x", "i32" } })
    local fields = {
      { "id", "u64" }, { "pos", "f64", 3 }, { "name", "char", 16 }, { "child", Other },
    }
    local Point = shmseg.struct("Point", fields)
    assert.equal(56, Point.size)
    assert.equal(8, Point.align)
    assert.equal(48, Point:offset("child.x"))
    local packed = shmseg.struct("Point", fields, { packed = true })
    assert.equal(52, packed.size)
    assert.equal(1, packed.align)
  end)

  it("of one scalar has the scalar's size", function()
    for _, type in ipairs(scalars) do
      local struct = shmseg.struct("S", { { "field", type.name } })
      assert.equal(type.size, struct.size)
      assert.equal(3 * type.size, shmseg.struct("S", { { "field", type.name, 3 } }).size)
      assert.truthy(struct.align <= type.size)
    end
    assert.equal(7, shmseg.struct("S", { { "field", "char", 7 } }).size)
    assert.equal(1, shmseg.struct("S", { { "field", "char", 7 } }).align)
    assert.equal(14, shmseg.struct("S", { { "field", "char", 7, 2 } }).size)
    assert.equal(7, shmseg.struct("S", { { "field", "u8" }, { "rest", "pad", 6 } }).size)
  end)

  it("of a packed struct has no padding, and one inside another has none before it", function()
    local packed = shmseg.struct("P", { { "a", "u8" }, { "b", "f64" } }, { packed = true })
    assert.same({ 9, 1, 1 }, { packed.size, packed.align, packed:offset("b") })
    local outer = shmseg.struct("O", { { "c", "u8" }, { "p", packed }, { "d", "u32" } })
    assert.equal(1, outer:offset("p"))
    assert.equal(2, outer:offset("p.b"))
    assert.equal(12, outer:offset("d"))
    -- What is packed keeps the inner padding of what is not.
    local inside = shmseg.struct("I", { { "c", "u8" }, { "s", Inner } }, { packed = true })
    assert.equal(1 + Inner.size, inside.size)
    assert.equal(Inner.size, shmseg.struct("S", { { "s", Inner } }, { packed = false }).size)
  end)

  it("gives the offset of a field by its path", function()
    assert.equal(0, Outer:offset("id"))
    assert.equal(8, Outer:offset("pos"))
    assert.equal(8, Outer:offset("pos[1]"))
    assert.equal(16, Outer:offset("pos[3]"))
    assert.equal(20, Outer:offset("name"))
    assert.equal(33, Outer:offset("words[2]"))
    assert.equal(41, Outer:offset("rest"))
    assert.equal(48, Outer:offset("child.x"))
    assert.equal(56, Outer:offset("child.flag"))
    assert.equal(Outer:offset("list[2]") + Inner:offset("flag"), Outer:offset("list[2].flag"))
    assert.equal(Outer:offset("list") + Inner.size, Outer:offset("list[2]"))
  end)

  it("is counted in integers, also where a length or count is a float", function()
    if machine.alignment < 8 then
      pending("64-bit numbers lie at multiples of " .. machine.alignment .. " here")
    end
    local three = 9 / 3
    local struct = shmseg.struct("S", {
      { "a", "f64", three }, { "b", "char", three, three }, { "c", "pad", three }, { "d", "i8" },
    })
    local numbers = { struct.size, struct.align, struct:offset("a[2]"), struct:offset("d") }
    assert.equal("40 8 8 36", table.concat(numbers, " "))
    assert.truthy(struct:cdef():find("char b[3][3];", 1, true))
  end)

  it("refuses a path that leads nowhere, and names it", function()
    local paths = {
      "none", "", "child.none", "pos[0]", "pos[4]", "pos[x]", "pos[-1]", "pos[1", "id[1]", "id.x",
      ".id", "id.", "child..x", "child.x.y", "pos[1][1]", "pos]", "list[3].x", "id ", "ID", "pos[]",
      "pos 1", "pos[1]x", "childx", "child[1].x", "id\0", "list[1]x", "list]x", "child]",
      "child].x", "list.x",
    }
    for _, path in ipairs(paths) do
      local ok, message = pcall(Outer.offset, Outer, path)
      assert.False(ok, path)
      assert.truthy(message:find(("path %q"):format(path), 1, true), message)
    end
    for _, path in ipairs { 1, true, {}, print } do
      expect.misuse("string expected", Outer.offset, Outer, path)
    end
    expect.misuse("string expected", Outer.offset, Outer)
    expect.misuse('"none"', Outer.offset, Outer, "none")
  end)

  it("knows its name, prints it and the size", function()
    assert.equal("Outer", Outer.name)
    assert.equal(("shmseg.struct (Outer, %d bytes)"):format(Outer.size), tostring(Outer))
    assert.equal("shmseg.struct", getmetatable(Outer).__name)
  end)

  it("gives its C text, with the structs in it once and before it", function()
    assert.equal([[
typedef struct Inner {
  double x;
  bool flag;
} Inner;
typedef struct Outer {
  uint64_t id;
  float pos[3];
  char name[5];
  char words[2][8];
  char rest[6];
  Inner child;
  Inner list[2];
} Outer;
]], Outer:cdef())
    local fields = { { "a", "i8" }, { "b", "i16" }, { "c", "u32" } }
    local packed = shmseg.struct("Packed", fields, { packed = true })
    assert.equal([[
typedef struct __attribute__((packed)) Packed {
  int8_t a;
  int16_t b;
  uint32_t c;
} Packed;
]], packed:cdef())
  end)

  local V = shmseg.struct("V", { { "x", "f64" }, { "y", "f64" } })
  local A = shmseg.struct("ShareA", { { "v", V }, { "n", "u32" } })
  local B = shmseg.struct("ShareB", { { "list", V, 2 }, { "a", A } }, { packed = true })

  it("is given with others' by shmseg.cdef, and what they share once", function()
    local v = "typedef struct V {\n  double x;\n  double y;\n} V;\n"
    local a = "typedef struct ShareA {\n  V v;\n  uint32_t n;\n} ShareA;\n"
    local b = [[
typedef struct __attribute__((packed)) ShareB {
  V list[2];
  ShareA a;
} ShareB;
]]
    assert.equal(v .. a .. b, shmseg.cdef { A, B })
    assert.equal(v .. a .. b, shmseg.cdef { B, A })
    assert.equal(v .. a .. b, shmseg.cdef { V, A, B, A })
    assert.equal(B:cdef(), shmseg.cdef { B })
    assert.equal("", shmseg.cdef {})
  end)

  it("is text of shmseg.cdef that a C compiler takes", function()
    if not build.possible() then
      pending("there is no C compiler here")
    end
    local source = scratch.file(([[
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
%s
int main(void) {
  printf("%%zu %%zu %%zu\n", sizeof(ShareA), sizeof(ShareB), offsetof(ShareB, a.n));
}
]]):format(shmseg.cdef { B, Outer, A }), "cdef.c")
    local program = assert(build.program({ source }, "-Wall -Wextra -Werror"))
    local output = shell.run(shell.quote(program))
    assert.equal(("%d %d %d\n"):format(A.size, B.size, B:offset "a.n"), output)
    scratch.clean()
  end)

  it("is text of shmseg.cdef that LuaJIT's FFI takes", function()
    if not rawget(_G, "jit") then
      pending("this is no LuaJIT")
    end
    local ffi = require "ffi"
    ffi.cdef(shmseg.cdef { A, B })
    assert.equal(A.size, ffi.sizeof "ShareA")
    assert.equal(B.size, ffi.sizeof "ShareB")
    assert.equal(B:offset "a", ffi.offsetof("ShareB", "a"))
  end)

  it("of two structs with one name is no text of shmseg.cdef's, which names it", function()
    local Other = shmseg.struct("V", { { "x", "i32" } })
    local Holder = shmseg.struct("Holder", { { "v", Other } })
    for _, list in ipairs { { V, Other }, { A, Holder }, { Holder, V }, { A, B, Other } } do
      expect.misuse('two different structs "V"', shmseg.cdef, list)
    end
  end)

  it("is refused by shmseg.cdef for what is no list of structs", function()
    for _, wrong in ipairs { 1, "text", true, print } do
      expect.misuse("list expected", shmseg.cdef, wrong)
      expect.misuse({ "entry 2", "struct expected" }, shmseg.cdef, { A, wrong })
    end
    expect.misuse("list expected", shmseg.cdef)
    expect.misuse("list expected, got a struct", shmseg.cdef, A)
    expect.misuse({ "list expected", "first" }, shmseg.cdef, { A, first = B })
    expect.misuse({ "list expected", "3" }, shmseg.cdef, { A, nil, B })
  end)

  it("can be that of LuaJIT's FFI", function()
    if not rawget(_G, "jit") then
      pending("this is no LuaJIT")
    end
    local ffi = require "ffi"
    ffi.cdef(Outer:cdef())
    assert.equal(Outer.size, ffi.sizeof "Outer")
    assert.equal(Outer:offset("child"), ffi.offsetof("Outer", "child"))
    local seg = expect.success(shmseg.anonymous(Outer.size))
    local other = ffi.cast("Outer *", seg:pointer())
    Outer:at(seg, 0).list[2].x = 1.5
    assert.equal(1.5, other.list[1].x)
  end)
end)

describe("shmseg.struct refuses", function()
  local field = { { "x", "i32" } }

  local function refused(patterns, ...)
    local message = expect.misuse(patterns, shmseg.struct, ...)
    return message
  end

  it("a name that is no C identifier, and names it", function()
    local names = {
      "", "1st", "two words", "a-b", "a.b", "int", "struct", "a\0", "é", "a\n", 1, true, {},
    }
    for _, name in ipairs(names) do
      refused("name", name, field)
    end
    refused("name", nil, field)
  end)

  it("fields that are none, and gives their numbers", function()
    for _, fields in ipairs { 1, "text", true } do
      refused("fields", "S", fields)
    end
    refused("fields", "S")
    refused("one field", "S", {})
    refused("3", "S", { { "x", "i32" }, nil, { "y", "i32" } })
    refused("packed", "S", { { "x", "i32" }, packed = true })
    refused({ "field 2", "string" }, "S", { { "x", "i32" }, "y" })
    for _, name in ipairs { "", "two words", "while", "1", true, {} } do
      refused("field 2", "S", { { "x", "i32" }, { name, "i32" } })
    end
    refused("field 1", "S", { {} })
    refused({ '"x"', "two" }, "S", { { "x", "i32" }, { "y", "i32" }, { "x", "f64" } })
  end)

  it("types that are none, and names the field", function()
    for _, type in ipairs { "int", "", "I32", "void", "i32\0", 1, true, {}, print, { "i32" } } do
      refused({ '"y"', "unknown type" }, "S", { { "x", "i32" }, { "y", type } })
    end
    refused({ '"y"', "unknown type" }, "S", { { "y" } })
  end)

  it("types that are none, and lists those that there are", function()
    refused({ '"bool"', '"i8"', '"u64"', '"f32"', '"char"', '"pad"', "struct" }, "S", {
      { "x", "int" },
    })
  end)

  it("keys of a field that are none, and names them", function()
    for _, entry in ipairs {
      { "x", "char", 8, count = 2 }, { "x", "i32", type = "i32" }, { "x", "f64", 3, [5] = 1 },
      { "x", "i32", 3, 4 }, { "x", "char", 8, 2, 3 }, { "x", "pad", 8, 2, 3 },
      { "x", "i32", [2.5] = 1 }, { "x", "i32", [0] = 1 }, { "x", "i32", [-1] = 1 },
    } do
      for key in pairs(entry) do
        local is_known = key == 1 or key == 2 or key == 3
          or key == 4 and (entry[2] == "char" or entry[2] == "pad")
        if not is_known then
          local plain = tostring(key):gsub("%W", "%%%0")
          refused({ '"x"', "unknown key " .. plain }, "S", { entry })
        end
      end
    end
  end)

  it("a cut that is no boolean, or of what is no string", function()
    for _, cut in ipairs { 1, "true", {} } do
      refused({ '"x"', '"cut"', "boolean expected" }, "S", { { "x", "char", 8, cut = cut } })
    end
    local V = shmseg.struct("V", field)
    for _, entry in ipairs {
      { "x", "i32", cut = true }, { "x", "pad", 8, cut = true }, { "x", V, cut = true },
      { "x", "u8", 8, cut = false },
    } do
      refused({ '"x"', '"cut"', "char" }, "S", { entry })
    end
    assert.equal(8, shmseg.struct("S", { { "x", "char", 8, cut = false } }).size)
  end)

  it("counts and lengths that are none, and names the field", function()
    for _, count in ipairs { 0, -1, 1.5, 0 / 0, math.huge, 2 ^ 31, "3x", "", true, {} } do
      refused({ '"x"', "number of elements" }, "S", { { "x", "i32", count } })
      refused({ '"x"', "length" }, "S", { { "x", "char", count } })
      refused({ '"x"', "length" }, "S", { { "x", "pad", count } })
      refused({ '"x"', "number of elements" }, "S", { { "x", "char", 4, count } })
    end
    refused({ '"x"', "length" }, "S", { { "x", "char" } })
    refused({ '"x"', "length" }, "S", { { "x", "pad" } })
    assert.equal(24, shmseg.struct("S", { { "x", "char", "4", "2" }, { "y", "i32", "0x4" } }).size)
  end)

  it("options that are none, and names them", function()
    for _, options in ipairs { 1, "packed", true } do
      refused("options", "S", field, options)
    end
    refused({ "unknown option", "pack" }, "S", field, { pack = true })
    refused({ '"packed"', "boolean" }, "S", field, { packed = 1 })
  end)

  it("what no machine can hold", function()
    local most = 1073741824 -- an integer where there are any: products may overflow
    local A = shmseg.struct("A", { { "x", "u8", most } })
    for _, count in ipairs { 2, 3, 4, most, 2 ^ 31 - 1 } do
      refused({ '"a"', "bytes" }, "B", { { "a", A, count } })
    end
    refused("bytes", "B", { { "a", A }, { "b", A } })
    refused("bytes", "B", { { "a", "f64", 2 ^ 31 - 1 } })
    assert.equal(most + 8, shmseg.struct("B", { { "a", A }, { "b", "f64" } }).size)
  end)

  it("two structs of one name, for which C has no room", function()
    local One = shmseg.struct("T", { { "x", "i32" } })
    local Two = shmseg.struct("T", { { "x", "f64" } })
    local function text_of(name, fields)
      return shmseg.struct(name, fields):cdef()
    end
    expect.misuse("T", text_of, "T", { { "inner", One } })
    expect.misuse("T", text_of, "S", { { "one", One }, { "two", Two } })
    assert.truthy(text_of("S", { { "one", One }, { "two", One } }))
  end)

  it("nothing that its caller is not to blame for", function()
    local message = refused("", "S", { { "x", "none" } })
    assert.is_nil(message:find("struct.lua", 1, true))
    local ok, blamed = pcall(function()
      shmseg.struct("S", { { "x", "none" } })
    end)
    assert.False(ok)
    assert.truthy(blamed:find("struct_layout_spec.lua", 1, true))
  end)
end)
