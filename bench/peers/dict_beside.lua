-- SPDX-License-Identifier: MIT
-- A dict beside OpenResty's, by turns in one nginx worker that has nothing else to do: nginx runs
-- this when the worker starts. Prints lines as harness.lua does, then ends nginx.

local laps, most, hot, name = ...
local ffi = require "ffi"
local ngx = ngx -- luacheck: globals ngx

ffi.cdef [[
  typedef struct { long seconds, nanoseconds; } bench_time;
  int clock_gettime(int clock, bench_time *time);
  int getppid(void);
  int kill(int pid, int signal);
]]
local time = ffi.new "bench_time"
local PROCESSOR_TIME = 2
local TERM = 15

local function now()
  ffi.C.clock_gettime(PROCESSOR_TIME, time)
  return tonumber(time.seconds) * 1e9 + tonumber(time.nanoseconds)
end

-- Keys in random order, those of 1 to keys. What is read has other values than what is written:
-- LuaJIT makes each string once, and need not make those that it has.
local function keys_of(keys)
  local order = {}
  for i = 1, keys do
    order[i] = i
  end
  math.randomseed(1)
  for i = keys, 2, -1 do
    local j = math.random(i)
    order[i], order[j] = order[j], order[i]
  end
  for i = 1, keys do
    order[i] = ("key:%012d"):format(order[i])
  end
  return order
end

local values = {}
for i = 1, 1000 do
  values[i] = ("%064d"):format(i)
end

-- Each contestant has loops of its own, so that what LuaJIT learns of one is not used for another.
local LOOPS = [[
  local read, written, order, values = ...
  local loops, keys = {}, #order
  function loops.get(n)
    local x
    for i = 1, n do
      x = read:get(order[i % keys + 1])
    end
    return x
  end
  function loops.set(n)
    for i = 1, n do
      written:set(order[i % keys + 1], values[i % 1000 + 1])
    end
  end
  function loops.incr(n)
    local x
    for _ = 1, n do
      x = read:incr("hot", 1)
    end
    return x
  end
  return loops
]]

local contestants = {}

-- label: %s is the operation
local function add(label, keys, read, written)
  local order = keys_of(keys)
  for i = 1, keys do
    assert(read:set(order[i], ("%064d"):format(i + most)))
    assert(written:set(order[i], values[1]))
  end
  assert(read:set("hot", 0))
  table.insert(contestants, {
    label = ("%s, %d keys"):format(label, keys),
    keys = keys,
    loops = assert(loadstring(LOOPS, "=" .. label))(read, written, order, values),
  })
end

local function add_ours(keys, capacity, suffix)
  local shmseg = require "shmseg"
  local options = { capacity = capacity, items = keys, temporary = true }
  local function open(what)
    return assert(shmseg.dict.open(("%s-%d-%s"):format(name, keys, what), "c", options))
  end
  add("d:%s()" .. suffix, keys, open "read", open "written")
end

local function measure(who, operation)
  collectgarbage()
  collectgarbage()
  local start = now()
  who.loops[operation](most)
  return (now() - start) / most
end

local function run()
  local is_alone = os.getenv "SHMSEG_FFI" == "0"
  add_ours(most, 64 * 1024 * 1024, is_alone and ", SHMSEG_FFI=0" or "")
  add_ours(hot, 1024 * 1024, is_alone and ", SHMSEG_FFI=0" or "")
  if not is_alone then
    add("ngx.shared, %s", most, ngx.shared.bench, ngx.shared.written)
    add("ngx.shared, %s", hot, ngx.shared.few, ngx.shared.few_written)
  end
  for lap = 0, laps do
    for _, operation in ipairs { "get", "set", "incr" } do
      for i = 1, #contestants do
        local who = contestants[(i + lap) % #contestants + 1]
        local taken = measure(who, operation)
        if lap > 0 then -- LuaJIT compiles in the first one
          io.stdout:write(("time\t%s, %d keys\t%s\t%.3f\t0\n"):format(
            operation, who.keys, who.label:format(operation), taken))
        end
      end
    end
  end
end

local good, message = pcall(run)
if not good then
  io.stderr:write("bench: ", message, "\n")
end
io.stdout:flush()
ffi.C.kill(ffi.C.getppid(), TERM)
