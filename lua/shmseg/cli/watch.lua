--- shmseg watch: a live view of what a name leads to.
-- @module shmseg.cli.watch

local chart = require "shmseg.cli.chart"
local core = require "shmseg.core"
local json = require "shmseg.cli.json"
local shmseg = require "shmseg"
local text = require "shmseg.cli.text"
local views = require "shmseg.cli.views"

local ROW = 16           -- bytes of a line of the dump
local LABEL = 16         -- cells of the labels
local VALUE = 7          -- cells of a number
local LINE = 65536       -- bytes of a value in a plain line
local REMEMBERED = 1000  -- values of a chart

-- --- what is watched ---------------------------------------------------------------------------

-- A handle on what the name leads to now, or nil, message, code.
local function attach(self)
  local kind, message, code = shmseg.kind(self.name)
  if not kind and code ~= "incompatible" and code ~= "too small" then
    return nil, message, code
  end
  local view = not self.is_bytes and views[kind] or views.bytes(self.offset, self.count)
  local handle, wrong, word = view.open(self.name)
  if not handle then
    return nil, wrong, word
  end
  local segment = handle.segment and handle:segment() or handle
  self.kind, self.view, self.handle, self.identity = kind or "unknown", view, handle, segment:stat()
  self.charts, self.last = {}, nil
  for i = 1, #view.charts do
    self.charts[i] = chart.new(REMEMBERED, self.is_utf8)
  end
  return true
end

local function detach(self)
  if self.handle then
    self.handle:close()
    self.handle = nil
  end
end

-- Does the name still lead to what is open? Else what has become of it.
local function look_at_name(self)
  local now, message, code = shmseg.stat(self.name)
  if not now then
    return code == "ENOENT" and "its name was removed" or message
  elseif now.inode ~= self.identity.inode or now.device ~= self.identity.device then
    return "it was removed and made anew"
  end
end

-- Sees to it that there is a handle on what the name leads to now: true, or nil and what is wrong.
local function follow(self)
  self.event = self.handle and look_at_name(self)
  if self.event then
    detach(self)
  end
  if self.handle then
    return true
  end
  local ok, message, code = attach(self)
  if ok and self.is_gone then
    self.event = "it is there again"
  end
  self.is_gone = code == "ENOENT"
  return ok, self.is_gone and "it is not there" or message
end

-- Looks once: a sample, or nil and what is wrong.
local function look(self)
  local followed, wrong = follow(self)
  if not followed then
    return nil, wrong
  end
  local now = core.now()
  local ok, sample, message = pcall(self.view.sample, self.handle, self.last,
    now - (self.time or now))
  if not ok or not sample then -- a lock raises its failures
    detach(self) -- it is opened anew, and may be in order then
    return nil, ok and message or text.without_place(sample)
  end
  self.time, self.last = now, sample
  for i, each in ipairs(self.view.charts) do
    self.charts[i]:add(sample[each[1]] or 0)
  end
  return sample
end

-- --- lines -------------------------------------------------------------------------------------

local function shown_number(value)
  if value == math.floor(value) and value >= 0 and value < 2 ^ 53 then
    return ("%.0f"):format(value)
  end
  return ("%.1f"):format(value)
end

-- Of a string about so many bytes: to escape all of a large one at each look would take long.
local function shown_value(value, most)
  if type(value) == "number" then
    return shown_number(value)
  elseif type(value) ~= "string" then
    return tostring(value)
  elseif #value > most then
    return text.escape((value:sub(1, most):gsub("[\192-\255][\128-\191]*$", ""))) .. "..."
  end
  return text.escape(value)
end

-- One line of fields, for a pipe or a log.
local function plain_line(self, sample, wrong)
  local parts = { os.date "%H:%M:%S", text.escape(self.name), self.kind or "?" }
  if self.event then
    parts[#parts + 1] = "(" .. text.message(self.event) .. ")"
  end
  if not sample then
    parts[#parts + 1] = "(" .. text.message(wrong) .. ")"
    return table.concat(parts, " ")
  end
  for _, field in ipairs(self.view.fields) do
    if sample[field] ~= nil then
      local value = shown_value(sample[field], LINE)
      parts[#parts + 1] = field .. "=" .. (value:find " " and ("\"%s\""):format(value) or value)
    end
  end
  return table.concat(parts, " ")
end

local function json_line(self, sample, wrong)
  local object = { name = self.name, kind = self.kind, time = os.time(), event = self.event,
    error = wrong }
  for _, field in ipairs(sample and self.view.fields or {}) do
    object[field] = sample[field]
  end
  return json.encode(object)
end

-- The line of a hexdump with marks. Without colors a star stands behind a changed byte.
local function dump_line(context, sample, from)
  local has_color = context.color("bold", "") ~= ""
  local bytes = sample.window:sub(from, from + ROW - 1)
  local hex, chars = {}, {}
  for i = 1, ROW do
    local byte = bytes:byte(i)
    local is_changed = sample.marks[from + i - 1]
    local two = byte and ("%02x"):format(byte) or "  "
    local char = byte and (byte >= 32 and byte < 127 and string.char(byte) or ".") or ""
    hex[i] = is_changed and (has_color and context.color("red", two) .. " " or two .. "*")
      or two .. " "
    chars[i] = is_changed and context.color("red", char) or char
  end
  return ("%08x  %s |%s|"):format(sample.offset + from - 1, table.concat(hex), table.concat(chars))
end

-- As much of the text as fits.
local function clipped(shown, width)
  if text.width(shown) <= width then
    return shown
  end
  local cut = 0
  local kept = shown:gsub("[^\128-\191][\128-\191]*", function(char)
    cut = cut + 1
    return cut < width and char or ""
  end)
  return kept .. (chart.has_utf8() and "…" or ">")
end

local function labelled(field, shown)
  local label = field:gsub("_", " "):gsub(" per second$", "/s")
  return ("%-" .. LABEL .. "s%s"):format(label, shown)
end

-- The fields that have no chart.
local function add_fields(self, context, lines, sample)
  local has_chart = {}
  for _, each in ipairs(self.view.charts) do
    has_chart[each[1]] = true
    has_chart[each[2] or ""] = true
  end
  for _, field in ipairs(self.view.fields) do
    if sample[field] ~= nil and not has_chart[field] then
      lines[#lines + 1] = labelled(field, clipped(
        shown_value(sample[field], 4 * math.max(10, context.columns)),
        math.max(10, context.columns - LABEL)))
    end
  end
end

-- "0.5", "23", "1.5K"
local function shown_size(value)
  return value < 10 and value ~= math.floor(value) and ("%.1f"):format(value)
    or text.size(math.floor(value + 0.5))
end

-- A line for each chart: the value now, then the bars, and what a full one would be.
local function add_charts(self, context, lines, sample)
  local width = math.max(10, context.columns - LABEL - 2 * VALUE - 5)
  for i, each in ipairs(self.view.charts) do
    local value, top = sample[each[1]], each[2] and sample[each[2]] or self.charts[i]:peak()
    local bars = self.charts[i]:draw(width, top)
    lines[#lines + 1] = labelled(each[1], ("%-" .. VALUE .. "s%s%s %s %s"):format(
      value and shown_size(value) or "-", context.color("cyan", bars),
      (" "):rep(width - text.width(bars)), each[2] and "of" or "to", shown_size(top)))
  end
end

-- All lines of a view on a terminal.
local function frame(self, context, sample, wrong)
  local lines = { ("%s  %s  %s"):format(context.color("bold", text.escape(self.name)),
    self.kind or "", os.date "%H:%M:%S") }
  if self.event then
    lines[#lines + 1] = context.color("yellow", text.message(self.event))
  end
  if not sample then
    lines[#lines + 1] = context.color("red", text.message(wrong))
    return lines
  end
  add_fields(self, context, lines, sample)
  add_charts(self, context, lines, sample)
  for from = 1, sample.window and #sample.window or 0, ROW do
    lines[#lines + 1] = dump_line(context, sample, from)
  end
  return lines
end

-- --- the screen --------------------------------------------------------------------------------

-- Draws over the frame before. The cursor is hidden, and lines are cut and not broken, within this
-- one write alone: however the tool ends, the terminal is as it was.
local function draw(self, context, lines)
  local columns, rows = core.terminal(1)
  context.columns, context.rows = columns or context.columns, rows or context.rows
  while #lines > math.max(1, context.rows - 1) do
    table.remove(lines)
  end
  local up = self.drawn and ("\27[%dA"):format(self.drawn) or ""
  context:write("\27[?25l\27[?7l" .. up .. "\r" .. table.concat(lines, "\27[K\n")
    .. "\27[K\n\27[J\27[?7h\27[?25h")
  context:flush()
  self.drawn = #lines
end

local function show(self, context, sample, wrong)
  if context.json then
    context:write(json_line(self, sample, wrong) .. "\n")
  elseif not context.redraws then
    context:write(plain_line(self, sample, wrong) .. "\n")
  else
    return draw(self, context, frame(self, context, sample, wrong))
  end
  context:flush()
end

local function window(context, options)
  local rows = math.max(1, (context.rows or 24) - 6)
  local offset = options.offset and context:bytes("--offset", options.offset) or 0
  local count = options.count and context:bytes("--count", options.count)
    or math.min(rows, 16) * ROW
  return offset, count
end

return {
  summary = "shows what a name leads to as it changes",
  usage = "NAME",
  operands = { "name" },
  json = true,
  catches = true,
  options = {
    { "-i", "--interval", "SECONDS", "looks so often; 1 is the default" },
    { "-n", "--rounds", "N", "looks so many times; without, until Ctrl-C" },
    { "-b", "--bytes", nil, "shows the bytes, whatever kind of object it is" },
    { nil, "--offset", "BYTE", "shows the bytes from here on" },
    { nil, "--count", "BYTES", "shows so many bytes" },
  },
  detail = [[
A cell's value; how full a queue, a broadcast or a dict is, and how much goes
through it; who has a lock; of anything else the bytes, with those marked that
have changed. It opens for reading alone, and goes on when the name goes, or comes
to lead to something else. On a terminal the view stays in its place, elsewhere
each look is a line.]],
  run = function(context, options, operands)
    local interval = options.interval and context:seconds("--interval", options.interval) or 1
    local rounds = options.rounds and context:integer("--rounds", options.rounds, 1) or math.huge
    local self = { name = context:name(operands[1]), is_utf8 = chart.has_utf8() }
    self.is_bytes = options.bytes or options.offset ~= nil or options.count ~= nil
    self.offset, self.count = window(context, options)
    context:check(attach(self))
    for round = 1, rounds do
      local sample, wrong = look(self)
      context:look_for_signal()
      show(self, context, sample, wrong)
      if round < rounds then
        core.sleep(math.max(0.01, interval))
      end
      context:look_for_signal()
    end
    detach(self)
  end,
}
