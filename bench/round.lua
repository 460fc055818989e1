-- SPDX-License-Identifier: MIT
-- One round of one suite: lua5.4 bench/round.lua ROOT SUITE SLICE LAPS KEYS ONLY
-- (A fresh process each time: an unlucky place in memory then counts for one round only.)

local root, name, slice, laps = arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4])
local keys, only = tonumber(arg[5]), arg[6]
package.path = root .. "/?.lua;" .. package.path

local context = require "bench.context"
local harness = require "bench.harness"

context.use_tree(root)
local bench = context.open(root, slice, keys)
local good, message = xpcall(function()
  local suite = harness.suite(name, bench.native, slice, only)
  require("bench." .. name)(suite, bench)
  suite:run(laps)
end, debug.traceback)
bench.close()
if not good then
  io.stderr:write("bench: ", tostring(message), "\n")
  os.exit(1)
end
