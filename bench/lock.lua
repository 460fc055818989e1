-- SPDX-License-Identifier: MIT
-- Locks: from Lua against an empty C method; in C against a futex and pthread's, alone and in
-- contention (lock.c, which each round runs).

local lock = {}

-- Shorter slices than Lua's, and more of them: there is nothing to warm up, and what disturbs the
-- machine then spoils few of them.
local SHORTER, LAPS = 10, 30

--- Compiles lock.c: the command that measures, and a function that removes what it works on.
function lock.prepare(bench, found)
  local program = bench.root .. "/build/bench/lock"
  local compile = "cd '%s' && %s -std=c11 -O2 -fPIC -Isrc -o build/bench/lock bench/lock.c "
    .. "src/os/*.c src/core/*.c src/objects/*.c -pthread -lrt -ldl"
  local done = os.execute(compile:format(bench.root, os.getenv("CC") or "cc"))
  if done ~= true and done ~= 0 then
    found:add("note\tlock.c does not compile here: no locks in C")
    return {}, bench.close
  end
  local _, name = bench.segment(4096)
  return { ("'%s' %s %d %d"):format(program, name, bench.slice / SHORTER, LAPS) }, bench.close
end

-- Our own part of a round. Lock and unlock are two calls of a turn.
local function add(_, suite, bench)
  local shmseg = bench.shmseg
  local object, again = bench.native.object(), bench.native.object()
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

  local m = assert(shmseg.mutex.open((bench.segment(128)), "c"))
  suite:add("m:lock() m:unlock(), each", function(n)
    for _ = 1, n do
      m:lock()
      m:unlock()
    end
  end, { ops = 2 })
  suite:target("m:lock() m:unlock(), each", "object:empty()", { most = 2.2 })
  suite:add("m:with(f)", function(n)
    local function f() end
    for _ = 1, n do
      m:with(f)
    end
  end)

  local rw = assert(shmseg.rwlock.open((bench.segment(384)), "c"))
  suite:add("rw:read_lock() rw:unlock(), each", function(n)
    for _ = 1, n do
      rw:read_lock()
      rw:unlock()
    end
  end, { ops = 2 })
  suite:add("rw:write_lock() rw:unlock(), each", function(n)
    for _ = 1, n do
      rw:write_lock()
      rw:unlock()
    end
  end, { ops = 2 })
  local s = assert(shmseg.semaphore.open((bench.segment(192)), "c", { permits = 4 }))
  suite:add("s:acquire() s:release(), each", function(n)
    for _ = 1, n do
      s:acquire()
      s:release()
    end
  end, { ops = 2 })
  local e = assert(shmseg.event.open((bench.segment(128)), "c"))
  suite:add("e:set() e:clear(), each", function(n)
    for _ = 1, n do
      e:set()
      e:clear()
    end
  end, { ops = 2 })

  suite:target("shmseg mutex in C", "plain futex mutex in C", { most = 1.5 })
  suite:target("shmseg mutex in C", "robust pthread mutex in C", {})
  local two = ", two processes"
  suite:target("shmseg mutex in C" .. two, "process-shared pthread mutex in C" .. two, { most = 1 })
  suite:target("shmseg mutex in C" .. two, "plain futex mutex in C" .. two, {})
end

return setmetatable(lock, { __call = add })
