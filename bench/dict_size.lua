-- SPDX-License-Identifier: MIT
-- What a dict's size costs: the time of operations as keys become more, memory for each item, and
-- the time to attach a large one.

local context = require "bench.context"

local SAMPLE = 100000 -- keys that are asked for, at random
local ROOM = 160 -- bytes of capacity for each key
local MEMORY = 400 -- bytes for each key, in all, that must be there twice
local TABLE_MOST = 100000 -- keys of a private table
local LARGE = 1024 * 1024 * 1024
local FILLED = 16 * 1024 * 1024
local KEY, VALUE = 16, 64 -- bytes

local function key(i)
  return ("key:%012d"):format(i)
end

local value = ("v"):rep(VALUE)

local function new_dict(bench, options)
  local size = bench.shmseg.dict.size_for(options)
  local segment, name = bench.segment(size, { reserve = false })
  return assert(bench.shmseg.dict.open(segment, "c", options)), name, segment
end

-- Bytes that this machine has free, for shared memory too; nil where it does not say.
local function free_memory()
  local function kib(command)
    return tonumber(context.output_of(command .. " 2>/dev/null"))
  end
  local shm = kib "df -k /dev/shm | awk 'END { print $4 }'"
  local all = kib "awk '/^MemAvailable/ { print $2 }' /proc/meminfo"
  return shm and all and math.min(shm, all) * 1024
end

-- --- more and more keys --------------------------------------------------------------------

local function sample(count)
  local order = {}
  for i = 1, SAMPLE do
    order[i] = key(math.random(count))
  end
  return order
end

local function add_growing(suite, d, order, text)
  local function add(what, run, turns, ops)
    suite:add(("%s, %s keys"):format(what, text), run, {
      operation = what,
      turns = turns or SAMPLE,
      ops = ops,
      clock = suite.cpu,
    })
  end
  add("d:get()", function(n)
    for i = 1, n do
      d:get(order[i])
    end
  end)
  add("d:set()", function(n)
    for i = 1, n do
      d:set(order[i], value)
    end
  end)
  add("d:delete() and d:add(), each", function(n)
    for i = 1, n do
      d:delete(order[i])
      d:add(order[i], value)
    end
  end, SAMPLE / 2, 2)
  add("d:incr()", function(n)
    for _ = 1, n do
      d:incr("hot", 1, 0)
    end
  end)
  add("d:stats()", function(n)
    for _ = 1, n do
      d:stats()
    end
  end, 1000)
end

local function add_table(suite, order, count, text)
  local t = {}
  for i = 1, count do
    t[key(i)] = value
  end
  suite:add(("table, get, %s keys"):format(text), function(n)
    local x
    for i = 1, n do
      x = t[order[i]]
    end
    return x
  end, { operation = "table, get", turns = SAMPLE, clock = suite.cpu })
end

local function add_sizes(suite, bench)
  local count, power = 1000, 3
  local least, most = "10^3", nil
  while count <= bench.keys do
    local text = "10^" .. power
    local free = free_memory()
    if free and free < 2 * count * MEMORY then
      suite:note(("no memory for %s keys, skipped"):format(text))
      break
    end
    local d, _, segment = new_dict(bench, { capacity = count * ROOM, items = count })
    for i = 1, count do
      d:set(key(i), value)
    end
    local order = sample(count)
    add_growing(suite, d, order, text)
    if count <= TABLE_MOST then
      add_table(suite, order, count, text)
    end
    segment:unlink() -- the mapping stays
    most = text
    count, power = count * 10, power + 1
  end
  for _, what in ipairs { "d:get()", "d:set()", "d:incr()", "table, get" } do
    suite:target(("%s, %s keys"):format(what, most), ("%s, %s keys"):format(what, least), {})
  end
end

-- --- memory --------------------------------------------------------------------------------

local function blocks_of(name)
  return tonumber(context.output_of(("stat -c %%b '/dev/shm/%s' 2>/dev/null"):format(name)))
end

-- Items go in until the first one must go for another.
local function note_memory(suite, bench)
  local d, name, segment = new_dict(bench, { capacity = FILLED })
  local count, forcible = 0, false
  while not forcible do
    local _, _, evicted = d:set(key(count), value)
    count, forcible = count + 1, evicted
  end
  local items = count - 1
  local text = "an item of %d bytes takes %.0f bytes of the capacity more than these (limit 80)"
  suite:note(text:format(KEY + VALUE, FILLED / items - KEY - VALUE))
  local blocks = blocks_of(name)
  if blocks then
    suite:note(("... and %.0f bytes more than these of memory, with index and tables"):format(
      blocks * 512 / items - KEY - VALUE))
  end
  segment:unlink()
  d:close()
end

-- --- a large dict --------------------------------------------------------------------------

-- Pages of shared memory that this process has touched; nil where the system does not say.
local function touched()
  local pages = context.output_of("cat /proc/$PPID/statm 2>/dev/null"):match("^%d+ %d+ (%d+)")
  return tonumber(pages)
end

local function add_large(suite, bench)
  local dict = bench.shmseg.dict
  local _, name = new_dict(bench, { capacity = LARGE })
  local before = touched()
  local d = assert(dict.open(name))
  local after = touched()
  if before then
    suite:note(("opening a dict of 1 GiB touches %d pages"):format(after - before))
  end
  d:close()
  suite:add("open and close, 1 GiB", function(n)
    for _ = 1, n do
      dict.open(name):close()
    end
  end, { operation = "attach", turns = 1 })
  suite:add("open and close, 1 GiB, read-only", function(n)
    for _ = 1, n do
      dict.open(name, "r"):close()
    end
  end, { operation = "attach", turns = 1 })
end

return function(suite, bench)
  math.randomseed(1)
  suite.cpu = bench.channel and bench.channel.cpu -- as in dict.lua
  note_memory(suite, bench)
  add_large(suite, bench)
  add_sizes(suite, bench)
end
