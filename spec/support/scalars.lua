-- SPDX-License-Identifier: MIT
-- The scalar types: values that each takes and what then is there, and values that it refuses.

local scalars = {}

local exact = math.type ~= nil -- are there 64-bit integers?
local nan = 0 / 0
local no_integers = { 1.5, nan, math.huge, -math.huge, "text", true, {}, print }

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
  for _, value in ipairs(no_integers) do
    type.bad[#type.bad + 1] = value
  end
  scalars[#scalars + 1] = type
end

local function float(name, size, good)
  local bad = { "text", true, false, {}, print }
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
  { math.huge, math.huge }, { -math.huge, -math.huge }, { 1e300, math.huge }, { "0.5", 0.5 },
})
float("f64", 8, {
  { 0, 0 }, { -1.5, -1.5 }, { 0.1, 0.1 }, { 2 ^ 53, 2 ^ 53 }, { 1e300, 1e300 },
  { math.huge, math.huge }, { -math.huge, -math.huge }, { "0.5", 0.5 },
})

--- The type of that name.
function scalars.named(name)
  for _, type in ipairs(scalars) do
    if type.name == name then
      return type
    end
  end
end

return scalars
