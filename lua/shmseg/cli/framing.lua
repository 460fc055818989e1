--- Messages in a stream of bytes: lines, bytes that a NUL ends, or a length and so many bytes.
-- @module shmseg.cli.framing

local framing = {}

local marks = { line = "\n", null = "\0" }

-- The longest message that a length of 4 bytes can tell.
local LENGTH_MAX = 2 ^ 32 - 1

--- Which framing the options of a command ask for.
-- @treturn string "line", "null" or "length"; or nil and what is wrong
function framing.chosen(options)
  if options.null and options.length then
    return nil, "--null and --length exclude each other"
  end
  return options.null and "null" or options.length and "length" or "line"
end

--- The options of a command that has messages in a stream.
framing.options = {
  { "-0", "--null", nil, "a NUL byte ends each message, and not a newline" },
  { "-l", "--length", nil, "4 bytes, the least first, tell each message's length" },
}

-- --- from a stream -----------------------------------------------------------------------------

local splitter = {}
splitter.__index = splitter

--- Cuts blocks of bytes into messages.
-- @tparam string kind "line", "null" or "length"
-- @tparam number limit bytes of the longest message
function framing.splitter(kind, limit)
  local self = { kind = kind, mark = marks[kind], limit = limit, count = 0 }
  self.pieces, self.held = {}, 0 -- of a message whose end has not come
  return setmetatable(self, splitter)
end

-- What is said of the next message; size is nil while its end has not come.
function splitter:too_long(size)
  local unit = self.kind == "line" and "line" or "message"
  local so_long = size and ("%.0f bytes, and %.0f are the most"):format(size, self.limit)
    or ("more than %.0f bytes"):format(self.limit)
  return ("%s %d is too long: %s"):format(unit, self.count + 1, so_long)
end

function splitter:hold(bytes)
  if bytes ~= "" then
    self.pieces[#self.pieces + 1] = bytes
    self.held = self.held + #bytes
  end
end

-- What is held, and the bytes behind it.
function splitter:release(bytes)
  if self.held == 0 then
    return bytes
  end
  self.pieces[#self.pieces + 1] = bytes
  local all = table.concat(self.pieces)
  self.pieces, self.held = {}, 0
  return all
end

function splitter:marked(block)
  local list, n = {}, 0
  local find, sub, mark, limit = string.find, string.sub, self.mark, self.limit
  local from, stop = 1, find(block, mark, 1, true)
  while stop do
    local message = sub(block, from, stop - 1)
    if self.held > 0 then
      message = self:release(message)
    end
    if #message > limit then
      return list, self:too_long(#message)
    end
    n = n + 1
    list[n] = message
    self.count = self.count + 1
    from = stop + 1
    stop = find(block, mark, from, true)
  end
  self:hold(sub(block, from))
  if self.held > limit then
    return list, self:too_long()
  end
  return list
end

local function decode_length(bytes, at)
  local a, b, c, d = bytes:byte(at, at + 3)
  return a + b * 2 ^ 8 + c * 2 ^ 16 + d * 2 ^ 24
end

function splitter:measured(block)
  local list, n = {}, 0
  local needed = self.needed or 4
  if self.held + #block < needed then -- a long message comes in many blocks
    self:hold(block)
    return list
  end
  local bytes, at = self:release(block), 1
  self.needed = nil
  while #bytes - at + 1 >= 4 do
    local size = decode_length(bytes, at)
    if size > self.limit then
      return list, self:too_long(size)
    elseif #bytes - at + 1 < 4 + size then
      self.needed = 4 + size
      break
    end
    n = n + 1
    list[n] = bytes:sub(at + 4, at + 3 + size)
    self.count = self.count + 1
    at = at + 4 + size
  end
  self:hold(bytes:sub(at))
  return list
end

--- Takes the next block of the stream.
-- @treturn table the messages that are whole now
-- @treturn ?string what is wrong with the next one
function splitter:feed(block)
  if self.mark then
    return self:marked(block)
  end
  return self:measured(block)
end

--- Takes the end of the stream. A last line needs no newline, and a last message no NUL.
-- @treturn table the last message, or nothing
-- @treturn ?string what is wrong with it
function splitter:finish()
  if self.held == 0 then
    return {}
  elseif self.mark then
    self.count = self.count + 1
    return { self:release "" }
  end
  return {}, ("the input ends in the middle of message %d"):format(self.count + 1)
end

-- --- to a stream -------------------------------------------------------------------------------

local function encode_length(size)
  local b, c, d = math.floor(size / 2 ^ 8), math.floor(size / 2 ^ 16), math.floor(size / 2 ^ 24)
  return string.char(size % 256, b % 256, c % 256, d)
end

--- The bytes of messages.
-- @treturn string or nil and what is wrong
function framing.join(kind, list)
  local mark = marks[kind]
  if mark then
    return #list > 0 and table.concat(list, mark) .. mark or ""
  end
  local parts = {}
  for i, message in ipairs(list) do
    if #message > LENGTH_MAX then
      return nil, ("a message of %.0f bytes is too long for --length"):format(#message)
    end
    parts[2 * i - 1], parts[2 * i] = encode_length(#message), message
  end
  return table.concat(parts)
end

--- How many messages of a list lie whole in the first bytes of what join has made of it.
function framing.whole(kind, list, bytes)
  local head, tail = kind == "length" and 4 or 0, kind == "length" and 0 or 1
  local count = 0
  for _, message in ipairs(list) do
    bytes = bytes - head - #message - tail
    if bytes < 0 then
      break
    end
    count = count + 1
  end
  return count
end

return framing
