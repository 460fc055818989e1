-- SPDX-License-Identifier: MIT
-- What cells, queues and broadcasts have in common: opening, sizes, codecs, misuse, and peers that
-- cut or scribble.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local LONG = 60 -- seconds: a guard against hanging, never a measure

-- For each noun how a value goes in, and how it comes out again.
local nouns = {
  cell = {
    put = function(c, ...) return c:set(...) end,
    reader = function(c) return function() return c:get() end end,
    write = "object:set(value)",
    wait = "object:wait(version)",
  },
  queue = {
    put = function(q, ...) return q:push(...) end,
    reader = function(q) return function() return q:pop(0) end end,
    write = "object:push(value)",
    wait = "object:pop()",
  },
  broadcast = {
    put = function(b, ...) return b:publish(...) end,
    reader = function(b)
      local s = assert(b:subscribe())
      return function() return s:next(0) end
    end,
    write = "object:publish(value)",
    wait = "subscription:next()",
  },
}

-- What a peer runs to have the object, and to be able to wait for what comes.
local opening = [[
  object = assert(shmseg.NOUN.open(...))
  version = object.get and tonumber((select(2, object:get()))) or 0
  subscription = object.subscribe and assert(object:subscribe())]]

local function open_in(other, noun, name)
  other:call(opening:gsub("NOUN", noun), name)
end

local function truncate(name)
  assert(io.open(scratch.objects .. name, "w")):close()
end

for noun, how in pairs(nouns) do
  local class = shmseg[noun]

  local function named(capacity)
    local name = scratch.name()
    return expect.success(class.open(name, "x", { capacity = capacity or 256 })), name
  end

  describe("a " .. noun, function()
    after_each(scratch.clean)

    it("is opened under a name as a segment is", function()
      local name = scratch.name()
      local message = expect.failure("ENOENT", class.open(name))
      assert.truthy(message:find("mode \"c\"", 1, true))
      expect.failure("ENOENT", class.open(name, "r"))
      local first, created = expect.success(class.open(name, "c", { capacity = 100 }))
      assert.True(created)
      local second
      second, created = expect.success(class.open(name, "c", { capacity = 100 }))
      assert.False(created)
      expect.failure("EEXIST", class.open(name, "x", { capacity = 100 }))
      local read = how.reader(second)
      expect.success(how.put(first, "value"))
      assert.equal("value", (read()))
      assert.equal(name, first:segment():name())
      expect.success(first:unlink())
      expect.failure("ENOENT", class.open(name))
    end)

    it("needs its capacity to be created under a name, and tells how large it is", function()
      expect.misuse("capacity", class.open, scratch.name(), "c")
      expect.misuse("capacity", class.open, scratch.name(), "x", {})
      for _, capacity in ipairs { 1, 7, 8, 9, 55, 56, 57, 1000 } do
        local object = named(capacity)
        local size = class.size_for { capacity = capacity }
        assert.equal(size, object:segment():size())
        expect.success(how.put(object, ("x"):rep(capacity)))
      end
    end)

    it("wants a capacity that can be", function()
      for _, capacity in ipairs { 0, -1, 1.5, 2 ^ 53, 2 ^ 41, math.huge, 0 / 0, "ten", {}, true } do
        local options = { capacity = capacity }
        expect.misuse("capacity", class.open, scratch.name(), "c", options)
        expect.misuse("capacity", class.size_for, options)
      end
      expect.misuse("capacity", class.size_for, {})
      expect.misuse("sizes", class.open, scratch.name(), "c", { capacity = 10, sizes = 1 })
      expect.misuse("permits", class.open, scratch.name(), "c", { capacity = 10, permits = 1 })
    end)

    it("takes a capacity that is a string which reads as a number", function()
      for _, text in ipairs { "64", "0x40", " 64 " } do
        assert.equal(class.size_for { capacity = 64 }, class.size_for { capacity = text })
        local object = expect.success(class.open(scratch.name(), "c", { capacity = text }))
        assert.equal(class.size_for { capacity = 64 }, object:segment():size())
      end
      expect.misuse("capacity", class.size_for, { capacity = "64abc" })
    end)

    it("takes no memory for what it does not hold yet, when none is reserved", function()
      local name = scratch.name()
      local options = { capacity = 2 ^ 28, reserve = false }
      local object, created = expect.success(class.open(name, "c", options))
      assert.True(created)
      assert.True(object:segment():stat().allocated <= 4 * shmseg.pagesize)
      local read = how.reader(object)
      expect.success(how.put(object, "value"))
      assert.equal("value", (read()))
      assert.True(object:segment():stat().allocated <= 8 * shmseg.pagesize)
      object:unlink()
      local sparse = expect.success(shmseg.open(scratch.name(), "x", 2 ^ 30, { reserve = false }))
      sparse:set_u8(2 ^ 30 - 1, 1)
      for _, slice in ipairs { sparse:slice(64, 2 ^ 29), sparse:slice(2 ^ 29 + 8128, 2 ^ 28) } do
        expect.success(class.open(slice, "x"))
      end
      assert.True(sparse:stat().allocated <= 8 * shmseg.pagesize)
    end)

    it("leaves what lies behind zeroes in its place, and says where that begins", function()
      local seg = expect.success(shmseg.anonymous(65536))
      for _, at in ipairs { 4096, 20000, 65400 } do
        seg:set_u8(at, 7)
        local bytes = seg:read()
        for _, mode in ipairs { "c", "x" } do
          local message = expect.failure("incompatible", class.open(seg, mode))
          assert.truthy(message:find("offset " .. at, 1, true), message)
        end
        assert.equal(bytes, seg:read())
        seg:set_u8(at, 0)
      end
      seg:set_f32(0, -1) -- as the mark of a builder who has died
      for at = 128, 65532, 4 do
        seg:set_f32(at, 1)
      end
      local bytes = seg:read()
      expect.failure("incompatible", class.open(seg, "c"))
      expect.failure("incompatible", class.open(seg, "c", { capacity = 64 }))
      assert.equal(bytes, seg:read())
    end)

    it("says which object, and which numbers, when it cannot be had", function()
      local object, name = named(1000)
      for _, mode in ipairs { "rw", "c" } do
        local message = expect.failure("incompatible", class.open(name, mode, { capacity = 2000 }))
        assert.equal(('%s "%s": capacity 1000, 2000 asked'):format(noun, name), message)
      end
      local version = object:segment():get_u32(8)
      object:segment():set_u32(8, version + 2)
      local message = expect.failure("incompatible", class.open(name))
      local text = '%s "%s": version %d of the format is there, and not %d'
      assert.equal(text:format(noun, name, version + 2, version), message)
      object:close()
      local small = expect.success(shmseg.anonymous(100))
      message = expect.failure("too small", class.open(small, "c", { capacity = 1 }))
      local needed = class.size_for { capacity = 1 }
      assert.equal(("%s: 100 bytes, %d needed"):format(noun, needed), message)
    end)

    it("tells who gives it a table of the option codec", function()
      local object, name = named()
      for _, value in ipairs { {}, true, print } do
        local patterns = { "string or segment expected, got " .. type(value), "codec" }
        expect.misuse(patterns, how.put, object, value)
      end
      local array = expect.success(shmseg.anonymous(8)):array(0, "u8")
      local patterns = { "string or segment expected, got shmseg.array", "give the segment" }
      expect.misuse(patterns, how.put, object, array)
      expect.misuse("value expected", object.push or object.publish or object.set, object)
      object:close()
      local message = expect.misuse("closed", how.put, object, "x")
      assert.truthy(message:find(('%s "%s": '):format(noun, name), 1, true), message)
    end)

    it("takes the options of its segment", function()
      local name = scratch.name()
      local options = { capacity = 100, perm = "640", temporary = true }
      local object = expect.success(class.open(name, "x", options))
      assert.equal("640", shmseg.stat(name).perm)
      object:close()
      expect.failure("ENOENT", shmseg.stat(name))
    end)

    it("takes its capacity from what is there; another one is incompatible", function()
      local _, name = named(100)
      for _, capacity in ipairs { 99, 101, 1, 100000 } do
        for _, mode in ipairs { "r", "rw", "c" } do
          local message =
            expect.failure("incompatible", class.open(name, mode, { capacity = capacity }))
          assert.truthy(message:find "capacity", message)
        end
      end
      local object = expect.success(class.open(name, "rw"))
      expect.misuse("101 bytes.*100", how.put, object, ("x"):rep(101))
    end)

    it("has by default the capacity that fits on a slice, and no byte more", function()
      local seg = expect.success(shmseg.anonymous(8192))
      for _, room in ipairs { 1024, 1000, 4096, 999 } do
        seg:fill(0, seg:size())
        local object = expect.success(class.open(seg:slice(64, room), "c"))
        local most = 0
        while class.size_for { capacity = most + 1 } <= room do
          most = most + 1
        end
        local read = how.reader(object)
        local value = ("v"):rep(most - 7) -- what fits is a multiple of 8 at least
        expect.success(how.put(object, value))
        assert.equal(value, (read()))
        expect.misuse("the capacity is", how.put, object, ("v"):rep(most + 1))
        assert.equal(0, seg:slice(64 + room):compare(0, ("\0"):rep(8192 - 64 - room)))
      end
    end)

    it("does not fit where there is no room, and changes nothing there", function()
      for _, room in ipairs { 64, 100, 128 } do
        local seg = expect.success(shmseg.anonymous(room))
        local value, _, code = class.open(seg, "c")
        assert.is_nil(value)
        assert.truthy(code == "too small" or code == "EINVAL")
        expect.failure("too small", class.open(seg, "c", { capacity = 4000 }))
        assert.equal(("\0"):rep(room), seg:read())
      end
    end)

    it("lies at a multiple of 64", function()
      local seg = expect.success(shmseg.anonymous(8192))
      for _, offset in ipairs { 1, 8, 32, 65 } do
        expect.misuse("misaligned", class.open, seg:slice(offset), "c")
      end
      expect.success(class.open(seg:slice(128), "c"))
    end)

    it("is not what another object is, nor plain bytes", function()
      local seg = expect.success(shmseg.anonymous(8192))
      for other in pairs(nouns) do
        if other ~= noun then
          seg:fill(0, seg:size())
          expect.success(shmseg[other].open(seg, "c"))
          for _, mode in ipairs { "r", "rw", "c" } do
            expect.failure("incompatible", class.open(seg, mode))
          end
        end
      end
      seg:fill(0, seg:size(), 1)
      expect.failure("incompatible", class.open(seg, "c"))
      expect.failure("incompatible", class.open(seg, "x"))
    end)

    it("carries every value: empty ones, zeroes, and one as large as the capacity", function()
      local object = named(300)
      local read = how.reader(object)
      local values = { "", "\0", "a\0b\n\r\26", ("\255"):rep(255), ("x"):rep(300), "", "y" }
      for _, value in ipairs(values) do
        expect.success(how.put(object, value))
        assert.equal(value, (read()))
      end
      for size = 0, 300 do
        local value = ("s"):rep(size)
        expect.success(how.put(object, value))
        assert.equal(value, (read()))
      end
    end)

    it("takes no value that is larger, and says how large: nothing has changed", function()
      local object = named(300)
      local read = how.reader(object)
      local before = object:segment():read()
      local patterns = { "bad argument", "301 bytes", "capacity is 300" }
      expect.misuse(patterns, how.put, object, ("x"):rep(301))
      expect.misuse("1000000 bytes", how.put, object, ("x"):rep(1000000))
      assert.equal(before, object:segment():read())
      assert.is_nil((read()))
    end)

    it("takes strings, and numbers as Lua's own functions do", function()
      local object = named()
      local read = how.reader(object)
      expect.success(how.put(object, 42))
      assert.equal("42", (read()))
      for _, value in ipairs { true, {}, print, object } do
        expect.misuse("string or segment expected", how.put, object, value)
      end
      expect.misuse("expected", how.put, object)
      expect.misuse("string or segment expected", how.put, object, nil)
    end)

    it("is used through its own methods alone", function()
      local object = named()
      local other = shmseg[noun == "cell" and "queue" or "cell"]
      local stranger = expect.success(other.open(scratch.name(), "x", { capacity = 10 }))
      for _, wrong in ipairs { stranger, object:segment(), io.stdout, 1, "x", {} } do
        expect.misuse("", how.put, setmetatable({}, { __index = object }), "x")
        for _, method in ipairs { "close", "segment", "unlink" } do
          expect.misuse("", object[method], wrong)
        end
      end
      assert.truthy(how.put(object, "still"))
    end)

    it("tells what it is, and ends when it is closed, twice too", function()
      local object, name = named()
      assert.equal(("shmseg.%s (%s)"):format(noun, name), tostring(object))
      local read = how.reader(object)
      object:close()
      object:close()
      assert.equal(("shmseg.%s (closed)"):format(noun), tostring(object))
      expect.misuse("closed", how.put, object, "x")
      expect.misuse("closed", read)
      expect.misuse("closed", object.segment, object)
      expect.misuse("closed", object.unlink, object)
      local again = expect.success(class.open(name))
      again:segment():close()
      expect.misuse("closed", how.put, again, "x")
    end)

    it("ends with the segment that it is on, which it keeps alive", function()
      local seg = expect.success(shmseg.anonymous(4096))
      local object = expect.success(class.open(seg, "c"))
      local read = how.reader(object)
      local slice = expect.success(class.open(seg:slice(0)))
      seg = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      expect.success(how.put(object, "kept"))
      assert.equal("kept", (read()))
      slice:segment():close() -- the slice alone
      object:close()
      expect.misuse("closed", read)
    end)

    it("is not written through a read-only handle", function()
      local object, name = named()
      local read = how.reader(object)
      local reader = expect.success(class.open(name, "r"))
      assert.equal("r", reader:segment():mode())
      expect.misuse("read%-only", how.put, reader, "x")
      expect.misuse("read%-only", class.open, reader:segment(), "rw")
      assert.is_nil((read()))
    end)

    it("gives its values as a codec makes them", function()
      local name = scratch.name()
      local codec = {
        encode = function(value) return value.x .. ":" .. value.y end,
        decode = function(bytes)
          local x, y = bytes:match "^(.*):(.*)$"
          return { x = tonumber(x), y = tonumber(y) }
        end,
      }
      local object = expect.success(class.open(name, "x", { capacity = 100, codec = codec }))
      local plain = expect.success(class.open(name))
      local read, read_plain = how.reader(object), how.reader(plain)
      expect.success(how.put(object, { x = 1, y = 2 }))
      if noun ~= "queue" then
        assert.equal("1:2", (read_plain()))
      end
      assert.same({ x = 1, y = 2 }, (read()))
      expect.success(how.put(plain, "3:4"))
      assert.same({ x = 3, y = 4 }, (read()))
    end)

    it("takes a struct for a codec", function()
      local fields = { { "x", "f64" }, { "id", "i32", 2 }, { "name", "char", 8 } }
      local Point = shmseg.struct("Point", fields)
      local seg = expect.success(shmseg.anonymous(4096))
      local object = expect.success(class.open(seg, "c", { codec = Point }))
      local read = how.reader(object)
      expect.success(how.put(object, { x = 0.5, id = { 1, 2 }, name = "a" }))
      assert.same({ x = 0.5, id = { 1, 2 }, name = "a" }, (read()))
      expect.misuse("", how.put, object, { y = 1 })
      if noun ~= "cell" then
        assert.is_nil((read()))
      end
    end)

    it("is left as it was by a codec's error, which is the caller's", function()
      local seg = expect.success(shmseg.anonymous(4096))
      local bad
      local codec = {
        encode = function(value)
          if bad == "raises" then error({ "own" }, 0) end
          return bad == "gives no string" and 42 or value
        end,
        decode = function(value) return value end,
      }
      local object = expect.success(class.open(seg, "c", { codec = codec }))
      local read = how.reader(object)
      local before = seg:read()
      bad = "raises"
      local ok, message = pcall(how.put, object, "x")
      assert.False(ok)
      assert.same({ "own" }, message)
      bad = "gives no string"
      expect.misuse("encode gave no string", how.put, object, "x")
      bad = nil
      expect.misuse("capacity", how.put, object, ("x"):rep(5000))
      assert.equal(before, seg:read())
      expect.success(how.put(object, "well"))
      assert.equal("well", (read()))
    end)

    it("gives encode what was given: nothing is nil", function()
      local seg = expect.success(shmseg.anonymous(4096))
      local got = {}
      local codec = {
        encode = function(value)
          got[#got + 1] = type(value)
          return "nothing"
        end,
        decode = tostring,
      }
      local object = expect.success(class.open(seg, "c", { codec = codec }))
      pcall(how.put, object) -- misuse, or a nil
      pcall(how.put, object, nil)
      for _, what in ipairs(got) do
        assert.equal("nil", what)
      end
    end)

    it("wants a codec that is one", function()
      for _, codec in ipairs { 1, "x", true, {}, { encode = print }, { encode = 1, decode = 2 } } do
        expect.misuse("codec", class.open, scratch.name(), "c", { capacity = 10, codec = codec })
      end
    end)

    it("raises when a codec's function has closed it", function()
      local seg = expect.success(shmseg.anonymous(4096))
      for _, which in ipairs { "encode", "decode" } do
        local object, read
        local function close(value)
          object:close()
          return value
        end
        local codec = { encode = function(v) return v end, decode = function(v) return v end }
        codec[which] = close
        object = expect.success(class.open(seg, "c", { codec = codec }))
        read = how.reader(object)
        if which == "encode" then
          expect.misuse("closed", how.put, object, "x")
        else
          expect.success(how.put(object, "x"))
          assert.equal("x", (read()))
          expect.misuse("closed", read)
        end
        seg:fill(0, seg:size())
      end
    end)

    it("interrupts who waits for a value when a signal of shmseg.signals comes", function()
      local object, name = named()
      expect.success(how.put(object, "first"))
      local other = peer.start()
      open_in(other, noun, name)
      if noun == "queue" then
        assert.equal("first", object:pop(0))
      end
      other:call "stop = shmseg.signals 'TERM'"
      other:send("report 'waits' return " .. how.wait)
      assert.equal("waits", other:receive())
      other:await_sleep()
      other:signal "TERM"
      assert.equal("interrupted", expect.failure("interrupted", other:receive()))
      expect.failure("interrupted", other:call("return " .. how.wait))
      assert.equal("TERM", other:call "return stop:wait(60)")
      other:send("report 'waits' return " .. how.wait)
      assert.equal("waits", other:receive())
      expect.success(how.put(object, "second"))
      assert.equal("second", (other:receive()))
    end)

    for what, wrap in pairs {
      ["the stock interpreter"] = "%s",
      ["the stock interpreter in a coroutine"] = "coroutine.wrap(function() %s end)()",
    } do
      it("that waits ends " .. what .. " at Ctrl-C", function()
        local _, name = named()
        local words = peer.command()
        words[#words + 1] = scratch.file(table.concat({
          'shmseg = require "shmseg"',
          (opening:gsub("NOUN", noun)),
          'io.write "waits\\n" io.flush()',
          wrap:format(how.wait),
        }, "\n"))
        words[#words + 1] = name
        local other = process.start(words)
        assert.equal("waits", other:line(), other:stderr())
        other:await_sleep()
        other:signal "INT"
        assert.equal(1, (other:finish()))
        assert.truthy(other:stderr():find "interrupted!", other:stderr())
      end)
    end

    it("ends a wait when a peer cuts the object, and every call after it #hole", function()
      local object, name = named(8192)
      local read = how.reader(object)
      local other = peer.start()
      open_in(other, noun, name)
      other:send("report 'waits' return " .. how.wait)
      assert.equal("waits", other:receive())
      other:await_sleep()
      truncate(name)
      expect.failure("truncated", other:receive())
      expect.failure("truncated", other:call("return " .. how.wait))
      expect.failure("truncated", how.put(object, "x"))
      expect.failure("truncated", how.put(object, ("x"):rep(8192)))
      expect.failure("truncated", read())
    end)

    it("is opened anew after a cut: the handle from before stays ended #hole", function()
      local object, name = named(8192)
      local seg = object:segment()
      local read = how.reader(object)
      truncate(name)
      expect.failure("truncated", how.put(object, "x"))
      local file = assert(io.open(scratch.objects .. name, "w"))
      file:write(("\0"):rep(class.size_for { capacity = 8192 }))
      file:close()
      seg:refresh()
      expect.failure("truncated", how.put(object, "x"))
      expect.failure("truncated", read())
      local anew, created = expect.success(class.open(seg, "c", { capacity = 8192 }))
      assert.True(created)
      local reread = how.reader(anew)
      expect.success(how.put(anew, "x"))
      assert.equal("x", (reread()))
    end)

    it("is corrupt where it was cut and has grown again: zeroes are no state of it", function()
      local object, name = named(8192)
      local read = how.reader(object)
      truncate(name)
      local file = assert(io.open(scratch.objects .. name, "w"))
      file:write(("\0"):rep(class.size_for { capacity = 8192 }))
      file:close()
      for _ = 1, 2 do
        local value, _, code = how.put(object, "x")
        assert.is_nil(value)
        assert.truthy(code == "corrupt" or code == "truncated", code)
        value, _, code = read()
        assert.is_nil(value)
        assert.truthy(code == "corrupt" or code == "truncated", code)
      end
    end)

    it("may be scribbled over at any time: every call comes back with a value or a code", function()
      local object, name = named(2000)
      local seg = object:segment()
      local size = seg:size()
      local vandal = peer.start()
      vandal:call("seg = assert(shmseg.open(...))", name)
      vandal:send [[
        report "begins"
        local words = { 0, 1, 2, 7, 8, 2 ^ 31 - 1, 2 ^ 31, 2 ^ 32 - 1, 12345678, 2008, 2016 }
        for i = 1, 20000 do
          local word = i % 3 == 0 and math.random(0, 2 ^ 31 - 1) or words[math.random(#words)]
          local places = i % 4 == 0 and seg:size() / 4 or 96
          seg:set_u32(4 * math.random(16, places - 1), word)
          if i % 500 == 0 then shmseg.sleep(0) end
        end]]
      assert.equal("begins", vandal:receive())
      local codes = {
        corrupt = true, timeout = true, empty = true, shutdown = true, EAGAIN = true,
        ["too small"] = true,
      }
      local scrap = expect.success(shmseg.anonymous(512))
      local finished = shmseg.now() + 0.5
      local calls = 0
      repeat
        calls = calls + 1
        -- What is no state of a lock, or a lock of nobody's, must not delay the spec.
        seg:set_u32(64, 1)
        local function check(value, _, code)
          assert.truthy(value ~= nil or codes[code], code)
          assert.truthy(type(value) ~= "string" or #value <= 2000)
        end
        if noun == "queue" then
          check(object:push(("x"):rep(calls % 2001), 0))
          check(object:pop(0))
          check(object:drain())
          check(object:push_many({ ("y"):rep(calls % 700), scrap, "z" }, 0))
          check(object:pop_into(scrap, calls % 64, 0))
          check(object:drain(calls % 5 + 1, 0))
          check(object:push(scrap, 0))
          pcall(function() return #object end)
          check(object:stats())
        elseif noun == "cell" then
          check(object:set(("x"):rep(calls % 2001)))
          check(object:get())
          check(object:wait(1, 0))
          check(object:cas(calls, "x"))
        else
          check(object:publish(("x"):rep(calls % 2001)))
          for _, from in ipairs { "new", "oldest" } do
            local s, _, code = object:subscribe(from)
            check(s, nil, code)
            if s then
              check(s:next(0))
              check(s:next(0))
            end
          end
          pcall(object.subscribe, object, math.random(1000000))
        end
      until shmseg.now() > finished
      vandal:receive()
      assert.equal(size, seg:size())
    end)

    it("is one object for processes that race to make it", function()
      local name = scratch.name()
      local others = {}
      for i = 1, 3 do
        others[i] = peer.start()
        others[i]:call "name = ..."
      end
      for round = 1, 5 do
        local this = name .. "-" .. round
        scratch.defer(function() os.remove(scratch.objects .. this) end)
        for _, other in ipairs(others) do
          other:send(([[
            object, created = assert(shmseg.%s.open(..., "c", { capacity = 64 }))
            local value = "v" %s
            return created]]):format(noun, how.write), this)
        end
        local makers = 0
        for _, other in ipairs(others) do
          makers = makers + (other:receive() and 1 or 0)
        end
        assert.equal(1, makers)
      end
    end)
  end)
end

describe("a writer", function()
  after_each(scratch.clean)

  -- The word of a mutex that a live process holds stands for a writer that stopped in the middle:
  -- gives that process, the segment and its name.
  local function stopped_writers()
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 16384))
    expect.success(shmseg.mutex.open(seg, "c"))
    expect.success(shmseg.cell.open(seg:slice(4096, 4096), "c"))
    expect.success(shmseg.broadcast.open(seg:slice(8192, 4096), "c"))
    local holder = peer.start()
    holder:call("m = assert(shmseg.mutex.open((shmseg.open(...)))) m:lock()", name)
    seg:set_u32(4096 + 64, seg:get_u32(64))
    seg:set_u32(8192 + 128, seg:get_u32(64))
    return holder, seg, name
  end

  local calls = {
    "shmseg.cell.open(seg:slice(4096, 4096)):set 'x'",
    "shmseg.broadcast.open(seg:slice(8192, 4096)):publish 'x'",
  }

  local function user(name)
    local other = peer.start()
    other:call("seg = assert(shmseg.open(...))", name)
    return other
  end

  it("that waits for a stopped one gives up after five seconds", function()
    local holder, seg, name = stopped_writers()
    local others = {}
    for i, call in ipairs(calls) do
      others[i] = user(name)
      others[i]:send("return " .. call)
    end
    for _, other in ipairs(others) do
      assert.equal("timeout", expect.failure("timeout", other:receive()))
    end
    holder:stop()
    local cell = expect.success(shmseg.cell.open(seg:slice(4096, 4096)))
    assert.equal(1, expect.success(cell:set("x")))
    assert.equal("x", (cell:wait(0, LONG)))
  end)

  it("that waits for a stopped one is interrupted by signals", function()
    local _, _, name = stopped_writers()
    for _, call in ipairs(calls) do
      local other = user(name)
      other:call("stop = shmseg.signals('INT')")
      other:send("report 'waits' return " .. call)
      assert.equal("waits", other:receive())
      other:await_sleep()
      other:signal "INT"
      expect.failure("interrupted", other:receive())
      expect.failure("interrupted", other:call("return " .. call)) -- it has not been taken
      assert.equal("INT", other:call "return stop:wait(0)")
    end
  end)

  it("that waits for a stopped one sees a shutdown", function()
    local _, seg, name = stopped_writers()
    local other = user(name)
    other:send("report 'waits' return " .. calls[2])
    assert.equal("waits", other:receive())
    other:await_sleep()
    expect.success(shmseg.broadcast.open(seg:slice(8192, 4096))):shutdown()
    expect.failure("shutdown", other:receive())
  end)
end)
