-- SPDX-License-Identifier: MIT
-- A rate limit for several processes: together they do no more than so many requests in a window.

local shmseg = require "shmseg"
local example = dofile((arg[0]:match("^.*/") or "") .. "example.lua")
local check, needs = example.check, example.needs

-- The number of this request in the window; or nil, and how long it is until the next one.
local function admit(dict, who, limit, window)
  local number = check(dict:incr(who, 1, 0, window))   -- the first one makes the key, for a window
  if number <= limit then
    return number
  end
  return nil, dict:ttl(who)                            -- nil: it has ended meanwhile
end

local function request(options)                        -- a client
  local dict = needs("limiter.lua", shmseg.dict.open(options.name))
  local done, refused = 0, 0
  repeat
    local number, left = admit(dict, "api", options.limit, options.window)
    if number then
      done = done + 1
      print(("request %d: number %d of its window, refused %d times"):format(done, number, refused))
      refused = 0
    else
      refused = refused + 1
      check(shmseg.sleep(math.max(left or 0, 0.001)))
    end
  until done == options.requests
end

local function lead(options)
  local here = check(shmseg.open(nil, "x", 1, { temporary = true }))   -- for a name nobody else has
  local name = here:name() .. "-limits"
  local dict = check(shmseg.dict.open(name, "x", { capacity = 16384, temporary = true }))
  local clients = {}
  for i = 1, options.clients do
    clients[i] = example.start("client", "--name", name, "--requests", options.requests,
      "--limit", options.limit, "--window", options.window)
  end
  for _ = 1, options.requests do
    for i, client in ipairs(clients) do
      print(("client %d, %s"):format(i, client:line()))
    end
  end
  for _, client in ipairs(clients) do
    client:close()
  end
  dict:close()                                         -- kept until here: its name goes with it
end

example.run([[
Starts a few clients that share one rate limit, a number in a dict that expires with its window.
Each client has its requests to do, and waits for the next window when it is refused.

Usage: lua limiter.lua [options]
  --clients NUMBER     so many processes (3)
  --requests REQUESTS  that each of them does (8)
  --limit REQUESTS     of all of them, in one window (10)
  --window SECONDS     how long a window is (0.5)
  --help               show this text

There is nothing to start first. The processes that it starts run "client" with
  --name NAME          the shared memory object

For example:
  lua limiter.lua --limit 4
]], { lead, client = request })
