-- SPDX-License-Identifier: MIT
-- Jobs come from a queue and from a socket: cqueues waits for both, each in a coroutine of its own.

local shmseg = require "shmseg"
local example = dofile((arg[0]:match("^.*/") or "") .. "example.lua")
local check, needs = example.check, example.needs

local ADDRESS = "127.0.0.1"
local BATCH = 64   -- jobs at a time: then it is the others' turn

local function serve(options, stop)
  local settings = { capacity = 4096, temporary = true }
  local jobs = check(shmseg.queue.open(options.name, "c", settings))
  local cqueues = example.requires("cqueues", "lua-cqueues")
  local sockets = require "cqueues.socket"
  local loop, done = cqueues.new(), 0

  local function work(from, job)
    done = done + 1
    print(("%s: %s"):format(from, job))
  end

  -- cqueues takes a watch as it is: it asks for the descriptor, and for the timeout, too.
  loop:wrap(function()
    local watch = check(jobs:watch "pop")
    while true do
      for _, job in ipairs(check(jobs:drain(BATCH))) do
        work("from the queue", job)
      end
      check(watch:rearm())                                  -- readable at once if there is more
      cqueues.poll(watch)
    end
  end)

  local server = check(sockets.listen(ADDRESS, options.port))
  check(server:listen())
  loop:wrap(function()
    while true do
      local client = check(server:accept())
      loop:wrap(function()
        local line = client:read "*l"
        while line do
          work("from the socket", line)
          client:write("job ", done, " is done\n")
          line = client:read "*l"
        end
        client:close()
      end)
    end
  end)

  local ended = false
  loop:wrap(function()
    local watch = check(stop:watch())
    repeat
      check(watch:rearm())
      cqueues.poll(watch)
      ended = stop:wait(0)
    until ended
  end)

  print(("listening at %s, port %d; Ctrl-C ends it"):format(ADDRESS, options.port))
  repeat
    local good, problem = loop:step()
    if not good then
      error(problem, 0)
    end
  until ended or done >= options.count
  jobs:unlink()
  jobs:shutdown()                                           -- ends the senders
end

local function send(options)
  local jobs = needs("cqueues.lua serve", shmseg.queue.open(options.name))
  for number = 1, options.count do
    check(jobs:push("job number " .. number))
    if not shmseg.sleep(options.interval) then
      break
    end
  end
end

example.run([[
One process does jobs that come from other processes, through a queue, and from the network, as
lines. It needs cqueues; who sends needs none.

Usage: lua cqueues.lua serve [options]
       lua cqueues.lua send [options]
  --name NAME         the shared memory object (jobs)
  --port NUMBER       where to listen, on this machine alone (8089)
  --count JOBS        stop after that many (1000)
  --interval SECONDS  the pause between two jobs that are sent (1)
  --help              show this text

Start first:
  lua cqueues.lua serve
Then, in other terminals:
  lua cqueues.lua send
  nc 127.0.0.1 8089        each line that you type is a job
Ctrl-C ends each.
]], { serve = serve, send = send })
