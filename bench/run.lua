-- SPDX-License-Identifier: MIT
-- Runs the benchmarks: lua5.4 bench/run.lua [suite ...] [--rounds N] [--slice MS] [--check]

local root = arg[0]:match("^(.*)/bench/[^/]*$") or (arg[0]:find("^bench/") and "." or "..")
package.path = root .. "/?.lua;" .. package.path

local context = require "bench.context"
local dict = require "bench.dict"
local jit_suite = require "bench.jit"
local lock = require "bench.lock"
local markdown = require "bench.markdown"
local messages = require "bench.message"
local nginx = require "bench.nginx"
local peer_versions = require "bench.peer_versions"
local peers = require "bench.peers"
local plot = require "bench.plot"
local report = require "bench.report"
local results = require "bench.results"
local watch = require "bench.watch"

-- In the order in which they run. `share` of the rounds: the slow ones get fewer.
-- Short slices and many laps: what disturbs the machine then disturbs all contestants alike.
local SUITES = {
  { name = "segment", share = 1, laps = 5 },
  { name = "bulk", share = 1 / 3, laps = 3 },
  { name = "array", share = 1, laps = 5 },
  { name = "lock", share = 1 / 2, laps = 5, elsewhere = lock },
  { name = "queue", share = 1 / 3, laps = 5 },
  { name = "batch", share = 1 / 3, laps = 3 },
  { name = "frame", share = 1 / 3, laps = 5 },
  { name = "message", share = 1 / 3, laps = 3, elsewhere = messages },
  { name = "dict", share = 1 / 3, laps = 3, elsewhere = dict },
  { name = "nginx", share = 1 / 3, laps = 3, elsewhere = nginx },
  { name = "dict_size", share = 1 / 5, laps = 3 },
  { name = "jit", share = 1 / 3, laps = 5, elsewhere = jit_suite },
  { name = "watch", share = 1 / 5, laps = 3, elsewhere = watch },
  { name = "peers", share = 1 / 3, laps = 3, ranked = true, elsewhere = peers },
}
local USAGE = [[
usage: lua5.4 bench/run.lua [suite ...] [options]
  suites       segment bulk array lock queue batch frame message dict nginx dict_size
                jit watch peers
               (default: all of them)
  --rounds N   processes for each suite (default 15; lock half, bulk and those behind lock a third)
  --laps N     laps in each of them (default 3 or 5)
  --slice MS   milliseconds that each contestant runs in a lap (default 2)
  --keys N     of the largest dict of dict_size (default 1000000; 10000000 need 4 GB)
  --only TEXT  only the contestants that have TEXT in their names (peers run all the same)
  --picture F  draw the plot into the file F, too
  --peers      say which peers are there, in which version, and measure nothing
  --check      exit status 1 if a target is missed; otherwise it is 0 whatever the ratios]]

local function fail(message)
  io.stderr:write("bench: ", tostring(message), "\n")
  os.exit(2)
end

local function suite_named(name)
  for _, suite in ipairs(SUITES) do
    if suite.name == name then
      return suite
    end
  end
end

local function parse(words)
  local options = { rounds = 15, slice = 2, keys = 1000000, check = false, suites = {} }
  local i = 1
  while words[i] do
    local word = words[i]
    if word == "--help" then
      print(USAGE)
      os.exit(0)
    elseif word == "--check" or word == "--peers" then
      options[word:sub(3)] = true
    elseif word == "--picture" then
      i = i + 1
      options.picture = words[i] or fail("--picture wants a file")
    elseif word == "--only" then
      i = i + 1
      options.only = words[i] or fail("--only wants a text")
    elseif word == "--rounds" or word == "--slice" or word == "--laps" or word == "--keys" then
      i = i + 1
      local number = tonumber(words[i])
      if not number or number < 1 then
        fail(word .. " wants a number, 1 or more")
      end
      options[word:sub(3)] = math.floor(number)
    elseif suite_named(word) then
      table.insert(options.suites, suite_named(word))
    else
      fail("what is '" .. word .. "'?\n" .. USAGE)
    end
    i = i + 1
  end
  if #options.suites == 0 then
    options.suites = SUITES
  end
  return options
end

--- Runs a command that prints the lines of a round.
local function collect(found, command)
  local lines = io.popen(command)
  for line in lines:lines() do
    if not found:add(line) then
      print(line)
    end
  end
  local good = lines:close()
  if good == nil or good == false then
    error("failed: " .. command, 0)
  end
end

local function run_suite(suite, options)
  local rounds = math.max(3, math.floor(options.rounds * suite.share))
  local slice = options.slice * 1000000
  local found = results.new()
  local laps = options.laps or suite.laps
  local own = ("%s '%s/bench/round.lua' '%s' %s %d %d %d '%s'"):format(
    context.interpreter(), root, root, suite.name, slice, laps, options.keys, options.only or "")
  local close, commands = function() end, {}
  if suite.elsewhere then
    commands, close = suite.elsewhere.prepare(context.open(root, slice), found, own)
  end
  table.insert(commands, 1, own)
  local good, message = pcall(function()
    for number = 1, rounds do
      for i = 1, #commands do
        collect(found, commands[(i + number - 2) % #commands + 1])
      end
    end
  end)
  close()
  if not good then
    error(message, 0)
  end
  local title = ("%s: %d rounds of %d laps"):format(suite.name, rounds, laps)
  report.times(found, title, suite.ranked)
  return { title = title, found = found }, report.targets(found)
end

local function load_now()
  return context.output_of("cut -d' ' -f1 /proc/loadavg 2>/dev/null")
end

local function header(options, load)
  local cpu = context.output_of("sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null")
  print(("%s, %s, load before the start %s, slices of %d ms"):format(
    jit and jit.version or _VERSION,
    cpu ~= "" and cpu or "unknown processor",
    load ~= "" and load or "unknown",
    options.slice
  ))
  print([[
Times are medians. gross: a turn of the loop. net: less the empty loop of the same lap, so the
call alone. Targets are judged by net, as nothing hides behind the loop; the gross ratio stands
beside it. Noise: half of the samples lie in a band of `spread`; half of the single laps' ratios lie
between the two figures of `laps`; the same contestant twice shows what chance does to a ratio.]])
end

-- The page and the plot of what was measured, in build/bench; and a second plot, if it is wanted.
-- Gives the lines that say where.
local function write(suites, load, picture)
  local folder = root .. "/build/bench"
  local machine = markdown.machine(root, ("%s before, %s after"):format(load, load_now()))
  markdown.write(folder .. "/results.md", machine, peer_versions.list(root), suites)
  local of = {}
  for _, pair in ipairs(machine) do
    of[pair[1]] = pair[2]
  end
  local below = {
    "time of one operation: the median, and the middle half of the samples; red: shmseg",
    ("%s; %s; %s; %s"):format(of.processor, of.system, of.Lua, require("shmseg")._VERSION),
  }
  local said = { ("all figures: %s/results.md"):format(folder) }
  for _, path in ipairs { folder .. "/results.svg", picture } do
    local drawn, reason = plot.draw(path, suites, below)
    table.insert(said, drawn and "the plot: " .. path or "no plot: " .. reason)
  end
  return table.concat(said, "\n")
end

local function main(options)
  context.build_helpers(root)
  local load = load_now()
  header(options, load)
  local targets, missed, suites, said = 0, 0, {}, nil
  for i, suite in ipairs(options.suites) do
    local bounded, not_met
    suites[i], bounded, not_met = run_suite(suite, options)
    targets, missed = targets + bounded, missed + not_met
    said = write(suites, load, options.picture) -- a run that is ended leaves what it has
  end
  print(("\n%d of %d targets met"):format(targets - missed, targets))
  print(said)
  return missed
end

local function say_which_peers()
  for _, peer in ipairs(peer_versions.list(root)) do
    print(("  %-28s %s"):format(peer.name, peer.version or "missing"))
  end
end

context.use_tree(root)
local options = parse(arg)
if options.peers then
  say_which_peers()
  os.exit(0)
end
if not pcall(require, "shmseg") then
  fail("shmseg is not built for " .. _VERSION .. ": run `make` first")
end
io.stdout:setvbuf("line")
local good, result = pcall(main, options)
if not good then
  fail(result)
end
os.exit(options.check and result > 0 and 1 or 0)
