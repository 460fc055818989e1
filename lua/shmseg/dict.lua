--- A dict: keys and values that processes share.
-- @module shmseg.dict

local check = require "shmseg.check"
local core = require "shmseg.core"
local object = require "shmseg.object"

local dict, methods = object.module("dict", true)

-- Seconds that fetch waits for another one's claim, by default, and that update is overtaken.
local PATIENCE = 5

-- The first result that says: the user's function has raised an error, which is the second.
local FAILED = {}

-- Raises what a pcall caught, and blames the caller of the method, so many levels up. Self was the
-- first argument of what raised it, and is none of the method's.
local function blame(message, method, level)
  if type(message) == "string" then
    message = object.without_position(message):gsub("^bad argument #(%d+) to '[^']*'", function(n)
      return ("bad argument #%d to '%s'"):format(math.max(1, n - 1), method)
    end)
  end
  error(message, level + 1)
end

-- The results of a function that was called by pcall, for the method of that name. It makes no tail
-- call of this one.
local function results(method, ok, value, word)
  if not ok then
    blame(value, method, 3)
  elseif value == FAILED then
    error(word, 0)
  end
  return value, word
end

-- --- update ----------------------------------------------------------------------------------

local function update(self, key, fn, exptime, flags)
  local last
  while true do
    local state, old = core.dict.see(self, key)
    if not state then
      return nil, old
    end
    local ok, new = pcall(fn, old)
    if not ok then
      return FAILED, new
    end
    local done, word = core.dict.put(self, key, state, new, exptime, flags)
    if done == nil then
      return nil, word
    elseif done then
      return new
    end
    last = last or core.now() + PATIENCE
    if core.now() > last then
      return nil, "timeout"
    end
  end
end

core.dict.set_update(update)

-- Ends what core.dict.begin_update began.
local function ended(self, ...)
  core.dict.end_update(self)
  return ...
end

--- Changes a value by a function of it. No lock is held while the function runs; it runs again when
-- others have changed the value meanwhile, for 5 s. It must not write the key through this handle.
-- @param key (string, number or boolean)
-- @tparam function fn is given the value, or nil; gives the new one, or nil, which deletes the key
-- @tparam[opt] number exptime seconds to live, 0 for ever; by default what it was
-- @tparam[opt] number flags by default what they were
-- @return the new value; or nil, word
function methods:update(key, fn, exptime, flags)
  local ok, ready, word = pcall(core.dict.check_update, self, key, fn, exptime, flags)
  if not ok then
    blame(ready, "update", 2)
  elseif not ready then
    return nil, word
  end
  core.dict.begin_update(self)
  local value
  value, word = results("update", ended(self, pcall(update, self, key, fn, exptime, flags)))
  if word == nil then
    return value
  end
  return nil, word
end

-- --- fetch -----------------------------------------------------------------------------------

-- The options of fetch, and their ranges.
local fetch_options = {
  flags = { -2 ^ 31, 2 ^ 32 - 1 }, stale = { 0, math.huge }, timeout = { -math.huge, math.huge },
  ttl = { 0, math.huge },
}
local no_options = {}

-- What is wrong with the options, or nil.
local function options_error(options)
  if type(options) ~= "table" then
    return check.options_table(options) .. (type(options) == "number"
      and (": write { ttl = %s }"):format(options)
      or type(options) == "function" and ": the function comes before the options" or "")
  end
  for name, value in pairs(options) do
    local range, number = fetch_options[name], check.number(value)
    if not range then
      return check.unknown_option(name, fetch_options)
    elseif type(number) ~= "number" then
      return ("option %q: number expected, got %s"):format(name, type(value))
    elseif not (number >= range[1] and number <= range[2]) then
      return ("option %q: out of range: %s"):format(name, tostring(value))
    end
  end
end

-- Calls fn. It is no tail call: core.dict.is_in sees whether this runs.
local function call(fn, key)
  local ok, value, exptime = pcall(fn, key)
  return ok, value, exptime
end

-- The value that expired a short while ago, and "stale"; or one that lives by now, and "hit"; or
-- nil.
local function stale_value(self, key, options)
  if not options.stale then
    return nil
  end
  local value, _, is_stale = self:get_stale(key)
  if value == nil or not is_stale then
    return value, "hit"
  end
  local left = self:ttl(key)
  if left and -left < check.number(options.stale) then
    return value, "stale"
  end
end

-- Stores what was computed, under the claim if there is one, which ends.
local function keep(self, key, claim, value, exptime, flags)
  local ok, stored, word
  if claim then
    ok, stored, word = pcall(claim.set, claim, value, exptime, flags)
    claim:cancel() -- a claim whose set has raised
  else
    ok, stored, word = pcall(self.set, self, key, value, exptime, flags)
  end
  if not ok then
    error(stored, 0)
  elseif stored == nil and word == "bad value type" then
    return nil, word
  end
  return value, "computed"
end

-- Computes the value, under the claim if there is one.
local function compute(self, key, fn, options, claim)
  local ok, value, exptime = call(fn, key)
  if ok and value ~= nil then
    if exptime == nil then
      exptime = options.ttl
    end
    return keep(self, key, claim, value, exptime, options.flags)
  end
  if claim then
    core.dict.finish(claim, ok and "empty" or "failed")
  end
  if ok then
    return nil, "empty"
  end
  local old, how = stale_value(self, key, options)
  if old ~= nil then
    return old, how
  end
  return FAILED, value
end

-- Outcomes of another one's claim after which the value is computed without one.
local unclaimed = { failed = true, timeout = true, ["no memory"] = true }

-- Gets the value, computes it, or waits for who does. `claimed`: a table for the claim.
local function fetch_missed(self, key, fn, options, claimed)
  local last -- when the wait for another one's claim is over
  while true do
    local value, word = self:get(key)
    if value ~= nil then
      return value, "hit"
    elseif word then
      return nil, word
    end
    local old, how = stale_value(self, key, options)
    last = last or core.now()
      + (core.dict.is_in(call) and 0 or check.number(options.timeout) or PATIENCE)
    local why = core.dict.take(self, key, old ~= nil and 0 or last - core.now(), claimed)
    if why == "claimed" then
      value = self:get(key) -- others may have stored it before the claim was taken
      if value == nil then
        return compute(self, key, fn, options, claimed.claim)
      end
      claimed.claim:cancel()
      return value, "hit"
    elseif old ~= nil and (why == "timeout" or why == "held") then
      return old, how
    elseif unclaimed[why] then
      return compute(self, key, fn, options)
    elseif why ~= "ended" then
      return nil, why == "held" and "timeout" or why
    end
  end
end

-- Passes on what a pcall gave. A claim that an error has left, a hook's for example, ends.
local function unclaimed_results(claimed, ok, value, word)
  if not ok then
    if claimed.claim then
      core.dict.finish(claimed.claim, "failed")
    end
    error(value, 0)
  end
  return value, word
end

local function fetch(self, key, fn, options)
  local value = self:get(key)
  if value ~= nil then
    return value, "hit"
  end
  local claimed = {}
  return unclaimed_results(claimed, pcall(fetch_missed, self, key, fn, options, claimed))
end

local function check_fetch(self, key, fn, options)
  local wrong = options_error(options)
  if wrong then
    error(wrong, 0)
  end
  return core.dict.check_update(self, key, fn, options.ttl, tonumber(options.flags))
end

--- Gets a value, or computes it once: the others who want it meanwhile wait for it.
-- @param key (string, number or boolean)
-- @tparam function fn is given the key; gives the value [, exptime], or nil: there is none
-- @tparam[opt] table options ttl: seconds to live of what is computed, 0 (default) for ever; stale:
--   others get the value that expired less than so many seconds ago, while it is computed; timeout:
--   seconds to wait for another one (5), then it is computed here, too; flags
-- @return the value; or nil
-- @treturn string "hit", "computed" or "stale"; or a word: "empty" when fn gave nil, "timeout" when
--   this very handle computes the value, …
function methods:fetch(key, fn, options)
  options = options == nil and no_options or options
  local ok, ready, word = pcall(check_fetch, self, key, fn, options)
  if not ok then
    blame(ready, "fetch", 2)
  elseif not ready then
    return nil, word
  end
  local value
  value, word = results("fetch", pcall(fetch, self, key, fn, options))
  return value, word
end

return dict
