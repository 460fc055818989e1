-- SPDX-License-Identifier: MIT
-- Runs in host.c: lets every allocation of every call fail once, and looks for what is lost then.
-- Prints a line for each call that loses something or that succeeds wrongly, and "done" at the end.

local core = require "shmseg.core"
local shmseg = require "shmseg"

local host = rawget(_G, "host")
local base = ...
local pattern = "^" .. base:gsub("%-", "%%-")
local path = os.tmpname()
os.remove(path)
local compile = loadstring or load

if jit then
  jit.off() -- compiling code takes memory of its own, at moments of its own
end

-- What a case may use. `keep` closes a segment when the case is over.
local kept = {}
local function keep(segment)
  kept[#kept + 1] = segment
  return segment
end

local function anonymous()
  local segment = keep(assert(shmseg.anonymous(8192)))
  segment:pack(0, "<i8 z s4 d", 7, "zero", ("x"):rep(100), 0.5)
  return segment
end

local function named()
  return keep(assert(shmseg.open(base, "c", 32768)))
end

local function result(handle)
  handle:close()
end

local function created(segment)
  assert(segment:unlink())
  segment:close()
end

-- Each kind of object, with the numbers that it needs.
local nouns = {}
for _, noun in ipairs(core.kinds) do
  nouns[noun] = {}
  for _, number in ipairs(core[noun].numbers) do
    local words = core[noun].words[number]
    if words ~= true then -- true: it is a switch
      nouns[noun][number] = words and words[1] or 100
    end
  end
end
local codec = { encode = tostring, decode = tostring }

-- Something that has an object of each kind already, and zeroes behind it.
local function objects(noun)
  return function()
    local seg = named()
    assert(shmseg[noun].open(seg, "c", nouns[noun])):close()
    return seg
  end
end

-- Name of the case, what is done before, the call, and what is done with its result.
local cases = {
  { "open in mode x", nil, function() return shmseg.open(base, "x", 64) end, created },
  { "open in mode c", nil, function() return shmseg.open(base, "c", 64) end, created },
  { "open with all options", nil, function()
    local options = { perm = "rw-r--r--", reserve = false, max = 2 ^ 20, populate = true }
    return shmseg.open(base, "x", 64, options)
  end, created },
  { "open with init", nil, function()
    return shmseg.open(base, "x", 64, { init = function(new) new:write(0, "text") end })
  end, created },
  { "open of a temporary segment", nil, function()
    return shmseg.open(base, "x", 64, { temporary = true })
  end, result },
  { "open under a free name", nil, function()
    return shmseg.open(nil, "x", 64, { temporary = true })
  end, result },
  { "open of an existing one", named, function() return shmseg.open(base) end, result },
  { "open for reading", named, function() return shmseg.open(base, "r") end, result },
  { "open that fails", nil, function() return shmseg.open(base, "r") end, nil, "ENOENT" },
  { "open that is too small", named, function()
    return shmseg.open(base, "r", 10000)
  end, nil, "too small" },
  { "anonymous", nil, function() return shmseg.anonymous(64) end, result },
  { "map", nil, function() return shmseg.map(path, "c", 64) end, result },
  { "map of a new file", function() os.remove(path) end, function()
    return shmseg.map(path, "x", 64)
  end, result },
  { "from_fd", anonymous, function(seg) return shmseg.from_fd(seg:fd()) end, result },
  { "resize that shrinks", named, function(seg) return seg:resize(100) end },
  { "stat", named, function() return shmseg.stat(base) end },
  { "list", named, function() return shmseg.list(pattern) end },
  { "kind", named, function() return shmseg.kind(base) end },
  { "look", named, function() return core.look(base) end },
  { "collect of a list", named, function() return core.collect { base, base .. "-" } end },
  { "collect that fails", named, function() return core.collect(base) end, nil, "EPERM" },
  { "unlink that fails", nil, function() return shmseg.unlink(base) end, nil, "ENOENT" },
  { "features", nil, function() return shmseg.features() end },
  { "sleep", nil, function() return shmseg.sleep(0) end },
  { "signals", nil, function() return shmseg.signals("USR1", "USR2") end, result },
}

local methods = {
  "size()", "mode()", "fd()", "pointer()", "stat()", "read()", "read(0, 20)", "read(0, 100)",
  "write(0, 'text')", "fill(0, 100, 1)", "compare(0, 'text')", "copy(0, seg, 10, 20)",
  "pack(0, '<i8 z s4 d', 7, 'zero', ('x'):rep(100), 0.5)", "pack(0, 'c100', 'short')",
  "unpack(0, '<i8 z s4 d')", "slice(0, 100)", "slice(0, 100):read()", "resize(20000)",
  "find('zero')", "refresh()", "flush()", "advise('normal')", "dump()", "dump(0, 100)",
  "get_i64(0)", "set_i64(0, 7)", "get_f64(0)", "set_f64(0, 0.5)", "get_bool(0)",
  "set_bool(0, true)", "get_u32(0)", "set_u32(0, 1)",
}
for _, call in ipairs(methods) do
  cases[#cases + 1] = { call, anonymous, compile("local seg = ... return seg:" .. call) }
end
for _, call in ipairs { "read, seg, 8190, 3", "unpack, seg, 0, 'y'", "pack, seg, 0, 'i1', 1000" } do
  local misuse = compile("local seg = ... return pcall(seg." .. call .. ")")
  cases[#cases + 1] = { call, anonymous, misuse }
end
cases[#cases + 1] = { "name", named, function(seg) return seg:name() end }
cases[#cases + 1] = { "tostring", anonymous, tostring }
cases[#cases + 1] = { "unlink of a segment", function()
  shmseg.unlink(base)
  return named()
end, function(seg) return seg:unlink() end }

local function of(noun, call)
  return function()
    local object = assert(shmseg[noun].open(named(), "c", nouns[noun]))
    return call and assert(call(object)) or object
  end
end
for _, each in ipairs {
  { "watch of a queue", of "queue", function(q) return q:watch "pop" end, result },
  { "watch of a key", of "dict", function(d) return d:watch("key", "x") end, result },
  { "rearm", of("dict", function(d) return d:watch "key" end), function(watch)
    return watch:rearm(("x"):rep(100))
  end },
} do
  cases[#cases + 1] = each
end

for noun, sized in pairs(nouns) do
  cases[#cases + 1] = { "look at " .. noun, objects(noun), function() return core.look(base) end }
  cases[#cases + 1] = { "inspect " .. noun, function()
    local object = assert(shmseg[noun].open(named(), "c", sized))
    if noun == "mutex" then
      object:lock()
    end
    return object
  end, function(object) return core[noun].inspect(object) end }
  local function options(more)
    local all = { codec = sized.capacity and codec or nil }
    for _, source in ipairs { sized, more or {} } do
      for name, value in pairs(source) do
        all[name] = value
      end
    end
    return all
  end
  local function opens(mode, more)
    return function() return shmseg[noun].open(base, mode, options(more)) end
  end
  local what = noun .. ".open "
  local more = { perm = "640", reserve = false, max = 2 ^ 20, populate = true }
  for _, each in ipairs {
    { what .. "in mode x", nil, opens "x", created },
    { what .. "in mode c", nil, opens "c", created },
    { what .. "with options", nil, opens("c", more), created },
    { what .. "of a temporary one", nil, opens("x", { temporary = true }), result },
    { what .. "under a free name", nil, function()
      return shmseg[noun].open(nil, "x", options { temporary = true })
    end, result },
    { what .. "of an existing one", objects(noun), opens "c", result },
    { what .. "to read it", objects(noun), opens "r", result },
    { what .. "to create what is there", objects(noun), opens "x", nil, "EEXIST" },
    { what .. "of none", nil, opens "rw", nil, "ENOENT" },
    { what .. "of another kind", objects(noun == "event" and "mutex" or "event"), opens "c", nil,
      "incompatible" },
    { what .. "in a segment", named, function(seg)
      return shmseg[noun].open(seg, "c", options())
    end, result },
    { what .. "in a slice", named, function(seg)
      return shmseg[noun].open(seg:slice(64), "x", options())
    end, result },
  } do
    cases[#cases + 1] = each
  end
end

local function read_file(name)
  local file = assert(io.open(name))
  local text = file:read("*a")
  file:close()
  return text
end

-- Descriptors, shared mappings and objects that there are now. A new descriptor is the lowest one
-- that is free, and few are open here.
local function count_all()
  local descriptors = 0
  for fd = 0, 19 do
    local file = io.open("/proc/self/fdinfo/" .. fd)
    if file then
      file:close()
      descriptors = descriptors + 1
    end
  end
  local shared = select(2, read_file("/proc/self/maps"):gsub(" %S%S%Ss ", ""))
  local names = #shmseg.list(pattern)
  return ("%d descriptors, %d mappings, %d objects"):format(descriptors, shared, names)
end

local function census()
  collectgarbage()
  collectgarbage()
  return count_all()
end

local function complain(...)
  print(table.concat({ ... }, " "))
end

-- Does the error say so? "stack overflow" is what a string library says that has no memory for more
-- slots.
local function tells(value)
  local text = tostring(value)
  return text:find("not enough memory") or text:find("stack overflow")
end

-- Runs the call with its n-th allocation failing: true if it came to that.
local function attempt(case, n, sticky)
  local name, prepare, call, finish, expected = case[1], case[2], case[3], case[4], case[5]
  local argument = prepare and prepare()
  local before = n > 0 and name:find("^%l+%.open ") and count_all()
  host.fail(n, sticky)
  local ok, value, message, code = pcall(call, argument)
  local hit = host.fail(0)
  if ok and value and finish then
    finish(value)
  elseif not ok and not tells(value) then
    complain(name, "raises", tostring(value))
  elseif ok and value == nil and code ~= expected and code ~= "ENOMEM" then
    complain(name, "fails with", tostring(code), tostring(message))
  elseif not hit and not ok then
    complain(name, "fails with no allocation failing")
  end
  if before and not (ok and value) and count_all() ~= before then
    complain(name, "has something open when allocation", n, "has failed:", before, count_all())
  end
  while #kept > 0 do
    table.remove(kept):close()
  end
  return hit
end

local function exhaust(case, sticky)
  shmseg.unlink(base)
  attempt(case, 0)
  os.remove(base)
  shmseg.unlink(base)
  local before = census()
  local n = 0
  repeat
    n = n + 1
    -- A failed call must not have made anything: the next one would meet it.
    local hit = attempt(case, n, sticky)
    if case[4] == created and hit and shmseg.stat(base) then
      complain(case[1], "leaves an object behind when allocation", n, "fails")
      shmseg.unlink(base)
    end
    if case[2] and case[2] ~= anonymous then
      shmseg.unlink(base)
    end
  until not hit or n > 500
  shmseg.unlink(base)
  local after = census()
  if before ~= after then
    complain(case[1], "loses something:", before, "->", after)
  end
  return n - 1
end

local failures = 0
for _, case in ipairs(cases) do
  failures = failures + exhaust(case, false) + exhaust(case, true)
end
os.remove(path)
print(failures .. " allocations failed")
print "done"
