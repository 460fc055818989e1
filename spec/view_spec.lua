-- SPDX-License-Identifier: MIT
-- What arrays, records and atomics have in common as views: segments that shrink under them, by
-- their own handle or by a peer's, and handles that are closed while values are converted.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"

local page = shmseg.pagesize

local Point = shmseg.struct("Point", {
  { "id", "u32" },
  { "pos", "f64", 3 },
  { "name", "char", 8 },
  { "child", shmseg.struct("Other", { { "x", "i32" } }) },
})

-- Each kind of view of the last bytes of a segment, and something that touches them.
local kinds = {
  slice = {
    make = function(seg) return seg:slice(#seg - 8, 8) end,
    touch = function(v) return v:get_i32(4) end,
  },
  array = {
    make = function(seg) return seg:array(#seg - 8, "i32", 2) end,
    touch = function(v) return v[2] end,
  },
  ["array of structs"] = {
    make = function(seg) return Point:array(seg, #seg - 2 * Point.size, 2) end,
    touch = function(v) return v[2].id end,
  },
  record = {
    make = function(seg) return Point:at(seg, #seg - Point.size) end,
    touch = function(v) return v.id end,
  },
  ["record's array"] = {
    make = function(seg) return Point:at(seg, #seg - Point.size).pos end,
    touch = function(v) return v[1] end,
  },
  ["record's record"] = {
    make = function(seg) return Point:at(seg, #seg - Point.size).child end,
    touch = function(v) return v.x end,
  },
  ["array's record"] = {
    make = function(seg) return Point:array(seg, #seg - 2 * Point.size, 2)[2] end,
    touch = function(v) return v.id end,
  },
  atomic = {
    make = function(seg) return seg:atomic(#seg - 8, "i32") end,
    touch = function(v) return v:load() end,
  },
  ["atomic of a field"] = {
    make = function(seg) return Point:atomic(seg, #seg - Point.size, "child.x") end,
    touch = function(v) return v:load() end,
  },
}

local function named(size)
  local name = scratch.name()
  return expect.success(shmseg.open(name, "x", size)), name
end

for name, kind in pairs(kinds) do
  describe("a view (" .. name .. ")", function()
    after_each(scratch.clean)

    it("keeps its segment from being shrunk below its end, as long as it lives", function()
      local seg = named(4 * page)
      local view = kind.make(seg)
      for _, size in ipairs { 3 * page, page, 1 } do
        expect.misuse("view", seg.resize, seg, size)
      end
      assert.equal(4 * page, #seg)
      assert.equal(0, kind.touch(view))
      assert.equal(4 * page, seg:resize(4 * page))
      view = nil
      assert.equal(page, seg:resize(page))
      assert.is_nil(view)
    end)

    it("does not mind a cut behind its end, nor growth that moves the mapping", function()
      local seg = named(4 * page)
      local view = kind.make(seg)
      seg:resize(8 * page)
      assert.equal(0, kind.touch(view))
      seg:resize(4096 * page)
      assert.equal(0, kind.touch(view))
      seg:resize(4 * page)
      assert.equal(0, kind.touch(view))
      seg:fill(0, #seg, 1)
      assert.truthy(kind.touch(view) ~= 0)
    end)

    it("raises where the segment has ended, and is good again after growth", function()
      local seg, object = named(4 * page)
      local other = expect.success(shmseg.open(object))
      local view = kind.make(seg)
      other:resize(page)
      assert.equal(page, seg:refresh())
      expect.misuse("out of range", kind.touch, view)
      other:resize(4 * page)
      expect.misuse("out of range", kind.touch, view)
      assert.equal(4 * page, seg:refresh())
      assert.equal(0, kind.touch(view))
    end)

    it("ends with its segment, and is no obstacle to its close", function()
      local seg = named(4 * page)
      local view = kind.make(seg)
      seg:close()
      expect.misuse("closed", kind.touch, view)
      assert.truthy(tostring(view):find("closed", 1, true))
    end)

    it("needs no close and has none", function()
      local metatable = getmetatable(kind.make((named(4 * page))))
      if name ~= "slice" then
        assert.is_nil(metatable.__gc)
        assert.is_nil(metatable.__close)
      end
      assert.equal("string", type(metatable.__name))
    end)
  end)
end

describe("when a peer has cut the object,", function()
  after_each(scratch.clean)

  -- Each runs in a peer, where `seg` has lost its bytes from the second page on. `a` is an array,
  -- `p` a record, `n` an atomic, `w` one of 64 bits, all of them there.
  local raising = {
    "a[2]",
    "a[2] = 1",
    "p.id",
    "p.id = 1",
    "p.name",
    "p.name = 'x'",
    "p.pos[1]",
    "p.pos[1] = 1",
    "p.pos = { 1 }",
    "p.child.x",
    "p.child.x = 1",
    "p.child = { x = 1 }",
    "s[1].id",
    "s[1].id = 1",
    "s[1] = { id = 1 }",
    "for _ in a:ipairs() do end",
    "for _ in pos:ipairs() do end",
  }
  local returning = {
    "a:get(1)",
    "a:get(1, 2)",
    "a:set(1, 1)",
    "a:set(1, { 1, 2 })",
    "a:totable()",
    "a:fill(1)",
    "s:get(1)",
    "s:totable()",
    "s:set(1, { id = 1 })",
    "s:fill { id = 1 }",
    "Point:read(seg, page)",
    "Point:write(seg, page, { id = 1 })",
    "n:load()",
    "n:store(1)",
    "n:swap(1)",
    "n:add(1)",
    "n:sub(1)",
    "n:band(1)",
    "n:bor(1)",
    "n:bxor(1)",
    "n:cas(0, 1)",
    "n:cas(7, 1)",
    "n:wait(7)",
    "n:wait(0, 0)",
    "n:wait(0, 0.01)",
    "w:load()",
    "w:store(1)",
    "w:swap(1)",
    "w:add(1)",
    "w:cas(0, 1)",
  }

  local prepare = [[
    page = shmseg.pagesize
    seg = assert(shmseg.open(...))
    cutter = assert(shmseg.open(...))
    Point = shmseg.struct("Point", {
      { "id", "u64" }, { "pos", "f64", 3 }, { "name", "char", 8 },
      { "child", shmseg.struct("Other", { { "x", "i32" } }) },
    })
    a, s = seg:array(page, "i32"), Point:array(seg, page)
    p, n, w = Point:at(seg, page), seg:atomic(page, "i32"), seg:atomic(page + 8, "i64")
    pos, child = p.pos, p.child]]

  local function victim()
    local _, name = named(4 * page)
    local other = peer.start()
    other:call(prepare, name)
    return other
  end

  local function cut_and(call)
    return [[
      local call = assert((loadstring or load)(...))
      cutter:resize(page)
      local ok, value, message, code = pcall(call)
      cutter:resize(4 * page)
      seg:refresh()
      local again, reason = pcall(call)
      return ok, value, message, code, again, reason]], call
  end

  it("what has no results for it raises, and is good again after a refresh #hole", function()
    local other = victim()
    for _, source in ipairs(raising) do
      local call = (source:find " = " or source:find "^for") and source or "return " .. source
      local ok, value, _, _, again, reason = other:call(cut_and(call))
      assert.False(ok, source)
      assert.truthy(value:find("truncated", 1, true), source .. ": " .. value)
      assert.True(again, source .. ": " .. tostring(reason))
    end
  end)

  it("what has results returns that, and is good again after a refresh #hole", function()
    local other = victim()
    for _, source in ipairs(returning) do
      local ok, value, message, code, again, reason = other:call(cut_and("return " .. source))
      assert.True(ok, source .. ": " .. tostring(value))
      assert.same({ nil, "truncated" }, { value, code }, source)
      assert.equal("string", type(message), source)
      assert.True(again, source .. ": " .. tostring(reason))
    end
  end)

  it("nothing is to be had until the refresh #hole", function()
    local other = victim()
    other:call [[
      cutter:resize(page)
      assert(not pcall(function() return a[1] end))
      cutter:resize(4 * page)]]
    for _, source in ipairs { "a[2]", "p.id", "p.child.x", "p.pos[1]", "s[1].id" } do
      local ok, message = other:call("return pcall(function() return " .. source .. " end)")
      assert.False(ok)
      assert.truthy(message:find("truncated", 1, true))
    end
    local calls = { "a:get(1)", "n:load()", "n:add(1)", "n:wait(7, 1)", "Point:read(seg, 0)" }
    for _, source in ipairs(calls) do
      expect.failure("truncated", other:call("return " .. source))
    end
    other:call "seg:refresh()"
    assert.same({ 0, 0 }, { other:call "return a[2], n:load()" })
  end)
end)

describe("a handle that is closed while values are converted", function()
  after_each(scratch.clean)

  -- Runs in a peer: a crash there is a failure here. `evil` is a table whose every entry closes it.
  local calls = {
    "a:set(1, evil, 2)",
    "a:set(1, { 1, 2 }, evil)",
    "a:set(1, list)",
    "a[1] = evil",
    "a[evil] = 1",
    "return a[evil]",
    "a:fill(evil)",
    "return a:get(evil)",
    "return seg:array(evil, 'i32')",
    "s[1] = evil",
    "s:set(1, evil)",
    "s:set(1, evil, evil)",
    "s:set(1, { evil })",
    "s:fill(evil)",
    "p.pos = evil",
    "p.child = evil",
    "p.id = evil",
    "p.name = evil",
    "return p[evil]",
    "p[evil] = 1",
    "Point:write(seg, 0, evil)",
    "Point:write(seg, 0, { child = evil })",
    "Point:write(seg, 0, { pos = evil })",
    "Point:write(seg, evil, {})",
    "Point:at(seg, evil)",
    "Point:at(seg, 0, evil)",
    "n:add(evil)",
    "n:cas(0, evil)",
    "n:wait(0, evil)",
    "n:notify(evil)",
    "seg:atomic(evil, 'i32')",
    "Point:atomic(seg, evil, 'child.x')",
  }
  local hostile = [[
    local source = ...
    local seg = assert(shmseg.anonymous(65536))
    local Point = shmseg.struct("Point", {
      { "id", "u64" }, { "pos", "f64", 3 }, { "name", "char", 8 },
      { "child", shmseg.struct("Other", { { "x", "i32" } }) },
    })
    local a, s = seg:array(0, "i32", 100), Point:array(seg, 0)
    local p, n = Point:at(seg, 0), seg:atomic(0, "i32")
    local ran = false
    local function close(_, key)
      ran = true
      seg:close()
      for _ = 1, 5 do
        assert(shmseg.anonymous(65536)):fill(0, 65536, 255)
      end
      if type(key) ~= "number" or key <= 3 then
        return key == "name" and "text" or key ~= "child" and key ~= "pos" and 1 or nil
      end
    end
    local evil = setmetatable({}, { __index = close, __len = close, __tostring = close })
    local list = { 1, 2, 3, 4 }
    assert(#list == 4) -- and 5.5 keeps to it
    list[2] = nil
    setmetatable(list, { __index = close })
    source = "local seg, Point, a, s, p, n, evil, list = ... " .. source
    local f = assert((loadstring or load)(source))
    local ok, message = pcall(f, seg, Point, a, s, p, n, evil, list)
    if ran and ok then
      error("succeeded after it was closed")
    elseif ran then
      assert(message:find("closed", 1, true), message)
    end
    return "survived", ran]]

  it("is not touched, and raises", function()
    local other = peer.start()
    local closed = {}
    for _, source in ipairs(calls) do
      local survived, ran = other:call(hostile, source)
      assert.equal("survived", survived, source)
      closed[source] = ran
    end
    for _, source in ipairs {
      "a:set(1, list)",
      "s[1] = evil",
      "s:set(1, evil)",
      "s:set(1, evil, evil)",
      "s:set(1, { evil })",
      "s:fill(evil)",
      "p.pos = evil",
      "p.child = evil",
      "Point:write(seg, 0, evil)",
      "Point:write(seg, 0, { child = evil })",
      "Point:write(seg, 0, { pos = evil })",
    } do
      assert.True(closed[source], "nothing closed it: " .. source)
    end
  end)

  it("by the collector in the midst of an allocation is not touched", function()
    local other = peer.start()
    local rounds = other:call [[
      local Point = shmseg.struct("Point", {
        { "id", "u64" }, { "name", "char", 300 }, { "pos", "f64", 3 } })
      local kinds = {
        function(seg) return seg:array(0, "i32") end,
        function(seg) return seg:atomic(0, "i32") end,
        function(seg) return Point:at(seg, 0) end,
        function(seg) return Point:at(seg, 0).pos end,
        function(seg) return Point:at(seg, 0).name end,
        function(seg) return Point:read(seg, 0) end,
        function(seg) return Point:array(seg, 0)[1] end,
        function(seg) return Point:array(seg, 0):totable(1, 3) end,
        function(seg) return seg:array(0, "i32"):totable(1, 100) end,
        function(seg) return seg:array(0, "i32"):set(1, 1, 2, 3) end,
        function(seg) return Point:write(seg, 0, { id = 1 }) end,
      }
      local rounds = 0
      for _ = 1, 300 do
        for _, kind in ipairs(kinds) do
          local seg = assert(shmseg.anonymous(4096))
          -- Closes the segment when it is collected, at some allocation of the call.
          local trap
          if newproxy then
            trap = newproxy(true)
            getmetatable(trap).__gc = function() seg:close() end
          else
            trap = setmetatable({}, { __gc = function() seg:close() end })
          end
          trap = nil
          for _ = 1, 20 do
            local ok, message = pcall(kind, seg)
            if not ok then
              assert(message:find("closed", 1, true), message)
              break
            end
            collectgarbage("step", 0)
          end
          rounds = rounds + 1
        end
      end
      return rounds]]
    assert.equal(3300, rounds)
  end)
end)
