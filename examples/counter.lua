-- SPDX-License-Identifier: MIT
-- Counts in shared memory. Start it in several terminals at the same time; Ctrl-C ends it.
--   lua counter.lua [NAME]

local shmseg = require "shmseg"

local segment = assert(shmseg.open(arg[1] or "counter", "c", 4))
local counter = segment:atomic(0, "u32")   -- one word that every process changes in one step

for _ = 1, 1000000 do
  counter:add(1)                           -- nobody's addition is lost
end
counter:notify()                           -- wakes those who wait below

-- From here on Ctrl-C ends the wait and not the program.
local stop = shmseg.signals("INT", "TERM")
io.stdout:setvbuf("line")
local count = counter:load()
repeat
  print(count)
  count = counter:wait(count)              -- sleeps until the word is another
until not count
stop:close()
segment:unlink()                           -- who has it open keeps it
