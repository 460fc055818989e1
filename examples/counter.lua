-- SPDX-License-Identifier: MIT
-- Processes that count together: an atomic loses no addition; reading and then writing loses many.

local shmseg = require "shmseg"
local example = dofile((arg[0]:match("^.*/") or "") .. "example.lua")
local check, needs = example.check, example.needs

local function add(options, stop)
  local segment = needs("counter.lua", shmseg.open(options.name, "rw", 128))
  local atomic = segment:atomic(0, "u32")
  for i = 1, options.adds do
    atomic:add(1)                                       -- one step: nobody gets in between
    segment:set_u32(64, check(segment:get_u32(64)) + 1) -- two steps: somebody may
    if i % 1000 == 0 and stop:wait(0) then
      break
    end
  end
  atomic:notify()                                       -- wakes the one that waits below
end

local function count(options)
  local segment = check(shmseg.open(nil, "x", 128, { temporary = true })) -- a name nobody has
  local atomic = segment:atomic(0, "u32")
  local processes = {}
  for i = 1, options.processes do
    processes[i] = example.start("add", "--name", segment:name(), "--adds", options.adds)
  end

  local total = options.processes * options.adds
  local seen = 0
  repeat
    seen = check(atomic:wait(seen, 10))                 -- sleeps until the word is another
  until seen == total
  for _, process in ipairs(processes) do
    process:close()
  end
  print(("%d processes have added 1, %d times each"):format(options.processes, options.adds))
  print(("the atomic word: %d"):format(atomic:load()))
  print(("the plain word:  %d"):format(check(segment:get_u32(64))))
end

example.run([[
Starts processes that add to two words in shared memory at the same time: to one with an atomic,
which loses nothing, to the other with get and set, which may lose a part.

Usage: lua counter.lua [options]
  --processes NUMBER  how many it starts (2)
  --adds NUMBER       how often each of them adds 1 (1000000)
  --help              show this text

There is nothing to start first. The processes that it starts run "add" with
  --name NAME         the shared memory object

For example:
  lua counter.lua --processes 4
]], { count, add = add })
