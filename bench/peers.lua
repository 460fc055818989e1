-- SPDX-License-Identifier: MIT
-- The same operations by other means, where installed: each peer is a script that each round runs.

local peers = {}

local SIZE = 64 * 1024 * 1024
local WARM = 10 -- a peer runs so many slices: compilers of peers need the time to warm up

-- Each takes the object's name and the slice in nanoseconds, and prints lines as harness.lua does.
-- `needs` succeeds where the peer is installed.
local PEERS = {
  { script = "python_mmap.py", with = { "python3" }, needs = "-c 'import mmap, struct'" },
  {
    script = "python_shared_memory.py",
    with = { "python3" },
    needs = "-c 'import multiprocessing.shared_memory'",
  },
  { script = "luajit_ffi.lua", with = { "luajit" }, needs = "-e 'require [[ffi]]'" },
  {
    script = "luaposix.lua",
    with = { "lua5.4", "lua5.3", "lua5.2", "lua5.1" },
    needs = "-e 'require [[posix.unistd]] require [[posix.time]]'",
  },
  { script = "node_atomics.js", with = { "node" }, needs = "-e 'Atomics'" },
}

local function succeeds(command)
  local result = os.execute(command .. " >/dev/null 2>&1")
  return result == true or result == 0
end

local function interpreter_of(peer)
  for _, interpreter in ipairs(peer.with) do
    if succeeds(interpreter .. " " .. peer.needs) then
      return interpreter
    end
  end
end

local runtime = jit and "LuaJIT" or _VERSION

local function add_shmseg(suite, seg)
  local bytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
  local who = runtime .. " shmseg"
  local function add(operation, run, options)
    suite:add(who, run, { operation = operation, once = options and options.once })
  end
  add("read 32 bytes", function(n)
    for _ = 1, n do
      seg:read(4, 32)
    end
  end)
  add("write 32 bytes", function(n)
    for _ = 1, n do
      seg:write(4, bytes)
    end
  end)
  add("get i32", function(n)
    for _ = 1, n do
      seg:get_i32(4)
    end
  end)
  add("set i32", function(n)
    for _ = 1, n do
      seg:set_i32(4, 7)
    end
  end)
  add("unpack '<i4'", function(n)
    for _ = 1, n do
      seg:unpack(4, "<i4")
    end
  end)
  add("pack '<i4'", function(n)
    for _ = 1, n do
      seg:pack(4, "<i4", 7)
    end
  end)
  add("read 64 MiB", function()
    seg:read()
  end, { once = true })
  local whole = string.rep("shmseg64", SIZE / 8)
  add("write 64 MiB", function()
    seg:write(0, whole)
  end, { once = true })
  if seg.array then
    local a = seg:array(0, "i32", 16)
    suite:add(who .. " array", function(n)
      local x
      for _ = 1, n do
        x = a[2]
      end
      return x
    end, { operation = "get i32" })
    suite:add(who .. " array", function(n)
      for _ = 1, n do
        a[2] = 7
      end
    end, { operation = "set i32" })
  end
  if seg.atomic then
    local word = seg:atomic(64, "i32")
    add("load i32", function(n)
      for _ = 1, n do
        word:load()
      end
    end)
    add("add i32", function(n)
      for _ = 1, n do
        word:add(1)
      end
    end)
  end
end

-- Unbuffered, or what another process writes would stay unseen in the buffer.
local function add_io(suite, name)
  local file = io.open("/dev/shm/" .. name, "r+b")
  if not file then
    return suite:note("io on /dev/shm: there is none, skipped")
  end
  local bytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
  file:setvbuf("no")
  suite:add(runtime .. " io, unbuffered", function(n)
    for _ = 1, n do
      file:seek("set", 4)
      file:read(32)
    end
  end, { operation = "read 32 bytes" })
  suite:add(runtime .. " io, unbuffered", function(n)
    for _ = 1, n do
      file:seek("set", 4)
      file:write(bytes)
    end
  end, { operation = "write 32 bytes" })
end

--- The commands that measure the peers, and a function that removes what they work on.
function peers.prepare(bench, found)
  local _, name = bench.segment(SIZE)
  local commands = {}
  for _, peer in ipairs(PEERS) do
    local interpreter = interpreter_of(peer)
    if interpreter then
      local script = ("'%s/bench/peers/%s'"):format(bench.root, peer.script)
      table.insert(commands, ("%s %s %s %d"):format(interpreter, script, name, WARM * bench.slice))
    else
      found:add("note\t" .. peer.script .. ": not installed here, skipped")
    end
  end
  return commands, bench.close
end

-- Our own part of a round.
local function add(_, suite, bench)
  local seg, name = bench.segment(SIZE)
  add_shmseg(suite, seg)
  add_io(suite, name)
end

return setmetatable(peers, { __call = add })
