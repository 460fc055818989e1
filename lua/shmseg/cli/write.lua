--- shmseg write: puts bytes into shared memory.
-- @module shmseg.cli.write

local core = require "shmseg.core"
local source = require "shmseg.cli.source"

-- Fails when the name leads to an object of the library, whose words nobody else may write.
local function check_kind(self, name, segment, is_forced)
  local kind, message, code = core.kind(name)
  if kind == "segment" or is_forced or not segment:is_current() then
    return
  elseif not kind then
    self:fail(message, code)
  end
  self:fail(("%s %q: bytes from elsewhere would spoil it; --force writes them all the same")
    :format(kind, name))
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
  return segment
end

-- The input: what stands on the command line, or stdin in pieces.
local function pieces(self, given)
  return function()
    if given then
      local bytes = given
      given = nil
      return bytes
    end
    local bytes, message = self.streams.input:read(source.piece)
    if message then
      self:fail("stdin: " .. message)
    end
    return bytes
  end
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
What is there never grows. Bytes that have no room behind the offset are a
failure; of those that come from stdin, the ones that have room are written.]],
  run = function(self, options, operands)
    local at = options.offset and self:bytes("--offset", options.offset) or 0
    local segment = open(self, options, operands[1])
    local given = operands[2]
    for bytes in pieces(self, given) do
      local room = math.max(0, segment:size() - at)
      if #bytes > room and not given and at <= segment:size() then
        self:check(segment:write(at, bytes:sub(1, room)))
      end
      if #bytes > room then
        self:fail(("segment %q: no room behind offset %d: there are %d bytes"):format(
          self:name(operands[1]), at, segment:size()))
      end
      at = self:check(segment:write(at, bytes))
      if given then
        break
      end
    end
  end,
}
