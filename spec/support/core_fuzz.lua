-- SPDX-License-Identifier: MIT
-- Calls all that Lua can reach of the core with arguments at random, wrong ones above all: the
-- process must live. Prints how many functions there are, and a line "alive" at the end.
--
--   core_fuzz.lua PREFIX FOLDER SEED CALLS    names begin with the prefix; files are in the folder

local core = require "shmseg.core"
require "shmseg" -- which adds methods in Lua

local prefix, folder, seed, calls = arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4])
local unpack_table = table.unpack or unpack

-- The same numbers on every Lua.
local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end

local function pick(list)
  return list[random(#list)]
end

-- A signal that nobody takes ends every wait at once.
local stop = assert(core.signals("USR1"))
os.execute("kill -USR1 $PPID")

-- --- arguments ---------------------------------------------------------------------------------

local function nothing() end

local function broken()
  error "broken"
end

local small = { 0, 1, -1, 2, 3, 8, 16, 64, 100, 4096, 5000, 0.5, -2 ^ 31, -2 ^ 63, 0 / 0, -1 / 0 }
local numbers = {
  2 ^ 31 - 1, 2 ^ 31, 2 ^ 32, 2 ^ 53, 2 ^ 61 + 1, 2 ^ 62, 2 ^ 63, 2 ^ 64, 1e300, 1 / 0,
}
for _, n in ipairs(small) do
  numbers[#numbers + 1] = n
end
if math.type then
  for n = 0, 8 do
    numbers[#numbers + 1], numbers[#numbers + 2] = math.mininteger + n, math.maxinteger - n
  end
end
local ok, ffi = pcall(require, "ffi")
if ok and rawget(_G, "jit") then
  for _, kind in ipairs { "int64_t", "uint64_t", "int32_t", "double", "void *", "char[3]" } do
    numbers[#numbers + 1] = ffi.new(kind)
    numbers[#numbers + 1] = ffi.typeof(kind)
  end
  numbers[#numbers + 1] = ffi.cast("uint64_t", -1)
  numbers[#numbers + 1] = ffi.cast("int64_t", -1)
end

local strings = {
  "", "\0", "r", "rw", "c", "x", "i32", "u64", "f64", "bool", "char", "new", "oldest", "0", "12",
  "-1", "1e3", "0x10", "normal", "KILL", "USR2", "<i4 s1", "!16 i16 Xd", "z", "c9", "s8",
  ("x"):rep(50), ("y"):rep(300),
}
local tables = {
  {}, { 1, 2, 3 }, { "a", "b" }, { {}, {} }, { x = 1, y = {} }, { [2 ^ 53] = 1 }, { name = "x" },
  setmetatable({}, { __index = broken }), setmetatable({}, { __index = math.abs, __len = broken }),
}
local others = {
  true, false, nothing, broken, print, coroutine.create(nothing), io.stdout, io.tmpfile(), stop,
  debug.getregistry and debug.upvalueid and debug.upvalueid(pick, 1) or true,
}
local pool = {} -- ours: segments, views, objects, shapes; open and closed

local function value()
  local kind = random(8)
  if kind == 1 then
    return nil
  elseif kind <= 3 then
    return pick(numbers)
  elseif kind == 4 then
    return pick(strings)
  elseif kind == 5 then
    return pick(tables)
  elseif kind == 6 then
    return pick(others)
  end
  return pool[random(#pool)]
end

-- Neither a string nor a number, which would be somebody's name; nor memory that nobody has.
local function no_name()
  return random(2) == 1 and pick(tables) or pick(others)
end

local function name()
  local kind = random(8)
  if kind == 1 then
    return no_name()
  elseif kind == 2 then
    local long = prefix .. ("x"):rep(5000)
    return pick { "", "/", "..", prefix .. "/x", prefix .. "\0x", long }
  end
  return prefix .. random(4)
end

local function size()
  return random(6) == 1 and no_name() or pick(small)
end

-- --- shapes ------------------------------------------------------------------------------------

local sizes = { bool = 1, i8 = 1, u16 = 2, i32 = 4, u64 = 8, f32 = 4, f64 = 8, char = 5 }
local types = { "bool", "i8", "u16", "i32", "u64", "f32", "f64", "char" }
local shapes = {}

local function field(index, struct_size)
  local kind = pick(types)
  local inner = random(4) == 1 and shapes[random(#shapes + 1)] or nil
  local f = {
    name = "f" .. index, type = kind, size = inner and inner.size or sizes[kind],
    shape = inner and inner.shape, offset = random(struct_size) - 1, count = 1,
    is_array = random(3) == 1, cut = random(2) == 1,
  }
  f.count = f.is_array and random(4) or 1
  if random(3) == 1 then
    local key = pick { "name", "type", "size", "shape", "offset", "count", "is_array" }
    f[key] = value()
  end
  return f
end

local function make_shape()
  local struct_size, fields = random(100), {}
  for i = 1, random(5) - 1 do
    fields[i] = random(30) == 1 and value() or field(i, struct_size)
  end
  local given = random(20) == 1 and size() or struct_size
  if random(20) == 1 then
    fields = value()
  end
  local made, shape, functions = pcall(core.shape, given, fields)
  if made then
    pool[#pool + 1] = shape
    local one = { shape = shape, size = given, functions = functions, fields = fields }
    shapes[#shapes % 50 + 1] = one
  end
end

-- A table for the shape's fields, right more often than not.
local function record_value(shape)
  local t = {}
  for _, f in ipairs(shape.fields) do
    local v = f.type == "char" and "text" or f.type == "bool" or 1
    if random(4) == 1 then
      v = value()
    elseif f.is_array then
      v = { v, v }
    end
    t[f.name] = v
  end
  return random(10) == 1 and value() or t
end

local function use_shape()
  local shape = shapes[random(#shapes + 1)]
  if not shape then
    return
  end
  local f, given = shape.functions, record_value(shape)
  local made, bytes = pcall(f.encode, given)
  pcall(f.decode, made and bytes or value())
  pcall(f.write, value(), pool[1], pick(numbers), given)
  pcall(f.read, value(), pool[1], pick(small))
  local found, record = pcall(f.at, value(), pool[1], pick(small), value())
  if found then
    pool[random(#pool)] = record
    for _, one in ipairs(shape.fields) do
      pcall(function()
        record[one.name] = given[one.name]
        return record[one.name]
      end)
      local read, part = pcall(function()
        return record[one.name]
      end)
      if read and type(part) == "userdata" then
        pool[random(#pool)] = part
      end
    end
  end
  local listed, array = pcall(f.array, value(), pool[1], pick(small), value())
  if listed then
    pool[random(#pool)] = array
  end
end

-- --- what there is to call ---------------------------------------------------------------------

local classes = core.kinds

local function fill_pool()
  for i = #pool, 1, -1 do
    pool[i] = nil
  end
  collectgarbage()
  local segment = assert(core.anonymous(4096, 384, true))
  local closed = assert(core.anonymous(64, 384, true))
  closed:slice(0):array(0, "i32")
  pool[1], pool[2] = segment, closed
  pool[3], pool[4] = segment:slice(7, 1000), closed:slice(8)
  for _, kind in ipairs { "bool", "i8", "u32", "i64", "u64", "f32", "f64" } do
    pool[#pool + 1] = segment:array(random(9), kind, random(20))
    pool[#pool + 1] = closed:array(0, kind)
  end
  pool[#pool + 1], pool[#pool + 2] = segment:atomic(0, "u32"), segment:atomic(8, "i64")
  pool[#pool + 1] = core.from_fd(segment:fd(), "r")
  for _, class in ipairs(classes) do
    local place = assert(core.anonymous(16384, 384, true))
    local object = assert(core[class].open(place, "c", { capacity = 512, permits = 3 }))
    pool[#pool + 1] = object
    pool[#pool + 1] = object.subscribe and object:subscribe() or nil
    pool[#pool + 1] = class == "event" and object:watch() or nil
    local ended = assert(core[class].open(place, "c"))
    ended:close()
    pool[#pool + 1] = ended
  end
  closed:close()
  for _, shape in ipairs(shapes) do
    pool[#pool + 1] = shape.shape
  end
end

local targets = {} -- { name, function }
local seen = {}

local function add(label, f)
  if type(f) == "function" and not seen[f] then
    seen[f] = true
    targets[#targets + 1] = { label, f }
  end
end

local function add_all(label, list)
  for key, f in pairs(list) do
    if type(f) == "table" and type(key) == "string" and key ~= "features" and key ~= "layouts" then
      add_all(label .. "." .. key, f)
    else
      add(label .. "." .. tostring(key), f)
    end
  end
end

local function collect_targets()
  fill_pool()
  add_all("core", core)
  for _, object in ipairs(pool) do
    local class = getmetatable(object)
    for key, f in pairs(class or {}) do
      if type(f) == "table" and key == "__index" then
        add_all(class.__name, f)
      else
        add((class.__name or "?") .. "." .. key, f)
      end
    end
  end
  local array = pool[1]:array(0, "i32")
  for _, method in ipairs { "get", "set", "totable", "fill", "ipairs" } do
    add("array." .. method, array[method])
  end
  add("array.next", (array:ipairs()))
  add_all("stop", getmetatable(stop).__index)
  table.sort(targets, function(a, b)
    return a[1] < b[1]
  end)
end

local takes_memory = { anonymous = true, resize = true }
local takes_name = { unlink = true, stat = true }

local function arguments(label)
  local last = label:match("%.([%w_]+)$")
  local list, n = {}, random(6) - 1
  for i = 1, 12 do
    list[i] = i <= n and value() or nil
  end
  if label == "core.open" then
    local is_file = random(2) == 1
    list[1], list[2], list[3] = name(), is_file, pick(strings)
    if is_file and type(list[1]) == "string" then
      list[1] = folder .. "/" .. random(4)
    end
    list[3] = random(4) == 1 and value() or pick { "r", "rw", "c", "x" }
    list[4], list[5], list[6], list[7] = size(), pick { 384, 256, 0, value() }, true, pick(numbers)
    list[11] = random(2) == 1 and value() or nil
    n = 11
  elseif label:find("^core%.%a+%.open_named$") then
    list[1], list[2] = name(), random(4) == 1 and value() or pick { "r", "rw", "c", "x" }
    list[3] = random(3) == 1 and value() or pick { 1, 3, 512 }
    list[4], list[5] = random(3) == 1 and value() or nil, value()
    list[6], list[7], list[8] = pick { 384, 256, 0, value() }, true, pick(small)
    n = 11
  elseif label:find("^core%.%a+%.open$") then
    if random(3) > 1 then -- one that has no bytes yet, for others cost a wait
      list[1] = core.anonymous(4096, 384, true):slice(pick { 0, 64, 8 })
    else
      list[1] = no_name()
    end
    n = 6
  elseif takes_memory[last] then
    local at = last == "resize" and 2 or 1
    list[at], list[at + 2] = size(), true
    n = math.max(n, 4)
  elseif label:find "^core%.[us]" and takes_name[last] then
    list[1], n = name(), 1
  elseif random(2) == 1 then -- a self that may be right
    list[1] = pool[random(#pool)]
    n = math.max(n, 1)
  end
  return list, n
end

local function finish(done, result)
  if not done or type(result) ~= "userdata" then
    return
  end
  local class = getmetatable(result)
  if class and class.__name == "shmseg.segment" then
    pcall(result.unlink, result)
  end
  pool[random(#pool)] = result
end

collect_targets()
for i = 1, calls do
  if i % 500 == 1 then
    fill_pool()
  end
  if i % 4 == 0 then
    make_shape()
    pcall(use_shape) -- a table of its own may raise
  end
  local target = pick(targets)
  local list, n = arguments(target[1])
  if not (list[1] == stop and target[1]:find "^stop%.") then -- which would take the signal
    finish(pcall(target[2], unpack_table(list, 1, n)))
  end
end
fill_pool()
print("\n" .. #targets .. " functions") -- behind what a call may have written
print "alive"
