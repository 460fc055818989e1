--- A broadcast's messages in a file, with their times; doc/format.md has the format. It is text but
-- for the messages, and so the same on every machine. An entry is whole, or seen to be cut.
-- @module shmseg.cli.recording

local recording = {}

local VERSION = "1"

-- The longest line before a message, with its newline: far more than there is to tell.
local LINE_MAX = 128

-- --- writing -----------------------------------------------------------------------------------

--- The head of a recording.
-- @tparam number capacity bytes of the longest message
-- @tparam number started seconds since 1970
function recording.head(capacity, started)
  return ("shmseg recording %s\nstarted %d capacity %.0f\n"):format(VERSION, started, capacity)
end

--- Messages that came so many seconds after the start, the first of which has the number first.
function recording.messages(list, first, seconds)
  local parts = {}
  for i, message in ipairs(list) do
    parts[3 * i - 2] = ("message %.6f %.0f %d\n"):format(seconds, first + i - 1, #message)
    parts[3 * i - 1], parts[3 * i] = message, "\n"
  end
  return table.concat(parts)
end

--- So many messages were lost before the number.
function recording.gap(lost, number)
  return ("lost %.0f %.0f\n"):format(lost, number)
end

--- The recording ended in order.
function recording.tail(messages, lost)
  return ("end %.0f %.0f\n"):format(messages, lost)
end

-- --- reading -----------------------------------------------------------------------------------

local BLOCK = 65536

local reader = {}
reader.__index = reader

-- Has the buffer so many bytes from here on? Reads until it has them, or the file ends.
function reader:has(count)
  local there = #self.buffer - self.at + 1
  if there >= count then
    return true
  end
  local parts = { self.buffer:sub(self.at) }
  while there < count do
    local block = self.file:read(BLOCK)
    if not block then
      break
    end
    parts[#parts + 1], there = block, there + #block
  end
  self.base, self.at = self.base + self.at - 1, 1
  self.buffer = table.concat(parts)
  return there >= count
end

--- How many bytes of the file have been read as entries.
function reader:position()
  return self.base + self.at - 1
end

function reader:cut()
  return "cut", ("it ends at byte %.0f, in the middle"):format(self.base + #self.buffer)
end

function reader:damaged()
  return "damaged", ("it is damaged at byte %.0f"):format(self:position())
end

-- The next line without its newline; or nil, and "cut" or "damaged" and what is said of it. No more
-- is read than is needed: a pipe may have no more for now.
function reader:line()
  local stop, is_enough
  repeat
    stop = self.buffer:find("\n", self.at, true)
    local there = #self.buffer - self.at + 1
    is_enough = there >= LINE_MAX
  until stop or is_enough or not self:has(there + 1)
  if stop and stop < self.at + LINE_MAX then
    local line = self.buffer:sub(self.at, stop - 1)
    self.at = stop + 1
    return line
  elseif is_enough then
    return nil, self:damaged()
  end
  return nil, self:cut()
end

-- The message of an entry whose line was read, and its newline.
function reader:message(from, seconds, number, size)
  if not self:has(size + 1) then
    return self:cut()
  end
  local stop = self.at + size
  if self.buffer:byte(stop) ~= 10 then
    self.at = from - self.base + 1
    return self:damaged()
  end
  local bytes = self.buffer:sub(self.at, stop - 1)
  self.at = stop + 1
  return "message", seconds, number, bytes
end

--- The next entry.
-- @tparam number limit bytes of the longest message that can be taken
-- @treturn string "message", and its seconds, number and bytes; "lost", how many and before which
--   number; "end", how many messages and how many lost; "cut", "damaged" or "too long", and what is
--   said of it
function reader:next(limit)
  local from = self:position()
  local line, kind, wrong = self:line()
  if not line then
    return kind, wrong
  end
  local seconds, number, size = line:match "^message (%d+%.%d+) (%d+) (%d+)$"
  if seconds and tonumber(size) > limit then
    return "too long", ("message %s has %s bytes, and %.0f are the most"):format(number, size,
      limit)
  elseif seconds then
    return self:message(from, tonumber(seconds), tonumber(number), tonumber(size))
  end
  local word, one, two = line:match "^(%l+) (%d+) (%d+)$"
  if word == "lost" or word == "end" then
    return word, tonumber(one), tonumber(two)
  end
  self.at = from - self.base + 1
  return self:damaged()
end

--- Reads the head of a recording.
-- @param file an open file
-- @treturn table a reader, with the capacity and when it was started; or nil and what is wrong
function recording.open(file)
  local self = setmetatable({ file = file, buffer = "", at = 1, base = 0 }, reader)
  self.size = file:seek "end" -- nil: it is a pipe
  if self.size then
    file:seek "set"
  end
  local line = self:line()
  local version = (line or ""):match "^shmseg recording (%d+)$"
  if version ~= VERSION then
    return nil, version and ("a recording of version %s is there, and not %s"):format(version,
      VERSION) or "no recording is there"
  end
  local second, _, wrong = self:line()
  local started, capacity = (second or ""):match "^started (%d+) capacity (%d+)$"
  if not started then
    return nil, wrong or (select(2, self:damaged()))
  end
  self.started, self.capacity = tonumber(started), tonumber(capacity)
  return self
end

return recording
