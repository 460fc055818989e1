-- SPDX-License-Identifier: MIT
-- A job queue with three workers. One of them is killed, and its job is done by another.
--   lua jobs.lua

local shmseg = require "shmseg"

local JOBS, WORKERS = 12, 3

local function work(name, id)
  local jobs = assert(shmseg.queue.open(name .. "-jobs"))
  local news = assert(shmseg.queue.open(name .. "-news"))
  local life = assert(shmseg.mutex.open(name .. "-life" .. id, "c"))
  life:lock()                                -- as long as this process lives
  for job in jobs:messages() do
    news:push(id .. " took " .. job)
    if id == "2" then
      os.execute("kill -9 $PPID")            -- itself: the shell's parent
    end
    shmseg.sleep(0.01)                       -- hard work
    news:push(id .. " did " .. job)
  end
end

if arg[1] then
  return work(arg[1], arg[2])
end

-- The command that started this program, to start the workers with.
local command = {}
for i = 0, -20, -1 do
  if arg[i] then
    table.insert(command, 1, "'" .. arg[i]:gsub("'", "'\\''") .. "'")
  end
end

local here = assert(shmseg.open(nil, "x", 1, { temporary = true }))   -- for a name nobody else has
local name = here:name()
local options = { capacity = 4096, temporary = true }
local jobs = assert(shmseg.queue.open(name .. "-jobs", "x", options))
local news = assert(shmseg.queue.open(name .. "-news", "x", options))
local lives, workers = {}, {}
for id = 1, WORKERS do
  lives[id] = assert(shmseg.mutex.open(name .. "-life" .. id, "x", { temporary = true }))
  local words = { "exec", table.concat(command, " "), name, id }
  workers[id] = assert(io.popen(table.concat(words, " "), "w"))
end

local open = {}                              -- jobs that are not done: who took them, or false
for job = 1, JOBS do
  open[job] = false
  jobs:push(tostring(job))
end

-- Whatever is open and not in the hands of the living is submitted again. A job may be done twice
-- that way (taken a moment ago, and not yet told), but each is done.
local function died(id)
  print(("worker %d died"):format(id))
  jobs:drain()
  for job, taker in pairs(open) do
    if not taker or taker == id then
      open[job] = false
      jobs:push(tostring(job))
    end
  end
end

while next(open) do
  local line = news:pop(0.1)
  if line then
    local id, did, job = line:match("^(%d+) (%a+) (%d+)$")
    id, job = tonumber(id), tonumber(job)
    if did == "did" and open[job] ~= nil then
      open[job] = nil
      print(("worker %d did job %d"):format(id, job))
    elseif did == "took" and open[job] ~= nil then
      open[job] = id
    end
  else
    for id, life in pairs(lives) do          -- quiet: is somebody dead?
      local _, told = life:lock(0)
      if told == "abandoned" then
        lives[id] = nil
        died(id)
      elseif told ~= "timeout" then
        life:unlock()                        -- that one has not begun yet
      end
    end
  end
end

jobs:shutdown()                              -- the workers end
for _, worker in ipairs(workers) do
  worker:close()
end
print "all jobs are done"
