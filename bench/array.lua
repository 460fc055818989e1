-- SPDX-License-Identifier: MIT
-- Arrays, records and atomics, against an empty C method and single typed gets.

return function(suite, bench)
  local native = bench.native
  local seg = bench.segment(16384)
  local object, again = native.object(), native.object()

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
  suite:target("object:empty(), again (the control)", "object:empty()", {})

  if seg.array then
    local a = seg:array(64, "i32", 1000)
    suite:add("x = a[7] (i32)", function(n)
      local x
      for _ = 1, n do
        x = a[7]
      end
      return x
    end)
    suite:add("a[7] = 7 (i32)", function(n)
      for _ = 1, n do
        a[7] = 7
      end
    end)
    suite:target("x = a[7] (i32)", "object:empty()", { most = 1.35 })
    suite:target("a[7] = 7 (i32)", "object:empty()", { most = 1.35 })

    local f = seg:array(8192, "f64", 1000)
    suite:add("seg:get_f64(8), each", function(n)
      for _ = 1, n do
        seg:get_f64(8)
      end
    end)
    suite:add("f:totable(), 1000 f64, each", function(n)
      for _ = 1, n do
        f:totable()
      end
    end, { ops = 1000 })
    suite:target("f:totable(), 1000 f64, each", "seg:get_f64(8), each", { least = 5 })
  else
    suite:note("arrays: not built yet, skipped")
  end

  if bench.shmseg.struct then
    local Point = bench.shmseg.struct("Point", {
      { "id", "i32" },
      { "x", "f64" },
      { "y", "f64" },
    })
    local p = Point:at(seg, 128)
    suite:add("v = p.x (f64)", function(n)
      local v
      for _ = 1, n do
        v = p.x
      end
      return v
    end)
    suite:add("p.x = 1.5 (f64)", function(n)
      for _ = 1, n do
        p.x = 1.5
      end
    end)
    suite:target("v = p.x (f64)", "object:empty()", { most = 2 })
    suite:target("p.x = 1.5 (f64)", "object:empty()", { most = 2 })
  else
    suite:note("structs: not built yet, skipped")
  end

  if seg.atomic then
    local word = seg:atomic(256, "i64")
    suite:add("word:add(1) (i64)", function(n)
      for _ = 1, n do
        word:add(1)
      end
    end)
    suite:add("word:load() (i64)", function(n)
      for _ = 1, n do
        word:load()
      end
    end)
    suite:target("word:add(1) (i64)", "object:empty()", { most = 2.1 })
  else
    suite:note("atomics: not built yet, skipped")
  end
end
