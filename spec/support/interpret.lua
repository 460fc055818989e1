-- SPDX-License-Identifier: MIT
-- Switches LuaJIT's compiler off until the spec is over; it stays off where it was off before.

local scratch = require "spec.support.scratch"

return function()
  if rawget(_G, "jit") and jit.status() then
    jit.off()
    scratch.defer(jit.on)
  end
end
