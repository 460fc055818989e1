-- SPDX-License-Identifier: MIT
-- The C half by itself: require "shmseg.core" is within Lua's reach, so it trusts no argument.

local core = require "shmseg.core"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scalars = require "spec.support.scalars"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"
require "shmseg"

-- A field of core.shape's list.
local function field(changes)
  local f = { name = "x", type = "i32", size = 4, offset = 0, count = 1, is_array = false }
  for key, value in pairs(changes or {}) do
    f[key] = value
  end
  return f
end

local function without(key)
  local f = field()
  f[key] = nil
  return f
end

describe("the core", function()
  after_each(scratch.clean)

  it("lives, whatever its functions and methods are given", function()
    local folder = scratch.path("files")
    assert(shell.succeeds("mkdir " .. shell.quote(folder)))
    local words = peer.command()
    for _, word in ipairs {
      "spec/support/core_fuzz.lua", scratch.family(), folder,
      os.getenv("SHMSEG_SEED") or "8311", os.getenv("SHMSEG_CALLS") or "12000",
    } do
      words[#words + 1] = word
    end
    local fuzz = process.start(words)
    local status, lines = fuzz:finish()
    local told = ("status %d: %s"):format(status, fuzz:stderr())
    assert.equal("alive", lines[#lines], told)
    assert.equal(0, status, told)
    assert.truthy(tonumber(lines[#lines - 1]:match "%d+") > 100)
  end)

  it("makes no shape of what is no list of fields", function()
    for _, list in ipairs { "text", 1, true, print, io.stdout } do
      expect.misuse("bad argument #2", core.shape, 8, list)
      expect.misuse("bad argument #2", core.shape, 8, { list })
    end
    expect.misuse("bad argument #2", core.shape, 8)
    for _, size in ipairs { 0, -1, 2 ^ 31, 1.5, "text", {} } do
      expect.misuse("bad argument #1", core.shape, size, { field() })
    end
  end)

  it("makes no shape of fields that are none, or that lie outside", function()
    local inner = core.shape(4, { field() })
    assert.equal("userdata", type(core.shape(8, { field { type = nil, shape = inner } })))
    for what, fields in pairs {
      name = { without "name", field { name = 1 }, field { name = {} }, field { name = "x\0" } },
      type = { without "type", field { type = "int" }, field { type = 1 } },
      shape = {
        field { shape = io.stdout }, field { shape = 1 }, field { shape = "text" },
        field { shape = {} }, field { shape = expect.success(core.anonymous(64, 384, true)) },
      },
      size = {
        without "size", field { size = 8 }, field { size = "4" }, field { size = -4 },
        field { size = 5, shape = inner }, field { size = 0, type = "char" },
        field { size = 2 ^ 31, type = "char" }, field { size = 0 / 0 },
      },
      offset = {
        without "offset", field { offset = 5 }, field { offset = -1 }, field { offset = 0.5 },
        field { offset = 2 ^ 62 }, field { count = 3, is_array = true },
        field { size = 9, type = "char" }, field { count = 2 ^ 31 - 1, is_array = true },
      },
      count = {
        without "count", field { count = 0 }, field { count = 2 }, field { count = 2 ^ 53 },
      },
    } do
      for _, wrong in ipairs(fields) do
        expect.misuse({ "bad argument #2", "field 2", what }, core.shape, 8, { field(), wrong })
      end
    end
  end)

  it("makes no shape that is nested too deeply for the stack of C", function()
    local shape
    for depth = 1, 100 do
      shape = core.shape(4, { field { shape = shape } })
      assert.equal("userdata", type(shape), depth)
    end
    expect.misuse("deep", core.shape, 4, { field { shape = shape } })
  end)

  it("makes no atomic of a field whose place overflows", function()
    local seg = expect.success(core.anonymous(64, 384, true))
    for _, inner in ipairs { -1, -4, -8, 61, 64, -2 ^ 63, 2 ^ 62, scalars.int64(-8) } do
      expect.misuse("out of range", core.atomic, seg, 8, "i64", inner)
      expect.misuse("out of range", core.atomic, seg, 8, "u32", inner)
    end
    assert.equal(0, core.atomic(seg, 8, "i64", 48):load())
  end)

  it("opens no name that leads elsewhere, and no permissions that are none", function()
    for _, name in ipairs { "", "/", "../tmp", "a/b", ("x"):rep(256), "a\0b" } do
      expect.misuse("bad argument #1", core.open, name, false, "c", 64, 384, true)
      expect.misuse("bad argument #1", core.unlink, name)
      expect.misuse("bad argument #1", core.stat, name)
    end
    for _, perm in ipairs { -1, 512, 1e300, 0 / 0, 0.5 } do
      expect.misuse("bad argument", core.anonymous, 64, perm, true)
    end
  end)
end)
