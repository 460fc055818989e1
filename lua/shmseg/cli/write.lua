--- shmseg write: puts bytes into shared memory.
-- @module shmseg.cli.write

local core = require "shmseg.core"
local source = require "shmseg.cli.source"

-- Fails when the name leads to an object of the library, whose words nobody else may write.
local function check_kind(self, name, segment, is_forced)
  if is_forced then
    return
  end
  local look, mine = self:check(core.look(name)), segment:stat()
  if look.inode ~= mine.inode or look.device ~= mine.device then
    self:fail(("segment %q: the name leads elsewhere now"):format(name))
  elseif look.kind ~= "segment" then
    self:fail(("%s %q: bytes from elsewhere would spoil it; --force writes them all the same")
      :format(look.kind or "object", name))
  end
end

local function open(self, options, operand)
  local name = self:name(operand)
  local size = options.create and self:bytes("--create", options.create)
  if size == 0 then
    self:misuse("--create: a size from 1 on expected")
  end
  local segment, created = self:open(name, nil, size and "c" or "rw", size or nil)
  if not created then
    check_kind(self, name, segment, options.force)
  end
  return segment, created
end

-- The next piece of stdin; nil at its end.
local function next_piece(self)
  local bytes, message = self.streams.input:read(source.piece)
  if message then
    self:fail("stdin: " .. message)
  end
  return bytes
end

-- Writes bytes that have room behind the offset at; of those of stdin as many as have room. Returns
-- the offset behind them.
local function put(self, target, at, bytes, is_given)
  local segment = target.segment
  local room = segment:size() - at
  if #bytes <= room then
    target.is_unused = false
    return (self:check(segment:write(at, bytes)))
  elseif room > 0 and not is_given then
    target.is_unused = false
    self:check(segment:write(at, bytes:sub(1, room)))
  end
  self:fail(("segment %q: no room behind offset %d: there are %d bytes"):format(segment:name(), at,
    segment:size()))
end

return {
  summary = "writes stdin, or the bytes of an operand, into shared memory",
  usage = "NAME [BYTES]",
  operands = { "name", "text" },
  least = 1,
  options = {
    { "-o", "--offset", "N", "begins there; sizes are written 4096, 0x1000, 4K, 1M" },
    { "-c", "--create", "SIZE", "makes it, with so many bytes, when nothing has the name" },
    { "-f", "--force", nil, "writes into an object of the library, too, which spoils it" },
  },
  detail = [[
Without BYTES, or with -, they come from stdin. What is there never grows: bytes
that have no room behind the offset are a failure. Of those that come from
stdin, the ones that have room are written.]],
  run = function(self, options, operands)
    local at = options.offset and self:bytes("--offset", options.offset) or 0
    local segment, created = open(self, options, operands[1])
    local target = { segment = segment, is_unused = true }
    if created then
      self:has_made(segment, self:name(operands[1]), function() return target.is_unused end)
    end
    if operands[2] and operands[2] ~= "-" then
      put(self, target, at, operands[2], true)
      return
    end
    for bytes in next_piece, self do
      at = put(self, target, at, bytes, false)
    end
  end,
}
