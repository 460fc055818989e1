-- SPDX-License-Identifier: MIT
-- A registry of workers: each one has a key that expires, and writes it again and again. A worker
-- that was killed writes no more, and its key goes by itself.

local shmseg = require "shmseg"
local example = dofile((arg[0]:match("^.*/") or "") .. "example.lua")
local check, needs = example.check, example.needs

local WORKERS, KILLED = 3, 2

local function work(options)
  local registry = needs("workers.lua", shmseg.dict.open(options.name))
  local key, beats = "worker " .. options.number, 0
  local stop, word
  print "ready"
  repeat
    beats = beats + 1
    check(registry:set(key, beats, 5 * options.interval))           -- seconds to live
    if options.number == KILLED and beats == 3 then
      os.execute("kill -9 $PPID")                                   -- itself: the shell's parent
    end
    stop, word = registry:wait("stop", nil, options.interval)       -- sleeps, or is told to end
  until stop or word ~= "timeout"
  registry:delete(key)
end

local function lead(options)
  local here = check(shmseg.open(nil, "x", 1, { temporary = true }))   -- for a name nobody else has
  local name = here:name() .. "-workers"
  local registry = check(shmseg.dict.open(name, "x", { capacity = 16384, temporary = true }))
  local workers = {}
  for id = 1, WORKERS do
    workers[id] = example.start("worker", "--name", name, "--number", id,
      "--interval", options.interval)
    workers[id]:line()                                              -- "ready"
  end

  local known = {}
  repeat
    local there = {}
    for key, beats in registry:pairs "worker " do                   -- those that have not expired
      there[key] = true
      if not known[key] then
        local left = registry:ttl(key) or 0
        print(("%s is alive: beat %d, the next one within %.1f s"):format(key, beats, left))
      end
    end
    local gone
    for key in pairs(known) do
      if not there[key] then
        print(key .. " is gone")
        gone = gone or key == "worker " .. KILLED
      end
    end
    known = there
  until gone or not check(shmseg.sleep(options.interval / 2))

  check(registry:set("stop", true))                                 -- wakes them
  for _, worker in ipairs(workers) do
    worker:close()
  end
  print(("workers that are registered now: %d"):format(#registry:get_keys() - 1))
end

example.run([[
Starts three workers that are in a registry, a dict, as long as they live. The second one is killed;
a moment later it is no longer there.

Usage: lua workers.lua [options]
  --interval SECONDS  how often each worker writes its key; it lives five times as long (0.1)
  --help              show this text

There is nothing to start first. The workers that it starts run "worker" with
  --name NAME         the shared memory object
  --number NUMBER     which of them it is

For example:
  lua workers.lua --interval 1
]], { lead, worker = work })
