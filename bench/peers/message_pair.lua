-- SPDX-License-Identifier: MIT
-- Messages between two Lua processes: lua5.4 message_pair.lua ROOT SLICE LAPS
-- Each is a fork with handles of its own. Prints lines as harness.lua does.

local root, slice, laps = arg[1], tonumber(arg[2]), tonumber(arg[3])
package.path = root .. "/?.lua;" .. package.path

local context = require "bench.context"
local processes = require "bench.processes"

context.use_tree(root)
local bench = context.open(root, slice)
local shmseg = bench.shmseg
local native = assert(bench.channel, "channel.c is not compiled")
local group = processes.open(bench)
local now, cpu = native.now, native.cpu

local TIME = 10 -- slices of processor time
local BYTES = 256 * 1024 * 1024 -- of a transfer, at most
local TRIPS = 1000 -- in a lap
local NAP = 200000 -- nanoseconds: both sides are asleep after it
local SIZES = { { 16, "16 bytes" }, { 256, "256 bytes" }, { 4096, "4 KiB" }, { 65536, "64 KiB" },
  { 1048576, "1 MiB" } }

local function print_time(operation, who, ns)
  print(("time\t%s\t%s\t%.3f\t0"):format(operation, who, ns))
end

-- --- channels ------------------------------------------------------------------------------

-- Each: open(size) makes a channel before the fork; close(). sender() gives a side of its own the
-- function send(n, message), and flush() where there is one; receiver() gives receive(n).

local function by_descriptors(make)
  return function(size)
    local from, to = make()
    local read, write = native.read, native.write
    return {
      receiver = function()
        return function(n)
          for _ = 1, n do
            read(from, size)
          end
        end
      end,
      sender = function()
        return function(n, message)
          for _ = 1, n do
            write(to, message)
          end
        end
      end,
      close = function()
        native.close(from)
        native.close(to)
      end,
    }
  end
end

-- What a program without any library does: the io library on a pipe. Unbuffered; or in buffers of
-- 64 KiB on both sides, flushed in the end only.
local function by_io(mode)
  return function(size)
    local from, to = native.pipe()
    return {
      receiver = function()
        local reader = assert(io.open("/dev/fd/" .. from, "rb"))
        if mode == "full" then
          reader:setvbuf(mode, 65536)
        end
        return function(n)
          for _ = 1, n do
            reader:read(size)
          end
        end
      end,
      sender = function()
        local writer = assert(io.open("/dev/fd/" .. to, "wb"))
        writer:setvbuf(mode, 65536)
        return function(n, message)
          for _ = 1, n do
            writer:write(message)
          end
        end, function()
          writer:flush()
        end
      end,
      close = function()
        native.close(from)
        native.close(to)
      end,
    }
  end
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
      return function(n)
        for _ = 1, n do
          q:pop()
        end
      end
    end,
    sender = function()
      local q = side()
      return function(n, message)
        for _ = 1, n do
          q:push(message)
        end
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
      return function(n)
        for _ = 1, n do
          receive(queue)
        end
      end
    end,
    sender = function()
      return function(n, message)
        for _ = 1, n do
          send(queue, message)
        end
      end
    end,
    close = function()
      native.mq_close(queue)
    end,
  }
end

local BUFFERED = "pipe with io, buffered"
local CHANNELS = {
  { "queue", queue_of },
  { "pipe", by_descriptors(native.pipe) },
  { "pipe with io", by_io("no") },
  { BUFFERED, by_io("full") },
  { "Unix socket", by_descriptors(native.socket) },
  { "POSIX queue", posix_queue },
}

-- --- rate ----------------------------------------------------------------------------------

local function rate(who, open, size, text)
  local channel = open(size)
  if not channel then
    return
  end
  local message = ("m"):rep(size)
  local most = (open == queue_of or who == BUFFERED) and 200000 or 40000
  local n = math.min(most, math.ceil(BYTES / size))
  local taken = group:flow {
    messages = n,
    block = n,
    producer = function()
      local send, flush = channel.sender()
      return function(count)
        send(count, message)
      end, flush
    end,
    consumer = channel.receiver,
  }
  print_time("a message of " .. text, ("%s, %s"):format(who, text), taken)
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
  local message, times = ("m"):rep(size), {}
  local pid = group:start(function()
    local receive, send = there.receiver(), back.sender()
    for _ = 1, TRIPS + warm do
      receive(1)
      send(1, message)
    end
  end)
  local send, receive = there.sender(), back.receiver()
  for i = 1, TRIPS + warm do
    if pause then
      native.nap(NAP)
    end
    local began = now()
    send(1, message)
    receive(1)
    times[i - warm] = now() - began
  end
  group:finish(pid)
  there.close()
  back.close()
  table.sort(times)
  return times[math.floor(#times / 2)]
end

local function trip(who, open)
  if who == BUFFERED then
    return -- a message would wait for others in the buffer
  end
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
    local taken = group:beside(readers, function()
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
    local taken = group:beside(count, function()
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
