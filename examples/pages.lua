-- SPDX-License-Identifier: MIT
-- A page cache: one process makes a page, and all others get it. When a page has become old, they
-- are given the old one while somebody makes it anew.

local shmseg = require "shmseg"
local example = dofile((arg[0]:match("^.*/") or "") .. "example.lua")
local check, needs = example.check, example.needs

local PAGE = "/home"

local function serve(options)
  local cache = needs("pages.lua", shmseg.dict.open(options.name))
  local made_here = 0

  local function make(path)
    made_here = made_here + 1
    check(shmseg.sleep(options.work))                  -- hard work; nothing is locked meanwhile
    return ("%s, by server %d"):format(path, options.number)
  end

  print "ready"
  local round = 0
  while true do
    round = check(cache:wait("round", round))          -- sleeps until there is another one
    if round == "over" then
      break
    end
    local page, how = cache:fetch(PAGE, make, { ttl = 60, stale = 60 })
    print(("%s: %s; made %d here"):format(how, check(page, how), made_here))
  end
end

local function lead(options)
  local here = check(shmseg.open(nil, "x", 1, { temporary = true }))   -- for a name nobody else has
  local name = here:name() .. "-pages"
  local cache = check(shmseg.dict.open(name, "x", { capacity = 2 ^ 20, temporary = true }))
  check(cache:set("round", 0))
  local servers = {}
  for i = 1, options.servers do
    servers[i] = example.start("server", "--name", name, "--number", i, "--work", options.work)
    servers[i]:line()                                  -- "ready"
  end

  local function ask(round, what)
    print(what)
    check(cache:set("round", round))
    for i, server in ipairs(servers) do
      print(("  server %d, %s"):format(i, server:line()))
    end
  end

  ask(1, "there is no page yet: one makes it, the others wait")
  ask(2, "it is there")
  check(cache:expire(PAGE, 0.001))                     -- as if its minute were over
  check(shmseg.sleep(0.01))
  ask(3, "it is old: one makes it anew, the others take the old one")
  check(cache:delete(PAGE))
  ask(4, "it was deleted")
  check(cache:set("round", "over"))
  for _, server in ipairs(servers) do
    server:close()
  end
end

example.run([[
Starts a few servers that share a page cache in a dict, and has all of them ask for the same page at
the same moment: when it is not there, when it is, when it is old, when it was deleted.

Usage: lua pages.lua [options]
  --servers NUMBER  so many processes (3)
  --work SECONDS    how long it takes to make a page (0.1)
  --help            show this text

There is nothing to start first. The processes that it starts run "server" with
  --name NAME       the shared memory object
  --number NUMBER   which of them it is

For example:
  lua pages.lua --work 1
]], { lead, server = serve })
