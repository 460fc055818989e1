--- The front of dicts: get, incr, delete, and what stores a string, number or boolean.
-- @module shmseg.front.dict

local core = require "shmseg.core"
local layout = require "shmseg.front.layout"
local compiler = require "shmseg.front.recording"
local template = require "shmseg.front.template"

local dict = {}

-- What the calls give, and are given (front_objects.h).
local STORED, STORED_FORCIBLY = 1, 2
local NO_MEMORY, NO_MEMORY_FORCIBLY, EXISTS, NOT_FOUND, NOT_FORCIBLY = -1, -2, -3, -4, -5
local KEPT = -6
local TYPE_BOOLEAN, TYPE_STRING = 1, 4
local AS_BOOLEAN = 8

local hows = { set = 0, add = 1, replace = 2, safe_set = 4, safe_add = 5 }

local words = {
  [NO_MEMORY] = "no memory", [NO_MEMORY_FORCIBLY] = "no memory", [EXISTS] = "exists",
  [NOT_FOUND] = "not found",
}

-- The results of a C function that was called after an item had been evicted for it.
local function forcibly(result, word)
  if result == nil then
    return nil, word
  end
  return result, word, true
end

local function install_get(class)
  local recording = false
  local getmetatable, string_of, type = getmetatable, layout.ffi.string, type
  local scratch, bytes, get = layout.scratch, layout.bytes, layout.calls.dict_get
  local c_get, kept, state = class.__index.get, core.front.kept, layout.state

  function class.__index.get(...)
    local self, key = ...
    if recording and type(self) == "userdata" and getmetatable(self) == class
      and type(key) == "string" then
      local keeps = state.keeps
      local serial = get(self, key, #key, scratch)
      if serial < KEPT then
        local own = kept[self]
        local value = own and own[KEPT - serial]
        if value and state.keeps == keeps then -- else a hook may have had another one put there
          return value
        end
      elseif serial == NOT_FOUND then
        return nil
      elseif serial > 0 then
        local kind, flags = scratch.type, scratch.flags
        local value
        if kind == TYPE_STRING then
          value = string_of(bytes, scratch.size)
        elseif kind == TYPE_BOOLEAN then
          value = scratch.number ~= 0
        else
          value = scratch.number
        end
        if scratch.serial == serial then
          if flags == 0 then
            return value
          end
          return value, flags
        end
      end
    end
    return c_get(...)
  end
  compiler.join(class.__index.get)
end

-- One text for several functions: the compiler takes what a function has from outside for constant
-- only if there are no more than two of one make.
local store = [[
local class, set, set_number, how, words, forcibly =
  env.class, env.set, env.set_number, env.how, env.words, env.forcibly
return function(...)
  local self, key, value, exptime, flags = ...
  if recording and type(self) == "userdata" and getmetatable(self) == class
    and type(key) == "string" and type(exptime or 0) == "number"
    and type(flags or 0) == "number" then
    local outcome = 0
    if type(value) == "string" then
      outcome = set(self, key, #key, value, #value, how, exptime or 0, flags or 0)
    elseif type(value) == "number" then
      outcome = set_number(self, key, #key, value, how, exptime or 0, flags or 0)
    elseif type(value) == "boolean" then
      outcome = set_number(self, key, #key, value and 1 or 0, how + AS_BOOLEAN, exptime or 0,
        flags or 0)
    end
    if outcome == STORED or outcome == STORED_FORCIBLY then
      return true, nil, outcome == STORED_FORCIBLY
    elseif words[outcome] then
      return false, words[outcome], outcome == NO_MEMORY_FORCIBLY
    elseif outcome == NOT_FORCIBLY then
      return forcibly(c(...))
    end
  end
  return c(...)
end]]

local function install_store(class, name, how)
  local text = template.fill(store, { AS_BOOLEAN = AS_BOOLEAN, STORED = STORED,
    STORED_FORCIBLY = STORED_FORCIBLY, NO_MEMORY_FORCIBLY = NO_MEMORY_FORCIBLY,
    NOT_FORCIBLY = NOT_FORCIBLY })
  class.__index[name] = template.make(text, class.__index[name], { class = class, how = how,
    set = layout.calls.dict_set, set_number = layout.calls.dict_set_number, words = words,
    forcibly = forcibly })
end

local function install_delete(class)
  local recording = false
  local getmetatable, type = getmetatable, type
  local delete, c_delete = layout.calls.dict_delete, class.__index.delete

  function class.__index.delete(...)
    local self, key = ...
    if recording and type(self) == "userdata" and getmetatable(self) == class
      and type(key) == "string" and delete(self, key, #key) == STORED then
      return true, nil, false
    end
    return c_delete(...)
  end
  compiler.join(class.__index.delete)
end

local function install_incr(class)
  local recording = false
  local getmetatable, type = getmetatable, type
  local incr, c_incr = layout.calls.dict_incr, class.__index.incr

  -- A key that is not there is left to C, and what is NaN; adding to NaN once more changes nothing.
  function class.__index.incr(...)
    local self, key, step, init, ttl = ...
    if recording and type(self) == "userdata" and getmetatable(self) == class
      and type(key) == "string" and type(step) == "number" then
      local has_ttl = type(ttl) ~= "nil"
      local is_plain = not init and not has_ttl
      if is_plain
        or type(init) == "number" and (not has_ttl or type(ttl) == "number" and ttl >= 0) then
        local sum = incr(self, key, #key, step)
        if sum ~= sum then
          return c_incr(...)
        elseif is_plain then
          return sum
        end
        return sum, nil, false
      end
    end
    return c_incr(...)
  end
  compiler.join(class.__index.incr)
end

function dict.install()
  local class = core.front.class "shmseg.dict"
  install_get(class)
  for name, how in pairs(hows) do
    install_store(class, name, how)
  end
  install_delete(class)
  install_incr(class)
end

return dict
