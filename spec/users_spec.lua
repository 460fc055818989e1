-- SPDX-License-Identifier: MIT
-- What is behind a name, and who uses it: kind and users; and the core's look and openers, of which
-- the command line tool is made.

local shmseg = require "shmseg"
local core = require "shmseg.core"
local expect = require "spec.support.expect"
local host = require "spec.support.host"
local peer = require "spec.support.peer"
local sandbox = require "spec.support.sandbox"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local options = {
  semaphore = { permits = 3 },
  cell = { capacity = 100 },
  queue = { capacity = 100 },
  broadcast = { capacity = 100 },
  dict = { capacity = 1000, evict = "none" },
}

local function make(kind)
  local name = scratch.name()
  local object = expect.success(shmseg[kind].open(name, "x", options[kind]))
  object:close()
  return name
end

-- A segment with these bytes, which nobody has open.
local function bytes_of(text)
  local name = scratch.name()
  local file = assert(io.open(scratch.objects .. name, "wb"))
  file:write(text)
  file:close()
  return name
end

-- Changes the number of 32 or 64 bits at that offset of an object.
local function spoil(name, offset, value, bits)
  local segment = expect.success(shmseg.open(name))
  segment["set_u" .. (bits or 32)](segment, offset, value)
  segment:close()
  return name
end

local function cut(name, size)
  assert(shell.succeeds(("truncate -s %d %s%s"):format(size, scratch.objects, name)))
  return name
end

-- The name of something in the folder that is no shared memory, and what it is.
local function strangers()
  local target = bytes_of "behind a link"
  local made = {}
  for what, command in pairs {
    ["a FIFO"] = "mkfifo",
    ["a directory"] = "mkdir",
    ["a symbolic link"] = "ln -s " .. scratch.objects .. target,
  } do
    local name = scratch.name()
    assert(shell.succeeds(command .. " " .. scratch.objects .. name))
    scratch.defer(function()
      shell.run("rm -rf " .. scratch.objects .. name)
    end)
    made[name] = what
  end
  return made
end

describe("shmseg.kind", function()
  after_each(scratch.clean)

  it("tells the kind of each object", function()
    for _, kind in ipairs(core.kinds) do
      assert.equal(kind, shmseg.kind(make(kind)))
    end
  end)

  it("is \"segment\" for plain bytes, also for a few or none", function()
    for _, text in ipairs { "", "a", "SMHS", ("x"):rep(63), ("\0"):rep(64), ("shmseg"):rep(100) } do
      local name = bytes_of(text)
      if text == "SMHS" then -- the magic of a machine of one of the two byte orders
        name = spoil(name, 0, 1)
      end
      assert.equal("segment", shmseg.kind(name))
    end
  end)

  it("takes a slash in front, and says that a name is missing", function()
    local name = make "event"
    assert.equal("event", shmseg.kind("/" .. name))
    shmseg.unlink(name)
    local message = expect.failure("ENOENT", shmseg.kind(name))
    assert.truthy(message:find(name, 1, true))
    assert.falsy(message:find("creates", 1, true)) -- which is what opening can do
  end)

  it("raises misuse, and blames the caller", function()
    expect.misuse("users_spec", function()
      shmseg.kind "a/b"
    end)
    expect.misuse({ "users_spec", "name: string expected" }, function()
      shmseg.users(7)
    end)
  end)

  it("says of a kind, or of a version, that this library does not know, what it is", function()
    for _, number in ipairs { 0, #core.kinds + 1, 2 ^ 32 - 1 } do
      local message = expect.failure("incompatible", shmseg.kind(spoil(make "queue", 4, number)))
      assert.truthy(message:find(("number %.0f"):format(number), 1, true))
    end
    local message = expect.failure("incompatible", shmseg.kind(spoil(make "queue", 8, 77)))
    assert.truthy(message:find("version 77 of the format of a queue", 1, true))
  end)

  it("believes no header that says another size than is right for its geometry", function()
    for _, lie in ipairs { 0, 1, 2 ^ 40, 2 ^ 62 } do
      local name = spoil(make "queue", 16, lie, 64)
      local message = expect.failure("incompatible", shmseg.kind(name))
      assert.truthy(message:find(("says %.0f bytes"):format(lie), 1, true))
    end
    for _, huge in ipairs { 0, 2 ^ 40, 2 ^ 62, -1 } do -- -1: all bits
      for _, kind in ipairs(core.kinds) do
        expect.failure("incompatible", shmseg.kind(spoil(make(kind), 24, huge, 64)))
      end
    end
  end)

  it("says of an object that was cut how many bytes are missing", function()
    local name = make "queue"
    local size = shmseg.stat(name).size
    local message = expect.failure("too small", shmseg.kind(cut(name, size - 1)))
    assert.truthy(message:find(("%d bytes, %d needed"):format(size - 1, size), 1, true))
    for left = 63, 4, -1 do
      message = expect.failure("too small", shmseg.kind(cut(name, left)))
      assert.truthy(message:find(("%d bytes, 64 needed"):format(left), 1, true))
    end
    for left = 3, 0, -1 do
      assert.equal("segment", shmseg.kind(cut(name, left)))
    end
  end)

  it("does not follow a link, and does not wait at a FIFO", function()
    for name, what in pairs(strangers()) do
      local _, message, code = shmseg.kind(name)
      assert.truthy(code == "ENODEV" or code == "ELOOP")
      assert.truthy(message:find(what, 1, true))
      assert.truthy(expect.failure("ENODEV", shmseg.users(name)):find(what, 1, true))
    end
  end)

  it("neither maps nor changes what it looks at", function()
    local name = make "queue"
    local before, modified = scratch.bytes(name), shmseg.stat(name).modified
    assert(shell.succeeds("chmod 400 " .. scratch.objects .. name))
    assert.equal("queue", shmseg.kind(name))
    assert.equal(before, scratch.bytes(name))
    assert.equal(modified, shmseg.stat(name).modified)
    assert.same({}, select(2, shmseg.users(name)))
  end)

  it("needs no /proc", function()
    local words, reason = sandbox.no_proc()
    if not words then
      pending(reason)
      return
    end
    local other = peer.start(words)
    assert.equal("queue", other:call("return shmseg.kind(...)", make "queue"))
  end)
end)

describe("shmseg.users", function()
  after_each(scratch.clean)

  it("lists the processes that have it mapped, each once, sorted", function()
    local name = bytes_of(("\0"):rep(4096))
    local pids = {}
    for _ = 1, 3 do
      local other = peer.start()
      other:call("a, b = shmseg.open(...), shmseg.open(...)", name)
      pids[#pids + 1] = other.pid
    end
    table.sort(pids)
    local _, users = expect.success(shmseg.users(name))
    assert.same(pids, users)
  end)

  it("does not list a process that has closed it or has ended, nor what looks", function()
    local name = bytes_of(("\0"):rep(4096))
    local other, dead = peer.start(), peer.start()
    other:call("a = shmseg.open(...)", name)
    dead:call("a = shmseg.open(...)", name)
    dead:signal "KILL"
    dead:finish()
    assert.same({ other.pid }, (select(2, shmseg.users(name))))
    other:call "a:close()"
    local handles, users = shmseg.users(name)
    assert.equal(0, handles)
    assert.same({}, users)
  end)

  it("finds it by its inode, whatever its name looks like", function()
    local name = scratch.family() .. " (deleted)\n7f00-7f01 rw-s 00000000 00:00 1 x"
    local segment = expect.success(shmseg.open(name, "x", 64))
    assert.same({ tonumber(shell.pid()) }, (select(2, shmseg.users(name))))
    segment:close()
    assert.same({}, (select(2, shmseg.users(name))))
  end)

  it("counts a handle that has made it by its path, as one that has found it there", function()
    local name = scratch.name()
    local made = expect.success(shmseg.map(scratch.objects .. name, "x", 64))
    assert.equal(1, (shmseg.users(name)))
    local found = expect.success(shmseg.map(scratch.objects .. name))
    assert.equal(2, (shmseg.users(name)))
    made:close()
    found:close()
    assert.equal(0, (shmseg.users(name)))
  end)

  it("knows another memory of the same name from the one before", function()
    local name = bytes_of(("\0"):rep(64))
    local segment = expect.success(shmseg.open(name))
    expect.success(shmseg.unlink(name))
    expect.success(shmseg.open(name, "x", 64)):close()
    assert.same({}, (select(2, shmseg.users(name))))
    segment:close()
  end)

  it("sees a program that is no Lua at all", function()
    local name = bytes_of(("\0"):rep(64))
    local path = scratch.objects .. name
    if not shell.succeeds "flock --no-fork / true" then -- a child of it would not be ended below
      pending "there is no flock that becomes another program"
      return
    end
    local process = require "spec.support.process"
    local other = process.start {
      "flock", "--no-fork", "-s", path, "sh", "-c", "echo locked && exec sleep 60",
    }
    assert.equal("locked", other:line())
    local handles, users = shmseg.users(name)
    assert.equal(1, handles) -- which is what a handle's presence looks like
    assert.equal(1, #users)
  end)

  it("does not list a dead process whose child keeps its lock", function()
    local lines, reason = host.run([[
      local shmseg, core = require "shmseg", require "shmseg.core"
      local name = ...
      local go = assert(shmseg.event.open(name .. "-go", "c"))
      go:unlink()
      local parent = host.fork()
      if parent == 0 then
        local segment = assert(shmseg.open(name))
        local child = host.fork()
        if child == 0 then
          go:wait()
          segment:close()
        end
        host._exit(0)
      end
      assert(host.wait(parent) == 0)
      local stat = shmseg.stat(name)
      local opener = core.openers()[("%d:%d"):format(stat.device, stat.inode)]
      local _, users = shmseg.users(name)
      for _, list in ipairs { users, opener.pids } do
        assert(#list == 1 and list[1] ~= parent)
      end
      go:set()
      print "done"]], bytes_of(("\0"):rep(64)))
    if not lines then
      pending(reason)
      return
    end
    assert.same({ "done" }, lines)
  end)

  it("answers also while a signal waits to be taken", function()
    local other = peer.start()
    local handles, code = other:call([[
      local signals = assert(shmseg.signals "USR1")
      os.execute "kill -USR1 $PPID"
      local handles, _, code = shmseg.users(...)
      return handles, type(code)]], make "event")
    assert.same({ 0, "nil" }, { handles, code })
  end)

  it("says where there is no /proc that it cannot be known", function()
    local words, reason = sandbox.no_proc()
    if not words then
      pending(reason)
      return
    end
    local other = peer.start(words)
    for _, call in ipairs { "shmseg.users(...)", "require 'shmseg.core'.openers()" } do
      local message = expect.failure("ENOTSUP", other:call("return " .. call, make "queue"))
      assert.truthy(message:find("no /proc", 1, true))
    end
  end)

  it("of another user's shared memory is told, as far as it can be seen", function()
    local words, reason = sandbox.user()
    if not words then
      pending(reason)
      return
    end
    local name = bytes_of(("\0"):rep(64))
    assert(shell.succeeds("chmod 600 " .. scratch.objects .. name))
    local segment = expect.success(shmseg.open(name))
    local other = peer.start(words)
    expect.success(other:call("return (shmseg.users(...))", name))
    local code, kind, complete = other:call([[
      local found = require "shmseg.core".look(...)
      return found.code, tostring(found.kind), found.complete]], name)
    assert.same({ "EACCES", "nil", false }, { code, kind, complete })
    local message = expect.failure("EACCES", other:call("return shmseg.kind(...)", name))
    assert.truthy(message:find(name, 1, true))
    segment:close()
  end)

  it("says that no descriptor is left, and says it once one is", function()
    local words, reason = sandbox.limits { nofile = 32 }
    if not words then
      pending(reason)
      return
    end
    local other = peer.start(words)
    local name = make "event"
    local codes = { other:call([[
      local core = require "shmseg.core"
      local open = {}
      repeat
        local file = io.open "/dev/null"
        open[#open + 1] = file
      until not file
      local function code(...) return (select(3, ...)) end
      local codes = { code(shmseg.users(...)), code(core.openers()), code(core.look(...)) }
      for _ = 1, 4 do
        table.remove(open):close()
      end
      codes[4] = tostring(shmseg.users(...))
      return (unpack or table.unpack)(codes)]], name) }
    assert.same({ "EMFILE", "EMFILE", "EMFILE", "0" }, codes)
  end)
end)

describe("the core's look", function()
  after_each(scratch.clean)

  it("tells of each object what the file system and its header say", function()
    for _, kind in ipairs(core.kinds) do
      local name = make(kind)
      local found = expect.success(core.look(name))
      assert.equal(kind, found.kind)
      assert.True(found.complete)
      assert.is_nil(found.code)
      assert.is_nil(found.mark)
      for key, value in pairs(options[kind] or {}) do
        assert.equal(value, found.geometry[key])
      end
      for key, value in pairs(shmseg.stat(name)) do
        assert.equal(key == "accessed" and found[key] or value, found[key])
      end
    end
  end)

  it("tells the mark of what is temporary, and knows no other mark", function()
    for number, mark in pairs { [0] = "none", "process", "last", "none", [2 ^ 32 - 1] = "none" } do
      assert.equal(mark, core.look(spoil(make "cell", 12, number)).mark or "none")
    end
  end)

  it("tells what is wrong with what is there", function()
    local found = core.look(spoil(make "queue", 4, 99))
    assert.same({ code = "incompatible", complete = false },
      { code = found.code, complete = found.complete, kind = found.kind })
    found = core.look(cut(make "queue", 100))
    assert.same({ code = "too small", complete = false, kind = "queue" },
      { code = found.code, complete = found.complete, kind = found.kind })
    assert.equal(100, found.geometry.capacity)
    found = core.look(bytes_of "")
    assert.same({ complete = true, kind = "segment" },
      { code = found.code, complete = found.complete, kind = found.kind })
  end)
end)

describe("the core's openers", function()
  after_each(scratch.clean)

  it("tells of all shared memory at once who has it mapped", function()
    local names, other = {}, peer.start()
    for i = 1, 20 do
      names[i] = bytes_of(("\0"):rep(64))
      other:call("s = s or {} s[#s + 1] = shmseg.open(...)", names[i])
    end
    local own = expect.success(shmseg.open(names[1]))
    local openers = expect.success(core.openers())
    for i, name in ipairs(names) do
      local stat = core.look(name)
      local found = openers[("%d:%d"):format(stat.device, stat.inode)]
      local expected = { other.pid, i == 1 and tonumber(shell.pid()) or nil }
      table.sort(expected)
      assert.same(expected, found.pids)
      assert.equal((shmseg.users(name)), found.handles)
    end
    own:close()
  end)

  it("says nothing of files that are elsewhere", function()
    local device = shmseg.stat(make "event").device
    for key, found in pairs(expect.success(core.openers())) do
      assert.equal(device, tonumber(key:match "^(%d+):%d+$"))
      assert.truthy(#found.pids > 0 or found.handles > 0)
    end
  end)
end)
