-- SPDX-License-Identifier: MIT
-- Random calls of all methods of a dict, by one process and by several, also by some that are
-- killed, against a model (spec/support/dict_model.lua). SHMSEG_SEED makes the same choices again;
-- SHMSEG_SPEC_SCALE=60 is some minutes of them.

local shmseg = require "shmseg"
local calls = require "spec.support.dict_calls"
local dicts = require "spec.support.dicts"
local expect = require "spec.support.expect"
local message_peer = require "spec.support.message_peer"
local model = require "spec.support.dict_model"
local scratch = require "spec.support.scratch"

local scale = message_peer.scale
local seed = tonumber(os.getenv "SHMSEG_SEED" or "") or 4711

-- A dict of that capacity; a crowded one is made for few items and has many, so most are in chains.
local function new(capacity, is_crowded)
  local d, name = dicts.new { capacity = capacity, items = is_crowded and 1 or nil }
  for i = 1, is_crowded and 1000 or 0 do
    d:set("crowd " .. i, i)
  end
  return d, name
end

-- Kills all workers, and settles with each.
local function end_all(workers, settle)
  for i, worker in ipairs(workers) do
    worker:stop()
    settle(i)
  end
end

describe("a dict in one process", function()
  after_each(scratch.clean)

  for _, capacity in ipairs { 2 ^ 18, 2 ^ 22 } do
    it(("of %d bytes answers random calls as a table would"):format(capacity), function()
      local d = dicts.new { capacity = capacity }
      local options = { seed = seed, prefix = "key ", keys = 12, count = 1000 * scale, all = true }
      calls.run(d, model.new(), options)
      assert.equal(0, d:stats().evicted)
      options = { seed = seed + 1, prefix = "key ", keys = 300, count = 1000 * scale, all = true }
      d:flush_all()
      d:flush_expired()
      calls.run(d, model.new(), options)
      assert.equal(0, d:stats().evicted)
    end)
  end

  it("answers so in a crowd, too", function()
    local d = new(2 ^ 19, true)
    calls.run(d, model.new(), { seed = seed, prefix = "key ", keys = 60, count = 2000 * scale })
    for i = 1, 1000 do
      assert(d:get("crowd " .. i) == i)
    end
  end)
end)

-- What several processes do with keys of their own, and with keys of all of them, for which they
-- keep a ledger: what was added, pushed and popped.
local worker = [[
  local name, number, seed, count = ...
  local calls = require "spec.support.dict_calls"
  local model = require("spec.support.dict_model").new()
  local random = calls.random(seed + 100 * number)
  local ledger = { added = 0, pushed = 0, popped = 0, sum = 0, updated = 0, swapped = 0 }
  local shared = {
    function()
      local step = random(100)
      assert(d:incr("sum", step, 0))
      ledger.added = ledger.added + step
    end,
    function()
      local push = random(2) == 1 and d.lpush or d.rpush
      local value = random(1000)
      if assert(d:llen "list") < 50 then
        assert(push(d, "list", value))
        ledger.pushed, ledger.sum = ledger.pushed + 1, ledger.sum + value
      end
    end,
    function()
      local pop = random(2) == 1 and d.lpop or d.rpop
      local value, why = pop(d, "list")
      assert(not why, why)
      if value then
        ledger.popped, ledger.sum = ledger.popped + 1, ledger.sum - value
      end
    end,
    function()
      assert(d:update("updated", function(old) return (old or 0) + 1 end))
      ledger.updated = ledger.updated + 1
    end,
    function()
      if d:cas("swapped", d:get "swapped", (d:get "swapped" or 0) + 1) then
        ledger.swapped = ledger.swapped + 1
      end
    end,
    function()
      local function fn() return "computed" end
      local value, how = d:fetch("fetched " .. random(5), fn, { ttl = 0.001 })
      assert(value == "computed", how)
    end,
    function()
      local key = "any " .. random(8)
      local value = assert(("%d "):format(random(9)):rep(random(400)))
      assert(d:set(key, value, random(2) == 1 and 0.001 or nil))
      local got = d:get("any " .. random(8))
      assert(got == nil or got == got:sub(1, 2):rep(#got / 2), "torn")
    end,
    function() d:delete("any " .. random(8)) end,
    function() assert(d:flush_expired(random(3))) end,
  }
  local own = { seed = seed + number, prefix = "own " .. number .. " ", keys = 6, count = 8 }
  for i = 1, count do
    own.seed = own.seed + 10
    calls.run(d, model, own)
    for _ = 1, 4 do
      shared[random(#shared)]()
    end
  end
  return ledger, model:pairs()]]

describe("four processes at random calls", function()
  after_each(scratch.clean)

  for _, capacity in ipairs { 2 ^ 19, 2 ^ 22 } do
    it(("of a dict of %d bytes answer for each change that was told"):format(capacity), function()
      local d, name = dicts.new { capacity = capacity }
      local others, sums = {}, {}
      for i = 1, 4 do
        others[i] = dicts.user(name)
      end
      for i, other in ipairs(others) do
        other:send(worker, name, i, seed, 80 * scale)
      end
      for i, other in ipairs(others) do
        local ledger, items = other:receive()
        for what, sum in pairs(ledger) do
          sums[what] = (sums[what] or 0) + sum
        end
        local found = {}
        for key, value in d:pairs("own " .. i .. " ") do
          found[key] = value
        end
        for key, value in pairs(items) do
          assert.True(value ~= value or type(value) == "table" or value == found[key], key)
          assert.not_nil(found[key])
        end
      end
      assert.equal(sums.added, d:get "sum" or 0)
      assert.equal(sums.updated, d:get "updated" or 0)
      assert.equal(sums.swapped, d:get "swapped" or 0)
      assert.equal(sums.pushed - sums.popped, d:llen "list")
      for value in function() return d:lpop "list" end do
        sums.sum = sums.sum - value
      end
      assert.equal(0, sums.sum)
      assert.same({ 0, 0 }, { d:stats().evicted, d:stats().repaired })
      for _, key in ipairs(d:get_keys(0)) do
        d:delete(key)
      end
      d:flush_expired()
      assert.same({ 0, capacity }, { #d, d:free_space() })
    end)
  end
end)

-- The n-th call of a worker depends only on the seed and on what its keys have: its model. So how
-- far it came tells what has to be there after a kill.
local killed = [[
  local notes, number, seed, first = ...
  local calls = require "spec.support.dict_calls"
  local model = require("spec.support.dict_model").new()
  local seg = assert(shmseg.open(notes))
  local told, done = seg:atomic(8 * number, "u32"), seg:atomic(8 * number + 4, "u32")
  local added = seg:atomic(64 + 4 * number, "u32")
  local keys, options = { prefix = "own " .. number .. " " }, { sure = true }
  for i = 1, 6 do keys[i] = keys.prefix .. i end
  report "begins"
  for n = first, 1e9 do
    local call = calls.draw(calls.random(seed + 1000 * n + number), keys, model, options)
    told:store(n)
    local ok, message = pcall(calls.check, d, model, call)
    if not ok then error("call " .. n .. ", SHMSEG_SEED=" .. seed .. ": " .. message, 0) end
    done:store(n)
    assert(d:incr("sum", 1, 0))
    added:add(1)
    assert(d:rpush("list " .. number, n))
    assert(d:lpop("list " .. number) == n)
  end]]

describe("processes that are killed at random calls", function()
  after_each(scratch.clean)

  local function keys_of(number)
    local keys = { prefix = "own " .. number .. " " }
    for i = 1, 6 do
      keys[i] = keys.prefix .. i
    end
    return keys
  end

  -- What tells two states of the keys apart, in text.
  local function state(all, flags)
    local lines = {}
    for key, value in pairs(all) do
      local words = type(value) == "table" and value or { value }
      local texts = {}
      for i, word in ipairs(words) do
        texts[i] = type(word) == "string" and "s" .. word or tostring(word):gsub("^%-nan", "nan")
      end
      lines[#lines + 1] = ("%s=%s/%s/%s"):format(key, type(value) == "table" and "list" or "value",
        table.concat(texts, ","), flags(key))
    end
    table.sort(lines)
    return table.concat(lines, "\n")
  end

  local function state_of_dict(d, prefix)
    local all = {}
    for key, value in d:pairs(prefix) do
      all[key] = value
    end
    return state(all, function(key)
      local flags = type(all[key]) ~= "table" and select(2, d:get(key)) or 0
      return ("%d %s"):format(flags, tostring(d:ttl(key) > 0))
    end)
  end

  local function state_of_model(m)
    return state(m:pairs(), function(key)
      return ("%d %s"):format(m.items[key].flags, tostring(m.items[key].timed))
    end)
  end

  for _, capacity in ipairs { 2 ^ 19, 2 ^ 22 } do
    it(("of a dict of %d bytes leave all that was told, and at most one change more")
      :format(capacity), function()
        local is_crowded = capacity < 2 ^ 20
        local d, name = new(capacity, is_crowded)
        local notes_name = scratch.name()
        local notes = expect.success(shmseg.open(notes_name, "x", 128))
        local workers, models, firsts = {}, {}, {}

        local function start(i)
          workers[i] = dicts.user(name)
          workers[i]:send(killed, notes_name, i, seed, firsts[i])
          assert.equal("begins", workers[i]:receive())
        end

        -- Finds how far the dead worker came, and where the next one begins.
        local function settle(i)
          local told, done = notes:get_u32(8 * i), notes:get_u32(8 * i + 4)
          local last = math.max(done, firsts[i] - 1)
          assert.True(told <= last + 1 and told >= done)
          local m, keys = models[i], keys_of(i)
          local function advance(n)
            calls.apply(m, calls.draw(calls.random(seed + 1000 * n + i), keys, m, { sure = true }))
          end
          for n = firsts[i], done do
            advance(n)
          end
          local found = state_of_dict(d, keys.prefix)
          local expected = state_of_model(m)
          if told > last and found ~= expected then
            advance(told)
            expected = state_of_model(m)
          end
          local where = ("SHMSEG_SEED=%d, worker %d, call %d"):format(seed, i, told)
          assert.equal(expected, found, where)
          firsts[i] = math.max(told, last) + 1
          local left = d:llen("list " .. i)
          assert.True(left == 0 or left == 1)
          d:delete("list " .. i)
          for _, key in ipairs(keys) do -- the next one does not know what is there
            d:delete(key)
          end
          models[i] = model.new()
        end

        for i = 1, 3 do
          models[i], firsts[i] = model.new(), 1
          start(i)
        end
        local kills = math.max(1, math.floor(3 * scale))
        for kill = 1, kills do
          local i = kill % 3 + 1
          local enough = notes:get_u32(8 * i + 4) + math.random(60)
          repeat
            shmseg.sleep(0.001)
            local ended = workers[i]:sleeps_or_has_ended() == "ended"
          until ended or notes:get_u32(8 * i + 4) >= enough
          if notes:get_u32(8 * i + 4) < enough then
            workers[i]:receive() -- raises what it died of
          end
          workers[i]:stop()
          settle(i)
          start(i)
        end
        end_all(workers, settle)
        local sum, added = d:get "sum", 0
        for i = 1, 3 do
          added = added + notes:get_u32(64 + 4 * i)
        end
        assert.True(sum >= added and sum <= added + kills + 3, sum .. " and " .. added)
        assert.equal(0, d:stats().evicted)
        assert.equal(is_crowded and 1001 or 1, #d:get_keys(0))
        for _, key in ipairs(d:get_keys(0)) do
          d:delete(key)
        end
        d:flush_expired()
        assert.same({ 0, capacity }, { #d, d:free_space() })
      end)
  end

  it("of a dict that is full leave no value but the last, or none", function()
    local d, name = dicts.new { capacity = 65536 }
    local notes_name = scratch.name()
    local notes = expect.success(shmseg.open(notes_name, "x", 4096))
    local workers = {}
    local function start(i)
      workers[i] = dicts.user(name)
      workers[i]:send([[
        local notes, number = ...
        local numbers = assert(shmseg.open(notes)):array(1024 * number, "u32", 256)
        local function text(key, n) return (key .. " " .. n .. " "):rep(n * 7919 % 300 + 1) end
        report "begins"
        for i = 1, 1e9 do
          local place = math.random(100)
          local key = number .. " " .. place
          local last = numbers[place]
          local got = d:get(key)
          assert(got == nil or got == text(key, last), "lost")
          numbers[100 + place] = last + 1
          assert(d:set(key, text(key, last + 1)))
          numbers[place] = last + 1
        end]], notes_name, i)
      assert.equal("begins", workers[i]:receive())
    end
    local function settle(i)
      local numbers = notes:array(1024 * i, "u32", 256)
      local function text(key, n) return (key .. " " .. n .. " "):rep(n * 7919 % 300 + 1) end
      for place = 1, 100 do
        local key = i .. " " .. place
        local got = d:get(key)
        local last, begun = numbers[place], numbers[100 + place]
        assert.True(got == nil or got == text(key, last) or got == text(key, begun), key)
        numbers[place] = got == text(key, begun) and begun or last
      end
    end
    for i = 1, 2 do
      start(i)
    end
    for kill = 1, math.max(1, math.floor(3 * scale)) do
      local i = kill % 2 + 1
      shmseg.sleep(math.random() / 50)
      assert.False(workers[i]:sleeps_or_has_ended() == "ended")
      workers[i]:stop()
      settle(i)
      start(i)
    end
    end_all(workers, settle)
    assert.True(d:stats().evicted > 0)
    for _, key in ipairs(d:get_keys(0)) do
      d:delete(key)
    end
    assert.equal(65536, d:free_space())
  end)
end)
