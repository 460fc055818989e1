-- SPDX-License-Identifier: MIT
-- Writes a line of random letters into shared memory every few seconds; reader.lua reads them.

local shmseg = require "shmseg"
local example = dofile((arg[0]:match("^.*/") or "") .. "example.lua")
local check = example.check

local function seed_random()
  local source = assert(io.open("/dev/urandom", "rb"))
  local a, b, c = source:read(3):byte(1, 3)
  source:close()
  math.randomseed(a * 65536 + b * 256 + c)
end

local function random_letters(count)
  local letters = {}
  for i = 1, count do
    letters[i] = string.char(math.random(65, 90))
  end
  return table.concat(letters)
end

local function write(options, stop)
  -- temporary: what this has created goes when it closes, also by an error that ends the program.
  -- What was there is another writer's, or what a killed one has left.
  local segment = check(shmseg.open(options.name, "c", options.size, {
    perm = "644",
    temporary = true,
  }))
  print("Allocate shared memory.")
  print(("shared memory pointer: 0x%x"):format(segment:pointer()))

  seed_random()
  local lines = 0
  repeat
    local line = random_letters(options.size)
    check(segment:write(0, line))   -- one copy, but not one step: a reader can see half of it
    print(line)
    lines = lines + 1
  until lines == options.count or stop:wait(options.interval)   -- at once, when a signal comes
  segment:close()
end

example.run([[
Writes a line of random letters into shared memory every few seconds.

Usage: lua writer.lua [options]
  --name NAME         the shared memory object (memory.bin)
  --size BYTES        its size, and that of a line (32)
  --interval SECONDS  the pause between two lines (5)
  --count LINES       stop after that many lines (never)
  --help              show this text

Start it, for example with a line each second:
  lua writer.lua --interval 1
Then, in another terminal:
  lua reader.lua --interval 1
Ctrl-C ends either.
]], write, function()
  print("finally")
end)
