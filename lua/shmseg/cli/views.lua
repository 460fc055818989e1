--- What `shmseg watch` sees of each kind of object: numbers of a moment, and how fast they change.
--
-- A view has open(name), which opens for reading alone, and sample(handle, last, seconds): a table
-- of what is there, or nil, message, code. last is the table before it, which is so many seconds
-- older, or nil. A sample's fields are those of `fields`, in their order; `charts` are the fields
-- that a chart shows, and the field that is the top of each where there is one.
-- @module shmseg.cli.views

local core = require "shmseg.core"
local shmseg = require "shmseg"
local source = require "shmseg.cli.source"

local views = {}

-- A number that lies in the object, by the offsets of doc/format.md; nil where this Lua has no such
-- number, or it cannot be read.
local function word(object, offset)
  local ok, value = pcall(function()
    return tonumber(object:segment():get_u64(offset)) -- LuaJIT may give cdata
  end)
  return ok and value or nil
end

-- How fast a count grows, in a second; nil when nobody knows.
local function rate(now, before, seconds)
  if not now or not before or seconds <= 0 then
    return nil
  end
  return math.max(0, now - before) / seconds
end

local function opens(noun)
  return function(name)
    return shmseg[noun].open(name, "r")
  end
end

-- The value of a method that fails with nil, message, code; "empty" is a value, too.
local function outcome(value, message, code)
  if value == nil and code ~= "empty" then
    return nil, message, code
  end
  return true, value, message
end

-- --- cell --------------------------------------------------------------------------------------

views.cell = {
  fields = { "version", "bytes", "sets_per_second", "value" }, charts = { { "sets_per_second" } },
  open = opens "cell",
  sample = function(cell, last, seconds)
    local ok, value, version = outcome(cell:get())
    if not ok then
      return nil, value, version
    end
    version = value and version or 0
    return {
      version = version, bytes = value and #value, value = value,
      sets_per_second = rate(version, last and last.version, seconds),
    }
  end,
}

-- --- queue -------------------------------------------------------------------------------------

local TAIL, HEAD = 128, 192

views.queue = {
  fields = { "messages", "bytes", "capacity", "bytes_in_per_second", "bytes_out_per_second",
    "shutdown" },
  charts = { { "bytes", "capacity" }, { "bytes_in_per_second" }, { "bytes_out_per_second" } },
  open = opens "queue",
  sample = function(queue, last, seconds)
    local sample, message, code = queue:stats()
    if not sample then
      return nil, message, code
    end
    local tail = word(queue, TAIL)
    sample.tail, sample.head = tail and math.floor(tail / 2), word(queue, HEAD)
    sample.bytes_in_per_second = rate(sample.tail, last and last.tail, seconds)
    sample.bytes_out_per_second = rate(sample.head, last and last.head, seconds)
    return sample
  end,
}

-- --- broadcast ---------------------------------------------------------------------------------

views.broadcast = {
  fields = { "messages", "first", "next", "bytes", "capacity", "messages_per_second", "shutdown" },
  charts = { { "bytes", "capacity" }, { "messages_per_second" } },
  open = opens "broadcast",
  sample = function(broadcast, last, seconds)
    local sample, message, code = broadcast:stats()
    if not sample then
      return nil, message, code
    end
    sample.messages = sample.next - sample.first
    sample.messages_per_second = rate(sample.next, last and last.next, seconds)
    return sample
  end,
}

-- --- dict --------------------------------------------------------------------------------------

local STRIPES, STRIPE_SIZE, EPOCH, LARGE = 512, 256, 8, 2 ^ 22

-- How many changes of its index all writers have made.
local function dict_changes(dict, capacity)
  local sum = 0
  for i = 0, capacity < LARGE and 0 or 63 do
    local epoch = word(dict, STRIPES + i * STRIPE_SIZE + EPOCH)
    sum = sum and epoch and sum + epoch
  end
  return sum
end

views.dict = {
  fields = { "count", "bytes", "used", "capacity", "changes_per_second", "evicted", "expired",
    "refused", "evicted_per_second" },
  charts = { { "used", "capacity" }, { "changes_per_second" }, { "evicted_per_second" } },
  open = opens "dict",
  sample = function(dict, last, seconds)
    local sample, message = dict:stats()
    if not sample then
      return nil, message, message
    end
    sample.used = sample.capacity - sample.free
    sample.changes = dict_changes(dict, sample.capacity)
    sample.changes_per_second = rate(sample.changes, last and last.changes, seconds)
    sample.evicted_per_second = rate(sample.evicted, last and last.evicted, seconds)
    return sample
  end,
}

-- --- locks -------------------------------------------------------------------------------------

-- One word of a lock: who has it, how much of it is taken, and whether somebody waits for it.
local function part_text(part)
  local pids = part.pids and part.pids[1] and " by " .. table.concat(part.pids, ",") or ""
  local waits = type(part.waiters) == "number" and part.waiters > 0 and part.waiters .. " wait"
    or part.waiters == true and "waited for"
  if part.taken then
    return ("%d of %d %ss taken"):format(part.taken, part.of, part.word)
  elseif part.state then
    return part.word .. " " .. part.state .. pids .. (waits and ", " .. waits or "")
  end
  return waits and part.word .. " " .. waits
end

local function lock_text(list)
  local shown = {}
  for _, part in ipairs(list) do
    shown[#shown + 1] = part_text(part) or nil
  end
  return table.concat(shown, "; ")
end

local function lock_view(noun, fields, more)
  return {
    fields = fields, charts = {}, open = opens(noun),
    sample = function(object)
      local list, message, code = core[noun].inspect(object)
      if not list then
        return nil, message, code
      end
      local sample = { state = lock_text(list) }
      if more then
        more(object, sample)
      end
      return sample
    end,
  }
end

views.mutex = lock_view("mutex", { "state" })
views.rwlock = lock_view("rwlock", { "state" })
views.semaphore = lock_view("semaphore", { "value", "state" }, function(semaphore, sample)
  sample.value = semaphore:value()
end)
views.event = lock_view("event", { "set", "state" }, function(event, sample)
  sample.set = event:is_set()
end)

-- --- bytes -------------------------------------------------------------------------------------

-- Which bytes differ from the old ones, if there are any: a table by their places, how many, and
-- the first of these places.
local function differences(new, old)
  local changed, count, first = {}, 0, nil
  if old and new ~= old then
    for i = 1, #new do
      if new:byte(i) ~= old:byte(i) then
        changed[i], count, first = true, count + 1, first or i
      end
    end
  end
  return changed, count, first
end

-- A handle on the bytes behind a name. They are read from the file: to read a hole through a
-- mapping would take memory. An empty segment cannot be opened, but it may grow.
local bytes_handle = {}
bytes_handle.__index = bytes_handle

local function open_bytes(name)
  local stat, message, code = shmseg.stat(name)
  if not stat then
    return nil, message, code
  end
  local self = setmetatable({ name = name }, bytes_handle)
  if stat.size > 0 then
    self.mapped, message, code = shmseg.open(name, "r")
    if not self.mapped then
      return nil, message, code
    end
    self.file = source.file(self.mapped)
    if self.file then
      self.file:setvbuf "no"
    end
  end
  return self
end

function bytes_handle:stat()
  if self.mapped then
    return self.mapped:stat()
  end
  return shmseg.stat(self.name)
end

function bytes_handle:close()
  if self.file then
    self.file:close()
  end
  if self.mapped then
    self.mapped:close()
  end
end

function bytes_handle:read(offset, count)
  if count == 0 then
    return ""
  elseif not self.file then
    return self.mapped:read(offset, count)
  end
  local bytes, message
  local done, wrong = self.file:seek("set", offset)
  if done then
    bytes, message = self.file:read(count)
  end
  return bytes or not (wrong or message) and "" or nil, wrong or message
end

-- The bytes of the window, as many as there are now: the segment may grow or shrink.
local function read_window(handle, offset, count)
  local stat, message, code = handle:stat()
  if not stat then
    return nil, message, code
  end
  if stat.size > 0 and not handle.mapped then
    local opened, wrong, word_of = open_bytes(handle.name)
    if not opened then
      return nil, wrong, word_of
    end
    handle.mapped, handle.file = opened.mapped, opened.file
  elseif not handle.file and handle.mapped then
    handle.mapped:refresh()
  end
  local from = math.min(offset, stat.size)
  local bytes, wrong, word_of = handle:read(from, math.min(count, stat.size - from))
  if not bytes then
    return nil, wrong, word_of
  end
  return { size = stat.size, offset = from, window = bytes }
end

--- The bytes from an offset on, at most so many.
function views.bytes(offset, count)
  return {
    fields = { "size", "changed", "first_changed" }, charts = {}, open = open_bytes,
    sample = function(handle, last)
      local sample, message, code = read_window(handle, offset, count)
      if not sample then
        return nil, message, code
      end
      local is_same_place = last and last.offset == sample.offset
      local first
      sample.marks, sample.changed, first = differences(sample.window,
        is_same_place and last.window)
      sample.first_changed = first and sample.offset + first - 1
      return sample
    end,
  }
end

return views
