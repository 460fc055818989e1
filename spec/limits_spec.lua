-- SPDX-License-Identifier: MIT
-- Surroundings that are short of something: descriptors, memory, address space, permissions, /proc;
-- peers that are stopped, or may only read.

local shmseg = require "shmseg"
local build = require "spec.support.build"
local expect = require "spec.support.expect"
local machine = require "spec.support.machine"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local sandbox = require "spec.support.sandbox"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local page = shmseg.pagesize

local function create(size, options)
  local name = scratch.name()
  return expect.success(shmseg.open(name, "x", size, options)), name
end

-- A spec that runs in a peer in such surroundings: f(peer), or pending.
local function in_sandbox(words, reason, f)
  if not words then
    pending(reason)
  end
  return f(peer.start(words))
end

-- A process that holds a lock on the object, see file_lock.c.
local function lock_file(name, ...)
  local program, reason = build.program({ "spec/support/file_lock.c" }, "-D_FILE_OFFSET_BITS=64")
  assert(program, reason)
  local holder = process.start({ program, scratch.objects .. name, ... })
  assert.equal("locked", holder:line())
  return holder
end

local RESIZE_BYTE = "0x3fffffffffffffff"

describe("a resize that fails", function()
  after_each(scratch.clean)

  it("for want of address space leaves handle and object as they were", function()
    if machine.small then
      pending(machine.small)
    end
    local seg, name = create(page, { reserve = false })
    expect.failure("ENOMEM", seg:resize(2 ^ 50))
    assert.equal(page, #seg)
    assert.equal(page, shmseg.stat(name).size)
    assert.equal(page, #expect.success(shmseg.open(name)))
    assert.equal(2 * page, seg:resize(2 * page))
  end)

  it("for want of address space gives the memory back", function()
    local words, reason = sandbox.limits { as = 400 * 2 ^ 20 }
    return in_sandbox(words, reason, function(other)
      local name = scratch.name()
      local code, size, allocated = other:call([[
        local seg = assert(shmseg.open(..., "x", shmseg.pagesize))
        local _, _, code = seg:resize(600 * 2 ^ 20)
        return code, #seg, seg:stat().allocated]], name)
      assert.equal("ENOMEM", code)
      assert.equal(page, size)
      assert.equal(page, allocated)
      assert.equal(page, shmseg.stat(name).size)
    end)
  end)

  it("because it cannot pin the pages leaves handle and object as they were", function()
    for _, max in ipairs { 0, 2 ^ 20 } do
      local words, reason = sandbox.limits { memlock = 65536 }
      local result = in_sandbox(words, reason, function(other)
        local name = scratch.name()
        local code, size, allocated, read = other:call([[
          local name, max = ...
          local seg = assert(shmseg.open(name, "x", 4096,
            { pin = true, max = max > 0 and max or nil }))
          seg:write(0, "kept")
          local _, _, code = seg:resize(2 ^ 18)
          return code, #seg, seg:stat().allocated, seg:read(0, 4)]], name, max)
        assert.truthy(code == "ENOMEM" or code == "EAGAIN" or code == "EPERM", code)
        assert.equal(4096, size)
        assert.equal(4096, allocated)
        assert.equal("kept", read)
        assert.equal(4096, shmseg.stat(name).size)
      end)
      if result then
        return result
      end
    end
  end)

  it("leaves what a peer has grown meanwhile", function()
    if machine.small then
      pending(machine.small)
    end
    local seg, name = create(page, { reserve = false })
    expect.success(shmseg.open(name)):resize(3 * page)
    expect.failure("ENOMEM", seg:resize(2 ^ 50))
    assert.equal(3 * page, shmseg.stat(name).size)
    assert.equal(3 * page, seg:refresh())
  end)
end)

describe("a pinned segment that grows", function()
  after_each(scratch.clean)

  it("may have all that can be pinned, also where it moves", function()
    local words, reason = sandbox.limits { memlock = 65536 }
    return in_sandbox(words, reason, function(other)
      local name = scratch.name()
      local size, again = other:call([[
        local seg = assert(shmseg.open(..., "x", 40 * 1024, { pin = true }))
        local size = assert(seg:resize(48 * 1024))
        assert(not seg:resize(2 ^ 20))
        return size, assert(seg:resize(56 * 1024))]], name)
      assert.equal(48 * 1024, size)
      assert.equal(56 * 1024, again)
    end)
  end)
end)

describe("a refresh that fails", function()
  after_each(scratch.clean)

  it("for want of address space leaves the handle as it was", function()
    local words, reason = sandbox.limits { as = 400 * 2 ^ 20 }
    return in_sandbox(words, reason, function(other)
      local seg, name = create(page, { reserve = false })
      seg:write(0, "kept")
      other:call("seg = assert(shmseg.open(...))", name)
      seg:resize(2 ^ 30)
      local code, size, text = other:call([[
        local _, _, code = seg:refresh()
        return code, #seg, seg:read(0, 4)]])
      assert.equal("ENOMEM", code)
      assert.equal(page, size)
      assert.equal("kept", text)
      seg:resize(2 * page)
      assert.equal(2 * page, other:call "return seg:refresh()")
    end)
  end)

  it("because it cannot pin the pages leaves the handle as it was", function()
    local words, reason = sandbox.limits { memlock = 65536 }
    return in_sandbox(words, reason, function(other)
      local seg, name = create(page)
      other:call("seg = assert(shmseg.open(..., 'rw', nil, { pin = true }))", name)
      seg:resize(2 ^ 18)
      local code, size = other:call([[
        local _, _, code = seg:refresh()
        return code, #seg]])
      assert.truthy(code == "ENOMEM" or code == "EAGAIN" or code == "EPERM", code)
      assert.equal(page, size)
    end)
  end)
end)

describe("populate and pin", function()
  after_each(scratch.clean)

  it("take no memory for what a peer has grown without taking any", function()
    if machine.small then
      pending(machine.small)
    end
    local words, reason = sandbox.small_shm(64 * 2 ^ 20) -- not all there is, should it go wrong
    return in_sandbox(words, reason, function(other)
      for _, option in ipairs { "populate", "pin" } do
        local size, text, allocated = other:call([[
          local option = ...
          local seg = assert(shmseg.open(option, "x", 4096, { reserve = false }))
          local handle = shmseg.open(option, "rw", nil, { [option] = true })
          if not handle then -- pinning may be refused
            return 2 ^ 40, "far away", 0
          end
          seg:resize(2 ^ 40)
          seg:write(2 ^ 39, "far away")
          return assert(handle:refresh()), handle:read(2 ^ 39, 8), shmseg.stat(option).allocated]],
          option)
        assert.equal(2 ^ 40, size)
        assert.equal("far away", text)
        assert.truthy(allocated <= 8 * page, allocated)
      end
    end)
  end)
end)

describe("handles that were forgotten", function()
  after_each(scratch.clean)

  it("do not exhaust the descriptors", function()
    local words, reason = sandbox.limits { nofile = 64 }
    return in_sandbox(words, reason, function(other)
      local name = scratch.name()
      assert.equal(1200, other:call([[
        require "spec.support.collector"("pause", 10000)
        local name, made = ..., 0
        local kept = assert(shmseg.open(name, "x", 64))
        for _ = 1, 300 do
          assert(shmseg.anonymous(64))
          assert(shmseg.open(name))
          assert(shmseg.from_fd(kept:fd()))
          local mutex = assert(shmseg.mutex.open(assert(shmseg.anonymous(128)), "c"))
          assert(mutex:lock())
          made = made + 4
        end
        return made]], name))
    end)
  end)

  it("do not exhaust shared memory", function()
    local words, reason = sandbox.small_shm(16 * 2 ^ 20)
    return in_sandbox(words, reason, function(other)
      assert.equal(100, other:call [[
        require "spec.support.collector"("pause", 10000)
        for i = 1, 50 do
          assert(shmseg.open("frame", "x", 2 ^ 20)):write(0, "frame " .. i)
          assert(shmseg.unlink "frame")
        end
        local seg = assert(shmseg.open("grows", "x", 4096))
        for i = 1, 50 do
          assert(shmseg.open("frame", "x", 2 ^ 20))
          assert(shmseg.unlink "frame")
          assert(seg:resize(i * 2 ^ 17))
        end
        return 100]])
    end)
  end)

  it("of other kinds of memory end a call that needs some", function()
    local words, reason = sandbox.limits { as = 600 * 2 ^ 20 }
    return in_sandbox(words, reason, function(other)
      assert.equal("made", other:call [[
        require "spec.support.collector"("pause", 10000)
        for _ = 1, 100 do
          assert(shmseg.anonymous(50 * 2 ^ 20, { reserve = false }))
        end
        return "made"]])
    end)
  end)
end)

describe("without a descriptor", function()
  after_each(scratch.clean)

  it("unlink works, and resize to the same size", function()
    local words, reason = sandbox.limits { nofile = 40 }
    return in_sandbox(words, reason, function(other)
      local name, plain = scratch.name(), scratch.name()
      local last, size, unlinked, by_name = other:call([[
        local name, plain = ...
        local seg = assert(shmseg.open(name, "x", 64))
        assert(shmseg.open(plain, "x", 64)):close()
        local files, _, last = {}
        repeat
          files[#files + 1], _, last = io.open("/dev/null")
        until last
        return last, seg:resize(64), seg:unlink(), shmseg.unlink(plain)]], name, plain)
      assert.equal(24, last) -- EMFILE
      assert.equal(64, size)
      assert.True(unlinked)
      assert.True(by_name)
      assert.is_nil(scratch.bytes(name))
    end)
  end)
end)

describe("a program without standard streams", function()
  after_each(scratch.clean)

  it("does not print into shared memory, nor read it", function()
    local name = scratch.name()
    local script = scratch.file([[
      local shmseg = require "shmseg"
      local seg = assert(shmseg.open(..., "x", 4096))
      local mutex = assert(shmseg.mutex.open(seg:slice(64), "c"))
      assert(mutex:lock())
      assert(seg:resize(8192))
      shmseg.list()
      print "printed"
      io.stderr:write "complained"
      local line = io.read()
      assert(seg:fd() > 2)
      assert(seg:read(0, 64) == ("\0"):rep(64) and line == nil)
      assert(mutex:unlock())]])
    local lua = shell.quote((table.unpack or unpack)(peer.command()))
    local _, status = shell.run(("%s %s %s 0<&- 1>&- 2>&-"):format(lua, script, name))
    assert.equal(0, status)
  end)
end)

describe("permissions that shut out their creator", function()
  after_each(scratch.clean)

  for _, perm in ipairs { "400", "444", "200", "000" } do
    it(("(%s) leave its handle all that it can do"):format(perm), function()
      local words, reason = sandbox.user()
      return in_sandbox(words, reason, function(other)
        local name, cell_name = scratch.name(), scratch.name()
        local size, locked, version, unlinked = other:call([[
          local name, cell_name, perm = ...
          local seg = assert(shmseg.open(name, "x", 4096, { perm = perm }))
          local size = assert(seg:resize(8192))
          local mutex = assert(shmseg.mutex.open(seg, "c"))
          local locked = mutex:lock() and mutex:unlock()
          local cell = assert(shmseg.cell.open(cell_name, "x", { capacity = 64, perm = perm }))
          local version = assert(cell:set "mine to write")
          return size, locked, version, seg:unlink() and cell:unlink()]], name, cell_name, perm)
        assert.equal(8192, size)
        assert.True(locked)
        assert.equal(1, version)
        assert.True(unlinked)
        assert.is_nil(scratch.bytes(name))
      end)
    end)
  end

  it("leave it its locks after a cut, too", function()
    local words, reason = sandbox.user()
    return in_sandbox(words, reason, function(other)
      local name = scratch.name()
      other:call([[
        seg = assert(shmseg.open(..., "x", 8192, { perm = "444" }))
        assert(assert(shmseg.mutex.open(seg:slice(4096), "c")):lock())]], name)
      local cut = expect.success(shmseg.open(name))
      cut:resize(1)
      assert.equal("truncated", other:call "return (select(3, seg:read()))")
      cut:resize(8192)
      assert.True(other:call [[
        assert(seg:refresh())
        local mutex = assert(shmseg.mutex.open(seg:slice(4096), "c"))
        return mutex:lock() and mutex:unlock()]])
    end)
  end)

  it("take a temporary object away all the same", function()
    local words, reason = sandbox.user()
    return in_sandbox(words, reason, function(other)
      local closed, left = scratch.name(), scratch.name()
      other:call([[
        local closed, left = ...
        assert(shmseg.open(closed, "x", 64, { perm = "444", temporary = true })):close()
        kept = assert(shmseg.open(left, "x", 64, { perm = "444", temporary = true }))]],
        closed, left)
      assert.is_nil(scratch.bytes(closed))
      assert.truthy(scratch.bytes(left))
      other:send "os.exit(0)"
      other:finish()
      assert.is_nil(scratch.bytes(left))
    end)
  end)

  it("let a reader unlink nothing, since that could not be exact", function()
    local words, reason = sandbox.user()
    return in_sandbox(words, reason, function(other)
      local name = scratch.name()
      local code, by_name = other:call([[
        assert(shmseg.open(..., "x", 64, { perm = "400" })):close()
        local reader = assert(shmseg.open(..., "r"))
        local _, _, code = reader:unlink()
        return code, shmseg.unlink(...)]], name)
      assert.equal("EACCES", code)
      assert.True(by_name)
    end)
  end)
end)

describe("a peer that may only read", function()
  after_each(scratch.clean)

  it("and locks all of the object for that keeps nobody from anything", function()
    local seg, name = create(4096)
    local holder = lock_file(name, "read")
    local mutex = expect.success(shmseg.mutex.open(seg:slice(0), "c"))
    assert.truthy(mutex:lock(0))
    assert.True(mutex:unlock())
    local queue = expect.success(shmseg.queue.open(seg:slice(1024), "c"))
    assert.True(queue:push("through", 0))
    assert.equal("through", queue:pop(0))
    assert.equal(8192, seg:resize(8192))
    assert.equal(4096, seg:resize(4096))
    assert.True(seg:unlink())
    assert.is_nil(scratch.bytes(name))
    assert.True(holder:lives())
  end)

  it("lets two owners exclude each other", function()
    local seg, name = create(128)
    local holder = lock_file(name, "read")
    local mine = expect.success(shmseg.mutex.open(seg, "c"))
    local theirs = expect.success(shmseg.mutex.open(expect.success(shmseg.open(name)), "rw"))
    assert.truthy(mine:lock())
    expect.failure("timeout", theirs:lock(0))
    mine:unlock()
    assert.truthy(theirs:lock(0))
    expect.failure("timeout", mine:lock(0))
    assert.True(holder:lives())
  end)

  it("does not hold up a process that ends with temporary objects", function()
    local name = scratch.name()
    local other = peer.start()
    other:call("seg = assert(shmseg.open(..., 'x', 64, { temporary = true }))", name)
    local holder = lock_file(name, "read")
    other:send "os.exit(0)"
    other:finish()
    assert.is_nil(scratch.bytes(name))
    assert.True(holder:lives())
  end)
end)

describe("behind a peer that is stopped in the middle", function()
  after_each(scratch.clean)

  -- What a peer does behind somebody who has the lock of the object.
  local waits = {
    resize = "return seg:resize(8192)",
    unlink = "return seg:unlink()",
    ["unlink by name"] = "return shmseg.unlink(name)",
  }

  for what, chunk in pairs(waits) do
    it(("%s ends at a signal of shmseg.signals"):format(what), function()
      local _, name = create(4096)
      lock_file(name, "write", RESIZE_BYTE)
      local other = peer.start()
      other:call("name = ...; seg = assert(shmseg.open(name)); stop = shmseg.signals 'TERM'", name)
      other:send(chunk)
      other:await_sleep()
      other:signal "TERM"
      local value, message, code = other:receive()
      assert.is_nil(value)
      assert.equal("interrupted", message)
      assert.equal("interrupted", code)
      assert.equal("TERM", other:call "return stop:wait(0)")
      assert.equal(4096, shmseg.stat(name).size)
    end)

    it(("%s lets a hook run, whose error ends it"):format(what), function()
      local _, name = create(4096)
      lock_file(name, "write", RESIZE_BYTE)
      local other = peer.start()
      other:call("name = ...; seg = assert(shmseg.open(name))", name)
      assert.truthy(other:call([[
        local function wait() ]] .. chunk .. [[ end
        debug.sethook(function()
          local info = debug.getinfo(2, "nS")
          if info.what == "C" and not info.name then -- called by the library, in its wait
            error "enough"
          end
        end, "c")
        local ok, message = pcall(wait)
        debug.sethook()
        return not ok and tostring(message)]]):find "enough")
      assert.equal(4096, shmseg.stat(name).size)
    end)
  end
end)

describe("opening an object that a stopped process is building", function()
  after_each(scratch.clean)

  -- A segment with the mark of a builder who lives, at 1024.
  local function half_built()
    local seg, name = create(4096)
    local mutex = expect.success(shmseg.mutex.open(seg:slice(0), "c"))
    mutex:lock() -- now its word is the identity
    seg:set_u32(1024, 0x80000000 + seg:get_u32(64))
    return name, mutex
  end

  it("ends at a signal of shmseg.signals", function()
    local name, mutex = half_built()
    local other = peer.start()
    other:call("seg = assert(shmseg.open(...)); stop = shmseg.signals 'TERM'", name)
    other:signal "TERM"
    local value, message, code = other:call "return shmseg.cell.open(seg:slice(1024), 'c')"
    assert.is_nil(value)
    assert.equal("interrupted", message)
    assert.equal("interrupted", code)
    mutex:close()
  end)

  it("lets a hook run, whose error ends it, and gives up after a second", function()
    local name, mutex = half_built()
    local other = peer.start()
    local text, code = other:call([[
      local seg = assert(shmseg.open(...))
      debug.sethook(function()
        local info = debug.getinfo(2, "nS")
        if info.what == "C" and not info.name then
          error "enough"
        end
      end, "c")
      local ok, text = pcall(shmseg.cell.open, seg:slice(1024), "c")
      debug.sethook()
      assert(not ok)
      local _, _, code = shmseg.cell.open(seg:slice(1024), "c")
      return text, code]], name)
    assert.truthy(text:find "enough")
    assert.equal("timeout", code)
    mutex:close()
  end)
end)

describe("an empty file", function()
  after_each(scratch.clean)

  it("counts as absent in mode \"c\", and is a new one then", function()
    local path = os.tmpname()
    scratch.defer(function()
      os.remove(path)
    end)
    local seg, created = expect.success(shmseg.map(path, "c", 100, {
      init = function(new)
        new:write(0, "made")
      end,
    }))
    assert.True(created)
    assert.equal("made", seg:read(0, 4))
    local again, twice = expect.success(shmseg.map(path, "c", 100))
    assert.False(twice)
    assert.equal("made", again:read(0, 4))
  end)

  it("is too small for who attaches, and there for who only creates", function()
    local path = scratch.file ""
    expect.failure("too small", shmseg.map(path, "rw"))
    expect.failure("EEXIST", shmseg.map(path, "x", 100))
  end)

  it("is one file for those who race to make something of it", function()
    local path = scratch.file ""
    local peers = {}
    for i = 1, 3 do
      peers[i] = peer.start()
    end
    for _, other in ipairs(peers) do
      other:send([[
        local seg, created = assert(shmseg.map(..., "c", 100))
        return created, string.format("%d", seg:stat().inode)]], path)
    end
    local makers, inodes = 0, {}
    for i, other in ipairs(peers) do
      local created
      created, inodes[i] = other:receive()
      makers = makers + (created and 1 or 0)
    end
    assert.equal(1, makers)
    assert.equal(inodes[1], inodes[2])
    assert.equal(inodes[1], inodes[3])
  end)

  it("is reached through a link, which stays one", function()
    local path = scratch.file ""
    local link = scratch.path "link"
    assert(shell.succeeds(shell.quote("ln", "-s", path, link)))
    local seg = expect.success(shmseg.map(link, "c", 10))
    seg:write(0, "0123456789")
    assert.equal("0123456789", expect.success(shmseg.map(path)):read())
    assert.True(shell.succeeds(shell.quote("test", "-L", link)))
    seg:close()
    io.open(path, "w"):close()
    expect.success(shmseg.map(link, "c", 10, { temporary = true })):close()
    assert.False(shell.succeeds(shell.quote("test", "-e", path)))
    assert.True(shell.succeeds(shell.quote("test", "-L", link)))
  end)

  it("under a name of shared memory is a creator's moment, and stays", function()
    local name = scratch.name()
    io.open(scratch.objects .. name, "w"):close()
    expect.failure("too small", shmseg.open(name, "c", 100))
    assert.equal("", scratch.bytes(name))
  end)
end)

describe("without /proc", function()
  after_each(scratch.clean)

  it("objects are made, locked and resized by their names", function()
    local words, reason = sandbox.no_proc()
    return in_sandbox(words, reason, function(other)
      local name = scratch.name()
      local size, locked, popped, unlinked = other:call([[
        local name = ...
        local seg = assert(shmseg.open(name, "c", 4096, { init = function(new)
          new:write(4000, "filled")
        end }))
        assert(seg:read(4000, 6) == "filled")
        local size = assert(seg:resize(8192))
        local mutex = assert(shmseg.mutex.open(seg:slice(0), "c"))
        local locked = mutex:lock(0) and mutex:unlock()
        local queue = assert(shmseg.queue.open(name .. "-queue", "c", { capacity = 100 }))
        assert(queue:push "message")
        local popped = queue:pop(0)
        return size, locked, popped, seg:unlink() and queue:unlink()]], name)
      assert.equal(8192, size)
      assert.True(locked)
      assert.equal("message", popped)
      assert.True(unlinked)
      assert.equal(0, #shmseg.list("^%.shmseg%-"))
    end)
  end)

  it("what has no name says that it cannot be locked", function()
    local words, reason = sandbox.no_proc()
    return in_sandbox(words, reason, function(other)
      local message, code, has_proc = other:call [[
        local _, message, code = shmseg.mutex.open(assert(shmseg.anonymous(128)), "c")
        return message, code, shmseg.features().proc]]
      assert.equal("ENOTSUP", code)
      assert.truthy(message:find("/proc", 1, true))
      assert.False(has_proc)
      assert.True(shmseg.features().proc)
    end)
  end)
end)

describe("an init that loses the race for the name", function()
  after_each(scratch.clean)

  it("leaves nothing alive of what it has made", function()
    local name = scratch.name()
    local cell, slice, array
    local seg, created = expect.success(shmseg.open(name, "c", 4096, {
      init = function(new)
        cell = assert(shmseg.cell.open(new, "c", { capacity = 64 }))
        slice = new:slice(0, 64)
        array = new:array(0, "u8")
        local winner = assert(shmseg.open(name, "x", 8192))
        winner:fill(0, 8192, 120)
      end,
    }))
    assert.False(created)
    expect.misuse("closed", function()
      return cell:set "outside"
    end)
    expect.misuse("closed", function()
      return slice:write(0, "outside")
    end)
    expect.misuse("closed", function()
      array[1] = 0
    end)
    assert.equal(("x"):rep(8192), seg:read())
  end)
end)
