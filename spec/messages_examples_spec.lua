-- SPDX-License-Identifier: MIT
-- The examples of cells, queues and broadcasts.

local shmseg = require "shmseg"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local function start(...)
  local words = peer.command()
  for _, word in ipairs { ... } do
    words[#words + 1] = word
  end
  return process.start(words)
end

-- The second process opens what the first one has made: it waits until that is there.
local function await(name)
  repeat
    local file = io.open(scratch.objects .. name)
  until file and file:close()
end

local function ends_well(started)
  local status, lines = started:finish()
  assert.equal(0, status, started:stderr())
  assert.equal("", started:stderr())
  return lines
end

local function stop(started)
  started:signal "INT"
  return ends_well(started)
end

-- The objects whose names were drawn, other processes' too, by name.
local function objects()
  local there = {}
  for _, name in ipairs(shmseg.list("^shmseg%-%x+$")) do
    there[name] = true
  end
  return there
end

-- None is there that was not there before. Others' come and go meanwhile.
local function assert_no_more_than(before)
  local left = objects()
  for _ = 1, 200 do
    local now = objects()
    for name in pairs(left) do
      left[name] = now[name] and not before[name] or nil
    end
    if not next(left) then
      return
    end
    shmseg.sleep(0.05)
  end
  assert.same({}, left)
end

describe("the example", function()
  after_each(scratch.clean)

  it("latest.lua gives whole lines, the latest ones, and ends in order", function()
    local name = scratch.name()
    local writer = start("examples/latest.lua", "write", name, "0.001")
    await(name)
    local reader = start("examples/latest.lua", "read", name)
    local last = 0
    for _ = 1, 50 do
      local line = assert(reader:line(), reader:stderr())
      local version, letter, rest = line:match "^(%d+)\t(%u)(%u*)$"
      assert.truthy(version, line)
      assert.equal("", (rest:gsub(letter, "")))
      assert.True(tonumber(version) > last)
      last = tonumber(version)
    end
    stop(reader)
    stop(writer)
    assert.is_nil(scratch.bytes(name))
    assert.equal(1, (start("examples/latest.lua"):finish()))
  end)

  it("ticker.lua tells a slow watcher what it has missed", function()
    local name = scratch.name()
    local publisher = start("examples/ticker.lua", "publish", name)
    await(name)
    local watcher = start("examples/ticker.lua", "watch", name, "0.03")
    local last, missed, told
    repeat
      local line = assert(watcher:line(), watcher:stderr())
      local lost = line:match "^(%d+) prices missed$"
      if lost then
        missed = tonumber(lost)
      else
        local number = tonumber((line:match "^(%d+)\tACME %d+%.%d%d$"))
        assert.truthy(number, line)
        if last then
          assert.equal(last + (missed or 0) + 1, number)
          told = told or missed
        end
        last, missed = number, nil
      end
    until told
    assert.True(told > 0)
    stop(publisher)
    ends_well(watcher) -- at the shutdown
    assert.is_nil(scratch.bytes(name))
  end)

  it("jobs.lua does all jobs, although a worker is killed", function()
    local before = objects()
    local lines = ends_well(start "examples/jobs.lua")
    local done, died = {}, 0
    for _, line in ipairs(lines) do
      local job = line:match "^worker [13] did job (%d+)$"
      if job then
        assert.is_nil(done[job])
        done[job] = true
      else
        died = died + (line == "worker 2 died" and 1 or 0)
      end
    end
    for job = 1, 12 do
      assert.True(done[tostring(job)])
    end
    assert.equal("all jobs are done", lines[#lines])
    assert.True(died <= 1) -- none, if it was so late that there was nothing left for it
    assert_no_more_than(before)
  end)

  it("pool.lua shows each change to all of the pool", function()
    local before = objects()
    local lines = ends_well(start "examples/pool.lua")
    assert.equal(6, #lines)
    for i = 1, 3 do
      assert.equal(("member %d\t1\thello "):format(i), lines[i])
      assert.equal(("member %d\t2\tgoodbye goodbye goodbye "):format(i), lines[i + 3])
    end
    assert_no_more_than(before)
  end)
end)
