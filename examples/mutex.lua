-- SPDX-License-Identifier: MIT
-- Two numbers in shared memory that belong together; one process at a time changes them.
-- When a process is killed half way, the next one is told, and mends them.

local shmseg = require "shmseg"
local example = dofile((arg[0]:match("^.*/") or "") .. "example.lua")
local check = example.check

local ours

local function add(options, stop)
  local sums = check(shmseg.open(options.name, "c", 192))
  local mutex = check(shmseg.mutex.open(sums:slice(64), "c"))   -- it lies beside what it protects
  ours = sums                                                   -- and is no other program's
  for _ = 1, options.count do
    local _, abandoned = mutex:lock()
    if abandoned then
      print "somebody has died here: the second number is made equal to the first"
      sums:set_u64(8, sums:get_u64(0))
    end
    sums:set_u64(0, check(sums:get_u64(0)) + 1)
    print(check(sums:get_u64(0)), check(sums:get_u64(8)), "half way")
    local signal = stop:wait(options.interval)                  -- hard work, in the middle of it
    sums:set_u64(8, check(sums:get_u64(8)) + 1)
    print(check(sums:get_u64(0)), check(sums:get_u64(8)))
    mutex:unlock()
    if signal or not shmseg.sleep(options.interval / 10) then   -- leaves the others a chance
      break
    end
  end
end

local function finally()
  if ours then
    ours:unlink()   -- who has it open keeps it; who comes later begins anew
  end
end

example.run([[
Adds 1 to two numbers in shared memory, to one after the other, and prints both each time. A lock
lets one process at a time do that.

Usage: lua mutex.lua [options]
  --name NAME         the shared memory object (sums)
  --count ROUNDS      so many rounds (100)
  --interval SECONDS  how long each of them takes (0.5)
  --help              show this text

Start it in two or three terminals; they take turns:
  lua mutex.lua
Ctrl-\ kills one: press it where the last line says "half way". Another one notices it, and goes on.
Ctrl-C ends each in order.
]], add, finally)
