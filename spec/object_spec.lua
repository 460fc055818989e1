-- SPDX-License-Identifier: MIT
-- What all objects have in common: where they lie, how they are opened, how they end.

local shmseg = require "shmseg"
local build = require "spec.support.build"
local expect = require "spec.support.expect"
local host = require "spec.support.host"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local MAGIC, INIT = 0x53484d53, 0x80000000 -- of the header's first word
local unpack_table = table.unpack or unpack

-- Each kind: the options to make one, its size then, its methods, and one use that tells that it
-- works and leaves it as it was.
local kinds = {
  {
    noun = "mutex",
    size = 128,
    methods = { "lock", "unlock", "with" },
    use = function(m)
      assert.truthy((m:lock(0)))
      assert.True(m:unlock())
    end,
  },
  {
    noun = "rwlock",
    size = 384,
    methods = { "read_lock", "write_lock", "unlock" },
    use = function(rw)
      assert.truthy((rw:write_lock(0)))
      assert.True(rw:unlock())
      assert.truthy((rw:read_lock(0)))
      assert.True(rw:unlock())
    end,
  },
  {
    noun = "semaphore",
    options = { permits = 3 },
    size = 192,
    methods = { "acquire", "release", "value" },
    use = function(s)
      assert.equal(3, s:value())
      assert.True(s:acquire(0))
      assert.True(s:release())
    end,
  },
  {
    noun = "event",
    size = 128,
    methods = { "set", "clear", "is_set", "wait" },
    use = function(e)
      assert.True(e:set())
      assert.True(e:wait(0))
      assert.True(e:clear())
    end,
  },
}

-- The kind's options and more of them.
local function with(kind, more)
  local options = {}
  for _, source in ipairs { kind.options or {}, more or {} } do
    for name, value in pairs(source) do
      options[name] = value
    end
  end
  return options
end

local function open(kind, where, mode)
  local permits_wanted = mode == "c" or mode == "x"
  return shmseg[kind.noun].open(where, mode, permits_wanted and kind.options or nil)
end

local function other_kind(kind)
  for i, other in ipairs(kinds) do
    if other == kind then
      return kinds[i % #kinds + 1]
    end
  end
end

local function create(kind)
  local name = scratch.name()
  local object, created = expect.success(open(kind, name, "x"))
  assert.True(created)
  return object, name
end

local function anonymous(size)
  return expect.success(shmseg.anonymous(size or 4096))
end

local function collect()
  collectgarbage()
  collectgarbage()
end

for _, kind in ipairs(kinds) do
  local noun = kind.noun
  local module = shmseg[noun]

  describe(noun .. ".open on a name", function()
    after_each(scratch.clean)

    it("creates in the modes c and x, and finds in the others", function()
      local name = scratch.name()
      for _, mode in ipairs { "r", "rw", false } do
        local message = expect.failure("ENOENT", open(kind, name, mode or nil))
        assert.truthy(message:find('"c"', 1, true), message)
        assert.is_nil(scratch.bytes(name))
      end
      for _, mode in ipairs { "c", "x" } do
        local object, created = expect.success(open(kind, name, mode))
        assert.True(created)
        kind.use(object)
        assert.equal(kind.size, #scratch.bytes(name))
        object:close()
        for _, again in ipairs { "rw", "c", false } do
          object, created = expect.success(open(kind, name, again or nil))
          assert.False(created)
          assert.equal("rw", object:segment():mode())
          kind.use(object)
        end
        object, created = expect.success(open(kind, name, "r"))
        assert.False(created)
        assert.equal("r", object:segment():mode())
        expect.failure("EEXIST", open(kind, name, "x"))
        assert.True(object:unlink())
      end
    end)

    it("picks a free name in mode x when there is none", function()
      local object, created = expect.success(open(kind, nil, "x"))
      assert.True(created)
      local name = object:segment():name()
      kind.use(expect.success(open(kind, name)))
      assert.True(object:unlink())
      expect.failure("ENOENT", open(kind, name))
    end)

    it("takes the options of shmseg.open", function()
      local name = scratch.name()
      local options = with(kind, { perm = "640", temporary = true, max = 65536, reserve = false })
      local object = expect.success(module.open(name, "x", options))
      assert.equal("640", shmseg.stat(name).perm)
      object:close()
      assert.is_nil(scratch.bytes(name))
      object = expect.success(module.open(name, "x", with(kind, { populate = true })))
      assert.equal("600", shmseg.stat(name).perm)
      object:unlink()
      module.open(name, "x", with(kind, { temporary = true }))
      collect()
      assert.is_nil(scratch.bytes(name))
    end)

    it("leaves what is no such object where it is, also when it was to be temporary", function()
      local name = scratch.name()
      local zeroes, text = ("\0"):rep(4096), ("not this"):rep(512)
      local options = with(kind, { temporary = true })
      local cases = { { "rw", zeroes, "ENOENT" }, { "r", zeroes, "ENOENT" } }
      for _, mode in ipairs { "r", "rw", "c" } do
        cases[#cases + 1] = { mode, text, "incompatible" }
        cases[#cases + 1] = { mode, text:sub(1, 8), "too small" }
      end
      for _, case in ipairs(cases) do
        local seg = expect.success(shmseg.open(name, "x", #case[2]))
        seg:write(0, case[2])
        expect.failure(case[3], module.open(name, case[1], options))
        assert.equal(case[2], scratch.bytes(name))
        assert.True(seg:unlink())
      end
    end)

    it("is temporary only for who has created it", function()
      local name = scratch.name()
      local options = with(kind, { temporary = true })
      local object = expect.success(open(kind, name, "x"))
      for _, mode in ipairs { "r", "rw", "c" } do
        expect.success(module.open(name, mode, options)):close()
        assert.truthy(scratch.bytes(name))
      end
      local other = peer.start()
      other:call("object = assert(shmseg[...].open(select(2, ...)))", noun, name, "c", options)
      other:send "os.exit(0)"
      other:finish()
      kind.use(expect.success(open(kind, name)))
      object:unlink()
      local created
      object, created = expect.success(module.open(name, "c", options))
      assert.True(created)
      expect.success(module.open(name, "c", options)):close()
      assert.truthy(scratch.bytes(name))
      object:close()
      assert.is_nil(scratch.bytes(name))
    end)

    it("finds another kind incompatible, and leaves it as it is", function()
      local other = other_kind(kind)
      local object, name = create(other)
      local bytes = scratch.bytes(name)
      for _, mode in ipairs { "r", "rw", "c" } do
        local message = expect.failure("incompatible", open(kind, name, mode))
        local what = other.noun == "event" and "an event" or "a " .. other.noun
        local text = '%s "%s": another kind of object is there: %s'
        assert.equal(text:format(noun, name, what), message)
      end
      expect.failure("EEXIST", open(kind, name, "x"))
      assert.equal(bytes, scratch.bytes(name))
      other.use(object)
    end)

    it("makes an object of a segment of zeroes in mode c, and of nothing else", function()
      local name = scratch.name()
      local seg = expect.success(shmseg.open(name, "x", kind.size))
      expect.failure("ENOENT", open(kind, name, "r"))
      expect.failure("ENOENT", open(kind, name, "rw"))
      local object, created = expect.success(open(kind, name, "c"))
      assert.True(created)
      kind.use(object)
      for _, at in ipairs { 0, 4, 60, 64, kind.size - 1 } do
        seg:fill(0, kind.size)
        seg:set_u8(at, 0x7f)
        local bytes = seg:read()
        for _, mode in ipairs { "c", "rw", "r" } do
          local opened, _, code = open(kind, name, mode)
          assert.is_nil(opened)
          assert.truthy(code == "incompatible" or code == "ENOENT" and mode ~= "c", code)
        end
        assert.equal(bytes, seg:read())
      end
    end)

    it("finds one too small that a byte is missing of", function()
      local object, name = create(kind)
      object:close()
      assert(shmseg.open(name)):resize(kind.size - 1)
      for _, mode in ipairs { "r", "rw", "c" } do
        local message = expect.failure("too small", open(kind, name, mode))
        local text = '%s "%s": %d bytes, %d needed'
        assert.equal(text:format(noun, name, kind.size - 1, kind.size), message)
      end
    end)

    it("says that no space is left for it", function()
      if not shell.succeeds("unshare -m mount -t tmpfs none /dev/shm") then
        pending("no mount namespace can be had here")
      end
      local full = "mount -t tmpfs -o size=4k none /dev/shm && echo > /dev/shm/it && exec \"$@\""
      local other = peer.start { "unshare", "-m", "sh", "-c", full, "sh" }
      local chunk = "return shmseg[...].open('jobs', 'x', select(2, ...))"
      local message = expect.failure("ENOSPC", other:call(chunk, noun, kind.options))
      assert.equal(noun .. ' "jobs": No space left on device', message)
      assert.same({}, other:call "return shmseg.list '^jobs$'")
    end)
  end)

  describe(noun .. ".open on a segment", function()
    after_each(scratch.clean)

    it("initialises in the modes c and x, and finds in the others", function()
      for _, mode in ipairs { "c", "x" } do
        local seg = anonymous()
        for _, where in ipairs { seg, seg:slice(1024), seg:slice(2048, kind.size) } do
          for _, absent in ipairs { "r", "rw", false } do
            expect.failure("ENOENT", open(kind, where, absent or nil))
          end
          local object, created = expect.success(open(kind, where, mode))
          assert.True(created)
          kind.use(object)
          for _, again in ipairs { "r", "rw", "c", false } do
            object, created = expect.success(open(kind, where, again or nil))
            assert.False(created)
          end
          kind.use(object)
          expect.failure("EEXIST", open(kind, where, "x"))
        end
        kind.use(expect.success(open(kind, seg:slice(1000):slice(24))))
      end
    end)

    it("is by default as the segment is", function()
      local object, name = create(kind)
      local reader = expect.success(shmseg.open(name, "r"))
      local seen = expect.success(module.open(reader))
      assert.equal(reader, seen:segment())
      for _, mode in ipairs { "rw", "c", "x" } do
        expect.misuse("read%-only", open, kind, reader, mode)
      end
      kind.use(object)
    end)

    it("leaves what is no object of the kind as it is", function()
      local other = other_kind(kind)
      for _, at in ipairs { 0, 3, 4, 32, 63, 64, 127, false } do
        local seg = anonymous(512)
        if at then
          seg:write(at, "x")
        else
          expect.success(open(other, seg, "c"))
        end
        local bytes = seg:read()
        for _, mode in ipairs { "c", "x" } do
          local opened, _, code = open(kind, seg, mode)
          assert.is_nil(opened)
          assert.truthy(code == "incompatible" or not at and code == "EEXIST", code)
        end
        assert.equal(bytes, seg:read())
        if not at then
          assert.truthy(expect.failure("incompatible", open(kind, seg)):find "kind")
        end
      end
    end)

    it("wants a multiple of 64, and room", function()
      local seg = anonymous()
      for _, offset in ipairs { 1, 8, 32, 63, 65, 100 } do
        expect.misuse({ "#1", "misaligned" }, open, kind, seg:slice(offset), "c")
      end
      for _, count in ipairs { 1, 63, 64, kind.size - 64, kind.size - 1 } do
        expect.failure("too small", open(kind, seg:slice(0, count), "c"))
      end
      expect.failure("too small", open(kind, seg:slice(4096 - 64), "c"))
      assert.equal(("\0"):rep(4096), seg:read())
      expect.success(open(kind, seg:slice(4096 - kind.size), "c"))
      expect.failure("too small", open(kind, seg:slice(4096 - kind.size, kind.size - 1)))
    end)

    it("takes no options of shmseg.open", function()
      for name, value in pairs { perm = "600", temporary = true, max = 65536, reserve = false } do
        local options = with(kind, { [name] = value })
        expect.misuse(name, module.open, anonymous(), "c", options)
      end
    end)

    it("works in files, in memory without a name and through descriptors", function()
      local path = scratch.path("object")
      local seg = expect.success(shmseg.map(path, "x", kind.size))
      kind.use(expect.success(open(kind, seg, "c")))
      seg:close()
      kind.use(expect.success(open(kind, (expect.success(shmseg.map(path))))))
      local memory = anonymous(kind.size)
      expect.success(open(kind, memory, "c"))
      kind.use(expect.success(open(kind, expect.success(shmseg.from_fd(memory:fd())))))
    end)

    it("keeps the segment, and is ended by its end", function()
      local seg = anonymous()
      local object = expect.success(open(kind, seg, "c"))
      local kept = expect.success(open(kind, anonymous(), "c"))
      collect()
      kind.use(kept)
      seg:close()
      for _, method in ipairs(kind.methods) do
        expect.misuse("closed", object[method], object, method == "with" and print or nil)
      end
      assert.truthy(tostring(object):find "closed")
      object:close()
    end)

    it("is not shrunk away under a handle, and grows with no harm", function()
      local seg = anonymous(8192)
      local object = expect.success(open(kind, seg, "c"))
      expect.misuse("", seg.resize, seg, kind.size - 1)
      kind.use(object)
      assert.equal(2 ^ 20, seg:resize(2 ^ 20))
      kind.use(object)
    end)
  end)

  describe("a handle of kind " .. noun, function()
    after_each(scratch.clean)

    it("closes twice, and is of no use afterwards", function()
      local object, name = create(kind)
      local seg = object:segment()
      object:close()
      object:close()
      for _, method in ipairs(kind.methods) do
        local argument = method == "with" and print or nil
        expect.misuse({ noun, "closed" }, object[method], object, argument)
      end
      expect.misuse({ noun, "closed" }, object.segment, object)
      expect.misuse("closed", object.unlink, object)
      assert.equal("shmseg." .. noun .. " (closed)", tostring(object))
      expect.misuse("closed", seg.read, seg) -- it was the object's own
      kind.use(expect.success(open(kind, name)))
    end)

    it("leaves a segment open that it was given", function()
      local seg = anonymous()
      local where = seg:slice(64)
      local object = expect.success(open(kind, where, "c"))
      assert.equal(where, object:segment())
      object:close()
      assert.equal(MAGIC, seg:get_u32(64))
      kind.use(expect.success(open(kind, where)))
    end)

    it("gives its segment, of which it knows the name", function()
      local object, name = create(kind)
      assert.equal(name, object:segment():name())
      assert.equal(object:segment(), object:segment())
      assert.equal(kind.size, #object:segment())
      assert.equal(("shmseg.%s (%s)"):format(noun, name), tostring(object))
    end)

    it("unlinks its name, if that still leads to it", function()
      local object, name = create(kind)
      local second = expect.success(open(kind, name))
      assert.True(object:unlink())
      assert.is_nil(scratch.bytes(name))
      expect.failure("ENOENT", object:unlink())
      kind.use(second)
      local anew = expect.success(open(kind, name, "x"))
      expect.failure("ENOENT", object:unlink())
      assert.equal(kind.size, #scratch.bytes(name))
      assert.True(anew:unlink())
      local slice = expect.success(open(kind, anonymous():slice(64), "c"))
      expect.misuse("", slice.unlink, slice)
    end)

    it("takes nothing else for its self", function()
      local object = create(kind)
      local others = { 1, "text", {}, io.stdout, anonymous(), create(other_kind(kind)), false }
      for _, self in ipairs(others) do
        for _, method in ipairs(kind.methods) do
          expect.misuse("bad argument #1", object[method], self, print)
        end
        for _, method in ipairs { "close", "segment", "unlink" } do
          expect.misuse("bad argument #1", object[method], self)
        end
      end
    end)

    it("has the metamethods of a handle", function()
      local object = create(kind)
      local metatable = debug.getmetatable(object)
      assert.equal("shmseg." .. noun, metatable.__name)
      for _, name in ipairs { "__gc", "__close", "__tostring" } do
        assert.equal("function", type(metatable[name]))
      end
      metatable.__close(object)
      assert.truthy(tostring(object):find "closed")
      assert.is_nil(object.no_such_method)
    end)

    it("leaves nothing behind when it is collected", function()
      local _, name = create(kind)
      collect()
      local function open_files()
        local count = 0
        for fd = 0, 200 do
          local file = io.open("/proc/self/fdinfo/" .. fd)
          if file then
            file:close()
            count = count + 1
          end
        end
        return count
      end
      local before = open_files()
      for _ = 1, 10 do
        kind.use(expect.success(open(kind, name)))
      end
      collect()
      assert.equal(before, open_files())
    end)

    if _VERSION >= "Lua 5.4" then
      it("is closed at the end of its scope from Lua 5.4 on", function()
        local object = create(kind)
        assert(load "local object <close> = ...")(object)
        assert.truthy(tostring(object):find "closed")
      end)
    end

    it("keeps what it has learnt, whatever the header says later", function()
      local object = create(kind)
      local seg = object:segment()
      seg:fill(0, 64, 0xff)
      kind.use(object)
      seg:fill(0, 64)
      kind.use(object)
    end)

    it("is not made of a header that is not wholly right", function()
      local object, name = create(kind)
      local seg = object:segment()
      local good = seg:read()
      for _, damage in ipairs {
        { 0, 0x534d4853 }, { 0, 1 }, { 0, 0x7fffffff }, -- the magic, of the other order first
        { 4, 0 }, { 4, 99 }, { 4, 0xffffffff }, -- the kind
        { 8, 0 }, { 8, 3 }, { 8, 0xffffffff }, -- the version
        { 16, 0 }, { 16, 64 }, { 16, kind.size + 64 }, { 20, 1 }, { 20, 0xffffffff }, -- the size
        { 24, 0 }, { 24, 1000000 }, { 28, 1 }, { 28, 0xffffffff }, -- the capacity
      } do
        local offset, value = unpack_table(damage)
        seg:write(0, good)
        seg:set_u32(offset, value)
        for _, mode in ipairs { "r", "rw", "c" } do
          expect.failure("incompatible", open(kind, name, mode))
        end
      end
      seg:write(0, good)
      for _ = 1, 300 do
        for _ = 1, math.random(3) do
          seg:set_u8(math.random(0, 63), math.random(0, 255))
        end
        local opened = open(kind, name)
        if opened then
          opened:close()
        end
        if math.random(4) == 1 then
          seg:write(0, good)
        end
      end
      seg:write(0, good)
      kind.use(expect.success(open(kind, name)))
    end)
  end)

  describe(noun .. ".size_for", function()
    it("is what an object takes", function()
      assert.equal(kind.size, module.size_for(kind.options))
      local seg = anonymous(module.size_for(kind.options))
      kind.use(expect.success(open(kind, seg, "c")))
    end)

    it("refuses other options than its own", function()
      for _, options in ipairs { 5, "text", true, { capcity = 1 }, { 1 } } do
        expect.misuse("option", module.size_for, options)
      end
    end)
  end)

  describe("processes that race to make one " .. noun, function()
    after_each(scratch.clean)

    it("end up with the same, which one of them has made", function()
      local seg_name, name = scratch.name(), scratch.family()
      local seg = expect.success(shmseg.open(seg_name, "x", 64 * 1024))
      local gate = expect.success(shmseg.event.open(scratch.name(), "x"))
      local others = {}
      for i = 1, 4 do
        others[i] = peer.start()
        others[i]:send([[
          local noun, options, seg_name, name, gate, rounds = ...
          local seg = assert(shmseg.open(seg_name))
          gate = assert(shmseg.event.open(gate))
          local made, opened = 0, {}
          report "ready"
          gate:wait(60)
          for i = 1, rounds do
            for _, where in ipairs { seg:slice(i * 1024), name .. i } do
              local object, created = assert(shmseg[noun].open(where, "c", options))
              opened[#opened + 1] = object
              made = made + (created and 1 or 0)
            end
          end
          for _, object in ipairs(opened) do
            if noun == "event" then object:set()
            elseif noun == "semaphore" then object:acquire(0)
            elseif noun == "mutex" then object:with(function() end)
            else object:read_lock(60) end
          end
          return made]], noun, kind.options, seg_name, name, gate:segment():name(), 20)
      end
      for _, other in ipairs(others) do
        assert.equal("ready", other:receive())
      end
      gate:set()
      local made = 0
      for _, other in ipairs(others) do
        made = made + other:receive()
      end
      assert.equal(2 * 20, made)
      for i = 1, 20 do
        for _, where in ipairs { seg:slice(i * 1024), name .. i } do
          local object = expect.success(open(kind, where))
          if noun == "event" then
            assert.True(object:is_set())
          elseif noun == "semaphore" then
            assert.equal(0, object:value()) -- each of them has found the same one
          elseif noun == "mutex" then
            kind.use(object)
          else
            expect.failure("timeout", object:write_lock(0))
          end
        end
      end
    end)

    it("go on when the one who was at it has died", function()
      local seg = anonymous()
      for _, id in ipairs { 16, 12345678, 0x3fffffff } do
        -- What a builder leaves behind: the first word, and perhaps some of the others.
        seg:fill(0, 4096)
        seg:set_u32(0, INIT + id)
        local message = expect.failure("ENOENT", open(kind, seg, "rw"))
        assert.equal(noun .. ': there is none yet (mode "c" makes it)', message)
        local object, created = expect.success(open(kind, seg, "c"))
        assert.True(created)
        kind.use(object)
        object:close()
        seg:fill(0, 4096)
        expect.success(open(kind, seg, "x")):close()
        seg:set_u32(0, INIT + id) -- all but published
        kind.use(expect.success(open(kind, seg, "c")))
      end
    end)

    it("are not said to be absent where something else is", function()
      local seg = anonymous(4096)
      for _, at in ipairs { 4, 100 } do
        seg:fill(0, 4096)
        seg:set_u8(at, 1)
        for _, mode in ipairs { "r", "rw" } do
          local message = expect.failure("incompatible", open(kind, seg, mode))
          assert.truthy(message:find("at offset " .. at, 1, true), message)
        end
      end
    end)

    it("do not go on where somebody has data that begin as if one had died", function()
      local seg = anonymous(4096)
      for _, at in ipairs { 48, 68, kind.size - 4 } do
        seg:fill(0, 4096)
        seg:set_f32(0, -1)
        seg:set_f32(at, 7)
        local bytes = seg:read()
        for _, mode in ipairs { "c", "x" } do
          expect.failure("incompatible", open(kind, seg, mode))
        end
        assert.equal(bytes, seg:read())
      end
    end)
  end)

  it("require 'shmseg." .. noun .. "' gives the same table as shmseg." .. noun, function()
    assert.equal(module, require("shmseg." .. noun))
  end)
end

describe("an object that somebody else is making", function()
  after_each(scratch.clean)

  it("is waited for, not for ever, and made anew when that one has died", function()
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 4096))
    expect.success(shmseg.mutex.open(seg:slice(1024), "c"))
    local other = peer.start()
    other:call([[
      seg = assert(shmseg.open(...))
      assert(shmseg.mutex.open(seg:slice(1024))):lock()]], name)
    seg:set_u32(0, INIT + seg:get_u32(1024 + 64)) -- the lock word is the identity of the peer
    local bytes = seg:read()
    expect.failure("timeout", shmseg.event.open(seg, "c"))
    assert.equal(bytes, seg:read())
    other:stop()
    local e, created = expect.success(shmseg.event.open(seg, "c"))
    assert.True(created)
    assert.False(e:is_set())
  end)
end)

describe("the capacity of an object", function()
  after_each(scratch.clean)

  for _, noun in ipairs { "cell", "queue", "broadcast", "dict" } do
    it("of kind " .. noun .. " is what was asked for, or what fits", function()
      local name = scratch.name()
      local made = expect.success(shmseg[noun].open(name, "x", { capacity = 70000 }))
      local reader = expect.success(shmseg[noun].open(name, "r"))
      assert.equal(70000, made:capacity())
      assert.equal(70000, reader:capacity())
      local fitting = expect.success(shmseg[noun].open(anonymous(2 ^ 19), "c"))
      local capacity = fitting:capacity()
      assert.True(capacity > 65536 and shmseg[noun].size_for { capacity = capacity } <= 2 ^ 19)
      made:close()
      expect.misuse(noun .. ".*closed", made.capacity, made)
      reader:segment():close()
      expect.misuse(noun .. ".*closed", reader.capacity, reader)
      expect.misuse("shmseg." .. noun .. " expected", fitting.capacity, anonymous(64))
    end)
  end

  it("is no question for other kinds", function()
    for _, noun in ipairs { "mutex", "rwlock", "semaphore", "event" } do
      assert.is_nil(expect.success(shmseg[noun].open(anonymous(4096), "c")).capacity)
    end
  end)
end)

describe("an object that is closed", function()
  after_each(scratch.clean)

  it("does not lie in the way of its segment's resizing", function()
    local seg = expect.success(shmseg.open(scratch.name(), "x", 8192))
    local q = expect.success(shmseg.queue.open(seg:slice(4096), "c"))
    expect.misuse("view", seg.resize, seg, 4096)
    q:close()
    assert.equal(4096, seg:resize(4096))
    expect.misuse("closed", q.pop, q)
  end)
end)

describe("opening in mode c", function()
  after_each(scratch.clean)

  it("is not told that the object is gone which was too small before", function()
    local name = scratch.name()
    local other = peer.start()
    other:send([[
      local name = ...
      for _ = 1, 3000 do
        local seg = shmseg.open(name, "x", 8)
        if seg then seg:unlink() seg:close() end
      end]], name)
    local made = 0
    for _ = 1, 1000 do
      local mutex, message, code = shmseg.mutex.open(name, "c")
      if mutex then
        made = made + 1
        mutex:unlink()
        mutex:close()
      else
        assert.truthy(code == "too small" or code == "incompatible" or code == "EAGAIN", message)
      end
    end
    other:receive()
    assert.True(made > 0)
  end)
end)

describe("a C program", function()
  after_each(scratch.clean)

  it("takes the locks that Lua has made, gives them back, and loses them when it dies", function()
    if not build.possible() then
      pending("there is no C compiler here")
    end
    local program = assert(build.user("spec/support/lock_peer.c"))
    for _, case in ipairs {
      { "mutex", "mutex", "lock", "abandoned" },
      { "write", "rwlock", "write_lock", "abandoned" },
      { "read", "rwlock", "write_lock" },
      { "permit", "semaphore", "acquire" },
    } do
      local what, noun, take, told = unpack_table(case, 1, 4)
      local name = scratch.name()
      local options = noun == "semaphore" and { permits = 1 } or nil
      local object = expect.success(shmseg[noun].open(name, "x", options))
      local give_back = object.unlock or object.release
      object[take](object)

      local other = process.start { program, what, name }
      other:await_sleep()
      give_back(object)
      assert.equal("held", other:line())
      expect.failure("timeout", object[take](object, 0.06))
      other:signal "USR1"
      assert.equal("free", other:line())
      assert.same({ 0, {} }, { other:finish() })
      assert.truthy((object[take](object, 0)))
      give_back(object)

      other = process.start { program, what, name }
      assert.equal("held", other:line())
      other:stop()
      local taken, actual = object[take](object, 60)
      assert.truthy(taken)
      assert.equal(told, actual)
    end
  end)
end)

describe("the options of an object", function()
  after_each(scratch.clean)

  it("are a table of options that there are, else the caller is blamed", function()
    local name, seg = scratch.name(), anonymous()
    for _, case in ipairs {
      { "options", name, "c", 5 }, { "options", seg, "c", "text" },
      { "unknown option \"permit\"", name, "c", { permit = 1 } },
      { "unknown option \"permits\"", seg, "c", { permits = 1 } },
      { "unknown option \"1\"", name, "c", { true } },
      { "perm", name, "c", { perm = 600 } }, { "temporary", name, "c", { temporary = 1 } },
      { "mode", name, "w" }, { "mode", name, "" }, { "mode", name, 5 }, { "mode", name, true },
      { "#2 to", seg, "w" }, { "#2 to", seg, 5 },
      { "name", "a/b", "c" }, { "name", "", "c" }, { "name", 5, "c" }, { "name", {}, "c" },
      { "#1 to", io.stdout, "c" },
    } do
      expect.misuse({ case[1], "^spec/object_spec%.lua:%d+: " }, function()
        shmseg.mutex.open(unpack_table(case, 2, 4))
      end)
    end
    assert.is_nil(scratch.bytes(name))
    assert.equal(("\0"):rep(4096), seg:read())
  end)

  it("of locks: their failures and misuse say which lock it is #hole", function()
    local name = scratch.name()
    local m = expect.success(shmseg.mutex.open(name, "x"))
    local s = expect.success(shmseg.semaphore.open(scratch.name(), "x", { permits = 1 }))
    m:lock()
    local mutex = ('mutex "%s": '):format(name:gsub("%-", "%%-"))
    expect.misuse(mutex .. "this handle holds the lock already", m.lock, m)
    m:unlock()
    expect.misuse(mutex .. "this handle does not hold the lock", m.unlock, m)
    expect.misuse('semaphore "[%w-]+": this handle has no permit', s.release, s)
    expect.success(m:segment():resize(128))
    assert(io.open(scratch.objects .. name, "w")):close()
    expect.misuse(mutex .. ".*truncated", m.lock, m)
    local _, message = m:segment():read()
    assert.truthy(message:find(('^segment "%s": '):format(name:gsub("%-", "%%-"))), message)
    m:close()
    expect.misuse(mutex .. ".*closed", m.lock, m)
  end)

  it("for a semaphore are needed to make it under a name", function()
    for _, mode in ipairs { "c", "x" } do
      local needed = "permits\": needed to create it: { permits = "
      expect.misuse(needed, shmseg.semaphore.open, scratch.name(), mode)
      expect.misuse("permits", shmseg.semaphore.open, scratch.name(), mode, {})
    end
    expect.misuse("permits", shmseg.semaphore.size_for)
    expect.misuse("permits", shmseg.semaphore.size_for, {})
  end)

  it("are known by name, and the nearest is named when one is not", function()
    local name = scratch.name()
    expect.misuse('unknown option "permit": "permits"%? there are max, perm, permits, pin, ',
      shmseg.semaphore.open, name, "c", { permit = 3 })
    expect.misuse('unknown option "capcity": "capacity"%? there are capacity, codec, max, ',
      shmseg.queue.open, name, "c", { capcity = 3 })
    expect.misuse('unknown option "codec": there are max, perm, pin, populate, reserve, temporary$',
      shmseg.mutex.open, name, "c", { codec = {} })
    for _, permits in ipairs { 65536, 2 ^ 53, "65536" } do
      local options = { permits = permits }
      expect.misuse("permits\": .*too large", shmseg.semaphore.open, name, "c", options)
    end
    assert.is_nil(scratch.bytes(name))
  end)

  it("for a semaphore may be strings that read as numbers", function()
    for _, permits in ipairs { "3", "0x3", " 3 " } do
      local options = { permits = permits, max = "65536", reserve = false }
      local s = expect.success(shmseg.semaphore.open(scratch.name(), "c", options))
      assert.equal(3, s:value())
      assert.True(s:segment():stat().allocated <= shmseg.pagesize)
    end
    expect.misuse("permits", shmseg.semaphore.open, scratch.name(), "c", { permits = "three" })
  end)

  it("for a semaphore on a segment are by default what fits", function()
    for _, size in ipairs { 192, 256, 4096, 4095 } do
      local s = expect.success(shmseg.semaphore.open(anonymous(8192):slice(0, size), "c"))
      assert.equal((size - size % 64 - 128) / 4, s:value())
    end
    local s = expect.success(shmseg.semaphore.open(anonymous(2 ^ 19), "c"))
    assert.equal(65535, s:value())
    expect.failure("too small", shmseg.semaphore.open(anonymous(128), "c"))
  end)

  it("blame the caller of a method, too", function()
    local m = expect.success(shmseg.mutex.open(anonymous(), "c"))
    m:lock()
    for _, f in ipairs {
      function() m:lock() end, function() m:lock("soon") end, function() m:with(print) end,
      function() m.with(1, print) end, function() m.unlink(1) end, function() m:unlink() end,
    } do
      expect.misuse("^spec/object_spec%.lua:%d+: ", f)
    end
  end)
end)

describe("an object in a fork'ed child", function()
  after_each(scratch.clean)

  it("is not unlinked by it, also when it is temporary", function()
    local name = scratch.name()
    local lines, reason = host.run([[
      local shmseg = require "shmseg"
      local m = assert(shmseg.mutex.open(..., "x", { temporary = true }))
      local child = host.fork()
      if child == 0 then
        m:close()
        host._exit(0)
      end
      host.wait(child)
      print(shmseg.stat(...) ~= nil)
      m:close()
      print(shmseg.stat(...) ~= nil)]], name)
    if not lines then
      pending(reason)
    end
    assert.same({ "true", "false" }, lines)
  end)
end)
