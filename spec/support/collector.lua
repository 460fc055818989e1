-- SPDX-License-Identifier: MIT
-- Sets "pause" or "stepmul" of the garbage collector, and returns what it was, on every Lua.
return function(name, value)
  if _VERSION >= "Lua 5.5" then
    return collectgarbage("param", name, value)
  end
  return collectgarbage("set" .. name, value)
end
