-- SPDX-License-Identifier: MIT
-- OpenResty's shared dict, in nginx workers that have nothing else to do: nginx runs this when a
-- worker starts, with the number of workers. Prints lines as harness.lua does, then ends nginx.

local workers, rounds, keys = ...
local ffi = require "ffi"
local ngx = ngx -- luacheck: globals ngx
local d, written, sync = ngx.shared.bench, ngx.shared.written, ngx.shared.sync

ffi.cdef [[
  typedef struct { long seconds, nanoseconds; } bench_time;
  int clock_gettime(int clock, bench_time *time);
  int getppid(void);
  int kill(int pid, int signal);
]]
local time = ffi.new("bench_time")
local TERM = 15
local CLOCK = workers == 1 and 2 or 1 -- the processor time of the process, or the monotonic clock

local function now()
  ffi.C.clock_gettime(CLOCK, time)
  return tonumber(time.seconds) * 1e9 + tonumber(time.nanoseconds)
end

local me = ngx.worker.id()
local meetings = 0

-- All workers have come here.
local function meet()
  meetings = meetings + 1
  local name = "meeting " .. meetings
  sync:incr(name, 1, 0)
  while sync:get(name) < workers do
  end
end

-- Runs run(n) in all workers at once. The first one prints the time of an operation.
local function measure(operation, who, n, run)
  collectgarbage()
  collectgarbage()
  meet()
  local start = now()
  run(n)
  local stop = now()
  sync:set("start " .. me, start)
  sync:set("stop " .. me, stop)
  meet()
  if me == 0 then
    for i = 1, workers - 1 do
      start = math.min(start, sync:get("start " .. i))
      stop = math.max(stop, sync:get("stop " .. i))
    end
    local taken = (stop - start) / n / workers
    io.stdout:write(("time\t%s\t%s\t%.3f\t0\n"):format(operation, who, taken))
  end
  meet()
end

-- What is read has other values than what is written: LuaJIT makes each string once, and need not
-- make those that it has. Both are as many as in dict.lua.
local order, values = {}, {}
for i = 1, keys do
  order[i] = i
end
math.randomseed(me + 1)
for i = keys, 2, -1 do
  local j = math.random(i)
  order[i], order[j] = order[j], order[i]
end
for i = 1, keys do
  order[i] = ("key:%012d"):format(order[i])
end

for i = 1, 1000 do
  values[i] = ("%064d"):format(i)
end

local function fill()
  for i = 1, keys do
    d:set(order[i], ("%064d"):format(i + keys))
  end
  d:set("hot", 0)
end

local function sets(n)
  for i = 1, n do
    written:set(order[i], values[i % 1000 + 1])
  end
end

local function gets(n)
  local x
  for i = 1, n do
    x = d:get(order[i])
  end
  return x
end

local function gets_hot(n)
  local x
  for i = 1, n do
    x = d:get(order[i % 1000 + 1])
  end
  return x
end

local function incrs(n)
  local x
  for _ = 1, n do
    x = d:incr("hot", 1)
  end
  return x
end

local function run()
  local many = workers == 1 and "one process" or "two processes"
  local function who(operation)
    return ("OpenResty, %s, %s"):format(operation, many)
  end
  if me == 0 then
    fill()
  end
  meet()
  sets(keys)
  gets(keys)
  incrs(keys)
  for _ = 1, rounds do
    measure("get, " .. many, who("get"), keys, gets)
    measure("set, " .. many, who("set"), keys, sets)
    measure("get of 1,000 keys, " .. many, who("get of 1,000 keys"), keys, gets_hot)
    measure("incr of one key, " .. many, who("incr"), keys, incrs)
  end
end

local good, message = pcall(run)
if not good then
  io.stderr:write("bench: ", message, "\n")
end
io.stdout:flush()
if me == 0 or not good then
  ffi.C.kill(ffi.C.getppid(), TERM)
end
