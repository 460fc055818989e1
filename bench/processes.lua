-- SPDX-License-Identifier: MIT
-- Several processes at once: starting them, and timing what flows from some of them to others.

local processes = {}

local Processes = {}
Processes.__index = Processes

local KILL = 9
local REPORT = "%s%15.0f" -- who, nanoseconds
local PHASES = 2 -- the first is not timed: after it the system has given each side a processor

function processes.open(bench)
  return setmetatable({ bench = bench, native = bench.channel }, Processes)
end

--- Runs body() in another process.
function Processes:start(body)
  local native = self.native
  local pid = native.fork()
  if pid ~= 0 then
    return pid
  end
  local good, message = xpcall(body, debug.traceback)
  if not good then
    io.stderr:write("bench: ", tostring(message), "\n")
  end
  native.exit(good and 0 or 1)
end

function Processes:finish(pid, signal)
  local status = self.native.finish(pid, signal)
  assert(signal or status == 0, "the other process failed")
end

--- Processes that do body() again and again while run() does, and have begun.
function Processes:beside(count, body, run)
  local native = self.native
  local from, to = native.pipe()
  local pids = {}
  for i = 1, count do
    pids[i] = self:start(function()
      local turn = body()
      turn()
      native.write(to, "!")
      while true do
        turn()
      end
    end)
  end
  native.close(to)
  for _ = 1, count do
    assert(native.read(from, 1), "the other process failed")
  end
  local result = run()
  for _, pid in ipairs(pids) do
    self:finish(pid, KILL)
  end
  native.close(from)
  return result
end

-- --- a flow of messages --------------------------------------------------------------------

-- One side of a flow, in its own process: for each phase it waits for the word to go, does its
-- operation for as many messages as it gets, and reports the processor time that this took.
local function work(native, flow, side, pipes)
  local run, flush = side.open()
  native.write(pipes.report, REPORT:format("r", 0))
  for phase = 1, PHASES do
    native.read(pipes.wait, 1)
    local tickets = side.tickets[phase]
    local began = native.cpu()
    while tickets:add(1) < flow.messages / flow.block do
      run(flow.block)
    end
    if flush then
      flush()
    end
    native.write(pipes.report, REPORT:format(side.who, native.cpu() - began))
  end
end

-- Starts the processes of a side, and adds them to the list.
local function start_side(self, pids, count, flow, side, pipes)
  for _ = 1, count or 1 do
    table.insert(pids, self:start(function()
      local good, message = pcall(work, self.native, flow, side, pipes)
      if not good then
        self.native.write(pipes.report, REPORT:format("-", 0))
        error(message, 0)
      end
    end))
  end
end

-- Adds up what all sides report; a side that failed has said so.
local function reports(native, from, count)
  local sums = { p = 0, c = 0, r = 0 }
  for _ = 1, count do
    local who, ns = native.read(from, 16):match("^(.)(.*)$")
    assert(sums[who], "the other process failed")
    sums[who] = sums[who] + tonumber(ns)
  end
  return sums
end

-- One side's tickets, a counter in shared memory for each phase.
local function tickets_of(self, offset)
  self.counters = self.counters or self.bench.segment(256)
  local tickets = {}
  for phase = 1, PHASES do
    tickets[phase] = self.counters:atomic(offset + 64 * (phase - 1), "u32")
    tickets[phase]:store(0)
  end
  return tickets
end

--- Has messages flow from producers to consumers, each a process of its own: flow.messages of them,
-- after as many that are not timed. Who has done flow.block of them takes the next block, so that
-- all work to the end. flow.producer() and flow.consumer() run in each process; they give run(n),
-- and flush(), if what was sent must be flushed at the end.
-- Gives nanoseconds for each message: of the clock, and of the processor time of each side.
function Processes:flow(flow)
  local native = self.native
  local from, report = native.pipe()
  local wait, go = native.pipe()
  local pipes = { report = report, wait = wait }
  local producer = { who = "p", open = flow.producer, tickets = tickets_of(self, 0) }
  local consumer = { who = "c", open = flow.consumer, tickets = tickets_of(self, 128) }
  local pids = {}
  start_side(self, pids, flow.producers, flow, producer, pipes)
  start_side(self, pids, flow.consumers, flow, consumer, pipes)
  reports(native, from, #pids)
  local taken, sums
  for _ = 1, PHASES do
    local began = native.now()
    native.write(go, ("!"):rep(#pids))
    sums = reports(native, from, #pids)
    taken = native.now() - began
  end
  for _, pid in ipairs(pids) do
    self:finish(pid)
  end
  for _, fd in ipairs { from, report, wait, go } do
    native.close(fd)
  end
  return taken / flow.messages, sums.p / flow.messages, sums.c / flow.messages
end

return processes
