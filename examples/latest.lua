-- SPDX-License-Identifier: MIT
-- The demo without a torn line: from a cell readers get each line whole, however long it is.

local shmseg = require "shmseg"
local example = dofile((arg[0]:match("^.*/") or "") .. "example.lua")
local check, needs = example.check, example.needs

local function write(options, stop)
  local cell = check(shmseg.cell.open(options.name, "c", { capacity = 65536, temporary = true }))
  local number = 0
  repeat
    local letter = string.char(math.random(65, 90))
    check(cell:set(letter:rep(math.random(60))))            -- all at once, for everybody
    number = number + 1
    print("line " .. number)
  until number == options.count or stop:wait(options.interval)
  cell:unlink()                                             -- who comes later begins anew
  cell:set ""                                               -- readers end at an empty line
end

local function read(options, stop)
  local cell = needs("latest.lua write", shmseg.cell.open(options.name, "r"))
  local lines = 0
  for line, version in cell:changes() do                    -- sleeps until there is another one
    if line == "" then
      break
    end
    print(version, line)
    lines = lines + 1
    if lines == options.count or stop:wait(0) then
      break
    end
  end
end

example.run([[
One process writes lines into a cell. Others read the latest one, and never a half of it.

Usage: lua latest.lua write [options]
       lua latest.lua read [options]
  --name NAME         the shared memory object (latest)
  --count LINES       stop after that many (100)
  --interval SECONDS  the writer's pause between two lines (1)
  --help              show this text

Start first:
  lua latest.lua write
Then, in as many other terminals as you like:
  lua latest.lua read
Readers end with the writer. Ctrl-C ends each.
]], { write = write, read = read })
