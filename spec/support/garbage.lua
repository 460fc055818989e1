-- SPDX-License-Identifier: MIT
-- What a function leaves behind in the collector's count when it is called once more, in KiB.

local scratch = require "spec.support.scratch"

return function(f)
  if jit then
    jit.off() -- compiled code takes memory of its own
    jit.flush()
    scratch.defer(jit.on)
  end
  f()
  collectgarbage()
  collectgarbage "stop"
  f() -- a collection also frees what Lua keeps for calls
  local before = collectgarbage "count"
  f()
  local made = collectgarbage "count" - before
  collectgarbage "restart"
  return made
end
