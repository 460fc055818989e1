-- SPDX-License-Identifier: MIT
-- The page that a run leaves: the machine, what was there, all figures.

local context = require "bench.context"
local report = require "bench.report"
local results = require "bench.results"

local markdown = {}

local function output(command)
  return context.output_of(command .. " 2>/dev/null")
end

local function cell(text)
  return (tostring(text):gsub("|", "\\|"))
end

local function row(out, ...)
  local cells = { ... }
  for i, text in ipairs(cells) do
    cells[i] = cell(text)
  end
  out(("| %s |"):format(table.concat(cells, " | ")))
end

--- What was measured on what: a list of { what, value }.
function markdown.machine(root, load)
  local shmseg = require "shmseg"
  local commit = output(("git -C '%s' describe --always --dirty"):format(root))
  return {
    { "measured", os.date("!%Y-%m-%d %H:%M UTC") },
    { "processor", ("%s, %s of them"):format(
      output "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo", output "nproc") },
    { "memory", output [[awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo]] },
    { "system", ("%s, %s, %s"):format(output "uname -srm",
      output [[sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release]],
      output "getconf GNU_LIBC_VERSION") },
    { "compiler", output((os.getenv("CC") or "cc") .. " --version") },
    { "Lua", jit and jit.version or _VERSION },
    { "shmseg", commit ~= "" and ("%s, commit %s"):format(shmseg._VERSION, commit)
      or shmseg._VERSION },
    { "load", load },
  }
end

local function add_machine(out, machine, versions)
  row(out, "", "")
  row(out, "---", "---")
  for _, pair in ipairs(machine) do
    row(out, pair[1], pair[2])
  end
  for _, peer in ipairs(versions) do
    row(out, peer.name, peer.version or "not there")
  end
end

local function add_times(out, found)
  out ""
  row(out, "", "gross", "net", "middle half", "spread")
  row(out, "---", "--:", "--:", "--:", "--:")
  for _, operation in ipairs(found.operations) do
    row(out, ("**%s**"):format(operation.name), "", "", "", "")
    for _, contestant in ipairs(operation) do
      local low, high = results.middle(contestant)
      row(out, contestant.who, report.duration(results.gross(contestant)),
        report.duration(results.net(contestant)),
        ("%s to %s"):format(report.duration(low), report.duration(high)),
        ("%.0f %%"):format(100 * results.spread(contestant)))
    end
  end
end

local function add_notes(out, found)
  for i, note in ipairs(found.notes) do
    out(i == 1 and "\n* " .. note or "* " .. note)
  end
end

local function add_targets(out, found)
  local first = true
  for _, target in ipairs(found.targets) do
    local ratio = found:ratio(target)
    if ratio then
      if first then
        out ""
        row(out, "ratio of medians", "net", "gross", "laps", "target")
        row(out, "---", "--:", "--:", "--:", "---")
        first = false
      end
      row(out, ratio.upper .. " / " .. ratio.lower, ("%.2f"):format(ratio.net),
        ("%.2f"):format(ratio.gross), ("%.2f to %.2f"):format(ratio.low, ratio.high),
        report.verdict(target, ratio))
    end
  end
end

--- Writes the page. suites: a list of { title =, found = }.
function markdown.write(path, machine, versions, suites)
  local file = assert(io.open(path, "w"))
  local function out(line)
    file:write(line, "\n")
  end
  out "# What was measured\n"
  out "`bench/README.md` tells how. Times are medians of one operation. *gross* is a turn of the"
  out "loop, *net* is less the empty loop. Half of the net times lie in the *middle half*; *spread*"
  out "is how wide that band is of the gross times, as a share of their median.\n"
  add_machine(out, machine, versions)
  for _, suite in ipairs(suites) do
    out("\n## " .. suite.title)
    add_times(out, suite.found)
    add_notes(out, suite.found)
    add_targets(out, suite.found)
  end
  file:close()
end

return markdown
