--- Small running charts: a line of bars, the newest on the right.
-- @module shmseg.cli.chart

local chart = {}
chart.__index = chart

-- From nothing to the most. Each is one cell of a terminal.
local bars = {
  utf8 = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" },
  ascii = { " ", ".", ":", "-", "=", "+", "*", "#", "@" },
}

--- Does the terminal show UTF-8?
function chart.has_utf8()
  for _, name in ipairs { "LC_ALL", "LC_CTYPE", "LANG" } do
    local value = os.getenv(name) or ""
    if value ~= "" then
      return value:lower():find "utf%-?8" ~= nil
    end
  end
  return false
end

--- A chart that remembers so many values.
function chart.new(most, is_utf8)
  local self = { values = {}, most = most, bars = is_utf8 and bars.utf8 or bars.ascii }
  return setmetatable(self, chart)
end

function chart:add(value)
  table.insert(self.values, value)
  if #self.values > self.most then
    table.remove(self.values, 1)
  end
end

--- The largest value that is remembered; 0 when there is none.
function chart:peak()
  local peak = 0
  for _, value in ipairs(self.values) do
    peak = math.max(peak, value)
  end
  return peak
end

--- The last values, as many as fit into so many cells; top is the value of a full bar. What is
-- above 0 is always seen.
function chart:draw(width, top)
  local shown = {}
  for i = math.max(1, #self.values - width + 1), #self.values do
    local part = top > 0 and math.min(1, self.values[i] / top) or 0
    shown[#shown + 1] = self.bars[1 + math.ceil(part * 8)]
  end
  return table.concat(shown)
end

return chart
