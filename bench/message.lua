-- SPDX-License-Identifier: MIT
-- Cell, queue and broadcast: one process here, two in peers/message_pair.lua; what others offer.

local context = require "bench.context"
local installed = require "bench.installed"

local message = {}

local LAPS = 2

local function succeeds(command)
  local result = os.execute(command .. " >/dev/null 2>&1")
  return result == true or result == 0
end

local function compiled_boost(bench, found)
  local output = bench.root .. "/build/bench/boost_message"
  local line = "%s -O2 -std=c++17 '-I%s/usr/include' -o '%s' '%s/bench/peers/boost_message.cpp' "
    .. "-pthread -lrt"
  local folder = installed.folder(bench.root)
  if succeeds(line:format(os.getenv("CXX") or "c++", folder, output, bench.root)) then
    return output
  end
  found:add("note\tboost_message.cpp: does not compile here, skipped")
end

--- The commands that measure, and a function that removes what they work on.
function message.prepare(bench, found)
  local commands = {}
  if bench.channel then
    table.insert(commands, ("%s '%s/bench/peers/message_pair.lua' '%s' %d %d"):format(
      context.interpreter(), bench.root, bench.root, bench.slice, LAPS))
  else
    found:add("note\tchannel.c: does not compile here, skipped")
  end
  local boost = compiled_boost(bench, found)
  if boost then
    table.insert(commands, ("'%s' %sboost %d %d"):format(boost, bench.prefix, bench.slice, LAPS))
  end
  if succeeds("python3 -c 'import multiprocessing'") then
    table.insert(commands, ("python3 '%s/bench/peers/python_message.py' %s %d"):format(
      bench.root, bench.prefix, bench.slice))
  else
    found:add("note\tpython_message.py: not installed here, skipped")
  end
  return commands, bench.close
end

local function add_targets(suite)
  local least = { ["64 KiB"] = 4.5, ["1 MiB"] = 4.5 } -- below it is system calls that a pipe takes
  for _, size in ipairs { "16 bytes", "256 bytes", "4 KiB", "64 KiB", "1 MiB" } do
    suite:target("queue, " .. size, "pipe, " .. size, { least = least[size] })
    suite:target("queue, " .. size, "pipe with io, " .. size, {})
    suite:target("queue, " .. size, "pipe with io, buffered, " .. size, {})
  end
  suite:target("queue, 256 bytes", "Boost message_queue in C++, 256 bytes", { least = 0.9 })
  suite:target("queue, both busy", "pipe, both busy", { most = 1 / 18 })
  suite:target("queue, both asleep", "pipe, both asleep", { most = 1.1 })
  suite:target("cell:get(), 4 other readers", "cell:get(), 0 other readers", { most = 1.2 })
  suite:target("publish, 0 subscribers, again", "publish, 0 subscribers", {})
  suite:target("publish, 8 awake subscribers", "publish, 0 subscribers", { most = 1.2 })
  suite:target("publish, 8 read-only subscribers", "publish, 0 subscribers", { most = 1.2 })
end

-- Our own part of a round: what one process does alone.
local function add(_, suite, bench)
  local shmseg = bench.shmseg
  local bytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
  local seg = bench.segment(4096)
  local cell = assert(shmseg.cell.open((bench.segment(4096)), "c", { capacity = 32 }))
  local queue = assert(shmseg.queue.open((bench.segment(65536)), "c", { capacity = 32768 }))
  local broadcast = assert(shmseg.broadcast.open((bench.segment(65536)), "c", { capacity = 32768 }))
  seg:write(4, bytes)
  cell:set(bytes)
  suite:add("seg:read(4, 32)", function(n)
    for _ = 1, n do
      seg:read(4, 32)
    end
  end)
  suite:add("seg:write(4, 32 bytes)", function(n)
    for _ = 1, n do
      seg:write(4, bytes)
    end
  end)
  suite:add("cell:get(), 32 bytes", function(n)
    for _ = 1, n do
      cell:get()
    end
  end)
  suite:add("cell:set(32 bytes)", function(n)
    for _ = 1, n do
      cell:set(bytes)
    end
  end)
  suite:add("q:push(32 bytes) q:pop(), each", function(n)
    for _ = 1, n do
      queue:push(bytes)
      queue:pop()
    end
  end, { ops = 2 })
  suite:add("b:publish(32 bytes)", function(n)
    for _ = 1, n do
      broadcast:publish(bytes)
    end
  end)
  suite:target("cell:get(), 32 bytes", "seg:read(4, 32)", { most = 1.5 })
  suite:target("cell:set(32 bytes)", "seg:write(4, 32 bytes)", { most = 1.5 })
  add_targets(suite)
end

return setmetatable(message, { __call = add })
