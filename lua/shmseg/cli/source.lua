--- Reads the bytes behind a name without changing anything, not even the memory that is taken: to
-- read a hole through a mapping would fill it.
-- @module shmseg.cli.source

local shmseg = require "shmseg"

local source = {}
source.__index = source

--- How many bytes are read at once.
source.piece = 2 ^ 18

--- The file behind a segment; nil where the system shows none.
function source.file(segment)
  return io.open("/proc/self/fd/" .. segment:fd(), "rb")
    or io.open("/dev/shm/" .. segment:name(), "rb")
end

--- Opens what has the name. Its failure ends the command.
-- @tparam string name
-- @tparam table options offset and count, as they stand on the command line
-- @return self:range(), self:pieces(offset, count)
function source.open(self, name, options)
  local bare = self:name(name)
  local opened = setmetatable({ context = self, name = bare }, source)
  opened.offset = options.offset and self:bytes("--offset", options.offset) or 0
  opened.count = options.count and self:bytes("--count", options.count)
  local stat = self:check(shmseg.stat(bare))
  if stat.size > 0 then
    opened.segment = self:open(bare, nil, "r")
    opened.file = source.file(opened.segment)
  end
  return opened
end

--- The range that the options ask for. One that is not there is a failure.
-- @treturn integer offset
-- @treturn integer count
function source:range()
  local offset, count = self.offset, self.count
  local size = self.segment and self.segment:size() or 0
  if offset > size or (count and count > size - offset) then
    self.context:fail(("segment %q: offset %d%s: there are %d bytes"):format(self.name, offset,
      count and (" and count %d"):format(count) or "", size))
  end
  return offset, count or size - offset
end

-- Some bytes; fewer than count at the end alone.
local function read(self, offset, count)
  if not self.file then
    return self.context:check(self.segment:read(offset, count))
  end
  local bytes, message = self.file:read(count)
  if message then
    self.context:fail(("segment %q: %s"):format(self.name, message))
  end
  return bytes or ""
end

--- An iterator over the bytes of a range: offset, bytes. When they are gone it fails.
-- @tparam integer offset
-- @tparam integer count
-- @tparam[opt] integer size of a piece; only the last is smaller
function source:pieces(offset, count, size)
  local from, behind = offset, offset + count
  if self.file and count > 0 then
    self.context:check(self.file:seek("set", offset))
  end
  return function()
    if from == behind then
      return nil
    end
    local bytes = read(self, from, math.min(size or source.piece, behind - from))
    if bytes == "" then
      self.context:fail(("segment %q: truncated at offset %d"):format(self.name, from), "truncated")
    end
    from = from + #bytes
    return from - #bytes, bytes
  end
end

return source
