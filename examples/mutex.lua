-- SPDX-License-Identifier: MIT
-- Adds to a number in shared memory, one process at a time. Start it in several terminals, and kill
-- one of them (kill -9): the next one takes the lock, is told, and goes on.
--   lua mutex.lua [NAME]

local shmseg = require "shmseg"

local name = arg[1] or "sums"
local sums = assert(shmseg.open(name, "c", 192))
local mutex = assert(shmseg.mutex.open(sums:slice(64), "c"))   -- it lies beside what it protects
local stop = shmseg.signals("INT", "TERM")

repeat
  local _, abandoned = mutex:lock()
  if abandoned then
    print "somebody has died here"
    sums:set_u64(8, sums:get_u64(0))       -- the two may differ: make them agree
  end
  sums:set_u64(0, sums:get_u64(0) + 1)     -- two words that belong together
  sums:set_u64(8, sums:get_u64(8) + 1)
  print(sums:get_u64(0), sums:get_u64(8))
  mutex:unlock()
until stop:wait(0.5)

stop:close()
sums:unlink()                              -- who has it open keeps it
