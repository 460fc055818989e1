-- SPDX-License-Identifier: MIT
-- Many messages at a time: alone beside one by one; and in two processes, beside a buffered pipe.

local processes = require "bench.processes"

local MANY = 64
local FILL = 65536 -- of a ring so many bytes are filled and emptied again
local MESSAGES = 131072 -- of a flow
local BYTES = 268435456 -- and in it, at most
local BLOCK = 1024
local SIZES = { { 16, "16 bytes" }, { 256, "256 bytes" }, { 4096, "4 KiB" } }
local LARGE = { 65536, "64 KiB" }

-- The calls of an object: names, and functions that do each for n messages or n lists.
-- Blocks: one side is timed, the other one fills or empties before or after it.
local function add_alone(suite, text, size, calls)
  local lists = math.max(1, math.floor(FILL / (size + 8) / MANY))
  local function add(call, ops, before, after)
    suite:add(("%s, %s"):format(call[1], text), call[2], {
      operation = "one process, " .. text,
      block = lists * MANY / ops,
      ops = ops,
      before = before and function()
        before[2](lists * MANY)
      end,
      after = after and function()
        after[2](lists * MANY)
      end,
    })
  end
  add(calls.put, 1, nil, calls.take)
  add(calls.put_many, MANY, nil, calls.take)
  add(calls.take, 1, calls.put)
  if calls.take_all then
    add(calls.take_all, MANY, calls.put)
  end
  add(calls.take_many, MANY, calls.put)
end

local function list_of(message)
  local list = {}
  for i = 1, MANY do
    list[i] = message
  end
  return list
end

local function add_queue(suite, bench, size, text)
  local options = { capacity = math.max(262144, 2 * MANY * (size + 8)) }
  local segment = bench.segment(bench.shmseg.queue.size_for(options))
  local q = assert(bench.shmseg.queue.open(segment, "c", options))
  local message = ("m"):rep(size)
  local list = list_of(message)
  add_alone(suite, text, size, {
    put = { "q:push()", function(n)
      for _ = 1, n do
        q:push(message)
      end
    end },
    put_many = { "q:push_many(64)", function(n)
      for _ = 1, n do
        q:push_many(list)
      end
    end },
    take = { "q:pop()", function(n)
      for _ = 1, n do
        q:pop()
      end
    end },
    take_all = { "q:pop() into a list of 64", function(n)
      local got
      for _ = 1, n do
        got = {}
        for i = 1, MANY do
          got[i] = q:pop()
        end
      end
      return got
    end },
    take_many = { "q:drain(64)", function(n)
      for _ = 1, n do
        q:drain(MANY)
      end
    end },
  })
  suite:target("q:drain(64), " .. text, "q:pop(), " .. text, { most = 1 })
  suite:target("q:drain(64), " .. text, "q:pop() into a list of 64, " .. text, { most = 1 })
  suite:target("q:push_many(64), " .. text, "q:push(), " .. text, {})
end

local function add_broadcast(suite, bench, size, text)
  local options = { capacity = 524288 }
  local segment = bench.segment(bench.shmseg.broadcast.size_for(options))
  local b = assert(bench.shmseg.broadcast.open(segment, "c", options))
  local s = b:subscribe()
  local message = ("m"):rep(size)
  local list = list_of(message)
  add_alone(suite, text, size, {
    put = { "b:publish()", function(n)
      for _ = 1, n do
        b:publish(message)
      end
    end },
    put_many = { "b:publish_many(64)", function(n)
      for _ = 1, n do
        b:publish_many(list)
      end
    end },
    take = { "s:next()", function(n)
      for _ = 1, n do
        s:next()
      end
    end },
    take_many = { "s:drain(64)", function(n)
      for _ = 1, n do
        s:drain(MANY)
      end
    end },
  })
  suite:target("b:publish_many(64), " .. text, "b:publish(), " .. text, {})
  suite:target("s:drain(64), " .. text, "s:next(), " .. text, {})
end

-- Both programs handle each message: they fill the list that they push, and walk over what they
-- got.
local function batches(open, message)
  local function producer()
    local q, list = open(), {}
    return function(n)
      for _ = 1, n, MANY do
        for i = 1, MANY do
          list[i] = message
        end
        q:push_many(list)
      end
    end
  end
  local function consumer()
    local q, got, last = open(), 0, nil
    return function(n)
      got = got - n
      while got < 0 do
        local list = q:drain(math.min(MANY, -got), nil)
        for i = 1, #list do
          last = list[i]
        end
        got = got + #list
      end
      return last
    end
  end
  return producer, consumer
end

local function buffered_pipe(from, to, message)
  local function producer()
    local file = assert(io.open("/dev/fd/" .. to, "wb"))
    file:setvbuf("full", 65536)
    return function(n)
      for _ = 1, n do
        file:write(message)
      end
    end, function()
      file:flush()
    end
  end
  local function consumer()
    local file, size = assert(io.open("/dev/fd/" .. from, "rb")), #message
    file:setvbuf("full", 65536)
    return function(n)
      for _ = 1, n do
        file:read(size)
      end
    end
  end
  return producer, consumer
end

local function add_flow(suite, group, label, size, text, producer, consumer)
  label = ("%s, %s"):format(label, text)
  suite:measure(label, function()
    local clock = group:flow {
      messages = math.min(MESSAGES, BYTES / size),
      block = BLOCK,
      producer = producer,
      consumer = consumer,
    }
    return { { label, clock } }
  end, { operation = "two processes, " .. text })
end

local function add_pair(suite, bench, group, size, text)
  local options = { capacity = 262144 }
  local segment, name = bench.segment(bench.shmseg.queue.size_for(options))
  assert(bench.shmseg.queue.open(segment, "c", options))
  local message = ("m"):rep(size)
  add_flow(suite, group, "push_many and drain", size, text, batches(function()
    return assert(bench.shmseg.queue.open(name))
  end, message))
  local from, to = bench.channel.pipe() -- open until this process ends
  add_flow(suite, group, "pipe with io, buffered", size, text, buffered_pipe(from, to, message))
end

return function(suite, bench)
  for _, size in ipairs(SIZES) do
    add_queue(suite, bench, size[1], size[2])
  end
  add_queue(suite, bench, LARGE[1], LARGE[2])
  for i = 1, 2 do
    add_broadcast(suite, bench, SIZES[i][1], SIZES[i][2])
  end
  if not bench.channel then
    suite:note("channel.c does not compile here: nothing in two processes")
    return
  end
  local group = processes.open(bench)
  local most = { ["16 bytes"] = { most = 0.5 }, ["256 bytes"] = { most = 0.6 } }
  for _, size in ipairs(SIZES) do
    add_pair(suite, bench, group, size[1], size[2])
    suite:target("push_many and drain, " .. size[2], "pipe with io, buffered, " .. size[2],
      most[size[2]] or {})
  end
end
