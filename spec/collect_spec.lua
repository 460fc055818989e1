-- SPDX-License-Identifier: MIT
-- Removing what is garbage for certain: the core's collect, of which the tool's gc is made.
-- SHMSEG_SPEC_SCALE=34 makes 10,000 rounds of the storm.

local shmseg = require "shmseg"
local core = require "shmseg.core"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local sandbox = require "spec.support.sandbox"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local scale = tonumber(os.getenv "SHMSEG_SPEC_SCALE" or "") or 1

local MARK, PROCESS, LAST = 12, 1, 2

local function exists(name)
  return shell.succeeds("test -e " .. shell.quote(scratch.objects .. name))
end

-- Changes a number of an object's header.
local function set(name, offset, value)
  local segment = expect.success(shmseg.open(name))
  segment:set_u32(offset, value)
  segment:close()
  return name
end

-- An object with that mark, as a process leaves it that was killed.
local function leave(mark, kind)
  local name = scratch.name()
  expect.success(shmseg[kind or "event"].open(name, "x", { capacity = kind and 100 })):close()
  return set(name, MARK, mark)
end

local function leave_bytes(text)
  local name = scratch.name()
  local file = assert(io.open(scratch.objects .. name, "wb"))
  file:write(text)
  file:close()
  return name
end

describe("collect", function()
  after_each(scratch.clean)

  it("removes a temporary object that nobody has open, whichever way it is temporary", function()
    for _, mark in ipairs { PROCESS, LAST } do
      for _, kind in ipairs { "event", "queue" } do
        local name = leave(mark, kind == "queue" and kind or nil)
        assert.True(core.collect(name))
        assert.False(exists(name))
      end
    end
  end)

  it("removes what a process that was killed has left", function()
    for _, temporary in ipairs { "true", "'last'" } do
      local name, other = scratch.name(), peer.start()
      other:call("o = assert(shmseg.cell.open(..., 'c', { capacity = 8, temporary = " .. temporary
        .. " }))", name)
      expect.failure("EBUSY", core.collect(name))
      assert.True(exists(name))
      other:signal "KILL"
      other:finish()
      assert.True(core.collect(name))
      assert.False(exists(name))
    end
  end)

  it("leaves an object that is not temporary, and says so", function()
    local name = leave(0)
    for _, plain in ipairs { false, true } do
      local message = expect.failure("EPERM", core.collect(name, plain))
      assert.truthy(message:find(name, 1, true) and message:find("not temporary", 1, true))
      assert.True(exists(name))
    end
  end)

  it("leaves an object that this version does not know, whatever its mark", function()
    local KIND, VERSION = 4, 8
    for _, offset in ipairs { KIND, VERSION } do
      local name = set(set(leave(0), offset, 99), MARK, LAST)
      expect.failure("EPERM", core.collect(name))
      expect.failure("EPERM", core.collect(name, true))
      assert.True(exists(name))
    end
  end)

  it("removes plain bytes only when it is told to", function()
    for _, text in ipairs { "", "plain", ("\0"):rep(4096) } do
      local name = leave_bytes(text)
      expect.failure("EPERM", core.collect(name))
      assert.True(exists(name))
      assert.True(core.collect(name, true))
      assert.False(exists(name))
    end
  end)

  it("removes a temporary object that was cut behind its header", function()
    local name = leave(LAST, "queue")
    assert(shell.succeeds("truncate -s 64 " .. scratch.objects .. name))
    assert.True(core.collect(name))
    assert.False(exists(name))
  end)

  it("leaves what is open in this process", function()
    local name = leave(LAST)
    for _, mode in ipairs { "r", "rw" } do
      local object = expect.success(shmseg.event.open(name, mode))
      expect.failure("EBUSY", core.collect(name))
      assert.True(exists(name))
      if mode == "r" then -- the last one that may write removes it itself
        object:close()
      end
    end
  end)

  it("leaves what a peer has open, for reading or stopped", function()
    local name, other = leave(LAST), peer.start()
    other:call("o = assert(shmseg.event.open(..., 'r'))", name)
    other:signal "STOP"
    expect.failure("EBUSY", core.collect(name))
    other:signal "CONT"
    other:call "o:close()"
    assert.True(core.collect(name))
  end)

  it("leaves what a program has mapped that does not know this library", function()
    if not shell.succeeds "python3 -c 0" then
      pending "there is no python3"
      return
    end
    for _, plain in ipairs { false, true } do
      local name = plain and leave_bytes(("\0"):rep(4096)) or leave(LAST)
      local other = process.start { "python3", "-c", [[
import mmap, sys, time
file = open(sys.argv[1], "rb")
memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
file.close()
print("mapped", flush=True)
time.sleep(60)]], scratch.objects .. name }
      assert.equal("mapped", other:line())
      local message = expect.failure("EBUSY", core.collect(name, plain))
      assert.truthy(message:find(("process %d has it mapped"):format(other.pid), 1, true))
      assert.True(exists(name))
      other:signal "KILL"
      other:finish()
      assert.True(core.collect(name, plain))
    end
  end)

  it("leaves what a program has locked, for itself or for all", function()
    if not shell.succeeds "command -v flock" then
      pending "there is no flock"
      return
    end
    for _, how in ipairs { "-s", "-x" } do
      local name = leave(LAST)
      local script = "exec 9<%s; flock %s 9 && echo locked && exec sleep 60"
      local other = process.start {
        "sh", "-c", script:format(scratch.objects .. name, how),
      }
      assert.equal("locked", other:line())
      expect.failure("EBUSY", core.collect(name))
      assert.True(exists(name))
      other:signal "KILL"
    end
  end)

  it("takes a list, and tells of each name what has become of it", function()
    local names, expected = {}, {}
    for i = 1, 150 do
      names[i] = leave(i % 5 == 0 and 0 or LAST)
      expected[i] = i % 5 == 0 and "EPERM" or true
    end
    local used = expect.success(shmseg.event.open(names[71], "r"))
    local mapped = expect.success(shmseg.event.open(names[72], "r"))
    names[151], expected[151] = scratch.name(), "ENOENT"
    names[152], expected[152] = names[1], "ENOENT"
    expected[71], expected[72] = "EBUSY", "EBUSY"
    for i, done in ipairs(core.collect(names)) do
      assert.equal(expected[i], done == true or done.code)
      assert.equal(done ~= true and done.code ~= "ENOENT", exists(names[i]))
      assert.truthy(done == true or done.message:find(names[i], 1, true))
    end
    assert.same({}, core.collect {})
    expect.misuse("not a list of names", core.collect, { names[1], 7 })
    used:close()
    mapped:close()
  end)

  it("fails where there is nothing", function()
    expect.failure("ENOENT", core.collect(scratch.name()))
  end)

  it("leaves links, FIFOs and folders, and does not wait at them", function()
    local target = leave(LAST)
    for _, command in ipairs { "mkfifo", "mkdir", "ln -s " .. target } do
      local name = scratch.name()
      assert(shell.succeeds(command .. " " .. scratch.objects .. name))
      scratch.defer(function()
        shell.run("rm -rf " .. scratch.objects .. name)
      end)
      expect.failure("ENODEV", core.collect(name, true))
      assert.True(shell.succeeds("ls -d " .. scratch.objects .. name))
    end
    assert.True(exists(target))
  end)

  it("leaves another user's, and says that it may not", function()
    local words, reason = sandbox.user()
    if not words then
      pending(reason)
      return
    end
    local other = peer.start(words)
    for _, perm in ipairs { "600", "666" } do -- 666: it may be written, but its name is not theirs
      local name = leave(LAST)
      assert(shell.succeeds(("chmod %s %s%s"):format(perm, scratch.objects, name)))
      local chunk = "return require 'shmseg.core'.collect(...)"
      local message = expect.failure("EACCES", other:call(chunk, name))
      assert.truthy(message:find(name, 1, true))
      assert.True(exists(name))
    end
  end)

  it("removes nothing where it cannot see who uses it", function()
    local name = leave(LAST)
    local words, reason = sandbox.no_proc()
    if not words then
      pending(reason)
      return
    end
    local other = peer.start(words)
    local chunk = "return require 'shmseg.core'.collect(...)"
    expect.failure("ENOTSUP", other:call(chunk, name))
    assert.True(exists(name))
  end)

  it("removes nothing when it lacks a descriptor at any step", function()
    local words, reason = sandbox.limits { nofile = 64 }
    if not words then
      pending(reason)
      return
    end
    local name, other = leave(LAST), peer.start(words)
    local failures, last = other:call([[
      local core, open, name = require "shmseg.core", {}, ...
      repeat
        local file = io.open "/dev/null"
        open[#open + 1] = file
      until not file
      local failures = 0
      while #open > 0 do
        local done, message, code = core.collect(name)
        if code ~= "EMFILE" then
          return failures, tostring(done), code
        end
        failures = failures + 1
        table.remove(open):close()
      end]], name)
    assert.truthy(failures >= 3)
    assert.equal("true", last)
    assert.False(exists(name))
  end)
end)

describe("collect beside processes that open the same name", function()
  after_each(scratch.clean)

  -- Creates or opens an object, marks it, and sees that nobody takes its name while it is open. In
  -- the end: how often it was removed under it, and how often this one has made it.
  local opener = [[
    local name, rounds = ...
    local lost, made = 0, 0
    for round = 1, rounds do
      local object, created = assert(shmseg.event.open(name, "c"))
      local segment = object:segment()
      if created then
        segment:set_u32(12, 1)
        made = made + 1
      end
      for _ = 1, round % 7 do
        lost = lost + (segment:stat().links == 0 and 1 or 0)
      end
      object:close()
    end
    return lost, made]]

  local collector = [[
    local core, name = require "shmseg.core", ...
    local stop = assert(shmseg.open(name .. "-stop"))
    local collected, codes = 0, {}
    repeat
      local done, _, code = core.collect(name)
      collected = collected + (done and 1 or 0)
      codes[code or "done"] = true
    until stop:get_u8(0) == 1
    local seen = {}
    for code in pairs(codes) do
      seen[#seen + 1] = code
    end
    table.sort(seen)
    return collected, table.concat(seen, " ")]]

  it("removes it often, and never what one of them has open", function()
    local name = scratch.family()
    local stop = expect.success(shmseg.open(name .. "-stop", "x", 1))
    local openers, collectors = {}, {}
    for i = 1, 2 do
      openers[i], collectors[i] = peer.start(), peer.start()
      collectors[i]:send(collector, name)
      openers[i]:send(opener, name, 300 * scale)
    end
    local made, collected = 0, 0
    for _, other in ipairs(openers) do
      local lost, times = other:receive()
      assert.equal(0, lost)
      made = made + times
    end
    stop:set_u8(0, 1)
    for _, other in ipairs(collectors) do
      local times, codes = other:receive()
      for code in codes:gmatch "%S+" do
        assert.truthy(("done EBUSY ENOENT EPERM"):find(code, 1, true))
      end
      collected = collected + times
    end
    assert.truthy(collected > 0)
    assert.equal(made, collected + (exists(name) and 1 or 0))
  end)
end)
