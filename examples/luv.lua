-- SPDX-License-Identifier: MIT
-- One loop for three queues, a timer and Ctrl-C: luv waits for all of them at once.

local shmseg = require "shmseg"
local example = dofile((arg[0]:match("^.*/") or "") .. "example.lua")
local check, needs = example.check, example.needs

local QUEUES = { "orders", "returns", "questions" }
local BATCH = 64   -- messages at a time: then it is the others' turn

-- Calls `look` when there may be something: when the watch's descriptor is readable, and after
-- watch:timeout(), since a process that dies between a message and its wake does not tell.
local function attend(uv, watch, look, fail)
  local poll, timer = uv.new_poll(watch:fd()), uv.new_timer()
  local function turn()
    local good, problem = pcall(function()
      look()
      check(watch:rearm())                                  -- readable at once if there is more
      timer:start(math.ceil(1000 * watch:timeout()), 0, turn)
    end)
    if not good then                                        -- luv would end the program on the spot
      fail(problem)
    end
  end
  poll:start("r", turn)
  turn()
  return function()
    poll:close()                                            -- the loop forgets the descriptor first
    timer:close()
    watch:close()
  end
end

local function serve(options, stop)
  local queues, counts, all = {}, {}, 0
  for i, leaf in ipairs(QUEUES) do
    local settings = { capacity = 4096, temporary = true }
    queues[i] = check(shmseg.queue.open(options.name .. "-" .. leaf, "c", settings))
    counts[i] = 0
  end

  local uv = example.requires("luv", "lua-luv")
  local ends, problem = {}, nil
  local function fail(what)
    problem = problem or what
    uv.stop()
  end
  for i, queue in ipairs(queues) do
    ends[i] = attend(uv, check(queue:watch "pop"), function()
      for _, message in ipairs(check(queue:drain(BATCH))) do
        print(QUEUES[i] .. ": " .. message)
        counts[i], all = counts[i] + 1, all + 1
      end
      if all >= options.count then
        uv.stop()
      end
    end, fail)
  end
  ends[#ends + 1] = attend(uv, check(stop:watch()), function()
    if stop:wait(0) then
      uv.stop()
    end
  end, fail)

  local timer = uv.new_timer()
  local period = math.ceil(1000 * options.interval)
  timer:start(period, period, function()
    print(("so far %d orders, %d returns, %d questions"):format(counts[1], counts[2], counts[3]))
  end)
  print "serving; Ctrl-C ends it"
  uv.run()

  timer:close()
  for _, finish in ipairs(ends) do
    finish()
  end
  for _, queue in ipairs(queues) do
    queue:unlink()
    queue:shutdown()                                        -- ends the senders
  end
  if problem then
    error(problem, 0)
  end
end

local function send(options)
  local queues = {}
  for i, leaf in ipairs(QUEUES) do
    queues[i] = needs("luv.lua serve", shmseg.queue.open(options.name .. "-" .. leaf))
  end
  for number = 1, options.count do
    check(queues[math.random(#queues)]:push("number " .. number))
    if not shmseg.sleep(options.interval) then
      break
    end
  end
end

example.run([[
One process serves three queues, prints how much it has done at times, and can be ended by Ctrl-C,
all in one event loop. It needs luv; who sends needs none.

Usage: lua luv.lua serve [options]
       lua luv.lua send [options]
  --name NAME         what the shared memory objects' names begin with (office)
  --count MESSAGES    stop after that many (1000)
  --interval SECONDS  the time between two reports, or two messages (1)
  --help              show this text

Start first:
  lua luv.lua serve
Then, in as many other terminals as you like:
  lua luv.lua send --interval 0.3
Ctrl-C ends each.
]], { serve = serve, send = send })
