-- SPDX-License-Identifier: MIT
-- Structs in shared memory, laid out as a C compiler lays them out.

local shmseg = require "shmseg"
local example = dofile((arg[0]:match("^.*/") or "") .. "example.lua")
local check = example.check

local Place = shmseg.struct("Place", { { "x", "f64" }, { "y", "f64" } })
local Point = shmseg.struct("Point", {
  { "id", "u32" },
  { "name", "char", 12 },
  { "place", Place },
  { "history", Place, 4 },
})

local function show()
  print(Point:cdef())                            -- what a C program includes to read the same bytes
  print(Point.size, Point:offset("place.y"))

  local segment = check(shmseg.anonymous(Point.size * 3))
  local points = Point:array(segment, 0)

  -- A whole record at once, as a table; fields that are left out stay as they are.
  points[1] = { id = 1, name = "first", place = { x = 0.5, y = 1.5 } }
  points[2] = { id = 2, name = "second" }

  -- A record: its fields are the bytes themselves.
  local point = points[2]
  point.place.x = 2.5
  point.history[4] = { x = 7 }
  print(point.name, point.place.x, point.history[4].x)

  -- One record, aimed at one place after another, makes no garbage.
  for offset = 0, #segment - Point.size, Point.size do
    Point:at(segment, offset, point)
    point.id = point.id + 100
  end
  for i, each in points:ipairs() do
    print(i, each.id, each.name)
  end

  -- Without a segment: a struct is a codec.
  local bytes = Point.encode { id = 9, name = "ninth" }
  print(#bytes, Point.decode(bytes).name)
end

example.run([[
Shows structs in memory: their C, their fields in place, an array of them, and a struct as bytes.

Usage: lua points.lua [options]
  --help   show this text

There is nothing to start first.
  lua points.lua
]], show)
