-- SPDX-License-Identifier: MIT
-- Prints, every few seconds, the line that writer.lua has put into shared memory.

local shmseg = require "shmseg"
local example = dofile((arg[0]:match("^.*/") or "") .. "example.lua")
local check, needs = example.check, example.needs

local function read(options, stop)
  local segment = needs("writer.lua", shmseg.open(options.name, "r", options.size))
  print(("shared memory pointer: 0x%x"):format(segment:pointer()))

  local lines = 0
  repeat
    local bytes = check(segment:read(0, options.size))
    print((bytes:match("^%Z*")))   -- up to the first zero byte, as C prints it
    lines = lines + 1
  until lines == options.count or stop:wait(options.interval)   -- at once, when a signal comes
  segment:close()
end

example.run([[
Prints, every few seconds, the line that writer.lua has put into shared memory.

Usage: lua reader.lua [options]
  --name NAME         the shared memory object (memory.bin)
  --size BYTES        how much of it is read (32)
  --interval SECONDS  the pause between two lines (5)
  --count LINES       stop after that many lines (never)
  --help              show this text

Start first, in another terminal:
  lua writer.lua
Then:
  lua reader.lua --interval 1
Ctrl-C ends either.
]], read, function()
  print("finally")
end)
