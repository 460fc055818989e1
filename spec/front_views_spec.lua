-- SPDX-License-Identifier: MIT
-- Views that end or move while a loop that uses them is compiled (on LuaJIT; elsewhere it is not).

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local scratch = require "spec.support.scratch"

-- A loop that has run until LuaJIT has compiled it, with a view of other memory.
local function loop(use, view)
  local function run(any)
    local sum = 0
    for i = 1, 200 do
      sum = sum + use(any, i % 10 + 1)
    end
    return sum
  end
  run(view)
  return run
end

local function segment(size)
  return assert(shmseg.anonymous(size or 4096))
end

local Point = shmseg.struct("Point", { { "x", "f64" }, { "name", "char", 8 } })

local uses = {
  array = {
    make = function(s) return s:array(0, "f64") end,
    use = function(a, i) a[i] = i return a[i] end,
  },
  record = {
    make = function(s) return Point:at(s, 0) end,
    use = function(p, i) p.x = i return p.x end,
  },
  slice = {
    make = function(s) return s:slice(64) end,
    use = function(s, i) s:set_f64(8 * i, i) return s:get_f64(8 * i) end,
  },
  atomic = {
    make = function(s) return s:atomic(0, "i32") end,
    use = function(n, i) n:store(i) return n:load() end,
  },
}

for noun, kind in pairs(uses) do
  describe("in a compiled loop the view of a segment, a " .. noun .. ",", function()
    after_each(scratch.clean)

    it("is closed when the option init, which made it, fails", function()
      local run, kept = loop(kind.use, kind.make(segment())), nil
      local ok = pcall(shmseg.open, scratch.name(), "x", 4096, {
        init = function(s)
          kept = kind.make(s)
          run(kept)
          error "enough"
        end,
      })
      assert.is_false(ok)
      expect.misuse("closed", run, kept)
    end)

    it("is closed when the option init, which made it, has run in vain", function()
      local run, kept, name = loop(kind.use, kind.make(segment())), nil, scratch.name()
      local other
      assert(shmseg.open(name, "c", 4096, {
        init = function(s)
          kept = kind.make(s)
          run(kept)
          other = other or assert(shmseg.open(name, "c", 4096))
        end,
      }))
      expect.misuse("closed", run, kept)
    end)

    it("is closed with its segment, and no other is", function()
      local s, other = segment(), kind.make(segment())
      local view = kind.make(s)
      local run = loop(kind.use, view)
      local before = run(other)
      s:close()
      expect.misuse("closed", run, view)
      assert.equal(before, run(other))
    end)

    it("is there in memory that has moved", function()
      local s = segment()
      local view = kind.make(s)
      local run = loop(kind.use, view)
      local before = run(view)
      assert(s:resize(64 * 1024 * 1024))
      assert.equal(before, run(view))
      assert.equal(64 * 1024 * 1024, s:size())
    end)
  end)
end

describe("in a compiled loop", function()
  it("a closed slice is refused, and its segment is not", function()
    local s = segment()
    local slice = s:slice(0, 128)
    local run = loop(uses.slice.use, slice)
    slice:close()
    expect.misuse("closed", run, slice)
    assert.equal(run(s:slice(0)), run(s))
  end)

  it("a record is where it was aimed last", function()
    local s = segment()
    local p = Point:at(s, 0)
    for i = 0, 9 do
      s:set_f64(16 * i, i)
    end
    local sum = 0
    for i = 1, 300 do
      p = Point:at(s, 16 * (i % 10), p)
      sum = sum + p.x
    end
    assert.equal(300 * 4.5, sum)
  end)

  it("text of a record ends at its first zero, and a longer one is refused", function()
    local p = Point:at(segment(), 0)
    local function set(text)
      for _ = 1, 200 do
        p.name = text
      end
      return p.name
    end
    assert.equal("a\200b", set("a\200b"))
    assert.equal("", set(""))
    assert.equal("12345678", set("12345678"))
    assert.equal("ab", set("ab\0cd"))
    expect.misuse("at most 8 bytes", set, "123456789")
    assert.equal("ab", p.name)
  end)
end)
