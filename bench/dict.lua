-- SPDX-License-Identifier: MIT
-- A dict with 100,000 items, in random order: one process, then two; OpenResty's dict, LMDB, Redis,
-- memcached and a private table beside.

local context = require "bench.context"
local openresty = require "bench.openresty"
local processes = require "bench.processes"
local servers = require "bench.servers"

local KEYS = 100000
local CAPACITY = 64 * 1024 * 1024
local HOT = 1000
local MANY = 50 -- keys of get_many
local PIPELINE = 100
local VALUES = 1000 -- that are stored
local LAPS = 3

local dict = {}

-- Keys of 16 bytes in random order, and values of 64 bytes. The keys are made in that order, since
-- a key is usually in the caches when it is asked for. There are few values, or Lua would be busy
-- with collecting garbage among many strings.
local function items()
  local order, values = {}, {}
  for i = 1, KEYS do
    order[i] = i
  end
  math.randomseed(1)
  for i = KEYS, 2, -1 do
    local j = math.random(i)
    order[i], order[j] = order[j], order[i]
  end
  for i = 1, KEYS do
    order[i] = ("key:%012d"):format(order[i])
  end
  for i = 1, VALUES do
    values[i] = ("%064d"):format(i)
  end
  return order, values
end

local function lists_of(order)
  local lists = {}
  for first = 1, KEYS - MANY + 1, MANY do
    local list = {}
    for i = 1, MANY do
      list[i] = order[first + i - 1]
    end
    table.insert(lists, list)
  end
  return lists
end

-- --- what is timed -------------------------------------------------------------------------

local function gets(d, order)
  return function(n)
    local x
    for i = 1, n do
      x = d:get(order[i])
    end
    return x
  end
end

local function gets_hot(d, order)
  return function(n)
    local x
    for i = 1, n do
      x = d:get(order[i % HOT + 1])
    end
    return x
  end
end

local function gets_many(d, lists)
  return function(n)
    local x
    for i = 1, n do
      x = d:get_many(lists[i])
    end
    return x
  end
end

local function sets(d, order, values)
  return function(n)
    for i = 1, n do
      d:set(order[i], values[i % VALUES + 1])
    end
  end
end

local function incrs(d)
  return function(n)
    for _ = 1, n do
      d:incr("hot", 1)
    end
  end
end

-- By the time that the process has had a processor, unless it waits for others: these take long
-- enough to lose it again and again on a machine that does other work.
local function add(suite, operation, who, run, ops, waits)
  suite:add(("%s, one process"):format(who), run, {
    operation = operation .. ", one process",
    turns = KEYS / (ops or 1),
    ops = ops,
    clock = not waits and suite.cpu or nil,
  })
end

local function add_dict(suite, d, order, values, lists)
  add(suite, "get", "d:get()", gets(d, order))
  add(suite, "get", "d:get_many(), each key", gets_many(d, lists), MANY)
  add(suite, "set", "d:set()", sets(d, order, values))
  add(suite, "get of 1,000 keys", "d:get() of 1,000 keys", gets_hot(d, order))
  add(suite, "incr of one key", "d:incr()", incrs(d))
end

-- --- peers in this process -----------------------------------------------------------------

local function add_table(suite, order, values)
  local t = { hot = 0 }
  local function set(n)
    for i = 1, n do
      t[order[i]] = values[i % VALUES + 1]
    end
  end
  set(KEYS)
  add(suite, "get", "table, get", function(n)
    local x
    for i = 1, n do
      x = t[order[i]]
    end
    return x
  end)
  add(suite, "set", "table, set", set)
  add(suite, "get of 1,000 keys", "table, get of 1,000 keys", function(n)
    local x
    for i = 1, n do
      x = t[order[i % HOT + 1]]
    end
    return x
  end)
  add(suite, "incr of one key", "table, incr", function(n)
    for _ = 1, n do
      t.hot = t.hot + 1
    end
  end)
end

local function add_lmdb(suite, bench, order, values, lists)
  local open = context.lmdb(bench.root)
  if not open then
    return suite:note("LMDB: not installed here, skipped")
  end
  local path = ("/dev/shm/%slmdb"):format(bench.prefix)
  local db = open(path, 4 * CAPACITY)
  os.remove(path)
  os.remove(path .. "-lock")
  sets(db, order, values)(KEYS)
  add(suite, "get", "LMDB, get", gets(db, order))
  add(suite, "get", "LMDB, get of 50 in one transaction, each key", gets_many(db, lists), MANY)
  add(suite, "set", "LMDB, set", sets(db, order, values))
  add(suite, "get of 1,000 keys", "LMDB, get of 1,000 keys", gets_hot(db, order))
end

local function add_server(suite, name, server)
  if not server then
    return suite:note(name .. ": not installed here, skipped")
  end
  server.set(KEYS / PIPELINE)
  add(suite, "get", name .. ", get, 100 at once, each key", server.get, PIPELINE, true)
  add(suite, "set", name .. ", set, 100 at once, each key", server.set, PIPELINE, true)
end

-- --- two processes -------------------------------------------------------------------------

-- The list from another place on, so that processes are not at the same key.
local function rotated(list, start)
  local turned = {}
  for i = 1, #list do
    turned[i] = list[(i + start) % #list + 1]
  end
  return turned
end

local function add_two(suite, group, operation, who, make, ops)
  local label = who .. ", two processes"
  local turns = KEYS / (ops or 1)
  suite:measure(label, function()
    local clock = group:flow {
      producers = 2,
      consumers = 0,
      messages = 4 * turns,
      block = turns,
      producer = function()
        local run = make()
        collectgarbage() -- it writes to all of Lua's memory, of which the process gets a copy
        collectgarbage()
        return run
      end,
    }
    return { { label, clock / (ops or 1) } }
  end, { operation = operation .. ", two processes" })
end

local function add_pairs(suite, bench, group, name, order, values, lists)
  local function place()
    return bench.native.pid() * 7919
  end
  local function side()
    return assert(bench.shmseg.dict.open(name, "rw"))
  end
  add_two(suite, group, "get", "d:get()", function()
    return gets(side(), rotated(order, place()))
  end)
  add_two(suite, group, "get", "d:get_many(), each key", function()
    return gets_many(side(), rotated(lists, place()))
  end, MANY)
  add_two(suite, group, "set", "d:set()", function()
    return sets(side(), rotated(order, place()), values)
  end)
  add_two(suite, group, "get of 1,000 keys", "d:get() of 1,000 keys", function()
    return gets_hot(side(), order)
  end)
  add_two(suite, group, "incr of one key", "d:incr()", function()
    return incrs(side())
  end)
end

-- --- the suite -----------------------------------------------------------------------------

local function add_targets(suite)
  local function target(one, other, many, bound)
    suite:target(("%s, %s"):format(one, many), ("%s, %s"):format(other, many), bound)
  end
  local alone, two = "one process", "two processes"
  target("d:get()", "OpenResty, get", alone, { least = 3.5 })
  target("d:set()", "OpenResty, set", alone, { least = 2.5 })
  target("d:get_many(), each key", "OpenResty, get", alone, { least = 6 })
  target("d:get()", "OpenResty, get", two, { least = 8 })
  target("d:set()", "OpenResty, set", two, { least = 6 })
  target("d:get()", "LMDB, get", alone, { least = 1.5 })
  target("d:get() of 1,000 keys", "table, get of 1,000 keys", alone, { least = 0.5 })
  target("d:incr()", "OpenResty, incr", alone, { least = 0.7 })
  target("d:incr()", "OpenResty, incr", two, { least = 0.4 })
  target("d:get_many(), each key", "LMDB, get of 50 in one transaction, each key", alone, {})
  target("d:get_many(), each key", "OpenResty, get", two, {})
  target("d:get() of 1,000 keys", "OpenResty, get of 1,000 keys", alone, {})
  target("d:get() of 1,000 keys", "OpenResty, get of 1,000 keys", two, {})
  target("d:set()", "LMDB, set", alone, {})
  for _, server in ipairs { "Redis", "memcached" } do
    target("d:get()", server .. ", get, 100 at once, each key", alone, {})
    target("d:set()", server .. ", set, 100 at once, each key", alone, {})
  end
end

--- The commands that measure OpenResty, for each number of workers.
function dict.prepare(bench, found)
  local commands = {}
  for workers = 1, 2 do
    commands[workers] = openresty.command(bench.root, "dict_openresty.lua", workers,
      ("%d, %d, %d"):format(workers, LAPS, KEYS))
  end
  if #commands == 0 then
    found:add("note\tOpenResty (nginx and its Lua module): not installed here, skipped")
  end
  return commands, bench.close
end

local function run(_, suite, bench)
  local order, values = items()
  local lists = lists_of(order)
  local group = bench.channel and processes.open(bench)
  local options = { capacity = CAPACITY, items = KEYS }
  suite.cpu = bench.channel and bench.channel.cpu
  local segment, name = bench.segment(bench.shmseg.dict.size_for(options))
  local d = assert(bench.shmseg.dict.open(segment, "c", options))
  d:set("hot", 0)
  sets(d, order, values)(KEYS)
  add_dict(suite, d, order, values, lists)
  add_table(suite, order, values)
  add_lmdb(suite, bench, order, values, lists)
  if group then
    add_server(suite, "Redis", servers.redis(bench, group, order, values, PIPELINE))
    add_server(suite, "memcached", servers.memcached(bench, group, order, values, PIPELINE))
    add_pairs(suite, bench, group, name, order, values, lists)
  else
    suite:note("channel.c does not compile here: nothing in two processes, no Redis, no memcached")
  end
  add_targets(suite)
end

return setmetatable(dict, { __call = run })
