-- SPDX-License-Identifier: MIT
-- What the Lua peers share: time an operation in a plain for loop and print a line for it.

local name, slice = arg[1], tonumber(arg[2]) -- the shared object; nanoseconds for each operation

local peer = { name = name, path = "/dev/shm/" .. name }

local function empty(n)
  for _ = 1, n do
  end
end

--- Prints: time, operation, who, nanoseconds with the loop, nanoseconds of the empty loop.
-- @param now a clock in nanoseconds
function peer.measure(now, operation, who, run, once)
  local function timed(body, times)
    collectgarbage()
    local start = now()
    body(times)
    return now() - start
  end
  local times = 1
  local taken = timed(run, times) -- the first touch does not count
  while not once and taken < slice do
    times = math.ceil(times * math.min(10, math.max(1.3, 1.1 * slice / math.max(taken, 1))))
    taken = timed(run, times)
  end
  taken = timed(run, times)
  local loop = once and 0 or timed(empty, times)
  print(("time\t%s\t%s\t%.3f\t%.3f"):format(operation, who, taken / times, loop / times))
end

return peer
