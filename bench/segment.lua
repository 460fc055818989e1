-- SPDX-License-Identifier: MIT
-- Small accesses to a segment, against an empty C method and Lua's own string functions.

return function(suite, bench)
  local native = bench.native
  local seg = bench.segment(4096)
  local object, again = native.object(), native.object()
  local bytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
  local text = "1234" .. bytes .. "5678"
  local sub, unpack = string.sub, string.unpack
  seg:write(0, text)

  suite:add("object:empty()", function(n)
    for _ = 1, n do
      object:empty()
    end
  end)
  suite:add("object:empty(), again (the control)", function(n)
    for _ = 1, n do
      again:empty()
    end
  end)
  suite:add("sub(text, 5, 36)", function(n)
    for _ = 1, n do
      sub(text, 5, 36)
    end
  end)
  suite:add("text:sub(5, 36)", function(n)
    for _ = 1, n do
      text:sub(5, 36)
    end
  end)
  suite:add("seg:read(4, 32)", function(n)
    for _ = 1, n do
      seg:read(4, 32)
    end
  end)
  suite:add("seg:write(4, 32 bytes)", function(n)
    for _ = 1, n do
      seg:write(4, bytes)
    end
  end)
  suite:add("seg:get_i32(4)", function(n)
    for _ = 1, n do
      seg:get_i32(4)
    end
  end)
  suite:add("seg:set_i32(4, 7)", function(n)
    for _ = 1, n do
      seg:set_i32(4, 7)
    end
  end)
  suite:add("seg:get_f64(8)", function(n)
    for _ = 1, n do
      seg:get_f64(8)
    end
  end)
  if unpack then
    suite:add("unpack('<i4', seg:read(4, 4))", function(n)
      for _ = 1, n do
        unpack("<i4", seg:read(4, 4))
      end
    end)
    suite:add("seg:unpack(4, '<i4')", function(n)
      for _ = 1, n do
        seg:unpack(4, "<i4")
      end
    end)
    suite:add("seg:pack(4, '<i4', 7)", function(n)
      for _ = 1, n do
        seg:pack(4, "<i4", 7)
      end
    end)
  end

  suite:target("object:empty(), again (the control)", "object:empty()", {})
  suite:target("seg:read(4, 32)", "sub(text, 5, 36)", { most = 1.15 })
  suite:target("seg:read(4, 32)", "text:sub(5, 36)", {}) -- a method, too
  suite:target("seg:write(4, 32 bytes)", "object:empty()", { most = 2.2 })
  suite:target("seg:get_i32(4)", "object:empty()", { most = 1.75 })
  if unpack then
    suite:target("seg:unpack(4, '<i4')", "unpack('<i4', seg:read(4, 4))", { least = 1.5 })
  end
end
