-- SPDX-License-Identifier: MIT
-- The scalar types: values that each takes and what then is there, and values that it refuses.

local scalars = {}

local exact = math.type ~= nil -- are there 64-bit integers?
local nan = 0 / 0
local no_integers = { 1.5, nan, math.huge, -math.huge, "text", true, {}, print }
local has_ffi, ffi = pcall(require, "ffi")
has_ffi = has_ffi and jit ~= nil

--- 64-bit cdata of the low and high half, or nil where there is none.
function scalars.int64(low, high)
  return has_ffi and ffi.cast("int64_t", scalars.uint64(low, high)) or nil
end

function scalars.uint64(low, high)
  return has_ffi and ffi.cast("uint64_t", high or 0) * 2 ^ 32 + low or nil
end

--- cdata that is no 64-bit integer; none where there is no FFI.
scalars.other_cdata = {}
if has_ffi then
  for _, type in ipairs { "int32_t", "uint8_t", "double", "float", "bool", "void *", "char[8]",
    "int64_t[1]", "struct { int64_t x; }", "complex" } do
    table.insert(scalars.other_cdata, ffi.new(type))
  end
  table.insert(scalars.other_cdata, ffi.typeof "int64_t") -- a ctype, which ffi.istype takes for one
  table.insert(scalars.other_cdata, ffi.typeof "uint64_t")
end

local function integer(name, bits, signed)
  local half = bits == 64 and (exact and math.mininteger or -2 ^ 63) or -(2 ^ (bits - 1))
  local type = { name = name, size = bits / 8, good = {}, bad = {} }
  local function takes(value, result)
    type.good[#type.good + 1] = { value, result == nil and value or result }
  end
  takes(0)
  takes(1)
  takes(100)
  takes("7", 7)
  if bits < 64 then
    local whole = 2 ^ bits
    takes(whole / 2 - 1)
    takes(half, not signed and whole / 2 or nil)
    takes(-1, not signed and whole - 1 or nil)
    type.bad = { half - 1, signed and whole / 2 or whole, 2 ^ 63, -2 ^ 63, 1e300 }
    if not signed then
      takes(whole - 1)
      takes(whole / 2)
    end
  elseif exact then
    takes(math.maxinteger)
    takes(half)
    takes(-1)
    takes(2 ^ 53, math.tointeger(2 ^ 53))
    type.bad = { 2 ^ 63, 2 ^ 64, -2 ^ 64, 1e300 }
  else
    takes(2 ^ 53)
    takes(2 ^ 53 - 1)
    takes(2 ^ 62)
    takes(half, not signed and 2 ^ 63 or nil)
    type.bad = { signed and 2 ^ 63 or 2 ^ 64, -2 ^ 64, 1e300 }
    if signed then
      takes(-1)
      takes(-2 ^ 53)
    else
      takes(2 ^ 63)
    end
  end
  if has_ffi then
    takes(scalars.int64(100), 100)
    takes(scalars.uint64(100), 100)
  end
  if has_ffi and bits < 64 then
    takes(ffi.cast("int64_t", half), not signed and 2 ^ bits / 2 or half)
    table.insert(type.bad, ffi.cast("int64_t", half) - 1)
    table.insert(type.bad, ffi.cast("uint64_t", signed and -half or 2 ^ bits))
    table.insert(type.bad, scalars.uint64(0, 2 ^ 31))
  elseif has_ffi then
    local odd, most = scalars.int64(1, 2 ^ 21), scalars.uint64(2 ^ 32 - 1, 2 ^ 31)
    takes(odd, signed and odd or ffi.cast("uint64_t", odd))
    takes(-odd, signed and -odd or ffi.cast("uint64_t", -odd))
    if signed then
      table.insert(type.bad, most)
    else
      takes(most)
    end
  end
  for _, list in ipairs { no_integers, scalars.other_cdata } do
    for _, value in ipairs(list) do
      table.insert(type.bad, value)
    end
  end
  scalars[#scalars + 1] = type
end

local function float(name, size, good, bad)
  for _, value in ipairs { "text", true, false, {}, print } do
    table.insert(bad, value)
  end
  if has_ffi then
    table.insert(good, { scalars.int64(100), 100 })
    table.insert(good, { -scalars.int64(0, 2 ^ 20), -2 ^ 52 })
    table.insert(good, { scalars.uint64(0, 2 ^ 31), 2 ^ 63 })
  end
  for _, value in ipairs(scalars.other_cdata) do
    table.insert(bad, value)
  end
  scalars[#scalars + 1] = { name = name, size = size, good = good, bad = bad }
end

scalars[1] = {
  name = "bool",
  size = 1,
  good = { { true, true }, { false, false } },
  bad = { 0, 1, "true", {}, print },
}
for bits = 3, 6 do
  integer("i" .. ("%d"):format(2 ^ bits), 2 ^ bits, true)
  integer("u" .. ("%d"):format(2 ^ bits), 2 ^ bits, false)
end
float("f32", 4, {
  { 0, 0 }, { -1.5, -1.5 }, { 0.1, 0.100000001490116119384765625 }, { 2 ^ 24 + 1, 2 ^ 24 },
  { math.huge, math.huge }, { -math.huge, -math.huge }, { "0.5", 0.5 },
  { 2 ^ 128 - 2 ^ 104, 2 ^ 128 - 2 ^ 104 }, { 2 ^ 128 - 2 ^ 103 - 2 ^ 80, 2 ^ 128 - 2 ^ 104 },
}, { 2 ^ 128, -2 ^ 128, 2 ^ 128 - 2 ^ 103, 1e300, "-1e300" })
float("f64", 8, {
  { 0, 0 }, { -1.5, -1.5 }, { 0.1, 0.1 }, { 2 ^ 53, 2 ^ 53 }, { 1e300, 1e300 },
  { math.huge, math.huge }, { -math.huge, -math.huge }, { "0.5", 0.5 },
}, {})

--- The type of that name.
function scalars.named(name)
  for _, type in ipairs(scalars) do
    if type.name == name then
      return type
    end
  end
end

return scalars
