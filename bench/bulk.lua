-- SPDX-License-Identifier: MIT
-- 64 MiB in one call, against the bare lua_pushlstring and memcpy.

local SIZE = 64 * 1024 * 1024

return function(suite, bench)
  local native = bench.native
  local seg = bench.segment(SIZE)
  local private, other = native.private(SIZE), native.private(SIZE)
  local shared = seg:pointer()
  local data = string.rep("shmseg64", SIZE / 8)
  local once = { once = true }
  seg:write(0, data)

  suite:add("lua_pushlstring, private", function()
    native.push(private, SIZE)
  end, once)
  suite:add("lua_pushlstring, other private", function()
    native.push(other, SIZE)
  end, once)
  suite:add("lua_pushlstring, the segment", function()
    native.push(shared, SIZE)
  end, once)
  suite:add("seg:read(), 64 MiB", function()
    seg:read()
  end, once)
  suite:add("memcpy into private memory", function()
    native.copy(other, data)
  end, once)
  suite:add("memcpy into the segment", function()
    native.copy(shared, data)
  end, once)
  suite:add("memcpy into the segment, again", function()
    native.copy(shared, data)
  end, once)
  suite:add("seg:write(0, 64 MiB)", function()
    seg:write(0, data)
  end, once)

  suite:target("lua_pushlstring, other private", "lua_pushlstring, private", {})
  suite:target("memcpy into the segment, again", "memcpy into the segment", {})
  suite:target("seg:read(), 64 MiB", "lua_pushlstring, private", { most = 1.05 })
  suite:target("seg:write(0, 64 MiB)", "memcpy into the segment", { most = 1.05 })
  suite:note("A new 64 MiB string is fresh memory: its page faults count on both sides.")
end
