-- SPDX-License-Identifier: MIT
-- What a dict answers when nobody else writes and nothing is evicted: a table for each item.
--
-- It has no clock. A time to live below a second is over by the next call, any other one is not.
-- What is stale may be freed by each write, so calls that see it are settled first, by what the
-- dict has answered: model:settle(method, key, results).

local model = {}
model.__index = model

local unpack = table.unpack or unpack

function model.new()
  return setmetatable({ items = {} }, model)
end

function model:live(key)
  local item = self.items[key]
  return item and not item.stale and item or nil
end

--- All live keys that begin with the prefix, sorted.
function model:keys(prefix)
  local all = {}
  for key in pairs(self.items) do
    if self:live(key) and key:sub(1, #prefix) == prefix then
      all[#all + 1] = key
    end
  end
  table.sort(all)
  return all
end

local present = {
  get_stale = function(results) return results[1] ~= nil or results[2] == "value is a list" end,
  ttl = function(results) return results[2] ~= "not found" end,
  expire = function(results) return results[2] ~= "not found" end,
}

--- The results tell whether a stale item is still there.
function model:settle(method, key, results)
  local item = self.items[key]
  if item and item.stale and present[method] and not present[method](results) then
    self.items[key] = nil
  end
end

local function timed(item, exptime)
  exptime = exptime or 0
  item.timed = exptime ~= 0
  item.stale = exptime > 0 and exptime < 1
end

local function store(self, key, value, exptime, flags)
  if value == nil then
    self.items[key] = nil
  else
    self.items[key] = { value = value, flags = flags or 0 }
    timed(self.items[key], exptime)
  end
  return true, nil, false
end

local function copied(list)
  return { unpack(list, 1, #list) }
end

-- --- the methods of ngx.shared.DICT ---------------------------------------------------------

model.set, model.safe_set = store, store

function model:add(key, value, exptime, flags)
  if value == nil then
    return false, "attempt to add or replace nil values", false
  elseif self:live(key) then
    return false, "exists", false
  end
  return store(self, key, value, exptime, flags)
end
model.safe_add = model.add

function model:replace(key, value, exptime, flags)
  if value == nil then
    return false, "attempt to add or replace nil values", false
  elseif not self:live(key) then
    return false, "not found", false
  end
  return store(self, key, value, exptime, flags)
end

function model:delete(key)
  return store(self, key, nil)
end

function model:get(key)
  local item = self:live(key)
  if not item then
    return nil
  elseif item.list then
    return nil, "value is a list"
  elseif item.flags ~= 0 then
    return item.value, item.flags
  end
  return item.value
end

function model:get_stale(key)
  local item = self.items[key]
  if not item then
    return nil
  elseif item.list then
    return nil, "value is a list"
  end
  return item.value, item.flags ~= 0 and item.flags or nil, item.stale
end

function model:incr(key, step, init, ttl)
  local item = self:live(key)
  if not item then
    if not init then
      return nil, "not found"
    end
    store(self, key, init + step, ttl)
    return init + step, nil, false
  elseif type(item.value) ~= "number" then
    return nil, "not a number"
  end
  item.value = item.value + step
  if init then
    return item.value, nil, false
  end
  return item.value
end

local function push(self, key, value, left)
  local item = self:live(key)
  if item and not item.list then
    return nil, "value not a list"
  elseif not item then
    item = { list = {}, flags = 0, timed = false, stale = false }
    self.items[key] = item
  end
  table.insert(item.list, left and 1 or #item.list + 1, value)
  return #item.list
end
function model:lpush(key, value) return push(self, key, value, true) end
function model:rpush(key, value) return push(self, key, value, false) end

local function pop(self, key, left)
  local item = self:live(key)
  if not item then
    return nil
  elseif not item.list then
    return nil, "value not a list"
  end
  local value = table.remove(item.list, left and 1 or #item.list)
  if #item.list == 0 then
    self.items[key] = nil
  end
  return value
end
function model:lpop(key) return pop(self, key, true) end
function model:rpop(key) return pop(self, key, false) end

function model:llen(key)
  local item = self:live(key)
  if not item then
    return 0
  elseif not item.list then
    return nil, "value not a list"
  end
  return #item.list
end

--- Only the sign of it.
function model:ttl(key)
  local item = self.items[key]
  if not item then
    return nil, "not found"
  end
  return item.stale and -1 or item.timed and 1 or 0
end

function model:expire(key, exptime)
  local item = self.items[key]
  if not item then
    return nil, "not found"
  end
  timed(item, exptime)
  return true
end

function model:flush_all()
  for _, item in pairs(self.items) do
    item.stale = true
  end
  return true
end

function model:get_keys()
  return self:keys ""
end

-- --- and those beyond it ----------------------------------------------------------------------

function model:cas(key, expected, value, exptime, flags)
  local item = self:live(key)
  if item and item.list then
    return nil, "value is a list"
  elseif not item then
    if expected ~= nil then
      return false, nil
    end
  elseif item.value ~= expected then
    return false, item.value
  end
  store(self, key, value, exptime, flags)
  return true
end

function model:update(key, fn, exptime, flags)
  local item = self:live(key)
  if item and item.list then
    return nil, "value is a list"
  end
  local value = fn(item and item.value)
  if item and value ~= nil and not exptime then
    item.value = value
  else
    store(self, key, value, exptime, flags)
  end
  return value
end

function model:wait(key, seen)
  local item = self:live(key)
  if item and item.list then
    return nil, "value is a list"
  elseif item and item.value ~= seen then
    return item.value
  elseif not item and seen ~= nil then
    return nil
  end
  return nil, "timeout"
end

function model:get_many(keys)
  local all = {}
  for _, key in ipairs(keys) do
    local item = self:live(key)
    all[key] = item and item.value
  end
  return all
end

function model:set_many(values, exptime)
  for key, value in pairs(values) do
    store(self, key, value, exptime)
  end
  return true
end

--- As a table.
function model:pairs(prefix)
  local all = {}
  for _, key in ipairs(self:keys(prefix or "")) do
    local item = self.items[key]
    all[key] = item.list and copied(item.list) or item.value
  end
  return all
end

function model:fetch(key, fn, options)
  local item = self:live(key)
  if item and item.list then
    return nil, "value is a list"
  elseif item then
    return item.value, "hit"
  end
  local value = fn(key)
  if value == nil then
    return nil, "empty"
  end
  store(self, key, value, options.ttl, options.flags)
  return value, "computed"
end

--- What a claim's set stores.
function model:claim(key, value, exptime, flags)
  store(self, key, value, exptime, flags)
  return true
end

return model
