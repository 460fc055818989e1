-- SPDX-License-Identifier: MIT
-- The page and the plot of the benchmarks, made of figures that were not measured.

local manual = require "spec.support.manual"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"
local markdown = require "bench.markdown"
local plot = require "bench.plot"
local results = require "bench.results"

-- Each contestant with its times of three laps, in nanoseconds.
local function suite(operation, times)
  local found = results.new()
  for _, contestant in ipairs(times) do
    for i = 2, 4 do
      found:add(("time\t%s\t%s\t%d\t%d"):format(operation, contestant[1], contestant[i], 1))
    end
  end
  found:add("target\tqueue, 256 bytes\tpipe, 256 bytes\tleast\t4.5")
  found:add("note\tBoost: not installed here, skipped")
  return { title = "message: 1 round of 3 laps", found = found }
end

local function measured()
  return suite("a message of 256 bytes", {
    { "queue, 256 bytes", 201, 211, 221 },
    { "pipe, 256 bytes", 901, 801, 1001 },
    { 'a "quoted" | name, 256 bytes', 5001, 4001, 6001 },
  })
end

describe("the benchmarks #once", function()
  after_each(scratch.clean)

  it("leave a page with each median, the middle half, the spread, notes and targets", function()
    local path = scratch.path "results.md"
    markdown.write(path, { { "processor", "a fast one" } }, {
      { name = "Redis", version = "7.0" },
      { name = "Boost" },
    }, { measured() })
    local page = manual.read(path)
    for _, line in ipairs {
      "| processor | a fast one |",
      "| Redis | 7.0 |",
      "| Boost | not there |",
      "## message: 1 round of 3 laps",
      "| queue, 256 bytes | 211.0 ns | 210.0 ns | 205.0 ns to 215.0 ns | 5 % |",
      '| a "quoted" \\| name, 256 bytes | 5 us | 5 us | 4.5 us to 5.5 us | 20 % |',
      "* Boost: not installed here, skipped",
      "| pipe, 256 bytes / queue, 256 bytes | 4.29 | 4.27 | 4.15 to 4.52 | >= 4.5   NOT MET |",
    } do
      assert(page:find("\n" .. line .. "\n", 1, true), line .. "\nis not in\n" .. page)
    end
  end)

  it("draw a point for each contestant, and say whose machine it was", function()
    if not shell.has "gnuplot" then
      pending "there is no gnuplot here"
    end
    local path = scratch.path "results.svg"
    assert.is_true(plot.draw(path, { measured() }, { "a machine" }))
    local picture = manual.read(path)
    for _, text in ipairs {
      "a message of 256 bytes, from one process to another",
      ">queue<",
      ">pipe<",
      '>a "quoted" | name<',
      ">210.0 ns<",
      ">900.0 ns<",
      ">5 us<",
      ">a machine<",
    } do
      assert(picture:find(text, 1, true), text .. " is not in the picture")
    end
  end)

  it("say why there is no plot", function()
    local nothing = suite("an operation that is not drawn", { { "queue", 1, 2, 3 } })
    assert.same({ nil, "these suites have nothing that is drawn" },
      { plot.draw(scratch.path "none.svg", { nothing }, {}) })
  end)

  it("say of each peer whether it is there", function()
    local said = shell.run(shell.quote(shell.lua(), "bench/run.lua", "--peers"))
    for _, name in ipairs { "Python", "LuaJIT", "Node", "Boost", "LMDB", "Redis", "memcached" } do
      assert.match("\n  " .. name .. " +%S+\n", "\n" .. said)
    end
  end)
end)
