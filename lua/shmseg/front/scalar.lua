--- The scalar types in the front: text of Lua code that loads and stores them.
--
-- An access is one instruction of the interpreter (access.value), so that no hook runs in its
-- middle.
-- @module shmseg.front.scalar

-- What makes value of the bits that were read, and tells whether it is the result (is_good).
--
-- A NaN of a peer's making may be no number to LuaJIT, but a pointer. So the bits are looked at
-- first, and become a number in private memory, if they are still there: a hook can use that
-- memory, too. Every NaN is left to C.
local load_f32 = [[
      local is_good = bits >= 0 and bits <= 0x7f800000 or bits < 0 and bits <= -0x800000
      if is_good then state.scratch_i32 = bits end
      local value = is_good and state.scratch_f32
      is_good = is_good and state.scratch_i32 == bits]]

local load_f64 = [[
      local is_good = bits >= 0 and bits <= 0x7ff0000000000000LL
        or bits < 0 and bits <= -0x10000000000000LL
      if is_good then state.scratch_i64 = bits end
      local value = is_good and state.scratch_f64
      is_good = is_good and state.scratch_i64 == bits]]

-- What a number holds exactly; all else is cdata, and C's to make.
local function load_wide(least)
  return ([[
      local value = tonumber(bits)
      local is_good = value > %s and value < 0x20000000000000]]):format(least)
end

local load_bool = [[
      local value, is_good = bits ~= 0, true]]

local load_plain = [[
      local value, is_good = bits, true]]

-- Whether value is a number that the front may store; C takes more, and says what is wrong.
local function range(least, most)
  return ("type(value) == 'number' and value >= %s and value <= %s and floor(value) == value")
    :format(least, most)
end

-- size in bytes; loads, stores: the accesses of layout.lua; load: code that sets value and is_good;
-- takes: the condition for what is stored; stored: the expression of it.
local function scalar(size, loads, load, stores, takes, stored)
  return { size = size, loads = loads, load = load, stores = stores, takes = takes,
    stored = stored or "value" }
end

local wide = "0x20000000000000" -- text, since a number in decimals is rounded

return {
  bool = scalar(1, "u8", load_bool, "u8", "type(value) == 'boolean'", "value and 1 or 0"),
  i8 = scalar(1, "i8", load_plain, "i8", range(-0x80, 0x7f)),
  u8 = scalar(1, "u8", load_plain, "u8", range(0, 0xff)),
  i16 = scalar(2, "i16", load_plain, "i16", range(-0x8000, 0x7fff)),
  u16 = scalar(2, "u16", load_plain, "u16", range(0, 0xffff)),
  i32 = scalar(4, "i32", load_plain, "i32", range(-0x80000000, 0x7fffffff)),
  u32 = scalar(4, "u32", load_plain, "u32", range(0, 0xffffffff)),
  i64 = scalar(8, "i64", load_wide("-" .. wide), "i64", range("-" .. wide, wide)),
  u64 = scalar(8, "i64", load_wide "-1", "i64", range(0, wide)),
  f32 = scalar(4, "i32", load_f32, "f32",
    "type(value) == 'number' and value >= -0x1.fffffep127 and value <= 0x1.fffffep127"),
  f64 = scalar(8, "i64", load_f64, "f64", "type(value) == 'number'"),
}
