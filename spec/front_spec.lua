-- SPDX-License-Identifier: MIT
-- LuaJIT: the methods that its compiler sees through do what the C functions do.

local shmseg = require "shmseg"
local front = require "spec.support.front"
local host = require "spec.support.host"
local scratch = require "spec.support.scratch"

-- Runs a script with the front and without it at the same time: the lines of each.
local function both(script, ...)
  local with = front.start("with", script, scratch.family(), ...)
  local without = front.start("without", script, scratch.family(), ...)
  return with:ends_well(), without:ends_well()
end

-- The first line that differs, if there is one.
local function difference(a, b)
  for i = 1, math.max(#a, #b) do
    if a[i] ~= b[i] then
      return ("line %d\nwith:    %s\nwithout: %s"):format(i, tostring(a[i]), tostring(b[i]))
    end
  end
end

describe("with its front on LuaJIT, every result and every error is the C function's:", function()
  after_each(scratch.clean)

  for _, group in ipairs {
    "scalars", "bytes", "nans", "changes", "arrays", "records", "atomics", "cells", "queues",
    "broadcasts", "dicts", "receivers",
  } do
    it(group, function()
      if front.missing() then
        pending(front.missing())
      end
      local with, without = both("spec/support/front_cases.lua", group)
      assert.is_true(#without > 50)
      assert.is_nil(difference(with, without))
    end)
  end
end)

describe("the front on LuaJIT", function()
  after_each(scratch.clean)

  local function says(how, chunk)
    if front.missing() then
      pending(front.missing())
    end
    return table.concat(front.start(how, scratch.file(chunk)):ends_well(), "\n")
  end

  it("is told by features(), and can be switched off", function()
    if front.missing() then
      assert.is_false(shmseg.features().ffi)
      return
    end
    local chunk = "print(require 'shmseg'.features().ffi)"
    assert.equal("true", says("with", chunk))
    assert.equal("false", says("without", chunk))
    assert.equal("false", says("-joff", chunk))
  end)

  it("stays away where there is no FFI", function()
    assert.equal("false 7", says("with", [[
      package.preload.ffi, package.loaded.ffi = function() error "no ffi" end, nil
      local shmseg = require "shmseg"
      local seg = shmseg.anonymous(64)
      seg:set_i32(8, 7)
      print(tostring(shmseg.features().ffi) .. " " .. seg:get_i32(8))]]))
  end)

  it("stays away from a compiler that makes slow code of it", function()
    for _, option in ipairs { "-O1", "-O-fold", "-O-cse", "-O-dce", "-O-fwd", "-O-sink" } do
      local said = says(option, "print(require 'shmseg'.features().ffi)")
      assert.equal(option .. " false", option .. " " .. said)
    end
  end)

  it("stays away where a sandbox has taken what it needs", function()
    for _, name in ipairs { "jit", "debug", "os", "loadstring" } do
      assert.equal("false 7", says("with", name .. [[ = nil
        local shmseg = require "shmseg"
        local seg = shmseg.anonymous(64)
        seg:set_i32(8, 7)
        print(tostring(shmseg.features().ffi) .. " " .. seg:get_i32(8))]]), name)
    end
  end)

  it("stays away where the C structs are not as it knows them", function()
    assert.equal("true 0 false 7 7", (says("with", [[
      local core = require "shmseg.core"
      local layout = require "shmseg.front.layout"
      local ffi = require "ffi"
      local right, taken = layout.check() ~= nil, 0
      local state = ffi.cast(layout.type "front *", core.front.state)
      local numbers = ffi.new("uint32_t[?]", state.count)
      ffi.copy(numbers, state.numbers, 4 * state.count)
      state.numbers = numbers
      for i = 0, state.count - 1 do
        for _, by in ipairs { 1, -1, 4, 2 ^ 31 } do
          numbers[i] = numbers[i] + by
          taken = taken + (layout.check() and 1 or 0)
          numbers[i] = numbers[i] - by
        end
      end
      state.count = state.count + 1
      taken = taken + (layout.check() and 1 or 0)
      state.count = state.count - 1
      numbers[5] = numbers[5] + 8
      local shmseg = require "shmseg"
      local seg = shmseg.anonymous(4096)
      local q = shmseg.queue.open(seg:slice(1024), "c")
      local sum = 0
      for i = 1, 100 do
        seg:set_i32(8, 7)
        q:push "seven"
        sum = seg:get_i32(8) + #q:pop(0) - 5
      end
      print(right, taken, shmseg.features().ffi, seg:get_i32(8), sum)]]):gsub("\t", " ")))
  end)

  it("does not need what a program takes from its globals later", function()
    for before, expected in pairs {
      [""] = "true 100", ["debug.getregistry = nil"] = "false 100",
    } do
      assert.equal(expected, says("with", before .. [[

        local shmseg = require "shmseg"
        debug, jit, loadstring, load = nil, nil, nil, nil
        local Point = shmseg.struct("Point", { { "x", "i32" } })
        local point, sum = Point:at(assert(shmseg.anonymous(64)), 0), 0
        for i = 1, 100 do
          point.x = 1
          sum = sum + point.x
        end
        print(tostring(shmseg.features().ffi) .. " " .. sum)]]))
    end
  end)

  it("is not compiled while there is a hook, which could suspend several calls", function()
    assert.equal("recorded: 0 with a hook, 1 without", says("with", [[
      local get, count, place
      local function see(what) -- the module calls it behind its own
        if what == "start" and get and select(2, debug.getupvalue(get, place)) then
          count = count + 1
        end
      end
      jit.off(see)
      jit.attach(see, "trace")
      debug.sethook(function() end, "", 1000000)
      local shmseg = require "shmseg"
      local seg = assert(shmseg.anonymous(64))
      get, place = seg.get_i32, 0
      repeat
        place = place + 1
      until debug.getupvalue(get, place) == "recording"
      local function recorded()
        count = 0
        for _ = 1, 100 do
          seg:get_i32(0)
        end
        return math.min(count, 1)
      end
      local with = recorded()
      debug.sethook()
      jit.flush()
      print(("recorded: %d with a hook, %d without"):format(with, recorded()))]]))
  end)

  it("may be loaded anew in one Lua", function()
    assert.equal("true 100", says("with", [[
      local shmseg, sum
      for i = 1, 4 do
        for name in pairs(package.loaded) do
          if name:find "^shmseg" then
            package.loaded[name] = nil
          end
        end
        shmseg, sum = require "shmseg", 0
        local seg = shmseg.anonymous(64)
        for i = 1, 100 do
          seg:set_i32(8, 1)
          sum = sum + seg:get_i32(8)
        end
      end
      print(tostring(shmseg.features().ffi) .. " " .. sum)]]))
  end)

  it("is there in each Lua of a process, also in those that run at the same time", function()
    if front.missing() then
      pending(front.missing())
    end
    local script = scratch.file [[
      local number, name = ...
      local shmseg = require "shmseg"
      local seg = assert(shmseg.open(name, "c", 4096))
      local n, own = seg:atomic(0, "u32"), 64 * number
      for i = 1, 20000 do
        n:add(1)
        seg:set_i32(own, i)
        assert(seg:get_i32(own) == i)
      end
      print(shmseg.features().ffi)]]
    local name = scratch.name()
    local lines, reason = host.run("assert(host.threads(4, ...))", script, name)
    if not lines then
      pending(reason)
    end
    assert.same({ "true", "true", "true", "true" }, lines)
    assert.equal(80000, shmseg.open(name):get_u32(0))
  end)

  -- Bytes go in as one type and come out as another, through another view of them or another
  -- mapping.
  it("sees what was written through another type, view, and mapping of the bytes", function()
    assert.equal("0 wrong", says("with", [[
      local shmseg = require "shmseg"
      local file = os.tmpname()
      local one = assert(shmseg.map(file, "c", 4096))
      local two = assert(shmseg.map(file))
      os.remove(file)
      local Pair = shmseg.struct("FrontPair", { { "low", "u16" }, { "high", "u16" }, { "text",
        "char", 4 } })
      local bytes, words, pair, n = two:array(64, "u8", 4), one:array(64, "i32", 1), Pair:at(two,
        64), one:atomic(64, "u32")
      local slice = two:slice(60)
      local wrong = 0
      local function expect(value, expected)
        if value ~= expected then
          wrong = wrong + 1
        end
      end
      for i = 1, 400 do
        one:set_i32(64, i)
        expect(bytes[1] + 256 * bytes[2], i)
        bytes[1] = 7
        expect(one:get_u8(64), 7)
        expect(words[1], i - i % 256 + 7)
        words[1] = 2 * i
        expect(pair.low, 2 * i)
        pair.low = 3
        expect(one:get_i32(64), 3)
        expect(n:load(), 3)
        n:store(i)
        expect(slice:get_i32(4), i)
        slice:set_u16(4, 5)
        expect(n:load(), 5)
        expect(n:add(1), 5)
        expect(pair.low, 6)
        one:write(64, "abcd")
        expect(pair.low, 0x6261)
        expect(two:read(64, 4), "abcd")
        expect(bytes[4], 0x64)
        bytes[4] = 0x65
        expect(one:read(64, 4), "abce")
        one:set_f64(64, i)
        expect(two:get_f64(64), i)
        expect(two:get_u64(64) == one:get_i64(64), true)
        one:fill(64, 8, 0)
        expect(words[1] + bytes[1] + pair.low + two:get_i64(64) + n:load(), 0)
      end
      print(wrong .. " wrong")]]))
  end)

  -- What a hook or a finalizer may do between any two steps of a method.
  for _, change in ipairs { "close", "shrink", "move", "cut" } do
    it("survives what runs in the middle of a method: " .. change, function()
      if front.missing() then
        pending(front.missing())
      end
      for _, by in ipairs { "hook", "finalizer" } do
        for _, how in ipairs { "", "leaves" } do
          local script = "spec/support/front_steps.lua"
          local lines = front.start("with", script, scratch.family(), by, change, how):ends_well()
          assert.equal("done", lines[#lines])
        end
      end
    end)
  end
end)
