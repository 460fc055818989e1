-- SPDX-License-Identifier: MIT
-- Other processes at the same moment: bytes that change under a read, creators and attachers,
-- unlink and namesakes, and creators that are killed.

local shmseg = require "shmseg"
local build = require "spec.support.build"
local expect = require "spec.support.expect"
local message_peer = require "spec.support.message_peer"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local rounds = math.floor(10000 * message_peer.scale)

describe("a string that is read while a peer flips the bytes", function()
  after_each(scratch.clean)

  -- Reads strings of 1 to 200 bytes and counts those that are broken: not equal to the same bytes
  -- gone through a buffer, or not found in a table under them.
  local reader = [[
    local source = ...
    if jit then jit.off(true, true) end
    local read = assert((loadstring or load)("local seg, size = ... " .. source))
    local broken, changed, round = 0, 0, 0
    local last = {}
    repeat
      round = round + 1
      for size = 1, 200 do
        local text = read(seg, size)
        local same = text:sub(1, 1) .. text:sub(2)
        local known = { [text] = true }
        if text ~= same or not known[same] then
          broken = broken + 1
        end
        if last[size] ~= same then
          changed = changed + 1
        end
        last[size] = same
      end
      -- The bytes must really have changed beside it.
    until round >= 500 and changed >= 1000
    return broken]]

  -- The peer flips the bytes from 300 to 500; 299 may be a length, and 500 is a zero.
  local sources = {
    read = "return seg:read(300, size)",
    ["slice and read"] = "return seg:slice(300, size):read()",
    ["unpack of c"] = "return (seg:unpack(300, 'c' .. size))",
    ["unpack of s"] = "seg:set_u8(299, size) return (seg:unpack(299, 's1'))",
    ["unpack of z"] = "return (seg:unpack(500 - size, 'z'))",
  }
  for name, source in pairs(sources) do
    it("is never broken: " .. name, function()
      local object = scratch.name()
      local seg = expect.success(shmseg.open(object, "x", 4096))
      local flipper, other = peer.start(), peer.start()
      flipper:send([[
        local seg = assert(shmseg.open((...)))
        while seg:get_u8(2000) == 0 do
          seg:fill(300, 200, 65)
          seg:fill(300, 200, 66)
        end
        return "stopped"]], object)
      other:call("seg = assert(shmseg.open(...))", object)
      local broken = other:call(reader, source)
      seg:set_u8(2000, 1)
      assert.equal("stopped", flipper:receive())
      assert.equal(0, broken)
    end)
  end
end)

-- Opens a name again and again until the creator has set byte 0 of `control`: how often there was a
-- segment, which `check` has looked at.
local function attach_beside(creator, control, name, least, check)
  local attempts, met = 0, 0
  repeat
    attempts = attempts + 1
    local seg, message, code = shmseg.open(name, attempts % 2 == 0 and "r" or "rw")
    if seg then
      met = met + 1
      check(seg)
      seg:close()
    elseif code ~= "ENOENT" then
      error(message)
    end
    assert(attempts % 4096 ~= 0 or creator:lives(), "the creator died")
  until control:get_u8(0) == 1 and attempts >= least
  return met
end

describe("an attacher that races a creator", function()
  after_each(scratch.clean)

  it("ten thousand times never sees a wrong size or bytes not yet there", function()
    local name, control_name = scratch.name(), scratch.name()
    local control = expect.success(shmseg.open(control_name, "x", 64))
    local creator = peer.start()
    creator:send([[
      local name, control_name, rounds = ...
      local control = assert(shmseg.open(control_name))
      local text = ("ready"):rep(20)
      local function init(seg) seg:write(0, text) end
      local good, problem = pcall(function()
        for round = 1, rounds do
          local mode = round % 2 == 0 and "x" or "c"
          local seg, created = assert(shmseg.open(name, mode, 100, { init = init }))
          assert(created and seg:size() == 100)
          assert(seg:unlink())
          seg:close()
        end
      end)
      control:set_u8(0, 1)
      return assert(good, problem) and rounds]], name, control_name, rounds)
    local text = ("ready"):rep(20)
    local met = attach_beside(creator, control, name, rounds, function(seg)
      if seg:size() ~= 100 or seg:read() ~= text then
        error(("saw %d bytes: %s"):format(seg:size(), seg:read()))
      end
    end)
    assert.equal(rounds, creator:receive())
    assert.truthy(met > 0)
  end)

  it("and creates where it is absent gets the right size ten thousand times", function()
    local name = scratch.name()
    local work = [[
      local name, rounds = ...
      local created_here, attached = 0, 0
      local function init(seg) seg:write(0, "ready") end
      for round = 1, rounds do
        local seg, created, code = shmseg.open(name, "c", 100, { init = init })
        if seg then
          assert(seg:size() == 100 and seg:read(0, 5) == "ready")
          if created then created_here = created_here + 1 else attached = attached + 1 end
          assert(seg:unlink() or true)
          seg:close()
        else
          assert(code == "EAGAIN", code)
        end
      end
      return created_here, attached]]
    local one, two = peer.start(), peer.start()
    one:send(work, name, rounds)
    two:send(work, name, rounds)
    local first, shared = one:receive()
    local second, shared_too = two:receive()
    assert.truthy(first > 0 and second > 0)
    assert.truthy(shared + shared_too > 0)
    assert.is_nil(scratch.bytes(name))
  end)
end)

describe("a stale handle's unlink", function()
  after_each(scratch.clean)

  -- Each object has a number of its own. Whoever unlinks one counts it; nobody can do so twice, and
  -- an object that its creator finds gone has been counted by somebody.
  local work = [[
    local name, tally_name, who, rounds = ...
    local tally = assert(shmseg.open(tally_name))
    local function mine(number) return 64 + 4 * (2 * number + who) end
    local held, next_number = {}, who
    local stale = 0
    for round = 1, rounds do
      local number = next_number
      local function init(new) new:set_u32(0, number) end
      local seg, created = shmseg.open(name, "c", 64, { init = init })
      if seg then
        if created then next_number = next_number + 2 end
        held[#held + 1] = seg
        -- Handles of all ages try to unlink.
        for i = #held, math.max(1, #held - 3), -1 do
          local old = held[i]
          local done, _, code = old:unlink()
          if done then
            local at = mine(old:get_u32(0))
            tally:set_u32(at, tally:get_u32(at) + 1)
          else
            assert(code == "ENOENT", code)
            stale = stale + 1
          end
        end
        if #held > 4 then table.remove(held, 1):close() end
      end
    end
    return next_number, stale]]

  it("never removes a namesake, also when both race", function()
    local name, tally_name = scratch.name(), scratch.name()
    local tally = expect.success(shmseg.open(tally_name, "x", 64 + 16 * (rounds + 2)))
    local peers = { peer.start(), peer.start() }
    for i, each in ipairs(peers) do
      each:send(work, name, tally_name, i - 1, rounds / 2)
    end
    local ends, stale = {}, {}
    for i, each in ipairs(peers) do
      ends[i], stale[i] = each:receive()
    end
    assert.truthy(stale[1] > 0 and stale[2] > 0)
    local lost, twice = 0, 0
    for who = 0, 1 do
      for number = who, ends[who + 1] - 2, 2 do
        local count = tally:get_u32(64 + 8 * number) + tally:get_u32(64 + 8 * number + 4)
        lost = lost + (count == 0 and 1 or 0)
        twice = twice + (count > 1 and 1 or 0)
      end
    end
    assert.equal(0, twice)
    -- The last one may still be there.
    assert.equal(scratch.bytes(name) and 1 or 0, lost)
  end)

  it("leaves a namesake to a creator that holds on to it", function()
    local name, control_name = scratch.name(), scratch.name()
    local control = expect.success(shmseg.open(control_name, "x", 64))
    local other = peer.start()
    expect.success(shmseg.open(name, "x", 64)):close()
    other:send([[
      local name, control_name = ...
      local control = assert(shmseg.open(control_name))
      local old = assert(shmseg.open(name))
      report "attached"
      local tries = 0
      while control:get_u8(0) == 0 do
        -- Its object is gone as soon as this is 1.
        if control:get_u8(1) == 1 then
          local done, _, code = old:unlink()
          assert(not done and code == "ENOENT")
          tries = tries + 1
        end
      end
      return tries]], name, control_name)
    assert.equal("attached", other:receive())
    expect.success(shmseg.unlink(name))
    control:set_u8(1, 1)
    for _ = 1, rounds do
      local seg = expect.success(shmseg.open(name, "x", 64))
      expect.success(seg:unlink())
      seg:close()
    end
    control:set_u8(0, 1)
    assert.truthy(other:receive() > 0)
  end)
end)

describe("a creator that is killed", function()
  after_each(scratch.clean)

  local creator = [[
    local shmseg = require "shmseg"
    local what, name, mode = ...
    local function init(seg)
      seg:write(0, "ready")
      seg:flush()
      seg:write(8192, "steady")
    end
    io.write("go\n")
    io.flush()
    local seg = assert(shmseg[what](name, mode, 10000, { init = init, perm = "640" }))
    seg:close()]]

  local function read_file(path)
    local file = io.open(path, "rb")
    local bytes = file and file:read("*a")
    if file then
      file:close()
    end
    return bytes
  end

  for _, case in ipairs { { "open", "x" }, { "open", "c" }, { "map", "c" } } do
    local what, mode = case[1], case[2]

    local when = ("at any moment of %s in mode %s"):format(what, mode)
    it(when .. " leaves no half-made object #once", function()
      if not build.possible() then
        pending("there is no C compiler here")
      end
      local program, reason = build.program { "spec/support/kill_at.c" }
      if not program then
        pending("system calls cannot be traced here: " .. reason)
      end
      local script = scratch.file(creator, "creator.lua")
      local directory = scratch.path("directory")
      assert(shell.succeeds("mkdir " .. directory))
      local name = what == "open" and scratch.name() or directory .. "/file"
      local path = what == "open" and scratch.objects .. name or name
      local finished = "ready" .. ("\0"):rep(8187) .. "steady" .. ("\0"):rep(1802)
      local words = peer.command()
      local absent, complete, step, status = 0, 0, 0
      repeat
        step = step + 1
        local lua = shell.quote(words[1], words[2], words[3], script, what, name, mode)
        status = select(2, shell.run(shell.quote(program, step) .. " " .. lua .. " >/dev/null"))
        if status == 2 then
          pending("ptrace is refused here")
        end
        local bytes = read_file(path)
        if not bytes then
          absent = absent + 1
        else
          complete = complete + 1
          assert.equal(finished, bytes)
          assert.equal("640\n", (shell.run("stat -c %a " .. shell.quote(path))))
          assert(os.remove(path))
        end
        assert.equal("", (shell.run("ls -A " .. directory)))
        assert.same({}, shmseg.list((name:gsub("%-", "%%-"))))
      until status == 1
      assert.truthy(absent > 5 and complete > 2 and step > 10)
    end)
  end
end)

describe("on a file system without O_TMPFILE", function()
  after_each(scratch.clean)

  -- A peer that has no other kind; nil and the reason where it cannot be made.
  local function old_fashioned()
    if shmseg.features().platform ~= "linux" or not build.possible() then
      return nil, "this is no Linux, or there is no C compiler here"
    end
    local library = assert(build.program({ "spec/support/no_tmpfile.c" }, "-shared -fPIC -ldl"))
    local others = os.getenv "LD_PRELOAD"
    return peer.start { "env", "LD_PRELOAD=" .. (others and others .. " " or "") .. library }
  end

  it("segments are created, refused and given up as everywhere", function()
    local other, reason = old_fashioned()
    if not other then
      pending(reason)
    end
    local name = scratch.name()
    local directory = scratch.path("directory")
    assert(shell.succeeds("mkdir " .. directory))
    other:call([[
      local name, path, directory = ...
      local function files()
        local pipe = io.popen("ls -A " .. directory)
        local text = pipe:read("*a")
        pipe:close()
        return text
      end
      for what, where in pairs { open = name, map = path } do
        local seen
        local function init(seg)
          seen = { select(3, shmseg[what](where, "r")), files() }
          seg:write(0, "ready")
        end
        local seg, created = assert(shmseg[what](where, "c", 100, { init = init, perm = "640" }))
        assert(created and seen[1] == "ENOENT")
        -- That it was really built the old way: under a name of its own.
        assert(what == "open" or seen[2] ~= "")
        assert(seg:read(0, 6) == "ready\0" and seg:size() == 100)
        assert(seg:stat().perm == "640" and seg:stat().links == 1)
        assert(select(3, shmseg[what](where, "x", 100)) == "EEXIST")
        assert(select(2, assert(shmseg[what](where, "c", 100))) == false)
        assert(seg:unlink())
        assert(not pcall(shmseg[what], where, "x", 100, { init = error }))
        local done, none = pcall(shmseg[what], where, "x", 2 ^ 45)
        assert(not done or not none) -- misuse where addresses have 32 bits
        assert(select(3, shmseg[what](where, "r")) == "ENOENT")
      end
      assert(files() == "", files())]], name, directory .. "/file", directory)
  end)

  it("an attacher that races a creator never sees a half-made one", function()
    local other, reason = old_fashioned()
    if not other then
      pending(reason)
    end
    local name, control_name = scratch.name(), scratch.name()
    local control = expect.success(shmseg.open(control_name, "x", 64))
    other:send([[
      local name, control_name = ...
      local control = assert(shmseg.open(control_name))
      local good, problem = pcall(function()
        for round = 1, 2000 do
          local seg, created = assert(shmseg.open(name, round % 2 == 0 and "x" or "c", 100, {
            init = function(new) new:write(0, "ready") end,
          }))
          assert(created and seg:unlink())
          seg:close()
        end
      end)
      control:set_u8(0, 1)
      assert(good, problem)]], name, control_name)
    local met = attach_beside(other, control, name, 1, function(seg)
      if seg:size() ~= 100 or seg:read(0, 5) ~= "ready" then
        error(("saw %d bytes: %s"):format(seg:size(), seg:read()))
      end
    end)
    other:receive()
    assert.truthy(met > 0)
  end)
end)
