--- shmseg bench: how fast this machine is.
-- @module shmseg.cli.bench

local json = require "shmseg.cli.json"
local shmseg = require "shmseg"
local text = require "shmseg.cli.text"

local ROUNDS, BATCH = 5, 64
local bench
local payload = ("x"):rep(64)

-- Cases are { name, how many operations a call makes, what makes the call }. All of it lies in
-- memory without a name, which is gone with this process however that ends.

local function segment_cases(memory)
  local block = ("y"):rep(2 ^ 20)
  return {
    { "segment: write 64 bytes", 1, function() memory:write(0, payload) end },
    { "segment: read 64 bytes", 1, function() return memory:read(0, 64) end },
    { "segment: write 1 MiB", 1, function() memory:write(0, block) end },
    { "segment: read 1 MiB", 1, function() return memory:read(0, 2 ^ 20) end },
    { "segment: set_u32", 1, function() memory:set_u32(64, 7) end },
  }
end

local function word_cases(memory)
  local atomic = memory:atomic(0, "u32")
  local mutex = assert(shmseg.mutex.open(memory:slice(4096, 4096), "x"))
  return {
    { "atomic: add", 1, function() atomic:add(1) end },
    { "mutex: lock and unlock", 1, function()
      mutex:lock()
      mutex:unlock()
    end },
  }
end

local function message_cases(memory)
  local options = { capacity = 2 ^ 16 }
  local queue = assert(shmseg.queue.open(memory:slice(0, 2 ^ 18), "x", options))
  local broadcast = assert(shmseg.broadcast.open(memory:slice(2 ^ 18, 2 ^ 18), "x", options))
  local subscription = broadcast:subscribe()
  local batch = {}
  for i = 1, BATCH do
    batch[i] = payload
  end
  return {
    { "queue: push and pop 64 bytes", 1, function()
      queue:push(payload)
      queue:pop()
    end },
    { "queue: the same in batches of " .. BATCH, BATCH, function()
      queue:push_many(batch)
      queue:drain(BATCH)
    end },
    { "broadcast: publish and next 64 bytes", 1, function()
      broadcast:publish(payload)
      subscription:next()
    end },
  }
end

local function value_cases(memory)
  local cell = assert(shmseg.cell.open(memory:slice(0, 4096), "x", { capacity = 64 }))
  local dict = assert(shmseg.dict.open(memory:slice(4096), "x"))
  local keys = {}
  for i = 1, 1000 do
    keys[i] = "key " .. i
    dict:set(keys[i], payload)
  end
  local at = 0
  local function key()
    at = at % #keys + 1
    return keys[at]
  end
  return {
    { "cell: set 64 bytes", 1, function() cell:set(payload) end },
    { "cell: get 64 bytes", 1, function() return cell:get() end },
    { "dict: set, 1000 keys", 1, function() dict:set(key(), payload) end },
    { "dict: get, 1000 keys", 1, function() return dict:get(key()) end },
    { "dict: incr", 1, function() dict:incr("count", 1, 0) end },
  }
end

-- Seconds that one operation takes, in one round.
local function round(call, operations)
  local calls, chunk = 0, 1
  local started = shmseg.now()
  local ended
  repeat
    for _ = 1, chunk do
      call()
    end
    calls = calls + chunk
    ended = shmseg.now()
    if ended - started < bench.seconds / 100 then
      chunk = chunk * 2
    end
  until ended - started >= bench.seconds
  return (ended - started) / (calls * operations)
end

-- The median of some rounds, in seconds.
local function measure(case)
  local times = {}
  for i = 1, ROUNDS do
    times[i] = round(case[3], case[2])
  end
  table.sort(times)
  return times[math.floor(ROUNDS / 2) + 1]
end

local function all_cases(self)
  local cases = {}
  for _, make in ipairs { segment_cases, word_cases, message_cases, value_cases } do
    for _, case in ipairs(make((self:check(shmseg.anonymous(2 ^ 21))))) do
      cases[#cases + 1] = case
    end
  end
  return cases
end

local function duration(seconds)
  return seconds < 1e-5 and ("%.0f ns"):format(seconds * 1e9) or ("%.1f us"):format(seconds * 1e6)
end

bench = {
  seconds = 0.04, -- of a round
  summary = "measures how fast the calls are on this machine, for a few seconds",
  usage = "",
  json = true,
  detail = [[
One process calls each of them in a loop, on memory without a name; figures are
medians. Two processes that wait for each other are slower: doc/performance.md
and make bench in a checkout tell more. Nothing is left behind.]],
  run = function(self)
    local cases, results, rows = all_cases(self), {}, { { "OPERATION", "TIME", "A SECOND" } }
    for i, case in ipairs(cases) do
      self:progress(i - 1, #cases)
      local seconds = measure(case)
      results[i] = { operation = case[1], seconds = seconds }
      rows[i + 1] = { case[1], duration(seconds), ("%.0f"):format(1 / seconds) }
    end
    self:progress()
    if self.json then
      self:json_out(json.array(results))
    else
      self:write(table.concat(text.columns(rows, { [2] = true, [3] = true }), "\n") .. "\n")
    end
  end,
}

return bench
