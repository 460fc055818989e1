-- SPDX-License-Identifier: MIT
-- A queue, message by message: each side alone, against its floor; then two processes and four.

local processes = require "bench.processes"

local SIZES = { { 16, "16 bytes" }, { 256, "256 bytes" }, { 4096, "4 KiB" } }
local CAPACITY = 262144
local FILL = 65536 -- of which so many bytes are filled and emptied again: they stay in the caches
local MESSAGES = 131072 -- of a flow
local BYTES = 268435456 -- and in it, at most
local BLOCK = 1024

local function pushes(q, message)
  return function(n)
    for _ = 1, n do
      q:push(message)
    end
  end
end

local function pops(q)
  return function(n)
    for _ = 1, n do
      q:pop()
    end
  end
end

local function puts(ring, message)
  return function(n)
    for _ = 1, n do
      ring:put(message)
    end
  end
end

local function takes(ring)
  return function(n)
    for _ = 1, n do
      ring:take()
    end
  end
end

-- Blocks: one side is timed, the other one fills or empties before or after it.
local function add_alone(suite, q, ring, size, text)
  local message = ("m"):rep(size)
  local block = math.min(512, math.floor(FILL / (size + 8)))
  local function add(what, fill, empty, timed)
    suite:add(("%s, %s"):format(what, text), timed, {
      block = block,
      before = timed == empty and fill or nil,
      after = timed == fill and empty or nil,
      operation = "one process, " .. text,
    })
  end
  local put, take, push, pop = puts(ring, message), takes(ring), pushes(q, message), pops(q)
  add("floor of push", put, take, put)
  add("floor of pop", put, take, take)
  add("q:push() alone", push, pop, push)
  add("q:pop() alone", push, pop, pop)
end

-- So many producers and as many consumers, each with a handle of its own.
local function add_flow(suite, group, name, count, size, text)
  local message = ("m"):rep(size)
  local label = ("%d:%d"):format(count, count)
  local function side()
    return assert(suite.queue.open(name))
  end
  suite:measure(("%s, %s"):format(label, text), function()
    local clock, producers, consumers = group:flow {
      producers = count,
      consumers = count,
      messages = math.min(MESSAGES, BYTES / size),
      block = BLOCK,
      producer = function()
        return pushes(side(), message)
      end,
      consumer = function()
        return pops(side())
      end,
    }
    return {
      { ("%s, %s"):format(label, text), clock },
      { ("%s, producers' CPU, %s"):format(label, text), producers },
      { ("%s, consumers' CPU, %s"):format(label, text), consumers },
    }
  end, { operation = "several processes, " .. text })
end

local function add_targets(suite, text)
  local function named(what)
    return ("%s, %s"):format(what, text)
  end
  local push, pop = named("q:push() alone"), named("q:pop() alone")
  local floor = text == "16 bytes" and { most = 1.6 } or {}
  suite:target(push, named("floor of push"), floor)
  suite:target(pop, named("floor of pop"), floor)
  suite:target(named("1:1"), { push, pop }, { most = 1.15 })
  suite:target(named("2:2, producers' CPU"), { push, pop }, { most = 1.5 })
  suite:target(named("2:2, consumers' CPU"), { push, pop }, { most = 1.5 })
end

return function(suite, bench)
  local group = bench.channel and processes.open(bench)
  local options = { capacity = CAPACITY }
  suite.queue = bench.shmseg.queue
  for _, size in ipairs(SIZES) do
    local segment, name = bench.segment(suite.queue.size_for(options))
    local q = assert(suite.queue.open(segment, "c", options))
    add_alone(suite, q, bench.native.ring(CAPACITY), size[1], size[2])
    if group then
      add_flow(suite, group, name, 1, size[1], size[2])
      add_flow(suite, group, name, 2, size[1], size[2])
    end
    add_targets(suite, size[2])
  end
  if not group then
    suite:note("channel.c does not compile here: nothing in two processes")
  end
end
