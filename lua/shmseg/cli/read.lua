--- shmseg read: the bytes of shared memory, as they are.
-- @module shmseg.cli.read

local source = require "shmseg.cli.source"

return {
  summary = "writes the bytes of shared memory to stdout",
  usage = "NAME",
  operands = { "name" },
  options = {
    { "-o", "--offset", "N", "begins there; sizes are written 4096, 0x1000, 4K, 1M" },
    { "-n", "--count", "N", "so many bytes; by default all up to the end" },
  },
  detail = [[
Works with the memory of any program, and changes nothing. The bytes are not
those of one moment when somebody writes meanwhile.]],
  run = function(self, options, operands)
    local from = source.open(self, operands[1], options)
    for _, bytes in from:pieces(from:range()) do
      self:write(bytes)
    end
  end,
}
