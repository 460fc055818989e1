-- SPDX-License-Identifier: MIT
-- Times contestants side by side: in every lap each of them runs once.

local harness = {}

local MOST_TRIES = 100 -- of a block

local Suite = {}
Suite.__index = Suite

--- A set of contestants.
-- @param name names the group of contestants, unless `add` is told another operation
-- @param native the C helper: its clock, and what counts how often the processor was lost
-- @param slice nanoseconds that a contestant runs in each lap
-- @param only nil, or a text that the names of the contestants have in them
function harness.suite(name, native, slice, only)
  local suite = { name = name, native = native, slice = slice, contestants = {}, lines = {} }
  setmetatable(suite, Suite)
  suite:add("empty loop", function(n)
    for _ = 1, n do
    end
  end, { block = 10000 })
  suite.only = only
  return suite
end

--- Adds a contestant. `run(n)` does its operation n times, in a `for` loop of its own.
-- options.operation: what it does, if not all in the suite do the same (default: the suite's name)
-- options.ops: operations in one turn of the loop (default 1)
-- options.once: one turn in each lap (for operations that take milliseconds)
-- options.turns: so many turns in each lap, whatever time that takes
-- options.clock: a function that gives nanoseconds (default: the monotonic clock)
-- options.block: only so many turns are timed at a stretch; those are not counted in which another
--   process got the processor
-- options.before, options.after: before(n) and after(n) run around each block of n, untimed
function Suite:add(who, run, options)
  options = options or {}
  if self:leaves_out(who) then
    return
  end
  table.insert(self.contestants, {
    who = who,
    operation = options.operation or self.name,
    run = run,
    ops = options.ops or 1,
    once = options.once,
    block = options.block,
    before = options.before,
    after = options.after,
    turns = options.turns or options.block or 1,
    fixed = options.turns ~= nil,
    clock = options.clock or self.native.now,
  })
end

--- Adds contestants that time themselves, once in each lap: run() gives a list of { who,
-- nanoseconds of one operation with the loop }. `text` is a part of all their names.
function Suite:measure(text, run, options)
  if self:leaves_out(text) then
    return
  end
  table.insert(self.contestants, {
    operation = options and options.operation or self.name,
    run = run,
    measures = true,
  })
end

--- Is this contestant not among those that the user has asked for?
function Suite:leaves_out(text)
  return self.only ~= nil and not text:find(self.only, 1, true)
end

--- A target: the time of `subject` over that of `reference` is at most bound.most; or `subject` is
-- at least bound.least times as fast as `reference`. With neither it is only shown.
-- A list of references: the slowest of them. bound.gross: judged with the loop.
function Suite:target(subject, reference, bound)
  if type(reference) == "table" then
    reference = table.concat(reference, "|")
  end
  local kind = bound.most and "most" or bound.least and "least" or "none"
  local number, with = bound.most or bound.least or 0, bound.gross and "gross" or "net"
  table.insert(self.lines, { "target", subject, reference, kind, number, with })
end

--- A line of text below the table.
function Suite:note(text)
  table.insert(self.lines, { "note", text })
end

local function nothing() end

local function time_blocks(self, contestant)
  local run, block, turns = contestant.run, contestant.block, contestant.turns
  local now, losses = self.native.now, self.native.losses
  local before, after = contestant.before or nothing, contestant.after or nothing
  local taken, counted = 0, 0
  for _ = 1, MOST_TRIES * turns, block do
    before(block)
    local lost = losses()
    local start = now()
    run(block)
    local stop = now()
    if losses() == lost then
      taken, counted = taken + (stop - start), counted + block
    end
    after(block)
    if counted == turns then
      return taken
    end
  end
  error("the machine is too busy", 0)
end

local function time(self, contestant)
  if contestant.once then -- caches and page tables are as it leaves them, not the one before
    collectgarbage()
    contestant.run(1)
  end
  collectgarbage() -- nobody pays for the garbage of the one before
  collectgarbage()
  if contestant.block then
    return time_blocks(self, contestant)
  end
  local run, turns, now = contestant.run, contestant.turns, contestant.clock
  local start = now()
  run(turns)
  return now() - start
end

-- Finds how many turns fill the slice. Warms up, too.
local function calibrate(self, contestant)
  if contestant.measures then
    return -- it knows how long it has to run
  end
  local taken = time(self, contestant)
  local block = contestant.block or 1
  while not contestant.once and not contestant.fixed and taken < self.slice do
    local factor = math.min(10, math.max(1.3, 1.1 * self.slice / math.max(taken, 1)))
    contestant.turns = math.ceil(contestant.turns * factor / block) * block
    taken = time(self, contestant)
  end
end

-- Each lap starts at another place in the line.
local function lap(self, number)
  local count = #self.contestants
  for i = 1, count do
    local contestant = self.contestants[(i + number - 2) % count + 1]
    if contestant.measures then
      collectgarbage()
      contestant.figures = contestant.run()
    else
      local taken = time(self, contestant) / contestant.turns
      contestant.figures = { { contestant.who, taken / contestant.ops } }
    end
  end
end

local function print_line(...)
  print(table.concat({ ... }, "\t"))
end

local function print_figures(contestant, empty)
  local loop = contestant.once and 0 or empty / (contestant.ops or 1)
  for _, figure in ipairs(contestant.figures) do
    print_line("time", contestant.operation, figure[1], figure[2], loop)
  end
end

--- Prints the targets and notes; then, for each lap and contestant, a line: time, operation, who,
-- nanoseconds of one operation with the loop, nanoseconds of the empty loop.
function Suite:run(laps)
  for _, line in ipairs(self.lines) do
    print_line((table.unpack or unpack)(line))
  end
  for _, contestant in ipairs(self.contestants) do
    calibrate(self, contestant)
  end
  for number = 1, laps do
    lap(self, number)
    local empty = self.contestants[1].figures[1][2]
    for _, contestant in ipairs(self.contestants) do
      print_figures(contestant, empty)
    end
  end
end

return harness
