-- SPDX-License-Identifier: MIT
-- A dict between this process and one of 32 bits.

local dicts = require "spec.support.dicts"
local expect = require "spec.support.expect"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local TURNS = 2000 -- as in the peer

-- Compiles the library and the peer for i386, into one static program: its path; or nil, and why
-- not. The environment may name a compiler whose libraries are elsewhere.
local function compile()
  local gcc = os.getenv "SHMSEG_GCC32" or "gcc -m32 -march=i686"
  gcc = gcc .. " -idirafter /usr/include/$(gcc -print-multiarch) -static"
  local program, empty = scratch.path("program"), scratch.path("empty.c")
  local file = assert(io.open(empty, "w"))
  file:write("#include <stdio.h>\nint main(void) { return puts(\"\") < 0; }\n")
  file:close()
  if not shell.succeeds(("%s -o %s %s && %s"):format(gcc, program, empty, program)) then
    return nil, "gcc makes no programs of 32 bits here"
  end
  local sources = "$(grep -oE '\\<src/(os|core|objects)/[a-z_0-9]+\\.c' shmseg-scm-1.rockspec)"
  local flags = "-std=gnu11 -D_FILE_OFFSET_BITS=64 -O0 -Isrc"
  local output, status = shell.run(("%s %s -o %s spec/support/dict_peer.c %s -lpthread"):format(
    gcc, flags, program, sources))
  assert(status == 0, output)
  return program
end

describe("a process of 32 bits #once", function()
  after_each(scratch.clean)

  it("and one of 64 set, add, push, pop and claim in one dict at the same time", function()
    if _VERSION ~= "Lua 5.4" then
      pending "the bytes are the same for every Lua: one is enough"
    end
    local program, why = compile()
    if not program then
      pending(why)
    end
    local d, name = dicts.new { capacity = 2 ^ 22 }
    d:set("question", ("long "):rep(100))
    d:set("claimed", 0)
    for i = 1, 50 do
      d:rpush("list", i)
    end
    local other = process.start { program, name }
    for i = 1, TURNS do
      d:incr("sum", 1, 0)
      d:lpush("list", "of Lua")
      assert.truthy((d:rpop "list"))
      local claim = expect.success(d:claim("claimed", 60))
      assert.True(claim:set(d:get "claimed" + 1))
      local key = "key " .. i % 100
      d:set(key, key:rep(i % 50))
    end
    d:set("end", true)
    assert.equal("32 bits: whole", other:line())
    assert.is_nil(other:line())
    assert.equal(0, other.status)
    assert.equal("answer to " .. ("long "):rep(100), d:get "answer")
    assert.equal(2 * TURNS, d:get "sum")
    assert.equal(2 * TURNS, d:get "claimed")
    assert.equal(50, d:llen "list")
  end)
end)
