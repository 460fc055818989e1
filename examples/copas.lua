-- SPDX-License-Identifier: MIT
-- News for whoever connects: Copas waits for sockets, and for a broadcast as if it were one.

local shmseg = require "shmseg"
local example = dofile((arg[0]:match("^.*/") or "") .. "example.lua")
local check, needs = example.check, example.needs

local ADDRESS = "127.0.0.1"

-- What Copas takes for a socket: copas.receive(source) gives what take() gives, and while that is
-- nil and "timeout", it waits for the watch. Copas may close it when its coroutine ends.
local function source_of(watch, take)
  local source, due = {}, 0
  function source.getfd()
    return watch:fd()
  end
  function source.dirty()                                   -- "do not wait": its time has come
    return shmseg.now() >= due
  end
  function source.receive()
    local value, word, code = take()
    if word == "timeout" then
      check(watch:rearm())                                  -- readable at once if there is one
      due = shmseg.now() + watch:timeout()
    end
    return value, word, code
  end
  function source.close()
    watch:close()
  end
  return source
end

-- Newer versions of Copas give up after a while.
local function receive(copas, source)
  local value, word, code
  repeat
    value, word, code = copas.receive(source)
  until value or word ~= "timeout"
  return check(value, word, code)
end

local function serve(options, stop)
  local settings = { capacity = 4096, temporary = true }
  local news = check(shmseg.broadcast.open(options.name, "c", settings))
  local copas = example.requires("copas", "lua-copas")
  local socket = require "socket"
  local ended, problem = false, nil
  local function fail(what)                                 -- Copas would print it and go on
    ended, problem = true, what
  end

  copas.addserver(check(socket.bind(ADDRESS, options.port)), function(client)
    copas.setErrorHandler(fail)
    local subscription = news:subscribe()
    local source = source_of(check(subscription:watch()), function()
      return subscription:next(0)
    end)
    print "somebody has connected"
    repeat
      local line = receive(copas, source)
    until not copas.send(client, line .. "\n")              -- the client has gone
    source.close()
    client:close()
  end)

  copas.addthread(function()
    copas.setErrorHandler(fail)
    receive(copas, source_of(check(stop:watch()), function()
      return stop:wait(0)
    end))
    ended = true
  end)

  print(("listening at %s, port %d; Ctrl-C ends it"):format(ADDRESS, options.port))
  repeat
    copas.step(1)                                           -- as long as a watch's timer, at most
  until ended
  news:unlink()
  news:shutdown()                                           -- ends the publishers
  if problem then
    error(problem, 0)
  end
end

local function publish(options)
  local news = needs("copas.lua serve", shmseg.broadcast.open(options.name))
  for number = 1, options.count do
    check(news:publish("news number " .. number))
    if not shmseg.sleep(options.interval) then
      break
    end
  end
end

example.run([[
One process gives all news that are published in shared memory to whoever is connected to it. It
needs Copas; who publishes needs none.

Usage: lua copas.lua serve [options]
       lua copas.lua publish [options]
  --name NAME         the shared memory object (news)
  --port NUMBER       where to listen, on this machine alone (8090)
  --count NEWS        stop publishing after that many (1000)
  --interval SECONDS  the pause between two of them (1)
  --help              show this text

Start first:
  lua copas.lua serve
Then, in other terminals:
  nc 127.0.0.1 8090
  lua copas.lua publish
Ctrl-C ends each.
]], { serve = serve, publish = publish })
