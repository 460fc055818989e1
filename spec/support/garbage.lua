-- SPDX-License-Identifier: MIT
-- What a function leaves behind in the collector's count when it is called once more, in KiB.

local interpret = require "spec.support.interpret"

return function(f)
  if jit then
    interpret() -- compiled code takes memory of its own
    jit.flush()
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
