-- SPDX-License-Identifier: MIT
-- A job queue with three workers. One of them is killed, and its job is done by another.

local shmseg = require "shmseg"
local example = dofile((arg[0]:match("^.*/") or "") .. "example.lua")
local check, needs = example.check, example.needs

local WORKERS = 3

local function work(options)
  local name, id = options.name, options.number
  local jobs = needs("jobs.lua", shmseg.queue.open(name .. "-jobs"))
  local news = needs("jobs.lua", shmseg.queue.open(name .. "-news"))
  local life = needs("jobs.lua", shmseg.mutex.open(name .. "-life" .. id))
  life:lock()                                -- as long as this process lives
  print "ready"
  for job in jobs:messages() do              -- ends at the shutdown
    check(news:push(id .. " took " .. job))
    if id == 2 then
      os.execute("kill -9 $PPID")            -- itself: the shell's parent
    end
    local awake = shmseg.sleep(0.01)         -- hard work
    check(news:push(id .. " did " .. job))
    if not awake then
      break                                  -- a signal
    end
  end
end

local function lead(options)
  local here = check(shmseg.open(nil, "x", 1, { temporary = true }))   -- for a name nobody else has
  local name = here:name()
  local settings = { capacity = 4096 + 16 * options.jobs, temporary = true }
  local jobs = check(shmseg.queue.open(name .. "-jobs", "x", settings))
  local news = check(shmseg.queue.open(name .. "-news", "x", settings))
  local lives, workers = {}, {}
  for id = 1, WORKERS do
    lives[id] = check(shmseg.mutex.open(name .. "-life" .. id, "x", { temporary = true }))
    workers[id] = example.start("worker", "--name", name, "--number", id)
    workers[id]:line()                       -- "ready"
  end

  local open = {}                            -- jobs that are not done: who took them, or false
  for job = 1, options.jobs do
    open[job] = false
    check(jobs:push(tostring(job), 0))
  end

  -- Whatever is open and not in the hands of the living is submitted again. A job may be done twice
  -- that way (taken a moment ago, and not yet told), but each is done.
  local function died(id)
    print(("worker %d died"):format(id))
    jobs:drain()
    for job, taker in pairs(open) do
      if not taker or taker == id then
        open[job] = false
        check(jobs:push(tostring(job), 0))
      end
    end
  end

  while next(open) do
    local line, message, code = news:pop(0.1)
    if line then
      local id, did, job = line:match("^(%d+) (%a+) (%d+)$")
      id, job = tonumber(id), tonumber(job)
      if did == "did" and open[job] ~= nil then
        open[job] = nil
        print(("worker %d did job %d"):format(id, job))
      elseif did == "took" and open[job] ~= nil then
        open[job] = id
      end
    elseif code ~= "timeout" then
      check(line, message, code)             -- ends here, at a signal
    else
      for id, life in pairs(lives) do        -- quiet: is somebody dead?
        local _, told = life:lock(0)
        if told ~= "timeout" then            -- "abandoned": the owner is gone
          lives[id] = nil
          died(id)
        end
      end
      check(next(lives), "no worker is left")
    end
  end

  jobs:shutdown()                            -- the workers end
  for _, worker in ipairs(workers) do
    worker:close()
  end
  print "all jobs are done"
end

example.run([[
Gives jobs to three workers through a queue. The second one is killed at its first job, and another
one does that job. Each worker holds a mutex as long as it lives, so that its death can be seen.

Usage: lua jobs.lua [options]
  --jobs NUMBER    so many jobs (12)
  --help           show this text

There is nothing to start first. The workers that it starts run "worker" with
  --name NAME      what the names of the shared memory objects begin with
  --number NUMBER  which of them it is

For example:
  lua jobs.lua
]], { lead, worker = work })
