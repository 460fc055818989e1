-- SPDX-License-Identifier: MIT
-- Writes a line of random letters into shared memory every few seconds; reader.lua reads them.

local shmseg = require "shmseg"
local parse = dofile((arg[0]:match("^.*/") or "") .. "options.lua")

local options = parse("writer.lua", arg)

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

local function write_lines(segment, stop)
  local lines = 0
  repeat
    local line = random_letters(options.size)
    local written, message = segment:write(0, line)
    if not written then
      return nil, message
    end
    print(line)
    lines = lines + 1
  until lines == options.count or stop:wait(options.interval)
  return true
end

local function run(stop)
  -- temporary: what this has created goes when it closes, also by an error that ends the program.
  -- What was there is another writer's, or what a killed one has left.
  local segment, message = shmseg.open(options.name, "c", options.size, {
    perm = "644",
    temporary = true,
  })
  if not segment then
    return nil, message
  end
  print("Allocate shared memory.")
  print(("shared memory pointer: 0x%x"):format(segment:pointer()))

  local ok
  ok, message = write_lines(segment, stop)
  segment:close()
  return ok, message
end

io.stdout:setvbuf("line")
seed_random()

-- From here on a signal ends the wait between two lines, so that what follows the loop always runs.
local stop = shmseg.signals("INT", "TERM", "HUP", "PIPE")
local ok, message = run(stop)
if not ok then
  io.stderr:write("writer.lua: ", message, "\n")
end
print("finally")
os.exit(ok and 0 or 1)
