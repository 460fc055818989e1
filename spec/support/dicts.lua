-- SPDX-License-Identifier: MIT
-- Dicts for the specs of dicts, those who use them, and the words of their promises.

local assert = require "luassert"
local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"

local dicts = {}

--- A new dict, and its name. `options` may be nil, or have what is to differ.
function dicts.new(options)
  local all = { capacity = 65536 }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  local name = scratch.name()
  return expect.success(shmseg.dict.open(name, "x", all)), name
end

--- A peer that has the dict as `d`.
function dicts.user(name)
  local other = peer.start()
  other:call("d = assert(shmseg.dict.open(...))", name)
  return other
end

--- The values, and how many there are: `assert.same(dicts.results(true, nil, false), …)`.
function dicts.results(...)
  return { n = select("#", ...), ... }
end

--- Makes a call again and again, with a hook that raises one instruction of Lua later each time,
-- until the call ends before that. After each time `look` is called with the number of them.
function dicts.interrupt_each_instruction(call, look)
  local count, has_raised = 0
  local function interrupted()
    debug.sethook(function()
      debug.sethook()
      has_raised = true
      error "hook"
    end, "", count)
    call()
    debug.sethook()
  end
  repeat
    count = count + 1
    has_raised = false
    pcall(interrupted)
    look(count)
  until not has_raised
  assert.True(count > 20)
end

--- What -0.0 is not on every Lua.
dicts.negative_zero = -1 / math.huge

-- The highest index of a list that may have holes.
local function highest(list)
  local n = 0
  for i in pairs(list) do
    n = i > n and i or n
  end
  return n
end

--- The method's results are these, and no more: dicts.answers({ d, "get", "key" }, "value"). The
--- call needs an `n` when nil is its last argument.
function dicts.answers(call, ...)
  local d, method = call[1], call[2]
  local n = call.n or highest(call)
  local got = dicts.results(d[method](d, (table.unpack or unpack)(call, 3, n)))
  assert.same(dicts.results(...), got)
end

--- Sleeps until what was stored with a time to live of 1 ms has expired.
function dicts.let_expire()
  shmseg.sleep(0.003)
end

--- Fills the dict with values of that size, by safe_set, until it has no memory: how many, and the
--- format of their keys.
function dicts.fill(d, size, format)
  format = format or "fill %d"
  local value, count = ("v"):rep(size), 0
  while count < d:capacity() do
    local ok, why = d:safe_set(format:format(count + 1), value)
    if not ok then
      assert.equal("no memory", why)
      return count, format
    end
    count = count + 1
  end
  error "more fits than there is memory"
end

--- The keys that are live, sorted.
function dicts.keys(d)
  local keys = d:get_keys(0)
  table.sort(keys)
  return keys
end

return dicts
