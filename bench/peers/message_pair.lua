-- SPDX-License-Identifier: MIT
-- Messages between two Lua processes: lua5.4 message_pair.lua ROOT SLICE LAPS HELPER
-- The other process is a fork with handles of its own. Prints lines as harness.lua does.

local root, slice, laps, helper = arg[1], tonumber(arg[2]), tonumber(arg[3]), arg[4]
package.path = root .. "/?.lua;" .. package.path

local context = require "bench.context"
context.use_tree(root)
local bench = context.open(root, slice)
local shmseg = bench.shmseg
local native = assert(package.loadlib(helper, "luaopen_channel"))()
local now, cpu = native.now, native.cpu

local KILL = 9
local TIME = 10 -- slices of processor time
local BYTES = 256 * 1024 * 1024 -- of a transfer, at most
local TRIPS = 1000 -- in a lap
local NAP = 200000 -- nanoseconds: both sides are asleep after it
local SIZES = { { 16, "16 bytes" }, { 256, "256 bytes" }, { 4096, "4 KiB" }, { 65536, "64 KiB" },
  { 1048576, "1 MiB" } }

local function print_time(operation, who, ns)
  print(("time\t%s\t%s\t%.3f\t0"):format(operation, who, ns))
end

--- Runs body() in another process.
local function start(body)
  local pid = native.fork()
  if pid ~= 0 then
    return pid
  end
  local good, message = xpcall(body, debug.traceback)
  if not good then
    io.stderr:write("bench: ", tostring(message), "\n")
  end
  native.exit(good and 0 or 1)
end

local function finish(pid, signal)
  local status = native.finish(pid, signal)
  assert(signal or status == 0, "the other process failed")
end

--- Processes that do body() again and again while run() does, and have begun.
local function beside(count, body, run)
  local from, to = native.pipe()
  local pids = {}
  for i = 1, count do
    pids[i] = start(function()
      local turn = body()
      turn()
      native.write(to, "!")
      while true do
        turn()
      end
    end)
  end
  native.close(to)
  for _ = 1, count do
    assert(native.read(from, 1), "the other process failed")
  end
  local result = run()
  for _, pid in ipairs(pids) do
    finish(pid, KILL)
  end
  native.close(from)
  return result
end

-- --- channels ------------------------------------------------------------------------------

-- Each: open(size) makes a channel before the fork: sender() and receiver() give a function of
-- each side's own; close().

local function by_descriptors(make)
  return function(size)
    local from, to = make()
    local read, write = native.read, native.write
    return {
      receiver = function()
        return function()
          return read(from, size)
        end
      end,
      sender = function()
        return function(message)
          write(to, message)
        end
      end,
      close = function()
        native.close(from)
        native.close(to)
      end,
    }
  end
end

-- What a program without any library does: the io library, unbuffered, on a pipe.
local function by_io(size)
  local from, to = native.pipe()
  return {
    receiver = function()
      local file = assert(io.open("/dev/fd/" .. from, "rb"))
      return function()
        return file:read(size)
      end
    end,
    sender = function()
      local file = assert(io.open("/dev/fd/" .. to, "wb"))
      file:setvbuf("no")
      return function(message)
        file:write(message)
      end
    end,
    close = function()
      native.close(from)
      native.close(to)
    end,
  }
end

local function queue_of(size)
  local capacity = math.max(262144, 4 * size)
  local room = shmseg.queue.size_for { capacity = capacity }
  local segment, name = bench.segment(room)
  assert(shmseg.queue.open(segment, "c", { capacity = capacity }))
  local function side()
    return assert(shmseg.queue.open(assert(shmseg.open(name, "rw")), "rw"))
  end
  return {
    receiver = function()
      local q = side()
      local pop = q.pop
      return function()
        return pop(q)
      end
    end,
    sender = function()
      local q = side()
      local push = q.push
      return function(message)
        push(q, message)
      end
    end,
    close = function()
      segment:unlink()
      segment:close()
    end,
  }
end

local posix_queues = 0
local function posix_queue(size)
  posix_queues = posix_queues + 1
  local queue = native.mq_open(("/%s%d"):format(bench.prefix, posix_queues), size)
  if not queue then
    return nil -- too large, or too many
  end
  local receive, send = native.mq_receive, native.mq_send
  return {
    receiver = function()
      return function()
        return receive(queue)
      end
    end,
    sender = function()
      return function(message)
        send(queue, message)
      end
    end,
    close = function()
      native.mq_close(queue)
    end,
  }
end

local CHANNELS = {
  { "queue", queue_of },
  { "pipe", by_descriptors(native.pipe) },
  { "pipe with io", by_io },
  { "Unix socket", by_descriptors(native.socket) },
  { "POSIX queue", posix_queue },
}

-- --- rate ----------------------------------------------------------------------------------

--- Nanoseconds that n messages take from the first one's sending to the last one's arrival, after
-- as many that are not timed: by then the system has given each side a processor.
local function transfer(channel, size, n)
  local from, to = native.pipe()
  local pid = start(function()
    local receive = channel.receiver()
    for _ = 1, 2 do
      native.write(to, "!")
      for _ = 1, n do
        receive()
      end
    end
    native.write(to, "!")
  end)
  native.close(to)
  local send = channel.sender()
  local message = ("m"):rep(size)
  local began
  for _ = 1, 2 do
    assert(native.read(from, 1), "the other process failed")
    began = now()
    for _ = 1, n do
      send(message)
    end
  end
  native.read(from, 1)
  local taken = now() - began
  finish(pid)
  native.close(from)
  return taken
end

local function rate(who, open, size, text)
  local channel = open(size)
  if not channel then
    return
  end
  local n = math.min(open == queue_of and 200000 or 40000, math.ceil(BYTES / size))
  print_time("a message of " .. text, ("%s, %s"):format(who, text), transfer(channel, size, n) / n)
  channel.close()
end

-- --- round trips ---------------------------------------------------------------------------

--- Median nanoseconds of a round trip.
local function trips(open, size, pause)
  local there, back = open(size), open(size)
  if not there then
    return nil
  end
  local warm = 5000 -- until the system has given each side a processor
  local pid = start(function()
    local receive, send = there.receiver(), back.sender()
    for _ = 1, TRIPS + warm do
      send(receive())
    end
  end)
  local send, receive = there.sender(), back.receiver()
  local message, times = ("m"):rep(size), {}
  for i = 1, TRIPS + warm do
    if pause then
      native.nap(NAP)
    end
    local began = now()
    send(message)
    receive()
    times[i - warm] = now() - began
  end
  finish(pid)
  there.close()
  back.close()
  table.sort(times)
  return times[math.floor(#times / 2)]
end

local function trip(who, open)
  local busy, asleep = trips(open, 256, false), trips(open, 256, true)
  if busy then
    print_time("round trip of 256 bytes (p50)", who .. ", both busy", busy)
    print_time("round trip of 256 bytes (p50)", who .. ", both asleep", asleep)
  end
end

-- --- a cell's readers, a broadcast's subscribers -------------------------------------------

--- Nanoseconds of processor time that a turn of this process takes.
local function cost(turns)
  turns(1000)
  local n, began = 0, cpu()
  local taken
  repeat
    turns(1000)
    n = n + 1000
    taken = cpu() - began
  until taken >= TIME * slice
  return taken / n
end

local function cell_readers()
  local segment, name = bench.segment(4096)
  local cell = assert(shmseg.cell.open(segment, "c", { capacity = 32 }))
  cell:set(("c"):rep(32))
  local function turns(n)
    for _ = 1, n do
      cell:get()
    end
  end
  for _, readers in ipairs { 0, 1, 4 } do
    local taken = beside(readers, function()
      local c = assert(shmseg.cell.open((assert(shmseg.open(name, "r")))))
      return function()
        c:get()
      end
    end, function()
      return cost(turns)
    end)
    local label = ("cell:get(), %d other readers"):format(readers)
    print_time("cell:get(), processor time", label, taken)
  end
end

local function broadcast_of(capacity)
  local segment, name = bench.segment(shmseg.broadcast.size_for { capacity = capacity })
  return assert(shmseg.broadcast.open(segment, "c", { capacity = capacity })), name
end

local function subscribers()
  local b, name = broadcast_of(65536)
  local message = ("b"):rep(64)
  local function turns(n)
    for _ = 1, n do
      b:publish(message)
    end
  end
  local function measured(text, count, mode, timeout)
    local taken = beside(count, function()
      local s = assert(shmseg.broadcast.open(assert(shmseg.open(name, mode)), mode)):subscribe()
      return function()
        s:next(timeout)
      end
    end, function()
      return cost(turns)
    end)
    print_time("publish 64 bytes, processor time", ("publish, %s"):format(text), taken)
  end
  measured("0 subscribers", 0)
  measured("0 subscribers, again", 0)
  measured("8 awake subscribers", 8, "rw", 0)
  measured("8 read-only subscribers", 8, "r", 0.005)
end

-- -------------------------------------------------------------------------------------------

io.stdout:setvbuf("line")
for lap = 1, laps do
  for _, size in ipairs(SIZES) do
    for i = 1, #CHANNELS do
      local channel = CHANNELS[(i + lap - 2) % #CHANNELS + 1]
      rate(channel[1], channel[2], size[1], size[2])
    end
  end
  for i = 1, #CHANNELS do
    local channel = CHANNELS[(i + lap - 2) % #CHANNELS + 1]
    trip(channel[1], channel[2])
  end
  cell_readers()
  subscribers()
end
bench.close()
