-- SPDX-License-Identifier: MIT
-- LuaJIT: what its compiler sees through, against raw FFI on the mapping, and against the C
-- functions, which are what the library has on other Luas. Each round has a process without the
-- front (SHMSEG_FFI=0), and two with the compiler off (-joff), where there is no front either.

local jit_suite = {}

local VALUE = ("v"):rep(64)
local MESSAGE = ("m"):rep(64)
local KEYS = 1000

local IN_C, OFF, OFF_IN_C = ", C function", ", compiler off", ", compiler off, C function"

-- What this process measures.
local function mode(shmseg)
  if jit.status() then
    return shmseg.features().ffi and "" or IN_C
  end
  return os.getenv "SHMSEG_FFI" == "0" and OFF_IN_C or OFF
end

--- The commands of the other processes of a round. own: the command of the first one.
function jit_suite.prepare(bench, _, own)
  if not rawget(_G, "jit") then
    return {}, bench.close
  end
  local off = own:gsub("^%S+", "%0 -joff")
  return { "SHMSEG_FFI=0 " .. own, off, "SHMSEG_FFI=0 " .. off }, bench.close
end

-- What is measured with the compiler off.
local with_it_off = {}
for _, who in ipairs { "seg:get_i32(8)", "seg:set_i32(8, i)", "a[7], i32", "p.x, f64",
  "word:add(1), u32", "c:get()", "q:push() q:pop()", "d:get()" } do
  with_it_off[who] = true
end

-- A function that adds a contestant. Its time is the processor's: others do not count.
local function adder(suite, how)
  return function(operation, who, run)
    if how:find "^, comp" and not with_it_off[who] then
      return
    end
    run(1000) -- is compiled as the loop of a program is, and not for the first few turns
    suite:add(who .. how, run, { operation = operation .. how, clock = function()
      return os.clock() * 1e9
    end })
  end
end

-- --- raw FFI on the mapping: with the barrier of the front and without --------------------------

local function add_raw(add, bench, seg)
  local ffi = require "ffi"
  local copy = ffi.copy
  local at = ffi.new "uint64_t[2]"
  local home = at + 1
  local address = seg:pointer()
  for name, ctype in pairs { i32 = "int32_t *", f64 = "double *" } do
    local p = ffi.cast(ctype, address)
    add("reading", ("p[2], %s, raw"):format(name), function(n)
      local x = 0
      for _ = 1, n do
        x = x + p[2]
      end
      return x
    end)
    add("reading", ("p[2], %s, raw, behind the barrier"):format(name), function(n)
      local x = 0
      for _ = 1, n do
        x = x + p[2]
        copy(at, home, 8)
      end
      return x
    end)
    add("storing", ("p[2] = i, %s, raw"):format(name), function(n)
      for i = 1, n do
        p[2] = i
      end
    end)
    add("storing", ("p[2] = i, %s, raw, behind the barrier"):format(name), function(n)
      for i = 1, n do
        p[2] = i
        copy(at, home, 8)
      end
    end)
  end
  ffi.cdef [[
    void native_nothing(void);
    uint32_t native_add32(uint32_t *word, uint32_t operand);
    double native_add64(int64_t *word, double operand);
  ]]
  local native = ffi.load(bench.native_path)
  local word = ffi.cast("uint32_t *", address + 256)
  local wide = ffi.cast("int64_t *", address + 264)
  add("atomics", "FFI call of an empty C function", function(n)
    for _ = 1, n do
      native.native_nothing()
    end
  end)
  add("atomics", "FFI call that adds, u32", function(n)
    local x = 0
    for _ = 1, n do
      x = x + native.native_add32(word, 1)
    end
    return x
  end)
  add("atomics", "FFI call that adds, i64", function(n)
    local x = 0
    for _ = 1, n do
      x = x + native.native_add64(wide, 1)
    end
    return x
  end)
end

-- --- the same through the library -------------------------------------------------------------

local function add_views(add_run, bench, seg)
  local slice = seg:slice(0)
  local a, f = seg:array(64, "i32", 100), seg:array(512, "f64", 100)
  local Point = bench.shmseg.struct("BenchPoint", { { "id", "i32" }, { "x", "f64" } })
  local p = Point:at(seg, 2048)
  seg:fill(0, 4096, 0)
  local function add(operation, text, code, ...)
    local run = assert(loadstring(([[
      local o = ...
      return function(n)
        local x = 0
        for i = 1, n do
          %s
        end
        return x
      end]]):format(code)))(...)
    add_run(operation, text, run)
  end
  add("reading", "seg:get_i32(8)", "x = x + o:get_i32(8)", seg)
  add("reading", "seg:get_f64(16)", "x = x + o:get_f64(16)", seg)
  add("reading", "slice:get_i32(8)", "x = x + o:get_i32(8)", slice)
  add("reading", "a[7], i32", "x = x + o[7]", a)
  add("reading", "a[7], f64", "x = x + o[7]", f)
  add("reading", "p.id, i32", "x = x + o.id", p)
  add("reading", "p.x, f64", "x = x + o.x", p)
  add("storing", "seg:set_i32(8, i)", "o:set_i32(8, i)", seg)
  add("storing", "seg:set_f64(16, i)", "o:set_f64(16, i)", seg)
  add("storing", "a[7] = i, i32", "o[7] = i", a)
  add("storing", "p.x = i, f64", "o.x = i", p)
  add("strings", "seg:read(64, 8)", "x = o:read(64, 8)", seg)
  add("strings", "seg:write(64, 8 bytes)", "o:write(64, 'abcdefgh')", seg)
  local word, wide = seg:atomic(3000, "u32"), seg:atomic(3008, "i64")
  add("atomics", "word:add(1), u32", "x = x + o:add(1)", word)
  add("atomics", "word:add(1), i64", "x = x + o:add(1)", wide)
  add("atomics", "word:load(), u32", "x = x + o:load()", word)
end

local function add_objects(add_run, bench)
  local shmseg = bench.shmseg
  local function open(kind, size)
    return assert(shmseg[kind].open((bench.segment(size)), "c"))
  end
  local c, q = open("cell", 1024), open("queue", 65536)
  local b, d = open("broadcast", 65536), open("dict", 2 ^ 20)
  local s = b:subscribe()
  local keys = {}
  for i = 1, KEYS do
    keys[i - 1] = ("key:%012d"):format(i)
    d:set(keys[i - 1], VALUE)
    d:set("n" .. keys[i - 1], i)
  end
  c:set(VALUE)
  local function add(text, run)
    add_run("objects", text, run)
  end
  add("c:get()", function(n)
    local x
    for _ = 1, n do
      x = c:get()
    end
    return x
  end)
  add("c:set()", function(n)
    for _ = 1, n do
      c:set(VALUE)
    end
  end)
  add("q:push() q:pop()", function(n)
    local x
    for _ = 1, n do
      q:push(MESSAGE)
      x = q:pop()
    end
    return x
  end)
  add("b:publish() s:next()", function(n)
    local x
    for _ = 1, n do
      b:publish(MESSAGE)
      x = s:next()
    end
    return x
  end)
  add("d:get()", function(n)
    local x
    for i = 1, n do
      x = d:get(keys[i % KEYS])
    end
    return x
  end)
  add("d:set()", function(n)
    for i = 1, n do
      d:set(keys[i % KEYS], VALUE)
    end
  end)
  add("d:incr()", function(n)
    local x
    for _ = 1, n do
      x = d:incr("nkey:000000000001", 1)
    end
    return x
  end)
end

-- --- targets ----------------------------------------------------------------------------------

-- Against raw FFI they are judged with the loop, which reads and adds: the processor does all that
-- stands in it at the same time, so that less an empty loop hardly anything is left.

local READS = {
  { "seg:get_i32(8)", "i32" }, { "slice:get_i32(8)", "i32" }, { "a[7], i32", "i32" },
  { "p.id, i32", "i32" }, { "seg:get_f64(16)", "f64" }, { "a[7], f64", "f64" }, { "p.x, f64",
    "f64" },
}
local STORES = {
  { "seg:set_i32(8, i)", "i32" }, { "a[7] = i, i32", "i32" }, { "seg:set_f64(16, i)", "f64" },
  { "p.x = i, f64", "f64" },
}
local CALLS = { -- and the most of the C function's time
  { "c:get()", 0.5 }, { "c:set()" }, { "q:push() q:pop()", 0.6 }, { "b:publish() s:next()" },
  { "d:get()" }, { "d:set()" }, { "d:incr()" }, { "seg:read(64, 8)" }, { "seg:write(64, 8 bytes)" },
}

local function add_targets(suite)
  local function against_raw(list, raw)
    for _, pair in ipairs(list) do
      local reference = ("%s, %s, raw"):format(raw, pair[2])
      suite:target(pair[1], reference .. ", behind the barrier", { most = 1.5, gross = true })
      suite:target(pair[1], reference, {})
      suite:target(pair[1], pair[1] .. IN_C, {})
    end
  end
  against_raw(READS, "p[2]")
  against_raw(STORES, "p[2] = i")
  for _, type in ipairs { "u32", "i64" } do
    local who = "word:add(1), " .. type
    suite:target(who, "FFI call that adds, " .. type, { most = 1.3, gross = true })
    suite:target(who, who .. IN_C, {})
  end
  for _, pair in ipairs(CALLS) do
    suite:target(pair[1], pair[1] .. IN_C, { most = pair[2] })
  end
  for who in pairs(with_it_off) do
    suite:target(who .. OFF, who .. OFF_IN_C, { most = 1.05 })
  end
end

-- Our own part of a round.
local function add(_, suite, bench)
  if not rawget(_G, "jit") then
    suite:note "this is no LuaJIT: skipped"
    return
  end
  local how = mode(bench.shmseg)
  suite.contestants[1].who = "empty loop" .. how
  suite.contestants[1].operation = "empty loop"
  local seg = bench.segment(4096)
  local add_run = adder(suite, how)
  if how == "" then
    add_raw(add_run, bench, seg)
    add_targets(suite)
  end
  add_views(add_run, bench, seg)
  add_objects(add_run, bench)
end

return setmetatable(jit_suite, { __call = add })
