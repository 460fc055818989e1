-- SPDX-License-Identifier: MIT
-- Times contestants side by side: in every lap each of them runs once.

local harness = {}

local Suite = {}
Suite.__index = Suite

--- A set of contestants.
-- @param name names the group of contestants, unless `add` is told another operation
-- @param now a clock in nanoseconds
-- @param slice nanoseconds that a contestant runs in each lap
function harness.suite(name, now, slice)
  local suite = { name = name, now = now, slice = slice, contestants = {}, lines = {} }
  setmetatable(suite, Suite)
  suite:add("empty loop", function(n)
    for _ = 1, n do
    end
  end)
  return suite
end

--- Adds a contestant. `run(n)` does its operation n times, in a `for` loop of its own.
-- options.operation: what it does, if not all in the suite do the same (default: the suite's name)
-- options.ops: operations in one turn of the loop (default 1)
-- options.once: one turn in each lap (for operations that take milliseconds)
function Suite:add(who, run, options)
  options = options or {}
  table.insert(self.contestants, {
    who = who,
    operation = options.operation or self.name,
    run = run,
    ops = options.ops or 1,
    once = options.once,
    turns = 1,
  })
end

--- A target: the time of `subject` over that of `reference` is at most bound.most; or `subject` is
-- at least bound.least times as fast as `reference`. With neither it is only shown.
function Suite:target(subject, reference, bound)
  local kind = bound.most and "most" or bound.least and "least" or "none"
  table.insert(self.lines, { "target", subject, reference, kind, bound.most or bound.least or 0 })
end

--- A line of text below the table.
function Suite:note(text)
  table.insert(self.lines, { "note", text })
end

local function time(self, contestant)
  if contestant.once then -- caches and page tables are as it leaves them, not the one before
    collectgarbage()
    contestant.run(1)
  end
  collectgarbage() -- nobody pays for the garbage of the one before
  collectgarbage()
  local run, turns, now = contestant.run, contestant.turns, self.now
  local start = now()
  run(turns)
  return now() - start
end

-- Finds how many turns fill the slice. Warms up, too.
local function calibrate(self, contestant)
  local taken = time(self, contestant)
  while not contestant.once and taken < self.slice do
    local factor = math.min(10, math.max(1.3, 1.1 * self.slice / math.max(taken, 1)))
    contestant.turns = math.ceil(contestant.turns * factor)
    taken = time(self, contestant)
  end
end

-- Each lap starts at another place in the line.
local function lap(self, number)
  local count = #self.contestants
  for i = 1, count do
    local contestant = self.contestants[(i + number - 2) % count + 1]
    contestant.taken = time(self, contestant) / contestant.turns
  end
end

local function print_line(...)
  print(table.concat({ ... }, "\t"))
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
    local empty = self.contestants[1].taken
    for _, contestant in ipairs(self.contestants) do
      local loop = contestant.once and 0 or empty
      local ops = contestant.ops
      print_line("time", contestant.operation, contestant.who, contestant.taken / ops, loop / ops)
    end
  end
end

return harness
