-- SPDX-License-Identifier: MIT
-- Watches in luv, with the way to wait that SHMSEG_WATCH names: lua5.4 watch_luv.lua ROOT WHAT N
-- "wake": N laps, each of a block of messages through a queue and one through a pipe. "idle" and
-- "timers": 100 watches to which nothing happens in N seconds, without and with timers of theirs.

local root, what, number = arg[1], arg[2], tonumber(arg[3])
package.path = root .. "/?.lua;" .. package.path

local context = require "bench.context"
local processes = require "bench.processes"
local uv = require "luv"

context.use_tree(root)
local bench = context.open(root, 0)
local shmseg = bench.shmseg
local native = assert(bench.channel, "channel.c is not compiled")
local way = os.getenv "SHMSEG_WATCH"

local TRIPS = 500 -- in a block
local WARM = 50 -- before them
local NAP = 300000 -- nanoseconds: the reader is asleep after it
local IDLE = 100 -- watches
local MESSAGE, SIZE = "%032.0f", 32 -- when it was sent

local function print_time(operation, who, ns)
  print(("time\t%s\t%s\t%.3f\t0"):format(operation, who, ns))
end

local function queue_of(segment)
  return assert(shmseg.queue.open(segment, "c", { capacity = 1024 }))
end

-- --- from push to callback -----------------------------------------------------------------

-- The other process: for each letter, "q" or "p", that it gets, a block of messages through the
-- queue or the pipe.
local function send(name, from, to)
  local queue = assert(shmseg.queue.open(name))
  local nap, now, write = native.nap, native.now, native.write
  while true do
    local channel = native.read(from, 1)
    if channel == "e" then
      return
    end
    for _ = 1, WARM + TRIPS do
      nap(NAP)
      local message = MESSAGE:format(now())
      if channel == "q" then
        queue:push(message)
      else
        write(to, message)
      end
    end
  end
end

-- Runs the loop until a block of messages has come; gives the median of their times. `start(took)`
-- gets a function to call with each message, and gives one that ends it.
local function receive(start)
  local times, count, now = {}, 0, native.now
  local finish = start(function(message)
    local time = now() - tonumber(message)
    count = count + 1
    if count > WARM then
      times[#times + 1] = time
    end
    if count == WARM + TRIPS then
      uv.stop()
    end
  end)
  uv.run()
  finish()
  table.sort(times)
  return times[TRIPS / 2]
end

-- As doc/event-loops.md has it.
local function by_watch(queue)
  return function(took)
    local watch = assert(queue:watch "pop")
    local poll, timer = uv.new_poll(watch:fd()), uv.new_timer()
    local function look()
      local message = queue:pop(0)
      if message then
        took(message)
      end
      assert(watch:rearm())
      timer:start(1000 * watch:timeout(), 0, look)
    end
    poll:start("r", look)
    look()
    return function()
      poll:close()
      timer:close()
      watch:close()
    end
  end
end

local function by_pipe(from)
  local pipe = uv.new_pipe(false)
  pipe:open(from)
  return function(took)
    pipe:read_start(function(problem, message)
      assert(not problem, problem)
      for first = 1, #message, SIZE do -- more than one, if the processor was lost
        took(message:sub(first, first + SIZE - 1))
      end
    end)
    return function()
      pipe:read_stop()
    end
  end
end

local function wake()
  local segment, name = bench.segment(shmseg.queue.size_for { capacity = 1024 })
  local queue = queue_of(segment)
  local wait, go = native.pipe()
  local from, to = native.pipe()
  local group = processes.open(bench)
  local pid = group:start(function()
    send(name, wait, to)
  end)
  local readers = {
    { letter = "q", who = "queue, " .. way, start = by_watch(queue) },
    { letter = "p", who = "pipe, beside " .. way, start = by_pipe(from) },
  }
  for lap = 1, number do
    for i = 1, 2 do
      local reader = readers[(i + lap) % 2 + 1]
      native.write(go, reader.letter)
      print_time("from push to the callback in luv (p50)", reader.who,
        receive(reader.start))
    end
  end
  native.write(go, "e")
  group:finish(pid)
end

-- --- idle ----------------------------------------------------------------------------------

local function idle(timers)
  for _ = 1, IDLE do
    local queue = queue_of((bench.segment(shmseg.queue.size_for { capacity = 1024 })))
    local watch = assert(queue:watch "pop")
    local poll, timer = uv.new_poll(watch:fd()), uv.new_timer()
    local function look()
      queue:pop(0)
      assert(watch:rearm())
      if timers then
        timer:start(1000 * watch:timeout(), 0, look)
      end
    end
    poll:start("r", look)
    look()
  end
  local began
  uv.new_timer():start(500, 0, function()
    began = native.cpu()
  end)
  uv.new_timer():start(500 + 1000 * number, 0, function()
    local used = native.cpu() - began
    local title = ("%d idle watches, processor time in %d s"):format(IDLE, number)
    print_time(title, way .. (timers and ", with timers" or ""), used)
    uv.stop()
  end)
  uv.run()
end

-- -------------------------------------------------------------------------------------------

if shmseg.features().watch ~= way then
  print(("note\twatches by %s are not to be had here"):format(way))
elseif what == "wake" then
  wake()
else
  idle(what == "timers")
end
bench.close()
os.exit(0) -- luv 1.44 crashes where handles are being closed when its state is
