-- SPDX-License-Identifier: MIT
-- Memory that runs out: every allocation of every call fails once.

local host = require "spec.support.host"
local scratch = require "spec.support.scratch"

describe("when memory runs out, every call", function()
  after_each(scratch.clean)

  it("raises an error and loses no descriptor, no mapping and no object", function()
    local started, reason = host.start("spec/support/allocations.lua", scratch.family())
    if not started then
      pending(reason)
    end
    local status, lines = started:finish()
    local told = table.concat(lines, "\n") .. started:stderr()
    if told:find("takes no allocator") then
      pending("this Lua takes no allocator")
    end
    local failures = told:match("^(%d+) allocations failed\ndone$")
    assert.truthy(status == 0 and failures, told)
    assert.truthy(tonumber(failures) > 100, told)
  end)
end)
