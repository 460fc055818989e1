-- SPDX-License-Identifier: MIT
-- Garbage whose collection runs a function, on every Lua.
return function(fn)
  if rawget(_G, "newproxy") then
    local proxy = newproxy(true) -- luacheck: ignore
    getmetatable(proxy).__gc = fn
  else
    setmetatable({}, { __gc = fn })
  end
end
