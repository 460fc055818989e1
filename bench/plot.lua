-- SPDX-License-Identifier: MIT
-- Draws a choice of the figures through gnuplot: one point for each contestant, with the middle
-- half of its samples.

local context = require "bench.context"
local report = require "bench.report"
local results = require "bench.results"

local plot = {}

-- What is drawn, in two columns. `cut` are texts that are taken off the names; `also` are other
-- operations whose contestants come along; `but` is a pattern of those that are left out.
local COLUMNS = {
  {
    { title = "a message of 256 bytes, from one process to another", cut = { ", 256 bytes" },
      operation = "a message of 256 bytes", also = { "two processes, 256 bytes" } },
    { title = "a message of 1 MiB", cut = { ", 1 MiB" }, operation = "a message of 1 MiB" },
    { title = "there and back, 256 bytes, both awake", cut = { ", both busy" },
      operation = "round trip of 256 bytes (p50)", but = "asleep" },
    { title = "lock and unlock, in C", cut = { " in C" }, operation = "lock and unlock in C" },
  },
  {
    { title = "get one of 100,000 keys", cut = { ", one process", ", each key", ", get", " get" },
      operation = "get, one process" },
    { title = "set one of 100,000 keys", cut = { ", one process", ", each key", ", set", " set" },
      operation = "set, one process" },
    { title = "get one of 100,000 keys, two processes at it",
      cut = { ", two processes", ", each key", ", get", " get" },
      operation = "get, two processes" },
    { title = "read 32 bytes", operation = "read 32 bytes" },
    { title = "read a number of 32 bits", operation = "get i32" },
  },
}
local LEAST = 0.5 -- nanoseconds: a scale of powers has no zero
local OURS = { "shmseg", "^queue", "^d:", "^push_many" }

-- Pixels
local WIDTH, ROW, HEAD, FOOT, NAMES, MARGIN = 480, 16, 30, 22, 190, 60

local function is_ours(who)
  for _, pattern in ipairs(OURS) do
    if who:find(pattern) then
      return true
    end
  end
  return false
end

local function without(text, cuts)
  for _, cut in ipairs(cuts or {}) do
    local from, to = text:find(cut, 1, true)
    if from then
      text = text:sub(1, from - 1) .. text:sub(to + 1)
    end
  end
  return text
end

local function operations_of(suites)
  local operations = {}
  for _, suite in ipairs(suites) do
    for _, operation in ipairs(suite.found.operations) do
      operations[operation.name] = operation
    end
  end
  return operations
end

-- The contestants of a panel, the fastest first; without those that the loop hides.
local function rows_of(panel, operations)
  local rows, seen = {}, {}
  for _, name in ipairs { panel.operation, (table.unpack or unpack)(panel.also or {}) } do
    for _, row in ipairs(operations[name] or {}) do
      local net = results.net(row)
      local low, high = results.middle(row)
      if net > 0 and not seen[row.who] and not (panel.but and row.who:find(panel.but)) then
        seen[row.who] = true
        table.insert(rows, {
          name = without(row.who, panel.cut),
          ours = is_ours(row.who),
          net = net,
          low = math.max(low, math.min(net, LEAST)),
          high = high,
        })
      end
    end
  end
  table.sort(rows, function(a, b)
    return a.net < b.net
  end)
  return rows
end

local function quote(text)
  return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

-- The powers of ten that the rows lie between.
local function range_of(rows)
  local low, high = math.huge, 0
  for _, row in ipairs(rows) do
    low, high = math.min(low, row.low), math.max(high, row.high)
  end
  local function power(x, round)
    return 10 ^ round(math.log(x) / math.log(10))
  end
  return power(low, math.floor), power(high, math.ceil)
end

-- The data of a panel's one color: are there any?
local function add_points(out, name, rows, ours)
  local any = false
  out(("$%s << END"):format(name))
  for i, row in ipairs(rows) do
    if row.ours == ours then
      local text = quote(report.duration(row.net))
      out(("%d %g %g %g %s"):format(i, row.net, row.low, row.high, text))
      any = true
    end
  end
  out "END"
  return any
end

-- Points with their bars, and what they say.
local function add_layers(layers, data, color)
  table.insert(layers, ("$%s using 2:1:3:4 with xerrorbars pt 7 ps 0.6 lw 1.5 lc rgb '%s'"):format(
    data, color))
  table.insert(layers, ("$%s using 4:1:5 with labels left offset 0.7,0 tc rgb '%s'"):format(
    data, color))
end

-- A panel whose upper left corner is at left, top.
local function add_panel(out, number, panel, left, top, width, height)
  local rows = panel.rows
  local low, high = range_of(rows)
  local names, ticks = {}, {}
  for i, row in ipairs(rows) do
    names[i] = ("%s %d"):format(quote(row.name), i)
  end
  local power = low
  while power <= high * 1.001 do
    table.insert(ticks, ("%s %g"):format(quote(report.power(power)), power))
    power = power * 10
  end
  local layers = {}
  if add_points(out, "others" .. number, rows, false) then
    add_layers(layers, "others" .. number, "gray40")
  end
  if add_points(out, "ours" .. number, rows, true) then
    add_layers(layers, "ours" .. number, "#c03020")
  end
  out(("set lmargin at screen %g"):format((left + NAMES) / width))
  out(("set rmargin at screen %g"):format((left + WIDTH - MARGIN) / width))
  out(("set tmargin at screen %g"):format(1 - (top + HEAD) / height))
  out(("set bmargin at screen %g"):format(1 - (top + HEAD + ROW * #rows) / height))
  out(("set title %s"):format(quote(panel.title)))
  out(("set xrange [%g:%g]"):format(low / 1.001, high * 1.001))
  out(("set yrange [%g:0.5]"):format(#rows + 0.5))
  out(("set xtics (%s)"):format(table.concat(ticks, ", ")))
  out(("set ytics (%s)"):format(table.concat(names, ", ")))
  out("plot " .. table.concat(layers, ", "))
end

-- The panels of each column that have something to show, and the height of all.
local function layout(suites)
  local operations, columns, height = operations_of(suites), {}, 0
  for c, panels in ipairs(COLUMNS) do
    local column, top = {}, 0
    for _, panel in ipairs(panels) do
      local rows = rows_of(panel, operations)
      if #rows > 1 then
        table.insert(column, { title = panel.title, rows = rows, top = top })
        top = top + HEAD + ROW * #rows + FOOT
      end
    end
    columns[c] = column
    height = math.max(height, top)
  end
  return columns, height
end

local function script(path, columns, below, height)
  local lines = {}
  local function out(line)
    table.insert(lines, line)
  end
  local width = WIDTH * #columns
  local whole = height + 2 * ROW + 10
  out(("set terminal svg size %d,%d font 'sans-serif,11' background 'white' noenhanced"):format(
    width, whole))
  out(("set output %s"):format(quote(path)))
  out "set encoding utf8"
  for i, line in ipairs(below) do
    out(("set label %d %s at screen 0.5,%g center tc rgb 'gray40'"):format(
      i, quote(line), ((#below - i) * ROW + 10) / whole))
  end
  out "set multiplot"
  out "set logscale x\nset grid xtics lc rgb 'gray80'\nset border 1 lc rgb 'gray60'"
  out "set tics nomirror scale 0 tc rgb 'black'\nset title offset 0,-0.6\nunset key"
  local number = 0
  for c, column in ipairs(columns) do
    for _, panel in ipairs(column) do
      number = number + 1
      add_panel(out, number, panel, (c - 1) * WIDTH, panel.top, width, whole)
      out "unset label"
    end
  end
  out "unset multiplot"
  return table.concat(lines, "\n") .. "\n"
end

--- Draws into the file `path`, with the lines `below` under it: true; nil and why not.
function plot.draw(path, suites, below)
  local columns, height = layout(suites)
  if height == 0 then
    return nil, "these suites have nothing that is drawn"
  elseif context.output_of "gnuplot --version 2>/dev/null" == "" then
    return nil, "gnuplot is not here"
  end
  local source = path .. ".gnuplot"
  local file = assert(io.open(source, "w"))
  file:write(script(path, columns, below, height))
  file:close()
  local done = os.execute(("gnuplot '%s'"):format(source))
  if done ~= true and done ~= 0 then
    return nil, "gnuplot says no: see above, and " .. source
  end
  os.remove(source)
  return true
end

return plot
