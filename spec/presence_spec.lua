-- SPDX-License-Identifier: MIT
-- Who has an object open, and names that go with the last of them: temporary = "last".

local core = require "shmseg.core"
local shmseg = require "shmseg"
local build = require "spec.support.build"
local expect = require "spec.support.expect"
local host = require "spec.support.host"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local sandbox = require "spec.support.sandbox"
local scratch = require "spec.support.scratch"

local last = { temporary = "last" }

-- The first byte of the range that a remover locks; see os/presence_linux.c.
local REMOVERS = "0x4000000100000000"

local function exists(name)
  return shmseg.stat(name) ~= nil
end

local function open(name, mode, options)
  local size = (mode == "c" or mode == "x") and 64 or nil
  return expect.success(shmseg.open(name, mode, size, options))
end

-- A process that holds locks on the object, see file_lock.c.
local function lock_file(name, ...)
  local program, reason = build.program({ "spec/support/file_lock.c" }, "-D_FILE_OFFSET_BITS=64")
  assert(program, reason)
  local holder = process.start({ program, scratch.objects .. name, ... })
  assert.equal("locked", holder:line())
  return holder
end

-- Runs a chunk in the host, which can fork; it prints "done" at its end.
local function run(chunk, ...)
  local lines, reason = host.run([[local shmseg = require "shmseg" ]] .. chunk, ...)
  if not lines then
    pending(reason)
  end
  assert.equal("done", lines[#lines])
end

-- Options that make an object of that kind.
local function sized(noun, options)
  local number = core[noun].numbers[1]
  local all = { temporary = options and options.temporary }
  if number then
    all[number] = noun == "dict" and 65536 or 64
  end
  return all
end

describe('a segment that is temporary = "last"', function()
  after_each(scratch.clean)

  it("goes with the last handle that asked for it, in whatever order they close", function()
    for first = 1, 3 do
      local name = scratch.name()
      local all = { open(name, "x", last), open(name, "rw", last), open(name, "c", last) }
      for i = 0, 2 do
        assert.True(exists(name))
        all[(first + i) % 3 + 1]:close()
      end
      assert.False(exists(name))
    end
  end)

  it("stays while any handle has it open, one that may only read too", function()
    local name = scratch.name()
    local mine, reader = open(name, "x", last), open(name, "r")
    local other = peer.start()
    other:call("seg = assert(shmseg.open(..., 'rw'))", name)
    mine:close()
    assert.True(exists(name))
    mine = open(name, "rw", last)
    reader:close()
    mine:close()
    assert.True(exists(name))
    assert.equal(0, other:quit())
    assert.True(exists(name)) -- it has not asked
    open(name, "rw", last):close()
    assert.False(exists(name))
  end)

  it("stays when the last handle may only read", function()
    local name = scratch.name()
    local writer, reader = open(name, "x", last), open(name, "r", last)
    writer:close()
    reader:close()
    assert.True(exists(name))
    open(name, "c", last):close()
    assert.False(exists(name))
  end)

  it("stays while a handle on its descriptor has it open", function()
    local name = scratch.name()
    local seg = open(name, "x", last)
    local other = expect.success(shmseg.from_fd(seg:fd()))
    seg:close()
    assert.True(exists(name))
    other:close()
    open(name, "rw", last):close()
    assert.False(exists(name))
  end)

  it("goes when the last handle is collected", function()
    local name = scratch.name()
    local seg = open(name, "x", last)
    assert.truthy(seg)
    seg = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.False(exists(name))
  end)

  it("never takes a namesake along", function()
    local name = scratch.name()
    local seg = open(name, "x", last)
    shmseg.unlink(name)
    open(name, "x"):close()
    seg:close()
    assert.True(exists(name))
  end)

  it("can be a file, and then those count that ask for it", function()
    local path = scratch.path()
    local a = expect.success(shmseg.map(path, "c", 64, last))
    local b = expect.success(shmseg.map(path, "rw", nil, last))
    local other = expect.success(shmseg.map(path))
    a:close()
    assert.truthy(io.open(path)):close()
    b:close()
    assert.is_nil(io.open(path))
    other:close()
  end)

  it("takes few of the process's mappings, however often it is grown", function()
    local page = shmseg.pagesize
    local seg = open(scratch.name(), "x", { temporary = "last", max = 500 * page })
    local inode, mappings = seg:stat().inode, 0
    for i = 2, 400 do
      expect.success(seg:resize(i * page))
    end
    for line in assert(io.open "/proc/self/maps"):lines() do
      mappings = mappings + (line:find((" %d "):format(inode), 1, true) and 1 or 0)
    end
    assert.truthy(mappings > 0 and mappings <= 100)
    seg:close()
  end)

  it("is no anonymous one", function()
    expect.misuse("unknown option", shmseg.anonymous, 64, last)
  end)

  it("can be grown and mapped anew, and goes all the same", function()
    local name = scratch.name()
    local other = peer.start()
    other:call("seg = assert(shmseg.open(..., 'c', 64, { temporary = 'last' }))", name)
    other:call("assert(seg:resize(2^20)) assert(seg:resize(2^22))")
    other:send "os.exit(0)"
    assert.equal(0, (other:finish()))
    assert.False(exists(name))
  end)

  local endings = {
    { "comes to its end", "quit()", 0 },
    { "calls os.exit", "os.exit(3)", 3 },
    { "calls os.exit and closes its state", "os.exit(0, true)", 0 },
    { "calls os.exit in a coroutine", "coroutine.wrap(function() os.exit(4) end)()", 4 },
    { "ends with handles not collected", "collectgarbage('stop') quit()", 0 },
  }
  for _, case in ipairs(endings) do
    it("goes when the last process " .. case[1], function()
      local other, name, mapped = peer.start(), scratch.name(), scratch.path()
      other:call([[
        local name, path = ...
        all = {
          assert(shmseg.open(name, "c", 64, { temporary = "last" })),
          assert(shmseg.open(name)), assert(shmseg.open(name, "r")),
          assert(shmseg.map(path, "c", 64, { temporary = "last" })),
        }]], name, mapped)
      local mine = open(name)
      assert.True(exists(name))
      mine:close()
      other:send(case[2])
      assert.equal(case[3], (other:finish()))
      assert.False(exists(name))
      assert.is_nil(io.open(mapped))
    end)
  end

  it("goes when the last process ends by an error", function()
    local name = scratch.name()
    local words = peer.command()
    words[#words + 1] = "-e"
    words[#words + 1] = ([[
      seg = assert(require "shmseg".open(%q, "c", 64, { temporary = "last" }))
      error "enough"]]):format(name)
    local other = process.start(words)
    assert.equal(1, (other:finish()))
    assert.truthy(other:stderr():find "enough")
    assert.False(exists(name))
  end)

  it("goes when the last process ends without a free descriptor", function()
    -- A sanitizer's search for leaks, at the very end, needs descriptors.
    local other = peer.start { "env", "ASAN_OPTIONS=detect_leaks=0:handle_sigbus=0" }
    local name = scratch.name()
    local code = other:call([[
      seg, others = assert(shmseg.open(..., "c", 64, { temporary = "last" })), {}
      local opened, code
      repeat
        opened, _, code = shmseg.anonymous(64)
        others[#others + 1] = opened
      until not opened
      return code]], name)
    assert.equal("EMFILE", code)
    other:send "os.exit(0)"
    assert.equal(0, (other:finish()))
    assert.False(exists(name))
  end)

  it("is left by a fatal signal, and goes with the next handle that asks and closes", function()
    local other, name = peer.start(), scratch.name()
    other:call("seg = assert(shmseg.open(..., 'c', 64, { temporary = 'last' }))", name)
    other:signal "KILL"
    other:finish()
    assert.True(exists(name))
    open(name, "rw", last):close()
    assert.False(exists(name))
  end)

  it("is left by an open that fails", function()
    local other, name = peer.start(), scratch.name()
    other:call("seg = assert(shmseg.open(..., 'c', 64, { temporary = 'last' }))", name)
    other:signal "KILL"
    other:finish()
    expect.failure("too small", shmseg.open(name, "rw", 65536, last))
    assert.True(exists(name))
  end)

  it("is left by who must not write it", function()
    local words, reason = sandbox.user()
    if not words then
      pending(reason)
    end
    local name = scratch.name()
    local seg = open(name, "x", { temporary = "last", perm = "644" })
    local other = peer.start(words)
    assert.equal("EACCES", other:call([[
      local name = ...
      reader = assert(shmseg.open(name, "r", nil, { temporary = "last" }))
      return select(3, shmseg.open(name, "rw", nil, { temporary = "last" }))]], name))
    seg:close()
    assert.equal(0, other:quit())
    assert.True(exists(name))
  end)

  it("goes without /proc, too", function()
    local words, reason = sandbox.no_proc()
    if not words then
      pending(reason)
    end
    local name = scratch.name()
    for _, ending in ipairs { "seg:close() quit()", "os.exit(0)" } do
      local other = peer.start(words)
      other:call("seg = assert(shmseg.open(..., 'c', 64, { temporary = 'last' }))", name)
      assert.True(exists(name))
      other:send(ending)
      assert.equal(0, (other:finish()))
      assert.False(exists(name))
    end
  end)

  it("gives init what it is, and goes when init fails", function()
    local name = scratch.name()
    local ok = pcall(shmseg.open, name, "c", 64, {
      temporary = "last",
      init = function()
        error "enough"
      end,
    })
    assert.False(ok)
    assert.False(exists(name))
  end)
end)

describe('an object that is temporary = "last"', function()
  after_each(scratch.clean)

  for _, noun in ipairs(core.kinds) do
    it(("%s goes with its last handle, also of those that did not ask"):format(noun), function()
      local name = scratch.name()
      local module = shmseg[noun]
      local creator = expect.success(module.open(name, "x", sized(noun, last)))
      local other = expect.success(module.open(name))
      local plain = open(name)
      creator:close()
      assert.True(exists(name))
      other:close()
      assert.True(exists(name))
      plain:close()
      assert.False(exists(name))
    end)
  end

  it("goes when the last process that has it calls os.exit", function()
    local other, name = peer.start(), scratch.name()
    local mine = expect.success(shmseg.queue.open(name, "x", sized("queue", last)))
    other:call("queue = assert(shmseg.queue.open(...))", name)
    mine:close()
    assert.True(exists(name))
    other:send "os.exit(0)"
    other:finish()
    assert.False(exists(name))
  end)

  it("does not become one because somebody asks later", function()
    local name = scratch.name()
    expect.success(shmseg.queue.open(name, "c", sized "queue")):close()
    expect.success(shmseg.queue.open(name, "c", sized("queue", last))):close()
    assert.True(exists(name))
  end)

  it("stays when an open of another kind fails", function()
    local other, name = peer.start(), scratch.name()
    other:call("q = shmseg.queue.open(..., 'c', { capacity = 64, temporary = 'last' })", name)
    other:signal "KILL"
    other:finish()
    expect.failure("incompatible", shmseg.cell.open(name, "c", { capacity = 64 }))
    expect.failure("incompatible", shmseg.cell.open(name))
    assert.True(exists(name))
    expect.success(shmseg.queue.open(name)):close()
    assert.False(exists(name))
  end)

  it("has its mark where the format says", function()
    local name = scratch.name()
    for mark, temporary in pairs { [0] = false, true, "last" } do
      local cell = expect.success(
        shmseg.cell.open(name, "c", sized("cell", { temporary = temporary })))
      assert.equal(mark, cell:segment():get_u32(12))
      cell:close()
      shmseg.unlink(name)
    end
  end)
end)

describe("what forked children have open", function()
  after_each(scratch.clean)

  it("stays until they have closed it", function()
    run([[
      local name = ...
      local seg = assert(shmseg.open(name, "c", 64, { temporary = "last" }))
      local child = host.fork()
      if child == 0 then
        seg:close()
        host._exit(shmseg.stat(name) and 7 or 8)
      end
      assert(host.wait(child) == 7)
      seg:close()
      assert(not shmseg.stat(name))
      print "done"]], scratch.name())
  end)

  it("goes with the child when that closes, or exits, last", function()
    for _, ending in ipairs { "seg:close() host._exit(7)", "os.exit(7)", "os.exit(7, true)" } do
      run([[
        local name = ...
        local go = assert(shmseg.event.open(name .. "-go", "c"))
        local seg = assert(shmseg.open(name, "c", 64, { temporary = "last" }))
        local child = host.fork()
        if child == 0 then
          go:wait()
          ]] .. ending .. [[ end
        seg:close()
        assert(shmseg.stat(name))
        go:set()
        assert(host.wait(child) % 256 == 7)
        assert(not shmseg.stat(name))
        print "done"]], scratch.family())
    end
  end)

  it("does not keep a parent that exits from taking its name along when they are gone", function()
    run([[
      local name = ...
      local parent = host.fork()
      if parent == 0 then
        local seg = assert(shmseg.open(name, "c", 64, { temporary = "last" }))
        local child = host.fork()
        if child == 0 then
          host._exit(0)
        end
        assert(host.wait(child) == 0)
        os.exit(7)
      end
      assert(host.wait(parent) == 7)
      assert(not shmseg.stat(name))
      print "done"]], scratch.name())
  end)
end)

describe("a process that has forked, and has an object by handles of several sorts", function()
  after_each(scratch.clean)

  local others = {
    "shmseg.open(name, 'r')",
    "shmseg.from_fd(object:segment():fd())",
    "shmseg.map('/dev/shm/' .. name)",
    "shmseg.map('/dev/shm/' .. name, 'r', nil, { private = true })",
  }

  for _, opened in ipairs(others) do
    it("takes the name along when it exits; one is " .. opened, function()
      run([[
        local name = ...
        local parent = host.fork()
        if parent == 0 then
          local object = assert(shmseg.event.open(name, "c", { temporary = "last" }))
          local other = assert(]] .. opened .. [[)
          local child = host.fork()
          if child == 0 then
            os.exit(0)
          end
          assert(host.wait(child) == 0 and shmseg.stat(name))
          os.exit(7)
        end
        assert(host.wait(parent) == 7)
        assert(not shmseg.stat(name))
        print "done"]], scratch.name())
    end)
  end
end)

describe("behind a process that is stopped while it removes the name", function()
  after_each(scratch.clean)

  local waits = {
    open = "return shmseg.open(name)",
    ["open for reading"] = "return shmseg.open(name, 'r')",
    ["open that may create"] = "return shmseg.open(name, 'c', 64, { init = function() end })",
    ["open of an object"] = "return shmseg.cell.open(name, 'c', { capacity = 8 })",
  }

  for what, chunk in pairs(waits) do
    it(("%s ends at a signal of shmseg.signals, or with that process"):format(what), function()
      local name = scratch.name()
      expect.success(shmseg.cell.open(name, "x", { capacity = 8 })):close()
      local holder = lock_file(name, "remove", REMOVERS)
      local other = peer.start()
      other:call("name = ...; stop = shmseg.signals 'TERM'", name)
      other:send(chunk)
      other:await_sleep()
      other:signal "TERM"
      local value, message, code = other:receive()
      assert.is_nil(value)
      assert.equal("interrupted", message)
      assert.equal("interrupted", code)
      other:call "stop:wait(0)"
      other:send("opened = (function() " .. chunk .. " end)() return opened ~= nil")
      other:await_sleep()
      holder:signal "KILL"
      assert.True(other:receive())
      assert.True(exists(name))
    end)
  end
end)

describe("a process that may only read", function()
  after_each(scratch.clean)

  it("can make the name stay, and keeps nobody from opening", function()
    local name = scratch.name()
    local seg = open(name, "x", last)
    seg:close()
    open(name, "x"):close()
    local holder = lock_file(name, "exclusive")
    local mine = open(name, "rw", last)
    local reader = open(name, "r")
    mine:close()
    reader:close()
    assert.True(exists(name))
    assert.True(holder:lives())
    holder:signal "KILL"
    holder:finish()
    open(name, "c", last):close()
    assert.False(exists(name))
  end)
end)

describe("shmseg.features", function()
  it("tells whether there is presence", function()
    assert.equal(shmseg.features().platform == "linux", shmseg.features().presence)
  end)
end)
