--- shmseg dump: the bytes of shared memory as hexdump -C prints them, or as a struct.
-- @module shmseg.cli.dump

local decode = require "shmseg.cli.decode"
local source = require "shmseg.cli.source"

local LINE, JSON_PIECE = 16, 4096
local full = ("%02x "):rep(8) .. " " .. ("%02x "):rep(8)

local function printable(bytes)
  return (bytes:gsub("[^ -~]", "."))
end

local function hex(bytes)
  return (bytes:gsub(".", function(char)
    return ("%02x"):format(char:byte())
  end))
end

local function format_line(offset, bytes)
  local digits
  if #bytes == LINE then
    digits = full:format(bytes:byte(1, LINE))
  else
    digits = bytes:gsub(".", function(char)
      return ("%02x "):format(char:byte())
    end)
    digits = digits:sub(1, 24) .. " " .. digits:sub(25)
    digits = digits .. (" "):rep(49 - #digits)
  end
  return ("%08x  %s |"):format(offset, digits) .. printable(bytes) .. "|\n"
end

-- Full lines that repeat the one before are one "*".
local function dump(self, from, offset, count)
  local last, starred
  for at, bytes in from:pieces(offset, count) do
    local lines = {}
    for i = 1, #bytes, LINE do
      local line = bytes:sub(i, i + LINE - 1)
      if line ~= last then
        lines[#lines + 1] = format_line(at + i - 1, line)
        starred = false
      elseif not starred then
        lines[#lines + 1] = "*\n"
        starred = true
      end
      last = line
    end
    self:write(table.concat(lines))
  end
  self:out("%08x\n", offset + count)
end

return {
  summary = "prints the bytes of shared memory, or the fields of a struct",
  usage = "NAME",
  operands = { "name" },
  json = true,
  options = {
    { "-o", "--offset", "N", "begins there; sizes are written 4096, 0x1000, 4K, 1M" },
    { "-n", "--count", "N", "so many bytes, of structs so many; by default all up to the end" },
    { "-s", "--struct", "FILE", "prints fields: the file is Lua, and returns shmseg.struct(...)" },
  },
  detail = [[
Lines are those of hexdump -C; "*" stands for lines that repeat the one above.
A struct's file may use string, math, table and require "shmseg", which has
struct and cdef alone. --json prints a line of hex digits for each 4096 bytes,
or a line for each struct.]],
  run = function(self, options, operands)
    local struct = options.struct and decode.load(self, options.struct)
    if struct then
      return decode.print(self, operands[1], struct, options)
    end
    local from = source.open(self, operands[1], options)
    local offset, count = from:range()
    if not self.json then
      return dump(self, from, offset, count)
    end
    for at, bytes in from:pieces(offset, count, JSON_PIECE) do
      self:json_out { offset = at, hex = hex(bytes) }
    end
  end,
}
