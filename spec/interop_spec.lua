-- SPDX-License-Identifier: MIT
-- The other end is a C program that uses src/shmseg.h, or a Python program.

local shmseg = require "shmseg"
local build = require "spec.support.build"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

-- All bytes there are, among them zeroes and line ends.
local every_byte = {}
for i = 0, 255 do
  every_byte[i + 1] = string.char(i)
end
every_byte = table.concat(every_byte)

describe("a C program #once", function()
  local run

  setup(function()
    if build.possible() then
      local program = assert(build.user("spec/support/segment_peer.c"))
      -- Runs a command of segment_peer.c: what it printed, and its status.
      function run(...)
        return shell.run(shell.quote(program, ...))
      end
    end
  end)
  teardown(scratch.clean)

  it("and Lua read, write, resize and unlink the same segments", function()
    if not run then
      pending("there is no C compiler here")
    end

    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 100))
    seg:write(10, "from Lua")
    assert.same({ "from Lua", 0 }, { run("read", name, 10, 8) })
    assert.same({ "", 0 }, { run("write", name, 20, "from C") })
    assert.equal("from C\0", seg:read(20, 7))

    assert.same({ "", 0 }, { run("resize", name, 5000) })
    assert.equal(5000, seg:refresh())
    seg:resize(6000)
    seg:write(5990, "the end")
    assert.same({ "the end", 0 }, { run("read", name, 5990, 7) })

    assert.same({ "", 0 }, { run("unlink", name) })
    expect.failure("ENOENT", seg:unlink())

    assert.same({ "", 0 }, { run("create", name, 64, "created by C") })
    seg = expect.success(shmseg.open(name))
    assert.equal(64, seg:size())
    assert.equal("created by C" .. ("\0"):rep(52), seg:read())
    assert.equal("600", seg:stat().perm)
    assert.truthy(expect.success(seg:unlink()))
  end)

  it("learns of its mistakes by codes", function()
    if not run then
      pending("there is no C compiler here")
    end
    local name = scratch.name()
    assert.same({ "2", 1 }, { run("read", name, 0, 1) })
    expect.success(shmseg.open(name, "x", 100))
    assert.same({ "17", 1 }, { run("create", name, 64, "text") })
    assert.same({ "-9", 1 }, { run("read", name, 99, 2) })
    assert.same({ "-9", 1 }, { run("write", name, "18446744073709551615", "text") })
    assert.equal(("\0"):rep(100), scratch.bytes(name))
  end)

  it("creates an object ten times and Lua attaches ten times", function()
    if not run then
      pending("there is no C compiler here")
    end
    local name = scratch.name()
    for i = 1, 10 do
      assert.same({ "", 0 }, { run("create", name, 100 * i, "text " .. i) })
      local seg = expect.success(shmseg.open(name, "r", 100 * i))
      assert.equal("text " .. i .. "\0", seg:read(0, 6 + #tostring(i)))
      assert.truthy(expect.success(seg:unlink()))
      seg:close()
    end
  end)
end)

describe("Python's multiprocessing.shared_memory #once", function()
  after_each(scratch.clean)

  -- Runs a script that has `attach(name)` and `create(name, size)`, which leave the name alone when
  -- the script ends. Nil where there is no such Python.
  local prelude = [[
import sys
from multiprocessing import resource_tracker, shared_memory

def left_alone(**arguments):
    if sys.version_info >= (3, 13):
        return shared_memory.SharedMemory(track=False, **arguments)
    memory = shared_memory.SharedMemory(**arguments)
    resource_tracker.unregister(memory._name, "shared_memory")
    return memory

def attach(name):
    return left_alone(name=name)

def create(name, size):
    return left_alone(name=name, create=True, size=size)

name = sys.argv[1]
]]
  local function python(script, ...)
    local file = scratch.file(prelude .. script, "script.py")
    local text, status = shell.run(shell.quote("python3", file, ...))
    assert.equal(0, status, text)
    return text
  end

  local absent
  setup(function()
    absent = not shell.succeeds "python3 -c 'from multiprocessing import shared_memory'"
  end)

  it("reads what Lua wrote", function()
    if absent then
      pending("there is no Python with shared_memory here")
    end
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 300))
    seg:write(0, every_byte)
    seg:pack(256, "<i4 d", -7, 0.5)
    local text = python([[
memory = attach(name)
import struct
same = bytes(memory.buf[:256]) == bytes(range(256))
print(memory.size, same, *struct.unpack_from("<id", memory.buf, 256))
memory.close()]], name)
    assert.equal("300 True -7 0.5\n", text)
    assert.equal(300, #scratch.bytes(name))
  end)

  it("writes what Lua reads", function()
    if absent then
      pending("there is no Python with shared_memory here")
    end
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 300))
    python([[
memory = attach(name)
import struct
memory.buf[:256] = bytes(range(256))
struct.pack_into("<id", memory.buf, 256, -7, 0.5)
memory.close()]], name)
    assert.equal(every_byte, seg:read(0, 256))
    assert.same({ -7, 0.5, 268 }, { seg:unpack(256, "<i4 d") })
  end)

  it("creates what Lua attaches to", function()
    if absent then
      pending("there is no Python with shared_memory here")
    end
    local name = scratch.name()
    python([[
memory = create(name, 300)
memory.buf[:6] = b"Python"
memory.close()]], name)
    local seg = expect.success(shmseg.open(name, "rw", 300))
    assert.equal("Python", seg:read(0, 6))
    assert.equal(300, seg:size())
    assert.truthy(expect.success(seg:unlink()))
  end)

  it("sees a change made while both have it open, and the other way round", function()
    if absent then
      pending("there is no Python with shared_memory here")
    end
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 64))
    local other = peer.start()
    -- The peer plays no part but to run Python beside this process.
    other:send(
      "local pipe = io.popen(...) local text = pipe:read('*a') pipe:close() return text",
      shell.quote("python3", scratch.file(prelude .. [[
memory = attach(name)
memory.buf[1] = 1
while memory.buf[0] == 0:
    pass
print("saw", memory.buf[0])
memory.close()]], "script.py"), name)
    )
    repeat
      local ready = seg:get_u8(1)
    until ready == 1
    seg:set_u8(0, 42)
    assert.equal("saw 42\n", other:receive())
  end)
end)
