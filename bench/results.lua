-- SPDX-License-Identifier: MIT
-- Collects the lines of all rounds; medians, spreads and ratios of them.

local results = {}

local Results = {}
Results.__index = Results

--- The value below which the share `q` (0 to 1) of `list` lies.
local function quantile(list, q)
  local sorted = {}
  for i, value in ipairs(list) do
    sorted[i] = value
  end
  table.sort(sorted)
  local place = 1 + q * (#sorted - 1)
  local low = math.floor(place)
  local high = math.min(low + 1, #sorted)
  return sorted[low] + (sorted[high] - sorted[low]) * (place - low)
end

function results.new()
  return setmetatable({ operations = {}, rows = {}, targets = {}, notes = {} }, Results)
end

-- The contestants of one operation, in the order of their first sample.
local function operation_named(self, name)
  local operation = self.operations[name]
  if not operation then
    operation = { name = name }
    self.operations[name] = operation
    table.insert(self.operations, operation)
  end
  return operation
end

local function add_time(self, name, who, gross, loop)
  local operation = operation_named(self, name)
  local row = operation[who]
  if not row then
    row = { who = who, gross = {}, net = {} }
    operation[who] = row
    table.insert(operation, row)
    self.rows[who] = row -- for the targets, which name their contestants
  end
  table.insert(row.gross, tonumber(gross))
  table.insert(row.net, tonumber(gross) - tonumber(loop))
end

local function add_once(list, key, value)
  if not list[key] then
    list[key] = true
    table.insert(list, value)
  end
end

--- Takes one line of a round; gives false if it is none.
function Results:add(line)
  local words = {}
  for word in line:gmatch("[^\t]+") do
    table.insert(words, word)
  end
  if words[1] == "time" then
    add_time(self, words[2], words[3], words[4], words[5])
  elseif words[1] == "target" then
    add_once(self.targets, line, {
      subject = words[2],
      reference = words[3],
      kind = words[4],
      bound = tonumber(words[5]),
      gross = words[6] == "gross",
    })
  elseif words[1] == "note" then
    add_once(self.notes, line, words[2])
  else
    return false
  end
  return true
end

function results.gross(row)
  return quantile(row.gross, 0.5)
end

function results.net(row)
  return quantile(row.net, 0.5)
end

--- Half of the net samples lie between these two.
function results.middle(row)
  return quantile(row.net, 0.25), quantile(row.net, 0.75)
end

--- Half of the samples lie in a band this wide, as a share of the median.
function results.spread(row)
  local median = quantile(row.gross, 0.5)
  return (quantile(row.gross, 0.75) - quantile(row.gross, 0.25)) / median
end

-- The row of a contestant; among several ("a|b") that of the slowest. Nil if one did not run.
local function slowest(rows, names)
  local found
  for name in names:gmatch("[^|]+") do
    local row = rows[name]
    if not row then
      return nil
    end
    if not found or results.net(row) > results.net(found) then
      found = row
    end
  end
  return found
end

--- What a target came to: the ratio of medians net and gross, the middle half of the net ratios of
-- single laps, whether it was met (nil if it has no bound). Nil if its contestants did not run.
function Results:ratio(target)
  local upper, lower = self.rows[target.subject], slowest(self.rows, target.reference)
  if not upper or not lower then
    return nil
  end
  if target.kind == "least" then
    upper, lower = lower, upper
  end
  local laps = {}
  for i = 1, math.min(#upper.net, #lower.net) do
    laps[i] = upper.net[i] / lower.net[i]
  end
  local ratio = {
    upper = upper.who,
    lower = lower.who,
    net = results.net(upper) / results.net(lower),
    gross = results.gross(upper) / results.gross(lower),
    low = quantile(laps, 0.25),
    high = quantile(laps, 0.75),
  }
  local judged = target.gross and ratio.gross or ratio.net
  if target.kind == "most" then
    ratio.met = judged <= target.bound
  elseif target.kind == "least" then
    ratio.met = judged >= target.bound
  end
  return ratio
end

return results
