-- SPDX-License-Identifier: MIT
-- The tool's commands on the bytes of any shared memory: dump, read, write.

local shmseg = require "shmseg"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"
local tool = require "spec.support.tool"

local function segment(size, bytes)
  local name = scratch.name()
  local opened = assert(shmseg.open(name, "c", size))
  opened:write(0, bytes or "")
  return name, opened
end

-- A sparse file of a foreign program's, made without the library.
local function sparse(size)
  local name = scratch.name()
  assert(shell.succeeds(("truncate -s %s /dev/shm/%s"):format(size, name)))
  return name
end

describe("shmseg read", function()
  after_each(scratch.clean)

  it("gives the bytes as they are", function()
    local bytes = ("\0\1\r\n%s\255"):rep(70000)
    local name = segment(#bytes, bytes)
    assert.equal(bytes, tool.prints("read", name))
    assert.equal(bytes:sub(6, 8), tool.prints("read", "/" .. name, "-o", "5", "-n", "3"))
    assert.equal(bytes:sub(-2), tool.prints("read", name, "-o", tostring(#bytes - 2)))
    assert.equal("", tool.prints("read", name, "-n", "0"))
    assert.equal("", tool.prints("read", name, "-o", tostring(#bytes)))
  end)

  it("refuses a range that is not there", function()
    local name = segment(100)
    local err = tool.fails(1, "read", name, "-o", "90", "-n", "11")
    assert.truthy(err:find(name .. '": offset 90 and count 11: there are 100 bytes', 1, true), err)
    tool.fails(1, "read", name, "-o", "101")
  end)

  it("tells what is not there, what may not be read, and what is no memory", function()
    assert.truthy(tool.fails(1, "read", scratch.name()):find "No such file")
    local name = scratch.name()
    assert(shell.succeeds("mkfifo /dev/shm/" .. name))
    tool.fails(1, "read", name)
    tool.fails(1, "dump", name)
    tool.fails(1, "write", name, "x")
    tool.fails(1, "info", name)
    tool.fails(1, "check", name)
  end)

  it("reads an empty one as nothing, and takes no memory for a hole", function()
    assert.equal("", tool.prints("read", sparse(0)))
    assert.equal("00000000\n", tool.prints("dump", sparse(0)))
    local name = sparse("1G")
    assert.equal(("\0"):rep(2 ^ 20), tool.prints("read", name, "-n", "1M", "-o", "500M"))
    assert.equal(0, shmseg.stat(name).allocated)
  end)

  it("fails when the bytes go away meanwhile", function()
    local source = require "shmseg.cli.source"
    local name, opened = segment(2 ^ 20)
    source.piece = 4096
    scratch.defer(function() source.piece = 2 ^ 18 end)
    local streams = { err = io.tmpfile(), out = {} }
    function streams.out.write() -- the second piece is gone before it is read
      opened:resize(4096)
      return true
    end
    function streams.out.flush() return true end
    assert.equal(1, require("shmseg.cli").main({ "read", name }, streams))
    streams.err:seek "set"
    assert.truthy(streams.err:read("*a"):find(name .. '": truncated at offset 4096', 1, true))
  end)
end)

describe("shmseg dump", function()
  after_each(scratch.clean)

  it("prints what seg:dump() gives", function()
    for _, case in ipairs { { 1, "a" }, { 16, "0123456789abcdef" }, { 24, "\0\255 ~\127" },
      { 4096, "" }, { 5000, ("x"):rep(4999) .. "y" },
      { 300000, ("0123456789abcdef"):rep(18000) } } do
      local name, opened = segment(case[1], case[2])
      assert.equal(opened:dump(), tool.prints("dump", name))
      if case[1] > 9 then
        assert.equal(opened:dump(3, 6), tool.prints("dump", name, "-o", "3", "-n", "6"))
      end
    end
  end)

  it("prints hex digits in JSON", function()
    local name = segment(4100, "\0\255a")
    local out = tool.prints("dump", "--json", name)
    assert.truthy(out:find '^{"hex":"00ff610000', out)
    assert.truthy(out:find '\n{"hex":"00000000","offset":4096}\n$', out)
  end)

  local struct = [[
    local shmseg = require "shmseg"
    local Inner = shmseg.struct("Inner", { { "x", "i8", 2 } })
    return shmseg.struct("Sample", { { "id", "u32" }, { "gap", "pad", 4 }, { "mean", "f64" },
      { "inner", Inner, 2 }, { "on", "bool" } })]]

  it("decodes a struct, its fields in order, and arrays of them", function()
    local path = scratch.file(struct)
    local name, opened = segment(200)
    local Sample = assert((loadstring or load)(struct))()
    Sample:write(opened, 0, { id = 7, mean = 0.5, inner = { { x = { 1, -2 } } } })
    Sample:write(opened, Sample.size, { id = 2 ^ 32 - 1, mean = 1 / 0, on = true })
    assert.equal([[
Sample at 0
  id          7
  mean        0.5
  inner[1].x  1 -2
  inner[2].x  0 0
  on          false
Sample at 24
  id          4294967295
  mean        inf
  inner[1].x  0 0
  inner[2].x  0 0
  on          true
]], tool.prints("dump", "--struct", path, "-n", "2", name))
    assert.equal([[
{"offset":24,"value":{"id":4294967295,"inner":[{"x":[0,0]},{"x":[0,0]}],"mean":null,"on":true}}
]], tool.prints("dump", "--json", "-s", path, "-o", "24", "-n", "1", name))
    local _, count = tool.prints("dump", "-s", path, name):gsub("Sample at", "")
    assert.equal(8, count)
    assert.truthy(tool.fails(1, "dump", "-s", path, "-o", "190", name):find "no room for")
    assert.truthy(tool.fails(1, "dump", "-s", path, "-n", "9", name):find "no room for")
  end)

  it("shows strings as they would stand in a program", function()
    local path = scratch.file 'return require("shmseg").struct("S", { { "s", "char", 9 } })'
    local name = segment(9, "a\"\n\27\\b")
    assert.equal('S at 0\n  s  "a\\"\\n\\x1b\\\\b"\n', tool.prints("dump", "-s", path, name))
  end)

  it("shows 64-bit numbers without sign, where this Lua has them", function()
    local path = scratch.file 'return require("shmseg").struct("Big", { { "n", "u64" } })'
    local name = segment(8, ("\255"):rep(8))
    local code, out, err = tool.run("dump", "-s", path, name)
    if _VERSION >= "Lua 5.3" or rawget(_G, "jit") and pcall(require, "ffi") then
      assert.equal("Big at 0\n  n  18446744073709551615\n", out)
      assert.equal('{"offset":0,"value":{"n":18446744073709551615}}\n',
        tool.prints("dump", "--json", "-s", path, name))
    else
      assert.equal(1, code)
      assert.truthy(err:find "^shmseg: Big at 0: no number holds this", err)
    end
  end)

  it("says what is wrong with a struct's file", function()
    local name = segment(8)
    for text, pattern in pairs {
      ["return 1"] = "return shmseg.struct%(%.%.%.%) expected", [""] = "expected",
      ["return {"] = ":1: ", ["error 'broken'"] = ":1: broken", ["error {}"] = ": failed",
      ["return io.open('x')"] = ":1: .*io", ["return require 'socket'"] = "no module \"socket\"",
      ["local A = require('shmseg').struct('A b', {}) return A"] = ":1: name: A b is no C",
      ["return require('shmseg').open('x', 'c', 1)"] = ":1: ", ["\27Lua"] = "bytecode",
      ["return require('shmseg').struct('A', { { 'a', 'u9' } })"] = ': .*u9',
      ["while true do\nlocal x = nil + 1\nend"] = ":2: ",
    } do
      local path = scratch.file(text, "struct.lua")
      local err = tool.fails(1, "dump", "-s", path, name)
      assert.truthy(err:find("struct.lua" .. (pattern:find "^:" and pattern or ".*" .. pattern)),
        err .. pattern)
    end
    assert.truthy(tool.fails(1, "dump", "-s", "/nonexistent/x", name):find "No such file")
  end)
end)

describe("shmseg write", function()
  after_each(scratch.clean)

  it("puts an operand or stdin at its offset, and leaves the rest", function()
    local name = segment(10, "..........")
    tool.prints("write", name, "abc")
    assert.equal("abc.......", scratch.bytes(name))
    assert.equal(0, (tool.feed("x\0y", "write", name, "--offset", "7")))
    assert.equal("abc....x\0y", scratch.bytes(name))
    assert.equal(0, (tool.feed("z", "write", name, "-o", "6", "-")))
    assert.equal("abc...zx\0y", scratch.bytes(name))
    tool.prints("write", name, "")
    local big, bytes = segment(600000), ("0123456789"):rep(60000)
    assert.equal(0, (tool.feed(bytes, "write", big)))
    assert.equal(bytes, scratch.bytes(big))
  end)

  it("never grows what is there", function()
    local name = segment(10, "..........")
    local err = tool.fails(1, "write", name, "-o", "8", "abc")
    assert.truthy(err:find "no room behind offset 8: there are 10 bytes", err)
    tool.fails(1, "write", name, "-o", "11", "")
    tool.fails(1, "write", name, "01234567890")
    assert.equal("..........", scratch.bytes(name))
    assert.equal(1, (tool.feed("abc", "write", name, "-o", "8")))
    assert.equal("........ab", scratch.bytes(name))
    assert.truthy(tool.fails(1, "write", "-c", "11", name, "x"):find "10 bytes, 11 ")
    assert.equal(10, shmseg.stat(name).size)
  end)

  it("makes what is not there when it is told to", function()
    local name = scratch.name()
    assert.truthy(tool.fails(1, "write", name, "a"):find "No such file")
    tool.fails(2, "write", "-c", "0", name, "a")
    assert.is_nil(scratch.bytes(name))
    tool.prints("write", "-c", "3", name, "a")
    assert.equal("a\0\0", scratch.bytes(name))
    assert.equal("600", shmseg.stat(name).perm)
  end)

  it("ends at Ctrl-C while nothing comes", function()
    local name, fifo, kept = segment(10), scratch.path "fifo", nil
    assert(shell.succeeds("mkfifo " .. fifo))
    local run = process.start(tool.words("write", name), {
      input = fifo,
      opened = function() kept = assert(io.open(fifo, "r+")) end,
    })
    local maps
    repeat -- until it has opened the segment, behind which it reads
      local file = assert(io.open("/proc/" .. run.pid .. "/maps"))
      maps = file:read "*a"
      file:close()
    until maps:find(name, 1, true)
    run:await_sleep()
    run:signal "INT"
    assert.same({ 130, {}, "" }, { run:finish(), {}, run:stderr() })
    kept:close()
  end)

  it("does not spoil an object of the library, unless it is forced", function()
    local name = scratch.name()
    local queue = assert(shmseg.queue.open(name, "c", { capacity = 100 }))
    local before = scratch.bytes(name)
    local err = tool.fails(1, "write", name, "x")
    assert.truthy(err:find('queue "' .. name .. '": ', 1, true) and err:find "%-%-force", err)
    assert.equal(before, scratch.bytes(name))
    tool.prints("write", "--force", name, "x")
    assert.equal("x" .. before:sub(2), scratch.bytes(name))
    queue:close()
  end)
end)
