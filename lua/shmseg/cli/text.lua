--- Text for people: names without control characters, sizes, ages, tables; and numbers that people
-- write.
-- @module shmseg.cli.text

local text = {}

-- How many bytes a character of UTF-8 has that begins so, and which the second of them may be.
local function expected(first, second)
  if first >= 0xC2 and first <= 0xDF then
    return 2, 0x80, 0xBF
  elseif first >= 0xE0 and first <= 0xEF then
    return 3, first == 0xE0 and 0xA0 or 0x80, first == 0xED and 0x9F or 0xBF
  elseif first >= 0xF0 and first <= 0xF4 then
    return 4, first == 0xF0 and 0x90 or 0x80, first == 0xF4 and 0x8F or 0xBF
  end
  return nil, second
end

-- The length of the character of UTF-8 that begins at i; or nil.
local function character(bytes, i)
  local first, second = bytes:byte(i, i + 1)
  if first < 0x80 then
    return 1
  end
  local length, least, most = expected(first, second)
  if not length or not second or second < least or second > most then
    return nil
  end
  local rest = bytes:sub(i + 2, i + length - 1)
  return #rest == length - 2 and not rest:find "[^\128-\191]" and length or nil
end

--- Are the bytes UTF-8?
function text.is_utf8(bytes)
  local i = bytes:find "[\128-\255]"
  while i do
    local length = character(bytes, i)
    if not length then
      return false
    end
    i = bytes:find("[\128-\255]", i + length)
  end
  return true
end

local short = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\" }

local function hex(bytes)
  return (bytes:gsub(".", function(char)
    return short[char] or ("\\x%02x"):format(char:byte())
  end))
end

-- Characters that a terminal obeys, or that change the order of those around them.
local function is_harmful(char)
  return char:find "^%c$" or char:find "^\194[\128-\159]$" or char == "\216\156"
    or char:find "^\226\128[\142\143\168-\174]$" or char:find "^\226\129[\166-\169]$"
end

-- So many parts become one string: a table with one for each byte would be far larger than these.
local PARTS = 4096

-- The bytes with all that is in no text escaped; escapes are told apart from the same text by the
-- backslash, which is escaped as well, unless it is kept.
local function printable(bytes, keep)
  if not bytes:find "[^\32-\126]" and not bytes:find("\\", 1, true) then
    return bytes
  end
  local pieces, parts, i = {}, {}, 1
  while i <= #bytes do
    local plain = (bytes:find("[%c\\\127-\255]", i) or #bytes + 1) - i
    local length = plain > 0 and plain or character(bytes, i)
    local char = bytes:sub(i, i + (length or 1) - 1)
    local is_backslash = char == "\\" and not keep
    parts[#parts + 1] = (not length or is_backslash or is_harmful(char)) and hex(char) or char
    i = i + #char
    if #parts == PARTS then
      pieces[#pieces + 1], parts = table.concat(parts), {}
    end
  end
  return table.concat(pieces) .. table.concat(parts)
end

--- A name or value for a terminal: control characters are \n, \t, \r or \x1b, what is not UTF-8 is
-- \xff, and a backslash is doubled.
function text.escape(bytes)
  return printable(bytes, false)
end

--- A message for a terminal: as escape, but backslashes stay.
function text.message(bytes)
  return printable(bytes, true)
end

--- An error of the library without the place in this program that it begins with.
function text.without_place(message)
  return (tostring(message):gsub("^[^:]*%.lua:%d+: ", "", 1))
end

--- How many characters there are, without colours.
function text.width(shown)
  return select(2, shown:gsub("\27%[%d*m", ""):gsub("[^\128-\191]", ""))
end

--- Bytes for people: "999", "4.0K", "12M".
function text.size(bytes)
  if bytes < 1000 then
    return ("%d"):format(bytes)
  end
  local units, value = "KMGTPE", bytes
  for i = 1, #units do
    value = value / 1024
    if value < 999.5 or i == #units then
      return (value < 9.95 and "%.1f%s" or "%.0f%s"):format(value, units:sub(i, i))
    end
  end
end

--- "1 message", "2 messages".
function text.count(n, noun)
  return ("%d %s%s"):format(n, noun, n == 1 and "" or "s")
end

--- Seconds for people: "12s", "5m", "3h", "40d".
function text.age(seconds)
  seconds = math.max(0, seconds)
  if seconds < 60 then
    return ("%ds"):format(math.floor(seconds))
  elseif seconds < 3600 then
    return ("%dm"):format(math.floor(seconds / 60))
  elseif seconds < 2 * 86400 then
    return ("%dh"):format(math.floor(seconds / 3600))
  end
  return ("%dd"):format(math.floor(seconds / 86400))
end

local function pad(shown, width, is_right)
  local spaces = (" "):rep(width - text.width(shown))
  return is_right and spaces .. shown or shown .. spaces
end

--- Rows of cells as lines whose columns are aligned.
-- @tparam {{string,...},...} rows
-- @tparam[opt] table right the numbers of columns that are aligned to the right, as keys
-- @treturn {string,...} lines, without spaces at their ends
function text.columns(rows, right)
  local widths, lines = {}, {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do
      widths[i] = math.max(widths[i] or 0, text.width(cell))
    end
  end
  for n, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do
      cells[i] = pad(cell, widths[i], right and right[i])
    end
    lines[n] = table.concat(cells, "  "):gsub(" +$", "")
  end
  return lines
end

--- The words as one line of the shell's, each in single quotes.
function text.quote(words)
  local quoted = {}
  for i, word in ipairs(words) do
    quoted[i] = "'" .. word:gsub("'", "'\\''") .. "'"
  end
  return table.concat(quoted, " ")
end

local powers = { [""] = 0, k = 1, m = 2, g = 3, t = 4 }

--- The number of bytes that "4096", "0x1000", "4K", "1.5M" or "2G" stands for; or nil.
function text.to_bytes(shown)
  local hexadecimal = shown:match "^0[xX]0*(%x+)$"
  local count = hexadecimal and #hexadecimal <= 14 and tonumber(shown) -- more digits would wrap
  if not hexadecimal then
    local digits, unit = shown:match "^(%d+%.?%d*)([kKmMgGtT]?)i?B?$"
    count = digits and tonumber(digits) * 1024 ^ powers[unit:lower()]
  end
  if not count or count ~= math.floor(count) or count >= 2 ^ 53 then
    return nil
  end
  return math.floor(count)
end

--- The decimal number that a word is, a sign in front perhaps; or nil.
function text.to_number(shown)
  return shown:find "^[+-]?%d*%.?%d*$" and tonumber((shown:gsub("^%+", ""))) or nil
end

return text
