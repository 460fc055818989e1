-- SPDX-License-Identifier: MIT
-- The examples that show one idea each.

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

describe("the example", function()
  after_each(scratch.clean)

  it("counter.lua counts with others, waits for them, and ends in order", function()
    local name = scratch.name()
    local others = { start("examples/counter.lua", name), start("examples/counter.lua", name) }
    for _, other in ipairs(others) do
      repeat
        local line = assert(other:line(), "it ended before it saw the sum")
      until line == "2000000"
    end
    for _, other in ipairs(others) do
      other:signal "INT"
      local status = other:finish()
      assert.equal(0, status, other:stderr())
    end
    assert.is_nil(scratch.bytes(name))
  end)

  it("points.lua prints its struct in C and its records", function()
    local status, lines = start("examples/points.lua"):finish()
    assert.equal(0, status)
    local text = table.concat(lines, "\n")
    local parts = { "} Point;", "96\t24", "1\t101\tfirst", "2\t102\tsecond", "96\tninth" }
    for _, part in ipairs(parts) do
      assert.truthy(text:find(part, 1, true), part)
    end
  end)
end)
