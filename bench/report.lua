-- SPDX-License-Identifier: MIT
-- Prints what was measured.

local results = require "bench.results"

local report = {}

-- "13.1 ns", "1.7 us", "12.3 ms": three digits that matter.
function report.duration(ns)
  if ns >= 1e6 then
    return string.format("%.3g ms", ns / 1e6)
  elseif ns >= 1e3 then
    return string.format("%.3g us", ns / 1e3)
  end
  return string.format("%.1f ns", ns)
end
local duration = report.duration

--- A power of ten, as short as can be: "100 ns", "1 us".
function report.power(ns)
  for _, unit in ipairs { { 1e9, "s" }, { 1e6, "ms" }, { 1e3, "us" } } do
    if ns >= unit[1] * 0.999 then
      return ("%g %s"):format(ns / unit[1], unit[2])
    end
  end
  return ("%g ns"):format(ns)
end

-- A group that has nothing but the loop is not worth a headline.
local function is_bare(operation)
  return #operation == 1 and results.net(operation[1]) == 0
end

local function print_operation(operation)
  print(string.format("  %-46s %10s %10s %8s", operation.name, "gross", "net", "spread"))
  for _, row in ipairs(operation) do
    local gross, net = results.gross(row), results.net(row)
    print(string.format(
      "    %-44s %10s %10s %7.1f%%",
      row.who,
      duration(gross),
      net > 0 and duration(net) or "-",
      100 * results.spread(row)
    ))
  end
end

--- Prints one suite's times.
-- @param ranked the fastest comes first
function report.times(found, title, ranked)
  print("\n" .. title)
  for _, operation in ipairs(found.operations) do
    if ranked then
      table.sort(operation, function(a, b)
        return results.net(a) < results.net(b)
      end)
    end
    if not is_bare(operation) then
      print_operation(operation)
    end
  end
  for _, text in ipairs(found.notes) do
    print("  " .. text)
  end
end

--- "<= 1.5   met", for example.
function report.verdict(target, ratio)
  if ratio.met == nil then
    return "(for comparison)"
  end
  local sign = target.kind == "most" and "<=" or ">="
  local with = target.gross and " (gross)" or ""
  return string.format("%s %-5g%s %s", sign, target.bound, with, ratio.met and "met" or "NOT MET")
end

--- Prints each target; gives how many have a bound and how many of those were missed.
function report.targets(found)
  local bounded, missed = 0, 0
  if #found.targets > 0 then
    local headline = "  %-60s %6s %6s  %-14s  %s"
    print(headline:format("ratio of medians", "net", "gross", "laps (net)", "target"))
  end
  for _, target in ipairs(found.targets) do
    local ratio = found:ratio(target)
    if ratio then
      bounded = bounded + (ratio.met ~= nil and 1 or 0)
      missed = missed + (ratio.met == false and 1 or 0)
      print(string.format(
        "    %-58s %6.2f %6.2f  %5.2f to %5.2f  %s",
        ratio.upper .. " / " .. ratio.lower,
        ratio.net,
        ratio.gross,
        ratio.low,
        ratio.high,
        report.verdict(target, ratio)
      ))
    end
  end
  return bounded, missed
end

return report
