-- SPDX-License-Identifier: MIT
-- Random calls of a dict's methods, the same for the same seed on every Lua, and what
-- dict_model.lua says to them.

local shmseg = require "shmseg"

local calls = {}

local unpack = table.unpack or unpack
local subtype = math.type or type -- luacheck: ignore

--- A source of numbers: random(n) is one of 1 to n.
function calls.random(seed)
  local state = seed % 2147483646 + 1
  return function(n)
    state = state * 16807 % 2147483647
    return math.floor(state / 2147483647 * n) + 1
  end
end

-- --- drawing ------------------------------------------------------------------------------------

local numbers = { 0, 1, -1, 7, 1000, 0.5, -2.5, 2 ^ 40, 1e300, 1 / 0, -1 / 0, 0 / 0 }
local texts = { "", "x", "12", "\0\1\2", ("text "):rep(20), ("long "):rep(300) }
local steps = { 1, -1, 2, 0.5, 100, -1000, 1e10 }

local function number(random)
  return numbers[random(#numbers)]
end

local function text(random)
  return texts[random(#texts)] .. (random(2) == 1 and random(10) or "")
end

local function value(random)
  local kind = random(8)
  if kind == 1 then
    return random(2) == 1
  elseif kind <= 4 then
    return number(random)
  end
  return text(random)
end

-- A time to live, and flags; often none.
local function exptime(random, sure)
  local kind = random(10)
  if kind == 1 and not sure then
    return 0.001
  end
  return kind <= 4 and 1000 + random(1000) or nil
end

local function flags(random)
  return random(3) == 1 and random(100) - 50 or nil
end

local function update(random)
  local kind, new = random(4), value(random)
  return function(old)
    if kind == 1 then
      return nil
    elseif kind == 2 and type(old) == "string" and #old < 3000 then
      return old .. "+"
    end
    return new
  end
end

-- What follows the key, for each method.
local arguments = {}
for _, method in ipairs { "set", "safe_set", "add", "safe_add", "replace" } do
  arguments[method] = function(random, sure)
    local new = value(random)
    if random(15) == 1 then
      new = nil
    end
    return { n = 3, new, exptime(random, sure), flags(random) }
  end
end
for _, method in ipairs { "delete", "get", "get_stale", "lpop", "rpop", "llen", "ttl" } do
  arguments[method] = function() return { n = 0 } end
end
function arguments.incr(random, sure)
  local init = random(2) == 1 and steps[random(#steps)] or nil
  return { n = 3, steps[random(#steps)], init, init and exptime(random, sure) }
end
for _, method in ipairs { "lpush", "rpush" } do
  arguments[method] = function(random)
    return { n = 1, random(2) == 1 and number(random) or text(random) }
  end
end
function arguments.expire(random, sure)
  return { n = 1, exptime(random, sure) or 0 }
end
function arguments.cas(random, sure, live)
  local expected
  if random(3) > 1 then
    expected = live -- so that it often is the one
  elseif random(2) == 1 then
    expected = value(random)
  end
  return { n = 4, expected, value(random), exptime(random, sure), flags(random) }
end
function arguments.update(random, sure)
  if random(2) == 1 then
    return { n = 1, update(random) }
  end
  return { n = 3, update(random), exptime(random, sure) or 0, flags(random) or 0 }
end
function arguments.wait(random, _, live)
  return { n = 2, random(2) == 1 and live or value(random), 0 }
end
function arguments.fetch(random, sure)
  local new = value(random)
  if random(5) == 1 then
    new = nil
  end
  local options = { ttl = exptime(random, sure), flags = flags(random) }
  return { n = 2, function() return new end, options }
end
function arguments.claim(random, sure)
  return { n = 3, value(random), exptime(random, sure), flags(random) }
end

local of_a_key = {}
for method in pairs(arguments) do
  of_a_key[#of_a_key + 1] = method
end
table.sort(of_a_key)

-- Those of many keys.
local function many(random, keys, sure)
  local kind, some = random(3), {}
  for i = 1, 4 do
    some[i] = keys[random(#keys)]
  end
  if kind == 1 then
    return { method = "get_many", n = 1, some }
  elseif kind == 2 and not sure then
    local values = {}
    for _, key in ipairs(some) do
      values[key] = value(random)
    end
    return { method = "set_many", n = 2, values, exptime(random, sure) }
  end
  return { method = "pairs", n = 1, keys.prefix }
end

--- A call of some method with one of the keys, or several; of all items only if `options.all`.
-- `options.sure`: nothing that expires soon, and nothing that is made of several writes. The model
-- says what is there.
function calls.draw(random, keys, model, options)
  local kind = random(100)
  if kind <= 6 then
    return many(random, keys, options.sure)
  elseif kind <= 10 and options.all then
    kind = random(9)
    local method = kind == 1 and "flush_all" or kind < 5 and "flush_expired" or kind < 7 and "len"
      or "get_keys"
    return { method = method, n = 1, method ~= "get_keys" and random(4) * (random(2) - 1) or 0 }
  end
  local key, method = keys[random(#keys)], of_a_key[random(#of_a_key)]
  local item = model:live(key)
  local rest = arguments[method](random, options.sure, item and item.value)
  return { method = method, n = rest.n + 1, key, unpack(rest, 1, rest.n) }
end

-- --- calling ---------------------------------------------------------------------------------

local function results(...)
  return { n = select("#", ...), ... }
end

-- Where the results have to be put in order before they can be compared.
local performed = {}

function performed.ttl(d, key)
  local ttl, why = d:ttl(key)
  if not ttl then
    return ttl, why
  end
  return ttl < 0 and -1 or ttl > 0 and 1 or 0
end

function performed.get_keys(d)
  local keys = d:get_keys(0)
  table.sort(keys)
  return keys
end

function performed.pairs(d, prefix)
  local all = {}
  for key, each in d:pairs(prefix) do
    assert(all[key] == nil, "a key comes twice")
    all[key] = each
  end
  return all
end

function performed.set_many(d, ...)
  return (assert(d:set_many(...))) and true
end

function performed.cas(d, ...)
  local took, actual = d:cas(...)
  if took then
    return took
  end
  return took, actual
end

function performed.claim(d, key, ...)
  local claim = assert(d:claim(key, 0))
  return (assert(claim:set(...))) and true
end

function performed.len(d)
  return #d
end

-- A bound instead of a result: more may be there than the model knows.
local bounded = {}

function bounded.flush_expired(model, got, max)
  local stale = 0
  for _, item in pairs(model.items) do
    stale = stale + (item.stale and 1 or 0)
  end
  if max == 0 then
    max = 1 / 0
  end
  if got < max then -- none is left
    for key, item in pairs(model.items) do
      model.items[key] = not item.stale and item or nil
    end
  end
  return got >= 0 and got <= max and got <= stale
end

function bounded.len(model, got)
  local live, all = 0, 0
  for _, item in pairs(model.items) do
    live, all = live + (item.stale and 0 or 1), all + 1
  end
  return got >= live and got <= all
end

local function equal(a, b)
  if type(a) == "table" and type(b) == "table" then
    for key, each in pairs(a) do
      if not equal(each, b[key]) then
        return false
      end
    end
    for key in pairs(b) do
      if a[key] == nil then
        return false
      end
    end
    return true
  elseif a ~= a and b ~= b then
    return true
  end
  return a == b and subtype(a) == subtype(b)
end

local function written(each)
  if type(each) == "string" then
    return #each <= 40 and ("%q"):format(each) or ("%q… (%d bytes)"):format(each:sub(1, 30), #each)
  elseif type(each) == "table" then
    local words = {}
    for key, part in pairs(each) do
      words[#words + 1] = key ~= "n" and tostring(key) .. " = " .. written(part) or nil
    end
    return "{ " .. table.concat(words, ", ") .. " }"
  end
  return tostring(each)
end

local function list(each)
  local words = {}
  for i = 1, each.n do
    words[i] = written(each[i])
  end
  return table.concat(words, ", ")
end

--- The call, for a message.
function calls.describe(call)
  return call.method .. "(" .. list(call) .. ")"
end

--- What the model answers to a call that needs no settling; it has been changed then.
function calls.apply(model, call)
  return results(model[call.method](model, unpack(call, 1, call.n)))
end

--- Makes the call, and compares what it answers with what the model does. Raises if they differ.
function calls.check(d, model, call)
  local perform = performed[call.method] or d[call.method]
  local got = results(perform(d, unpack(call, 1, call.n)))
  for i = 1, call.n do
    if call[i] == 0.001 or type(call[i]) == "table" and call[i].ttl == 0.001 then
      shmseg.sleep(0.003)
    end
  end
  local bound = bounded[call.method]
  if bound then
    if not bound(model, got[1], unpack(call, 1, call.n)) then
      error(calls.describe(call) .. " answers " .. list(got), 0)
    end
    return
  end
  model:settle(call.method, call[1], got)
  local expected = calls.apply(model, call)
  if not equal(expected, got) then
    local words = "%s answers %s (%d) and not %s (%d)"
    error(words:format(calls.describe(call), list(got), got.n, list(expected), expected.n), 0)
  end
end

--- So many random calls on keys that begin with the prefix, each of them checked. A failure tells
--- the seed, and which call it was.
function calls.run(d, model, options)
  local random, keys = calls.random(options.seed), { prefix = options.prefix }
  for i = 1, options.keys do
    keys[i] = options.prefix .. i
  end
  for i = 1, options.count do
    local ok, message = pcall(function()
      calls.check(d, model, calls.draw(random, keys, model, options))
    end)
    if not ok then
      error(("SHMSEG_SEED=%d, call %d: %s"):format(options.seed, i, tostring(message)), 0)
    end
  end
end

return calls
