--- The front of dicts: get, incr, delete, and what stores a string, number or boolean.
-- @module shmseg.front.dict

local core = require "shmseg.core"

local dict = {}

-- What the calls give, and are given (front_objects.h).
local STORED, STORED_FORCIBLY = 1, 2
local NO_MEMORY, NO_MEMORY_FORCIBLY, EXISTS, NOT_FOUND, NOT_FORCIBLY = -1, -2, -3, -4, -5
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

local function install_get(layout, class)
  local getmetatable, string_of, type = getmetatable, layout.ffi.string, type
  local scratch, bytes, get = layout.scratch, layout.bytes, layout.calls.dict_get
  local c_get = class.__index.get

  function class.__index.get(...)
    local self, key = ...
    if type(self) == "userdata" and getmetatable(self) == class and type(key) == "string" then
      local serial = get(self, key, #key, scratch)
      if serial == NOT_FOUND then
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
end

local function install_store(layout, class, name, how)
  local getmetatable, type = getmetatable, type
  local set, set_number = layout.calls.dict_set, layout.calls.dict_set_number
  local c_store = class.__index[name]

  class.__index[name] = function(...)
    local self, key, value, exptime, flags = ...
    exptime, flags = exptime or 0, flags or 0
    if type(self) == "userdata" and getmetatable(self) == class and type(key) == "string"
      and type(exptime) == "number" and type(flags) == "number" then
      local kind, outcome = type(value), 0
      if kind == "string" then
        outcome = set(self, key, #key, value, #value, how, exptime, flags)
      elseif kind == "number" then
        outcome = set_number(self, key, #key, value, how, exptime, flags)
      elseif kind == "boolean" then
        outcome = set_number(self, key, #key, value and 1 or 0, how + AS_BOOLEAN, exptime, flags)
      end
      if outcome == STORED then
        return true, nil, false
      elseif outcome == STORED_FORCIBLY then
        return true, nil, true
      elseif words[outcome] then
        return false, words[outcome], outcome == NO_MEMORY_FORCIBLY
      elseif outcome == NOT_FORCIBLY then
        return forcibly(c_store(...))
      end
    end
    return c_store(...)
  end
end

local function install_delete(layout, class)
  local getmetatable, type = getmetatable, type
  local delete, c_delete = layout.calls.dict_delete, class.__index.delete

  function class.__index.delete(...)
    local self, key = ...
    if type(self) == "userdata" and getmetatable(self) == class and type(key) == "string"
      and delete(self, key, #key) == STORED then
      return true, nil, false
    end
    return c_delete(...)
  end
end

local function install_incr(layout, class)
  local getmetatable, type = getmetatable, type
  local incr, c_incr = layout.calls.dict_incr, class.__index.incr

  -- A key that is not there is left to C, and what is NaN; adding to NaN once more changes nothing.
  function class.__index.incr(...)
    local self, key, step, init, ttl = ...
    if type(self) == "userdata" and getmetatable(self) == class and type(key) == "string"
      and type(step) == "number" then
      if not init and ttl == nil then
        local sum = incr(self, key, #key, step, 0)
        if sum == sum then
          return sum
        end
      elseif type(init) == "number" and (ttl == nil or type(ttl) == "number" and ttl >= 0) then
        local sum = incr(self, key, #key, step, 1)
        if sum == sum then
          return sum, nil, false
        end
      end
    end
    return c_incr(...)
  end
end

function dict.install(layout)
  local class = core.front.class "shmseg.dict"
  install_get(layout, class)
  for name, how in pairs(hows) do
    install_store(layout, class, name, how)
  end
  install_delete(layout, class)
  install_incr(layout, class)
end

return dict
