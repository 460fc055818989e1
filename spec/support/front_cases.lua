-- SPDX-License-Identifier: MIT
-- Makes calls with ordinary and with odd arguments, and prints a line for what each one gave:
--   front_cases.lua NAME GROUP      NAME: what the names of its objects begin with
-- Each call stands in a loop of its own, which LuaJIT compiles for ordinary arguments. Two runs
-- print the same, or their libraries differ.

local shmseg = require "shmseg"
local scalars = require "spec.support.scalars"

local TURNS = 70 -- so that a loop is compiled
local FEWER = 15 -- so that what leaves it is compiled, too

local prefix = arg[1]
local serial = 0

local function name()
  serial = serial + 1
  return prefix .. serial
end

-- --- what is printed ----------------------------------------------------------------------------

local function text_of(value)
  local kind = type(value)
  if kind == "string" then
    local copy = value:sub(1, 1) .. value:sub(2)
    local broken = copy ~= value and " which is not the string that it seems" or ""
    value = value:gsub(prefix:gsub("%p", "%%%0") .. "%d+", "NAME")
    if #value > 300 then
      value = value:sub(1, 20) .. ("… %d bytes"):format(#value)
    end
    return (("%q"):format(value):gsub("\n", "n")) .. broken
  elseif kind == "number" then
    return ("%.17g"):format(value)
  elseif kind == "table" or kind == "userdata" or kind == "function" then
    return kind
  elseif kind == "cdata" then
    return (tostring(value):gsub("0x%x+", "address"):gsub("struct %d+", "struct"))
  end
  return tostring(value)
end

local function show(title, ok, count, ...)
  local words = { title, ok and "gives" or "raises" }
  for i = 1, ok and count or 1 do
    words[#words + 1] = ok and text_of((select(i, ...))) or text_of(count)
  end
  print(table.concat(words, " "))
end

-- --- one call -----------------------------------------------------------------------------------

local LOOP = [[
local pcall, select = pcall, select
local function pack(...) return select("#", ...), ... end
local function call(self, a, b, c, d) CALL end
return function(turns, self, a, b, c, d)
  local ok, n, x, y, z
  for _ = 1, turns do
    PREPARE
    ok, n, x, y, z = pcall(call, self, a, b, c, d)
  end
  return ok, n, x, y, z
end]]

-- A loop around a call: an expression, or a statement that begins with "do". prepare stands before
-- each call.
local function loop(call, prepare)
  local code = call:find "^do " and call .. " end return 0" or "local n, x, y, z = pack(" .. call
    .. ") return n, x, y, z"
  code = LOOP:gsub("CALL", (code:gsub("%%", "%%%%"))):gsub("PREPARE", prepare or "")
  return assert(loadstring(code, "=call"))
end

-- Makes the call with each list of arguments, once; then so often with the first list that LuaJIT
-- compiles the loop; then with the others in this loop.
local function try(title, self, call, lists, prepare)
  local run = loop(call, prepare)()
  local said = {}
  for index, list in ipairs(lists) do
    local words = {}
    for i = 1, list.n or #list do
      words[i] = text_of(list[i])
    end
    said[index] = ("%s: %s (%s)"):format(title, call, table.concat(words, ", "))
    show(said[index], run(1, self, list[1], list[2], list[3], list[4]))
  end
  for index, list in ipairs(lists) do
    local turns = index == 1 and TURNS or FEWER
    show(said[index] .. " compiled", run(turns, self, list[1], list[2], list[3], list[4]))
  end
end

-- The same before and after each change of what is called; the last argument is a list of { words,
-- change }.
local function try_changes(title, self, call, lists, changes, prepare)
  local run = loop(call, prepare)()
  local function all(what)
    for index, list in ipairs(lists) do
      local said = ("%s, %s: %s %d"):format(title, what, call, index)
      show(said, run(1, self, list[1], list[2]))
      show(said .. " compiled", run(TURNS, self, list[1], list[2]))
    end
  end
  all "before"
  for _, change in ipairs(changes) do
    show(change[1], pcall(change[2]))
    all(change[1])
  end
end

-- --- arguments ----------------------------------------------------------------------------------

local nan, huge = 0 / 0, math.huge
local one = scalars.int64(1)
local zero, null = scalars.other_cdata[1], scalars.other_cdata[6] -- equal to 0 and to nil

-- What an offset or an index may be taken for. size: one that is just outside.
local function numbers(size)
  local list = {
    { 1 }, { 0 }, { size - 8 }, { size - 7 }, { size - 4 }, { size - 3 }, { size - 2 },
    { size - 1 }, { size }, { size + 1 }, { -1 }, { -0.0 }, { 0.5 }, { nan }, { huge }, { -huge },
    { 2 ^ 31 }, { 2 ^ 32 }, { 2 ^ 32 + 1 }, { 2 ^ 53 }, { 2 ^ 53 + 2 }, { 2 ^ 63 }, { 2 ^ 64 },
    { -2 ^ 31 }, { -2 ^ 53 }, { -2 ^ 63 }, { 1e300 }, { "1" }, { "0x1" }, { " 1 " }, { "" },
    { "x" }, { "1e0" }, { true }, { false }, { {} }, { print }, { io.stdout }, { nil, n = 0 },
    { nil, n = 1 }, { one }, { scalars.uint64(1) }, { scalars.int64(0, 2 ^ 21) },
    { scalars.uint64(2 ^ 32 - 1, 2 ^ 32 - 1) },
  }
  for _, value in ipairs(scalars.other_cdata) do
    list[#list + 1] = { value }
  end
  return list
end

-- The values of a scalar type, good and bad, as the argument behind the first one.
local function values(type, first)
  local list = {}
  for _, pair in ipairs(type.good) do
    list[#list + 1] = { first, pair[1] }
  end
  for _, value in ipairs(type.bad) do
    list[#list + 1] = { first, value }
  end
  list[#list + 1] = { first, nil, n = 1 }
  list[#list + 1] = { first, -0.0 }
  list[#list + 1] = { first, nan }
  return list
end

local function ordinary(type)
  return type.name == "bool" or 7
end

-- Strings of all the lengths at which something changes, and what is no string.
local function strings(most)
  local list = {}
  for _, length in ipairs {
    3, 0, 1, 39, 40, 41, 63, 64, 65, 255, 256, 257, 1000, most - 1, most, most + 1,
  } do
    list[#list + 1] = { ("s"):rep(length) }
  end
  for _, value in ipairs {
    "a\0b", 5, 0.1, nan, true, {}, print, io.stdout, one, scalars.uint64(1),
  } do
    list[#list + 1] = { value }
  end
  list[#list + 1] = { nil, n = 1 }
  return list
end

local timeouts = {
  { "v", 0 }, { "v", nil, n = 2 }, { "v", -1 }, { "v", nan }, { "v", huge }, { "v", "0" },
  { "v", "x" }, { "v", true }, { "v", {} }, { "v", 1e300 }, { "v", 1e-9 }, { "v", one },
  { "v", zero }, { "v", null },
}

local Inner = shmseg.struct("FrontInner", { { "x", "i16" }, { "y", "f64" } })
local fields = {
  { "inner", Inner }, { "name", "char", 12 }, { "text", "char", 300 }, { "list", "i32", 3 },
  { "names", "char", 4 },
}
for _, type in ipairs(scalars) do
  fields[#fields + 1] = { "f_" .. type.name, type.name }
end
local Shape = shmseg.struct("FrontShape", fields, { packed = true })
local Other = shmseg.struct("FrontOther", { { "f_i32", "i32" } })

-- --- segments -----------------------------------------------------------------------------------

local SIZE = 8192 + 5

local function create(size)
  local seg = assert(shmseg.open(name(), "x", size or SIZE, { max = 4 * SIZE }))
  seg:write(0, ("\1\200\31\0\0\127\255\7\64\240\63"):rep(seg:size()):sub(1, seg:size()))
  return seg
end

local function again(seg, mode)
  return assert(shmseg.open(seg:name(), mode))
end

local groups = {}

function groups.scalars()
  for _, type in ipairs(scalars) do
    local get, set = "self:get_" .. type.name .. "(a)", "self:set_" .. type.name .. "(a, b)"
    local seg = create()
    try("segment", seg, get, numbers(SIZE))
    try("segment", seg, set, values(type, 9))
    local lists = numbers(SIZE)
    for _, list in ipairs(lists) do
      list[2] = ordinary(type)
    end
    try("segment", seg, set, lists)
    try("slice", seg:slice(8, 100), get, numbers(100))
    try("slice of a slice", seg:slice(8, 100):slice(3, 20), get, numbers(20))
    try("read-only", again(seg, "r"), get, { { 1 }, { SIZE } })
    try("read-only", again(seg, "r"), set, {
      { 1, ordinary(type) }, { SIZE, ordinary(type) }, { 1, {} },
    })
    try("more arguments than needed", seg, "self:get_" .. type.name .. "(a, b, 1, 2)", { { 1, 2 } })
    try("fewer arguments", seg, "self:set_" .. type.name .. "(a)", { { 1 } })
    try("no arguments", seg, "self:get_" .. type.name .. "()", { {} })
    for offset = 0, 40 do -- of any alignment
      show("segment " .. offset, pcall(function()
        return 1, seg["get_" .. type.name](seg, offset)
      end))
    end
    print((seg:read(0, 64):gsub(".", function(byte)
      return ("%02x"):format(byte:byte())
    end)))
  end
end

function groups.bytes()
  local seg = create()
  try("segment", seg, "self:read(a)", numbers(SIZE))
  try("segment", seg, "self:read(a, 3)", numbers(SIZE))
  local lists = numbers(SIZE)
  for _, list in ipairs(lists) do
    list[1], list[2], list.n = 5, list[1], list.n and list.n + 1
  end
  try("segment", seg, "self:read(a, b)", lists)
  lists = {}
  for count = 0, 300, 7 do
    lists[#lists + 1] = { count, count }
  end
  try("segment", seg, "self:read(a, b)", lists)
  try("segment", seg, "self:read()", { {} })
  try("segment", seg, "self:write(a, 'abc')", numbers(SIZE))
  lists = strings(SIZE)
  for _, list in ipairs(lists) do
    list[1], list[2] = 0, list[1]
  end
  try("segment", seg, "self:write(a, b)", lists)
  try("segment", seg, "self:write(a)", { { 1 } })
  try("slice", seg:slice(8, 100), "self:read(a, 4)", numbers(100))
  try("slice", seg:slice(8, 100), "self:write(a, 'abcd')", numbers(100))
  try("read-only", again(seg, "r"), "self:read(a, 4)", { { 1 }, { SIZE } })
  try("read-only", again(seg, "r"), "self:write(a, 'abcd')", { { 1 }, { SIZE }, { {} } })
end

-- Bits that are no number, and next to them: LuaJIT takes some of them for a value of another type.
function groups.nans()
  local seg = create(64)
  local a, f = seg:array(0, "f64", 1), seg:array(0, "f32", 2)
  local Pair = shmseg.struct("FrontNan", { { "wide", "f64" }, { "narrow", "f32" } })
  local p, q = Pair:at(seg, 0), Pair:at(seg, 8)
  local calls = {
    { seg, "self:get_f64(0)" }, { a, "self[1]" }, { p, "self.wide" }, { seg, "self:get_f32(4)" },
    { f, "self[2]" }, { q, "self.narrow" }, { seg, "self:get_i64(0)" }, { seg, "self:get_bool(7)" },
  }
  for _, top in ipairs {
    "7F F0", "7F F8", "7F EF", "FF F0", "FF F8", "FF F7", "FF FF", "FF FE", "FF FD", "FF FC",
    "FF FA", "FF F9", "7F 80", "7F C0", "FF 80", "FF C0", "80 00", "00 00",
  } do
    for _, low in ipairs {
      "\0\0\0\0\0\0", "\1\0\0\0\0\0", "\255\255\255\255\255\255", "\0\0\0\0\0\8",
    } do
      local high = top:gsub("(%x%x) ?", function(byte) return string.char(tonumber(byte, 16)) end)
      seg:write(0, low .. high:reverse())
      seg:write(16, high:reverse():rep(2))
      for _, call in ipairs(calls) do
        try(top, call[1], call[2], { {} })
      end
    end
  end
end

-- Each change of a handle, and what each way to its bytes says then.
function groups.changes()
  local far = 8192
  local ways = {
    { "segment", function(seg) return seg end, {
      "self:get_i32(a)", "self:set_i32(a, 7)", "self:get_f64(a)", "self:set_bool(a, true)",
      "self:get_u64(a)", "self:read(a, 4)", "self:write(a, 'abcd')",
    }, { { 16 }, { far } } },
    { "slice", function(seg) return seg:slice(16) end, {
      "self:get_i32(a)", "self:set_i32(a, 7)", "self:read(a, 4)", "self:write(a, 'abcd')",
    }, { { 16 }, { far - 16 } } },
    { "array", function(seg) return seg:array(16, "i32", 2044) end, {
      "self[a]", "do self[a] = 7", "#self",
    }, { { 1 }, { 2044 } } },
    { "record", function(seg) return Shape:at(seg, 8192 - Shape.size + 4) end, {
      "self.f_i32", "do self.f_i32 = 7", "self.name", "self.f_f64", "self.inner.x",
      "do self.name = 'abc'",
    }, { { 1 } } },
    { "atomic", function(seg) return seg:atomic(far - 4, "u32") end, {
      "self:load()", "self:add(a)", "self:store(a)", "self:cas(a, 1)", "self:swap(a)",
      "self:band(a)",
    }, { { 1 } } },
    { "atomic", function(seg) return seg:atomic(far - 8, "i64") end, {
      "self:load()", "self:add(a)", "self:store(a)", "self:cas(a, 1)",
    }, { { 1 } } },
  }
  local function run(way, call, what)
    local seg = create(8192 + 4)
    local peer = again(seg, "rw")
    local self = way[2](seg)
    local changes = {
      cut = {
        { "a peer cuts it", function() return peer:resize(4096) end },
        { "refreshed", function() return seg:refresh() end },
        { "a peer makes it longer again", function() return peer:resize(8192 + 4) end },
        { "refreshed again", function() return seg:refresh() end },
      },
      grown = {
        { "a peer makes it longer", function() return peer:resize(3 * SIZE) end },
        { "refreshed", function() return seg:refresh() end },
        { "longer still", function() return seg:resize(40 * SIZE) end },
      },
      closed = {
        { "closed", function() return seg:close() end },
        { "closed twice", function() return seg:close() end },
      },
      ["slice closed"] = {
        { "closed", function() return self:close() end },
      },
    }
    try_changes(way[1], self, call, way[4], changes[what])
    peer:unlink()
    peer:close()
    seg:close()
  end
  for _, way in ipairs(ways) do
    for _, call in ipairs(way[3]) do
      run(way, call, "cut")
      run(way, call, "grown")
      run(way, call, "closed")
      if way[1] == "slice" then
        run(way, call, "slice closed")
      end
    end
  end
end

-- --- arrays, records, atomics -------------------------------------------------------------------

function groups.arrays()
  local seg = create()
  for _, type in ipairs(scalars) do
    local a = seg:array(24, type.name, 10)
    try("array of " .. type.name, a, "self[a]", numbers(11))
    for _, key in ipairs { "get", "set", "totable", "nothing", "fill", 10, 11 } do
      try("array of " .. type.name, a, "self[a]", { { key } })
    end
    try("array of " .. type.name, a, "do self[a] = b", values(type, 2))
    local lists = numbers(11)
    for _, list in ipairs(lists) do
      list[2] = ordinary(type)
    end
    try("array of " .. type.name, a, "do self[a] = b", lists)
    try("array of " .. type.name, a, "#self", { {} })
    try("read-only", again(seg, "r"):array(24, type.name, 10), "do self[a] = b", {
      { 1, ordinary(type) }, { 99, {} },
    })
    try("of no elements", seg:array(24, type.name, 0), "self[a]", { { 1 }, { 0 } })
    local unaligned = seg:array(17, type.name, 10)
    try("unaligned", unaligned, "self[a]", { { 2 }, { 3 } })
  end
  local structs = Shape:array(seg, 8, 5)
  try("array of structs", structs, "self[a].f_i32", numbers(6))
  try("array of structs", structs, "do self[a] = { f_i32 = 5 }", { { 1 }, { 6 } })
  local record = Shape:at(seg, 0)
  try("array of a record", record.list, "self[a]", numbers(4))
  try("array of a record", record.list, "do self[a] = 5", numbers(4))
end

function groups.records()
  local seg = create()
  local record = Shape:at(seg, 3)
  for _, type in ipairs(scalars) do
    local field = "f_" .. type.name
    try("record", record, "self." .. field, { {} })
    local lists = {}
    for _, list in ipairs(values(type, 0)) do
      lists[#lists + 1] = { list[2], n = 1 }
    end
    try("record", record, "do self." .. field .. " = a", lists)
    try("record", record, "self." .. field, { {} })
    try("read-only", Shape:at(again(seg, "r"), 3), "do self." .. field .. " = a", {
      { ordinary(type) }, { {} },
    })
  end
  local lists = strings(12)
  try("record", record, "do self.name = a", lists)
  try("record", record, "self.name", { {} })
  try("record", record, "do self.text = a", strings(300))
  try("record", record, "self.text", { {} })
  try("record", record, "self.inner.x", { {} })
  try("record", record, "do self.inner.x = a", { { 5 }, { 1e6 }, { "x" }, { nil, n = 1 } })
  try("record", record, "do self.inner = { x = a }", { { 5 }, { "x" }, { nil, n = 1 } })
  try("record", record, "self.list[a]", { { 1 }, { 4 }, { "x" } })
  try("record", record, "do self.list[a] = 6", { { 1 }, { 4 }, { "x" } })
  local names = {
    { "f_i32" }, { "nothing" }, { "" }, { 1 }, { nil, n = 1 }, { true }, { {} }, { nan }, { one },
  }
  try("record", record, "self[a]", names)
  try("record", record, "do self[a] = 7", names)
  local meta = debug.getmetatable(record)
  for _, other in ipairs {
    Other:at(seg, 0), seg, seg:array(0, "i32", 2), io.stdout, {}, 5, "x", one,
  } do
    show("__index", pcall(meta.__index, other, "f_i32"))
    show("__newindex", pcall(meta.__newindex, other, "f_i32", 7))
  end
  for i = 1, 3 do
    Shape:at(seg, 100 * i, record)
    try("aimed anew", record, "self.f_u32", { {} })
    try("aimed anew", record, "do self.f_u32 = a", { { i } })
    try("aimed anew", record, "self.name", { {} })
  end
end

function groups.atomics()
  local operands = numbers(1000)
  for _, value in ipairs {
    2, 5, -5, 2 ^ 31 - 1, 2 ^ 32 - 1, 2 ^ 32 + 5, 2 ^ 53 - 1, -2 ^ 32, 2 ^ 63 + 2 ^ 12,
    -2 ^ 63 - 2 ^ 12, scalars.int64(5), scalars.uint64(2 ^ 32 - 1, 2 ^ 32 - 1),
    scalars.int64(1, 2 ^ 31), scalars.uint64(1, 2 ^ 21),
  } do
    operands[#operands + 1] = { value }
  end
  for _, type in ipairs { "i32", "u32", "i64", "u64" } do
    local seg = create()
    local n, start = seg:atomic(64, type), { 5, 0 }
    if type:find "64" then
      start[3], start[4] = scalars.int64(1, 2 ^ 21), -2 ^ 53
    else
      start[3] = -1
    end
    for _, first in ipairs(start) do
      n:store(first)
      try(type, n, "self:load()", { {} })
      for _, method in ipairs { "store", "add", "sub", "band", "bor", "bxor", "swap" } do
        n:store(first)
        try(type .. " from " .. tostring(first), n, "self:" .. method .. "(a)", operands)
      end
      n:store(first)
      local pairs_of = {}
      for _, list in ipairs(operands) do
        pairs_of[#pairs_of + 1] = { first, list[1], n = 2 }
        pairs_of[#pairs_of + 1] = { list[1], first, n = 2 }
      end
      try(type, n, "self:cas(a, b)", pairs_of)
    end
    try("read-only", again(seg, "r"):atomic(64, type), "self:load()", { {} })
    for _, method in ipairs { "store", "add", "swap" } do
      try("read-only", again(seg, "r"):atomic(64, type), "self:" .. method .. "(a)", {
        { 1 }, { "x" },
      })
    end
    try("read-only", again(seg, "r"):atomic(64, type), "self:cas(a, b)", { { 1, 2 } })
  end
end

-- --- objects ------------------------------------------------------------------------------------

local codec = {
  encode = function(value)
    if value == "bad" then
      error "this cannot be encoded"
    end
    return type(value) == "table" and "table" or value == "none" and 5 or tostring(value)
  end,
  decode = function(bytes)
    if bytes == "undecodable" then
      error "this cannot be decoded"
    end
    return bytes ~= "nothing" and { bytes } or nil
  end,
}

local function open(kind, options)
  local object_name = name()
  local object = assert(shmseg[kind].open(object_name, "x", options))
  return object, object_name
end

local function cut(object_name)
  local seg = assert(shmseg.open(object_name))
  local ok, size, message = pcall(seg.resize, seg, 1)
  seg:close()
  return ok, size, message
end

-- The ends of an object: its peer cuts it; it is closed.
local function ends(title, self, object_name, calls, prepare)
  for _, call in ipairs(calls) do
    try(title .. ", cut", self, call, { { "k" } }, nil)
    show("cut", true, 1, (cut(object_name)))
    try(title .. ", cut", self, call, { { "k" } }, prepare)
  end
  self:close()
  for _, call in ipairs(calls) do
    try(title .. ", closed", self, call, { { "k" }, { {} }, { nil, n = 1 } }, prepare)
  end
end

function groups.cells()
  local c, cell_name = open("cell", { capacity = 2000 })
  try("empty cell", c, "self:get()", { {} })
  try("cell", c, "self:set(a)", strings(2000))
  for _, list in ipairs(strings(2000)) do
    c:set(type(list[1]) == "string" and #list[1] <= 2000 and list[1] or "x")
    try("cell", c, "self:get()", { {} })
  end
  local seg = create(100)
  try("cell", c, "self:set(a)", { { seg }, { seg:slice(3, 9) }, { c:segment() } })
  try("cell", c, "self:get(a)", { { 1 } })
  try("read-only", assert(shmseg.cell.open(cell_name, "r")), "self:get()", { {} })
  try("read-only", assert(shmseg.cell.open(cell_name, "r")), "self:set(a)", { { "x" }, { {} } })
  local coded = open("cell", { capacity = 100, codec = codec })
  local coded_values = {
    { "x" }, { {} }, { "bad" }, { "none" }, { "undecodable" }, { "nothing" }, { nil, n = 1 },
  }
  try("with a codec", coded, "self:set(a)", coded_values)
  try("with a codec", coded, "self:get()", { {} }, "self:set('undecodable')")
  try("with a codec", coded, "self:get()", { {} }, "self:set('nothing')")
  try("with a codec", coded, "self:get()[1]", { {} }, "self:set('fine')")
  ends("cell", c, cell_name, { "self:get()", "self:set(a)" })
end

function groups.queues()
  local q, queue_name = open("queue", { capacity = 4096 })
  try("queue", q, "self:push(a)", strings(4096), "self:drain()")
  try("queue", q, "self:push(a, b)", timeouts, "self:drain()")
  try("full queue", q, "self:push(a, 0)", { { ("x"):rep(100) } })
  q:drain()
  try("empty queue", q, "self:pop(a)", {
    { 0 }, { -1 }, { "0" }, { "x" }, { nan }, { {} }, { 1e-9 },
  })
  for _, list in ipairs(strings(4000)) do
    local value = type(list[1]) == "string" and list[1] or "x"
    _G.message = value
    try("queue", q, "self:pop(a)", { { 0 }, { nil, n = 0 }, { 5 } }, "self:push(message)")
  end
  try("queue", q, "self:pop(a)", {
    { 0 }, { null }, { zero }, { "x" }, { nan }, { {} }, { true }, { one },
  }, "self:push('a') self:drain() self:push('b')")
  local seg = create(100)
  try("queue", q, "self:push(a)", { { seg }, { seg:slice(3, 9) }, { q:segment() } }, "self:drain()")
  try("read-only", assert(shmseg.queue.open(queue_name, "r")), "self:push(a)", { { "x" }, { {} } })
  try("read-only", assert(shmseg.queue.open(queue_name, "r")), "self:pop(0)", { {} })
  local coded = open("queue", { capacity = 1000, codec = codec })
  for _, value in ipairs { "x", {}, "bad", "none", "undecodable", "nothing" } do
    try("with a codec", coded, "self:push(a)", { { value } }, "pcall(self.drain, self)")
    try("with a codec", coded, "self:pop(0)", { {} })
  end
  for i = 1, 3 do
    q:push("left " .. i)
  end
  q:shutdown()
  try("shut queue", q, "self:push(a)", { { "x" }, { {} } })
  try("shut queue", q, "self:pop(a)", { { 0 }, { nil, n = 0 }, { 0 }, { "x" } })
  local other, other_name = open("queue", { capacity = 10000 })
  ends("queue", other, other_name, { "self:push(a, 0)", "self:pop(0)" })
end

function groups.broadcasts()
  local b, broadcast_name = open("broadcast", { capacity = 4096 })
  local s = b:subscribe()
  try("broadcast", b, "self:publish(a)", strings(2000))
  try("left behind", s, "self:next(a)", { { 0 } })
  b:publish("last")
  try("empty subscription", s, "self:next(a)", { { 0 }, { -1 }, { "0" }, { "x" }, { nan }, { {} } })
  _G.publish = function() b:publish(_G.message) end
  for _, list in ipairs(strings(2000)) do
    _G.message = type(list[1]) == "string" and #list[1] <= 1000 and list[1] or "x"
    try("subscription", s, "self:next(a)", { { 0 }, { nil, n = 0 }, { 5 } }, "publish()")
  end
  try("subscription", s, "self:next(a)", { { 0 }, { null }, { zero }, { "x" } }, "publish()")
  local seg = create(100)
  try("broadcast", b, "self:publish(a)", { { seg }, { seg:slice(3, 9) }, { b:segment() } })
  local reader = assert(shmseg.broadcast.open(broadcast_name, "r"))
  try("read-only", reader, "self:publish(a)", { { "x" }, { {} } })
  try("read-only", reader:subscribe("oldest"), "self:next(0)", { {} })
  local coded = open("broadcast", { capacity = 1000, codec = codec })
  local subscription = coded:subscribe()
  for _, value in ipairs { "x", {}, "bad", "none", "undecodable", "nothing" } do
    try("with a codec", coded, "self:publish(a)", { { value } })
    try("with a codec", subscription, "self:next(0)", { {} })
  end
  s:close()
  try("closed subscription", s, "self:next(a)", { { 0 }, { "x" } })
  local last = b:subscribe()
  b:publish("left")
  b:shutdown()
  try("shut broadcast", b, "self:publish(a)", { { "x" }, { {} } })
  try("shut broadcast", last, "self:next(a)", { { 0 }, { 0 } })
  b:close()
  try("of a closed broadcast", last, "self:next(a)", { { 0 }, { "x" } })
  local other, other_name = open("broadcast", { capacity = 10000 })
  local tail = other:subscribe()
  try("cut", tail, "self:next(0)", { {} })
  ends("broadcast", other, other_name, { "self:publish(a)" })
  try("cut", tail, "self:next(0)", { {} })
end

function groups.dicts()
  local d, dict_name = open("dict", { capacity = 2 ^ 20 })
  local keys = {
    { "key" }, { "k" }, { ("k"):rep(40) }, { ("k"):rep(300) }, { ("k"):rep(65535) },
    { ("k"):rep(65536) }, { "" }, { "a\0b" }, { 5 }, { 0.5 }, { -0.0 }, { nan }, { huge },
    { 2 ^ 53 }, { 1e15 }, { 2 ^ 63 }, { true }, { false }, { nil, n = 1 }, { {} }, { print },
    { io.stdout }, { one }, { scalars.uint64(1, 2 ^ 21) },
  }
  try("no such key", d, "self:get(a)", keys)
  try("dict", d, "self:set(a, 'value')", keys)
  try("dict", d, "self:get(a)", keys)
  try("dict", d, "self:delete(a)", keys)
  try("dict", d, "self:incr(a, 1)", keys)
  try("dict", d, "self:incr(a, 1, 5)", keys)
  local lists = strings(2 ^ 20)
  for _, value in ipairs {
    0, 1, -1, 0.5, -0.0, 2 ^ 53, 2 ^ 53 - 1, 2 ^ 63, -2 ^ 63, huge, -huge, false, "5", " 5 ", "0x5",
    scalars.int64(1, 2 ^ 21), -scalars.int64(5), scalars.uint64(2 ^ 32 - 1, 2 ^ 31),
    scalars.uint64(2 ^ 32 - 1, 2 ^ 31 - 1), scalars.other_cdata[1], scalars.other_cdata[3],
  } do
    lists[#lists + 1] = { value }
  end
  for _, list in ipairs(lists) do
    list[1], list[2], list.n = "key", list[1], 2
  end
  try("dict", d, "self:set(a, b)", lists)
  for _, list in ipairs(lists) do
    d:set("key", "none")
    d:set("key", list[2])
    try("dict", d, "self:get(a)", { { "key" } })
    try("dict", d, "self:incr(a, 1)", { { "key" } })
    d:set("sum", 5)
    try("dict", d, "self:incr('sum', b)", { list })
    d:set("sum", 2 ^ 53 - 3)
    try("dict", d, "self:incr('sum', b)", { list })
    d:delete("sum")
    try("dict", d, "self:incr('sum', 1, b)", { list }, "self:delete('sum')")
  end
  local times = {
    { "t", 0 }, { "t", nil, n = 2 }, { "t", 1000 }, { "t", 0.5e-6 }, { "t", -1 }, { "t", nan },
    { "t", huge }, { "t", "5" }, { "t", "x" }, { "t", false }, { "t", true }, { "t", {} },
    { "t", 1e300 }, { "t", one }, { "t", zero }, { "t", null },
  }
  try("dict", d, "self:incr('sum', 1, nil, b)", {
    { "t", nil, n = 2 }, { "t", null }, { "t", zero }, { "t", 1 },
  }, "self:set('sum', 1)")
  try("dict", d, "self:set(a, 'v', b)", times)
  try("dict", d, "self:incr('new', 1, 0, b)", times, "self:delete('new')")
  local flags = {
    { "f", 0 }, { "f", nil, n = 2 }, { "f", 1 }, { "f", 2 ^ 31 - 1 }, { "f", 2 ^ 31 },
    { "f", 2 ^ 32 - 1 }, { "f", 2 ^ 32 }, { "f", -1 }, { "f", -2 ^ 31 }, { "f", -2 ^ 31 - 1 },
    { "f", 0.5 }, { "f", -0.5 }, { "f", nan }, { "f", "1" }, { "f", true }, { "f", false },
    { "f", {} }, { "f", one },
  }
  for _, list in ipairs(flags) do
    try("dict", d, "self:set(a, 'v', 0, b)", { list })
    try("dict", d, "self:get(a)", { list })
  end
  try("dict", d, "self:set(a)", { { "key" } })
  try("dict", d, "self:get(a)", { { "key" } })
  d:lpush("list", 1)
  try("a list", d, "self:get(a)", { { "list" } })
  try("a list", d, "self:incr(a, 1)", { { "list" } })
  try("a list", d, "self:set(a, 1)", { { "list" } })
  local reader = assert(shmseg.dict.open(dict_name, "r"))
  try("read-only", reader, "self:get(a)", { { "list" }, { {} } })
  try("read-only", reader, "self:set(a, 1)", { { "list" }, { {} } })
  try("read-only", reader, "self:incr(a, 1)", { { "list" }, { {} } })
  local coded = open("dict", { capacity = 2 ^ 16, codec = codec })
  for _, value in ipairs { "x", {}, "bad", "none", "undecodable", "nothing", 5, true } do
    try("with a codec", coded, "self:set('key', a)", { { value } })
    try("with a codec", coded, "self:get('key')", { {} })
    try("with a codec", coded, "self:incr('key', 1)", { {} })
  end
  local small = open("dict", { capacity = 2 ^ 15, evict = "none" })
  for i = 1, 400 do
    small:set("fill " .. i, ("x"):rep(100))
  end
  try("full dict", small, "self:set(a, ('x'):rep(1000))", { { "large" }, { "larger" } })
  try("full dict", small, "self:incr(a, 1, 0)", { { "sum" }, { "sum 2" } })
  local kept = open("dict", { capacity = 2 ^ 16 })
  kept:set("kept", "one")
  try("kept", kept, "self:get(a)", { { "kept" } })
  local peer = assert(shmseg.dict.open(kept:segment():name()))
  peer:set("kept", "two")
  try("changed", kept, "self:get(a)", { { "kept" } })
  peer:delete("kept")
  try("deleted", kept, "self:get(a)", { { "kept" } })
  peer:set("kept", 7)
  try("made anew", kept, "self:incr(a, 1)", { { "kept" } })
  peer:flush_all()
  try("flushed", kept, "self:incr(a, 1)", { { "kept" } })
  try("flushed", kept, "self:get(a)", { { "kept" } })
  ends("dict", d, dict_name, { "self:get(a)", "self:set(a, 1)", "self:incr(a, 1)" })
end

-- --- receivers ----------------------------------------------------------------------------------

-- Each method, with all that is not its object in the object's place.
function groups.receivers()
  local seg = create()
  local b = open("broadcast", { capacity = 1000 })
  local made = {
    seg = { seg, "get_i32", "set_i32", "get_f64", "set_u8", "get_bool", "read", "write" },
    slice = { seg:slice(3, 9) },
    array = { seg:array(0, "i32", 4) },
    record = { Shape:at(seg, 0) },
    atomic = {
      seg:atomic(0, "u32"), "load", "store", "add", "sub", "band", "bor", "bxor", "swap", "cas",
    },
    cell = { open("cell", { capacity = 100 }), "get", "set" },
    queue = { open("queue", { capacity = 100 }), "push", "pop" },
    broadcast = { b, "publish" },
    subscription = { b:subscribe(), "next" },
    dict = { open("dict", { capacity = 2 ^ 15 }), "get", "set", "incr" },
  }
  local names, wrong = {}, { "x", 5, true, {}, print, io.stdout, newproxy(true),
    one } -- luacheck: ignore newproxy
  if debug.upvalueid then
    wrong[#wrong + 1] = debug.upvalueid(groups.receivers, 1) -- a light userdata
  end
  for noun in pairs(made) do
    names[#names + 1] = noun
  end
  table.sort(names)
  for _, noun in ipairs(names) do
    wrong[#wrong + 1] = made[noun][1]
  end
  for _, noun in ipairs(names) do
    local self, meta = made[noun][1], debug.getmetatable(made[noun][1])
    local functions = { meta.__index, meta.__newindex }
    functions = { unpack(type(meta.__index) == "function" and functions or {}) }
    for i = 2, #made[noun] do
      functions[#functions + 1] = self[made[noun][i]]
    end
    for number, f in ipairs(functions) do
      local run = loop "f(self, 0, 0)"
      setfenv(run, setmetatable({ f = f }, { __index = _G }))
      run = run()
      for _ = 1, TURNS do -- as it is meant: the loop is compiled for this object
        run(1, self)
      end
      local function each(other, said)
        show(("%s %d with %s"):format(noun, number, said), run(1, other))
        show(("%s %d with %s compiled"):format(noun, number, said), run(FEWER, other))
      end
      each(nil, "nil")
      for index, other in ipairs(wrong) do
        if other ~= self then
          each(other, index .. ", " .. type(other))
        end
      end
      each(setmetatable({}, meta), "a table with its metatable")
      for _, other in ipairs { newproxy(true), io.tmpfile() } do -- luacheck: ignore newproxy
        local old = debug.getmetatable(other)
        debug.setmetatable(other, meta)
        each(other, "another userdata with its metatable")
        debug.setmetatable(other, old)
      end
    end
  end
end

groups[arg[2]]()
