-- SPDX-License-Identifier: MIT
-- Calls methods while a hook or a finalizer closes their segment, makes it shorter, moves it, or a
-- peer's handle cuts it: at each instruction of the method in turn.   front_steps.lua NAME
-- hook|finalizer close|shrink|move|cut [leaves] A method gives what it gives without that, or fails
-- as it fails after it; and the process lives.

local shmseg = require "shmseg"

local prefix, by, change = arg[1], arg[2], arg[3]

-- Hooks and finalizers run between the instructions of the interpreter alone. Interpreted is what
-- is not compiled; and what follows in a method when the compiled code of it leaves, at a receiver
-- of another sort.
local leaves = arg[4] == "leaves"
if leaves then
  require("jit.opt").start "hotexit=200" -- what follows is not compiled, too
else
  jit.off()
end

local Pair = shmseg.struct("FrontStep", { { "low", "u32" }, { "wide", "u64" }, { "text", "char",
  8 } })
local SIZE = 8 * 4096
local AT = SIZE - 64 -- on the last page, which goes

-- What may happen to the segment.
local changes = {
  close = function(seg) seg:close() end,
  shrink = function(seg) pcall(seg.resize, seg, 4096) end, -- refused when views reach beyond that
  move = function(seg) seg:resize(64 * 4096) end,
  cut = function(_, peer) peer:resize(4096) end,
}

-- What compiled code has been made for, before it comes to leave it.
local warm = assert(shmseg.anonymous(SIZE))
local compiled_for = { slice = warm, segment = warm:slice(0), array = warm:array(0, "f32", 4) }

local LOOP = [[
local pcall = pcall
return function(call, receivers)
  local ok, value, message, code
  for i = 1, #receivers do
    ok, value, message, code = pcall(call, receivers[i])
  end
  return ok, value, message, code
end]]

-- A function that makes a call with each of a list of receivers: the results of the last one. Other
-- receivers have their loop compiled, if it is to be left; and the list to call it with.
local function loop(call, self)
  local run = assert(loadstring(LOOP))()
  if not leaves then
    return run, {}
  end
  local other = compiled_for[tostring(self):match "^shmseg%.(%a+)"] or self
  local receivers = {}
  for i = 1, 200 do
    receivers[i] = other
  end
  run(call, receivers)
  return run, { other }
end

-- name, what it is called on, the call. Each gets a new segment.
local function itself(seg) return seg end
local operations = {
  { "get_i32", itself, function(s) return s:get_i32(AT) end },
  { "get_u64", itself, function(s) return s:get_u64(AT) end },
  { "get_bool", itself, function(s) return s:get_bool(AT) end },
  { "set_i32", itself, function(s) return s:set_i32(AT, 7) end },
  { "set_f64", itself, function(s) return s:set_f64(AT, 7) end },
  { "read", itself, function(s) return s:read(AT, 8) end },
  { "write", itself, function(s) return s:write(AT, "abcdefgh") end },
  { "slice get", function(s) return s:slice(AT) end, function(s) return s:get_i32(0) end },
  { "slice set", function(s) return s:slice(AT) end, function(s) return s:set_u16(0, 5) end },
  { "a[i]", function(s) return s:array(AT, "u64", 2) end, function(a) return a[2] end },
  { "a[i] = v", function(s) return s:array(AT, "i32", 2) end, function(a) a[2] = 5 end },
  { "field", function(s) return Pair:at(s, AT) end, function(p) return p.low end },
  { "wide field", function(s) return Pair:at(s, AT) end, function(p) return p.wide end },
  { "text", function(s) return Pair:at(s, AT) end, function(p) return p.text end },
  { "field = v", function(s) return Pair:at(s, AT) end, function(p) p.low = 5 end },
  { "text = v", function(s) return Pair:at(s, AT) end, function(p) p.text = "abc" end },
  { "load", function(s) return s:atomic(AT, "u32") end, function(n) return n:load() end },
  { "wide load", function(s) return s:atomic(AT, "u64") end, function(n) return n:load() end },
  { "add", function(s) return s:atomic(AT, "u32") end, function(n) return n:add(1) end },
  { "wide add", function(s) return s:atomic(AT, "u64") end, function(n) return n:add(1) end },
  { "store", function(s) return s:atomic(AT, "i64") end, function(n) return n:store(1) end },
  { "cas", function(s) return s:atomic(AT, "i64") end, function(n) return n:cas(1, 2) end },
}

-- Objects at the segment's beginning: they are closed and cut with it.
for _, kind in ipairs { "cell", "queue", "broadcast", "dict" } do
  local function open(seg)
    return assert(shmseg[kind].open(seg, "c"))
  end
  local calls = {
    cell = { function(c) return c:set("abc") end, function(c) return c:get() end },
    queue = { function(q) return q:push("abc", 0) end, function(q) return q:pop(0) end },
    broadcast = { function(b) return b:publish("abc") end },
    dict = { function(d) return d:set("k", "abc") end, function(d) return d:get("k") end,
      function(d) return d:incr("n", 1, 5) end },
  }
  for number, call in ipairs(calls[kind]) do
    table.insert(operations, { kind .. " " .. number, function(seg)
      local object = open(seg)
      if number == 2 then
        calls[kind][1](object)
      end
      return object
    end, call, is_object = true })
  end
end
table.insert(operations, { "next", function(seg)
  local b = assert(shmseg.broadcast.open(seg, "c"))
  local s = b:subscribe("oldest")
  b:publish "abc"
  return s
end, function(s) return s:next(0) end, is_object = true })

local serial = 0
local function create()
  serial = serial + 1
  local seg = assert(shmseg.open(prefix .. serial, "x", SIZE))
  return seg, change == "cut" and assert(shmseg.open(seg:name()))
end

-- Calls act at step number `left` of the call: its result.
local function by_hook(left, act, run, call, receivers)
  debug.sethook(function()
    left = left - 1
    if left == 0 then
      act()
    end
  end, "", 1)
  local ok, value, message, code = run(call, receivers)
  debug.sethook()
  return left <= 0, ok, value, message, code
end

-- The same at each allocation of the call that may run finalizers: garbage is collected at every
-- one of them.
local function by_finalizer(left, act, run, call, receivers)
  local counts, stopped = false, false
  local function arm()
    getmetatable(newproxy(true)).__gc = function() -- luacheck: ignore newproxy
      if stopped then
        return
      end
      arm()
      left = left - (counts and 1 or 0)
      if counts and left == 0 then
        act()
      end
    end
  end
  local pause, speed = collectgarbage("setpause", 0), collectgarbage("setstepmul", 1000000)
  arm()
  collectgarbage()
  counts = true
  local ok, value, message, code = run(call, receivers)
  counts, stopped = false, true
  collectgarbage("setpause", pause)
  collectgarbage("setstepmul", speed)
  return left <= 0, ok, value, message, code
end

local step = by == "hook" and by_hook or by_finalizer
local acted_in_all = 0
for _, operation in ipairs(operations) do
  local number, acted, run, receivers = 0, true, nil, nil
  while acted and number < 400 do
    number = number + 1
    local seg, peer = create()
    if not operation.is_object then
      seg:fill(AT, 64, 255)
    end
    local self = operation[2](seg)
    if number == 1 then
      run, receivers = loop(operation[3], self)
    end
    receivers[leaves and 2 or 1] = self
    local ok, value, message, code
    acted, ok, value, message, code = step(number, function()
      changes[change](seg, peer)
    end, run, operation[3], receivers)
    if acted then
      acted_in_all = acted_in_all + 1
    end
    local said = tostring(ok and (value == nil and message or "") or value)
    if not ok and not said:find "closed" and not said:find "out of range"
      and not said:find "truncated" then
      print(("%s, step %d: %s %s %s"):format(operation[1], number, said, tostring(message),
        tostring(code)))
      os.exit(1)
    end
    if change == "close" or change == "cut" then
      -- Afterwards it fails, whatever has come before.
      local later, result = pcall(operation[3], self)
      if acted and later and result ~= nil and not (change == "cut"
        and operation[1]:find "^%l+ %d$") then
        print(("%s, step %d: the next call gives %s"):format(operation[1], number,
          tostring(result)))
        os.exit(1)
      end
    end
    seg:close()
    if peer then
      peer:close()
    end
    os.remove("/dev/shm/" .. prefix .. serial)
  end
  io.write(operation[1], " ", number - 1, "\n")
  io.flush()
end
print((by ~= "hook" or acted_in_all > 20) and "done" or "nothing happened")
