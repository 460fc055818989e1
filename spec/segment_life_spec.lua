-- SPDX-License-Identifier: MIT
-- The life of a handle: closing, collecting, printing; closed and read-only handles; handles that
-- are closed in the middle of a call; temporary segments; fork and threads.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local host = require "spec.support.host"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"

local load_string = loadstring or load

local function create(size, options)
  local name = scratch.name()
  return expect.success(shmseg.open(name, "x", size or 64, options)), name
end

local function exists(name)
  return scratch.bytes(name) ~= nil
end

-- Every method of a segment with right arguments, for a segment `seg` and another one, `other`.
local reading = {
  "size()",
  "mode()",
  "stat()",
  "fd()",
  "pointer()",
  "read()",
  "read(0, 4)",
  "compare(0, 'text')",
  "compare(0, other)",
  "find('\\0')",
  "unpack(0, '<i4')",
  "unpack(0, '')",
  "slice(0)",
  "slice(0, 4)",
  "refresh()",
  "flush()",
  "advise('normal')",
  "dump()",
  "get_bool(0)",
  "get_i8(0)",
  "get_u8(0)",
  "get_i16(0)",
  "get_u16(0)",
  "get_i32(0)",
  "get_u32(0)",
  "get_i64(0)",
  "get_u64(0)",
  "get_f32(0)",
  "get_f64(0)",
}
local writing = {
  "write(0, 'text')",
  "write(0, '')",
  "fill(0, 4)",
  "fill(0, 0)",
  "copy(0, other)",
  "pack(0, '<i4', 1)",
  "pack(0, '')",
  "set_bool(0, true)",
  "set_i8(0, 1)",
  "set_u8(0, 1)",
  "set_i16(0, 1)",
  "set_u16(0, 1)",
  "set_i32(0, 1)",
  "set_u32(0, 1)",
  "set_i64(0, 1)",
  "set_u64(0, 1)",
  "set_f32(0, 1)",
  "set_f64(0, 1)",
}
local owning = { "resize(128)", "unlink()" }

local function method(call)
  return assert(load_string("local seg, other = ... return seg:" .. call))
end

local function each(f, ...)
  for _, calls in ipairs { ... } do
    for _, call in ipairs(calls) do
      f(call, method(call))
    end
  end
end

describe("each method", function()
  after_each(scratch.clean)

  it("works on an open segment", function()
    each(function(call, f)
      local seg, other = create(), create(32)
      expect.success(f(seg, other), call)
      seg:close()
      other:close()
    end, reading, writing, owning)
  end)
end)

describe("a closed segment", function()
  after_each(scratch.clean)

  each(function(call, f)
    it("raises on " .. call, function()
      local seg, name = create()
      local other = create(32)
      seg:close()
      expect.misuse("closed", function()
        return f(seg, other)
      end)
      assert.equal(("\0"):rep(64), scratch.bytes(name))
    end)

    if not call:find("^resize") and not call:find("^unlink") then
      it("raises on " .. call .. " of a slice that was closed or whose segment was", function()
        local seg = create()
        local other = create(32)
        local slice, open = seg:slice(8, 40), seg:slice(8, 40)
        slice:close()
        expect.misuse("closed", function()
          return f(slice, other)
        end)
        seg:close()
        expect.misuse("closed", function()
          return f(open, other)
        end)
      end)
    end
  end, reading, writing, owning)

  it("raises on the length operator", function()
    local seg = create()
    seg:close()
    expect.misuse("closed", function()
      return #seg
    end)
  end)

  it("raises where it is the source of another's call", function()
    local seg, source = create(), create(32)
    local slice = source:slice(0, 4)
    source:close()
    for _, closed in ipairs { source, slice } do
      expect.misuse("closed", function()
        seg:copy(0, closed)
      end)
      expect.misuse("closed", function()
        seg:compare(0, closed)
      end)
    end
  end)

  it("may be closed again", function()
    local seg, name = create()
    for _ = 1, 3 do
      seg:close()
    end
    assert.True(exists(name))
    for key in pairs { __gc = 1, __close = 1 } do
      local f = type(getmetatable(seg)) == "table" and getmetatable(seg)[key]
      if f then
        f(seg)
      end
    end
  end)

  it("prints as closed", function()
    local seg = create()
    local slice = seg:slice(0, 4)
    seg:close()
    assert.equal("shmseg.segment (closed)", tostring(seg))
    assert.truthy(tostring(slice):find("closed"))
  end)

  it("has no name and no other field", function()
    local seg = create()
    seg:close()
    assert.is_nil(seg.nothing)
    expect.misuse("", function()
      seg.field = 1
    end)
  end)
end)

describe("a method", function()
  after_each(scratch.clean)

  each(function(call)
    it("refuses another thing than a segment as its self: " .. call, function()
      local seg = create()
      local name = call:match("^[%w_]+")
      for _, self in ipairs { 1, "text", true, {}, print, io.stdout } do
        expect.misuse({ "bad argument" }, seg[name], self)
        expect.misuse({ "bad argument" }, seg[name], self, 0, 0)
      end
      expect.misuse("bad argument", seg[name])
    end)
  end, reading, writing, owning, { "close()", "name()" })
end)

describe("a read-only segment", function()
  after_each(scratch.clean)

  each(function(call, f)
    it("raises on " .. call .. ", and so does its slice", function()
      local seg, name = create()
      seg:fill(0, 64, 65)
      local reader, other = expect.success(shmseg.open(name, "r")), create(32)
      expect.misuse("read%-only", function()
        return f(reader, other)
      end)
      if not call:find "resize" then
        expect.misuse("read%-only", function()
          return f(reader:slice(0, 40), other)
        end)
      end
      assert.equal(("A"):rep(64), scratch.bytes(name))
    end)
  end, writing, { "resize(128)" })

  each(function(call, f)
    it("allows " .. call, function()
      local _, name = create()
      expect.success(f(expect.success(shmseg.open(name, "r")), create(32)), call)
    end)
  end, reading)
end)

describe("a segment", function()
  after_each(scratch.clean)

  it("prints its name, size and mode", function()
    local seg, name = create(32)
    assert.equal("shmseg.segment (" .. name .. ", 32 bytes, rw)", tostring(seg))
    local reader = expect.success(shmseg.open(name, "r"))
    assert.equal("shmseg.segment (" .. name .. ", 32 bytes, r)", tostring(reader))
    assert.equal("shmseg.segment (slice of 8 bytes at 16)", tostring(seg:slice(16, 8)))
    local nameless = tostring(expect.success(shmseg.anonymous(32)))
    assert.truthy(nameless:find("^shmseg%.segment %(.*32 bytes, rw%)$"))
  end)

  it("names its type in its metatable and in errors", function()
    local seg = create()
    local metatable = getmetatable(seg)
    if type(metatable) == "table" then
      assert.equal("shmseg.segment", metatable.__name)
      assert.equal("function", type(metatable.__gc))
      assert.equal("function", type(metatable.__close))
    end
    expect.misuse("shmseg%.segment", function()
      seg.read(io.stdout)
    end)
  end)

  it("unmaps and closes its descriptor when it is closed or collected", function()
    local other = peer.start()
    local before, closed, collected = other:call(
      [[
      local name = ...
      local census = require "spec.support.census"
      local function count()
        return census.mappings() .. " " .. census.descriptors()
      end
      local function open()
        return shmseg.open(name, "c", 4096, { max = 2 ^ 20 })
      end
      local seg = open()
      seg:close()
      local before = count()
      local all = {}
      for i = 1, 50 do all[i] = open() end
      for i = 1, 50 do all[i]:close() end
      local closed = count()
      for i = 1, 50 do all[i] = open():slice(0, 10) end
      all = nil
      collectgarbage()
      collectgarbage()
      return before, closed, count()]],
      scratch.name()
    )
    assert.equal(before, closed)
    assert.equal(before, collected)
  end)

  if _VERSION >= "Lua 5.4" then
    it("closes with its block from Lua 5.4 on", function()
      local seg = create()
      local f = assert(load_string "local seg <close> = ... return seg:size()")
      assert.equal(64, f(seg))
      expect.misuse("closed", function()
        return seg:size()
      end)
      local slice = create():slice(0, 4)
      assert.equal(4, f(slice))
      expect.misuse("closed", function()
        return slice:size()
      end)
    end)
  end

  it("can be closed by the collector at the end of the state", function()
    local other = peer.start()
    other:call("seg = shmseg.open(..., 'c', 64) seg:slice(0, 4)", scratch.name())
    assert.equal(0, other:quit())
  end)
end)

describe("a handle that is closed in the middle of a call", function()
  after_each(scratch.clean)

  -- Runs in a peer: a crash there is a failure here.
  local hostile = [[
    local name, source = ...
    local seg, other = assert(shmseg.open(name, "c", 65536)), assert(shmseg.anonymous(64))
    local slice = seg:slice(0, 65536)
    local ran = false
    local function close()
      ran = true
      seg:close()
      for _ = 1, 10 do
        assert(shmseg.anonymous(65536)):fill(0, 65536, 255)
      end
      return "text"
    end
    local names = {
      __index = close, __tostring = close, __len = close, __concat = close, __unm = close,
      __name = "hostile", __call = close, __eq = close, __lt = close, __le = close,
    }
    if newproxy then
      local proxy = newproxy(true)
      for key, value in pairs(names) do getmetatable(proxy)[key] = value end
      evil = proxy
    end
    local table_evil = setmetatable({}, names)
    for _, value in ipairs { table_evil, evil } do
      evil = value
      local call = (loadstring or load)("local seg, other, evil = ... return " .. source)
      local ok, result = pcall(call, SELF, other, evil)
      if ran and ok and result ~= nil then
        error("succeeded after it was closed: " .. tostring(result))
      end
    end
    return "survived"]]

  local calls = {
    "seg:read(evil)",
    "seg:read(0, evil)",
    "seg:write(0, evil)",
    "seg:write(evil, 'x')",
    "seg:fill(0, evil)",
    "seg:fill(0, 4, evil)",
    "seg:copy(0, evil)",
    "seg:copy(0, other, evil)",
    "seg:compare(0, evil)",
    "seg:find(evil)",
    "seg:pack(0, evil, 1)",
    "seg:pack(0, 'i4i4', 1, evil)",
    "seg:pack(0, 's4z', 'x', evil)",
    "seg:pack(0, 'z', evil)",
    "seg:pack(0, 'd', evil)",
    "seg:unpack(0, evil)",
    "seg:set_i32(0, evil)",
    "seg:set_i64(0, evil)",
    "seg:set_f64(0, evil)",
    "seg:set_bool(0, evil)",
    "seg:slice(evil)",
    "seg:resize(evil)",
    "seg:dump(evil)",
    "seg:flush(evil)",
    "seg:advise(evil)",
    "seg[evil]",
  }
  for _, call in ipairs(calls) do
    it("is not touched by " .. call, function()
      local other = peer.start()
      for _, self in ipairs { "seg", "slice" } do
        local name = scratch.name()
        assert.equal("survived", other:call((hostile:gsub("SELF", self)), name, call))
      end
    end)
  end

  it("by __index of its options leaves nothing half made", function()
    local other = peer.start()
    local name = scratch.name()
    assert.equal(
      "survived",
      other:call(
        [[
        local name = ...
        local opened
        for _, event in ipairs { "__index", "__pairs", "__tostring", "__len" } do
          local options = setmetatable({ perm = "600" }, { [event] = function(_, key)
            if opened then opened:close() end
            error("raised by " .. event)
          end })
          opened = shmseg.anonymous(64)
          local ok, seg = pcall(shmseg.open, name, "x", 64, options)
          if ok and seg then seg:unlink() seg:close() end
          assert(not shmseg.stat(name), event)
        end
        return "survived"]],
        name
      )
    )
  end)

  -- Allocating a string can run __gc, and so any code.
  it("by __gc while a result is made reads nothing that is gone", function()
    local other = peer.start()
    assert.equal(
      "survived",
      other:call [[
      local inside, hits = nil, {}
      local function trap(seg)
        local function spring()
          if inside then hits[inside] = hits[inside] + 1 end
          seg:close()
        end
        if newproxy then
          getmetatable(newproxy(true)).__gc = spring
        else
          setmetatable({}, { __gc = spring })
        end
      end
      local collector = require "spec.support.collector"
      collector("pause", 10)
      collector("stepmul", 1000)
      local calls = {
        function(seg) return seg:read() end,
        function(seg) return seg:read(0, 30) end,
        function(seg) return seg:slice(0, 100):read(0, 40) end,
        function(seg) return seg:unpack(0, "z s4 c60000 d") end,
        -- what the first string takes lets the second collect, on 5.2 before it is copied
        function(seg) return seg:unpack(0, "c21000 c21000 c21000") end,
        function(seg) return seg:dump(0, 4096) end,
        function(seg) return seg:stat() end,
        function(seg) return seg:slice(0, 100) end,
        function(seg) return tostring(seg) end,
        function(seg) return seg:pack(0, "s4 z c100", ("y"):rep(1000), "z", "c") end,
      }
      -- Each call is caught in the act a few times; those that allocate little, now and then.
      local sum = 0
      for i, call in ipairs(calls) do
        local round = 0
        hits[i] = 0
        repeat
          round = round + 1
          local seg = assert(shmseg.anonymous(65536))
          seg:pack(0, "z s4", "zero", ("x"):rep(1000))
          trap(seg)
          for _ = 1, 50 do
            inside = i
            local ok = pcall(call, seg)
            inside = nil
            if not ok then break end
          end
          seg:close()
        until hits[i] >= 10 or round == 100
        sum = sum + hits[i]
      end
      local enough = hits[1] >= 10 and sum >= 20
      return enough and "survived" or "hardly hit: " .. table.concat(hits, " ")]]
    )
  end)
end)

describe("a temporary segment", function()
  after_each(scratch.clean)

  it("is unlinked when its handle closes or is collected", function()
    local seg, name = create(64, { temporary = true })
    assert.True(exists(name))
    seg:close()
    assert.False(exists(name))
    local seg2, name2 = create(64, { temporary = true })
    assert.truthy(seg2)
    seg2 = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.False(exists(name2))
  end)

  local endings = {
    { "comes to its end", "quit()", 0 },
    { "calls os.exit", "os.exit(3)", 3 },
    { "calls os.exit and closes its state", "os.exit(0, true)", 0 },
    { "calls os.exit in a coroutine", "coroutine.wrap(function() os.exit(4) end)()", 4 },
    { "ends with handles not collected", "collectgarbage('stop') quit()", 0 },
  }
  for _, case in ipairs(endings) do
    it("is unlinked when the process " .. case[1], function()
      local other, name = peer.start(), scratch.name()
      local mapped = scratch.path()
      other:call("local n, p = ... seg = shmseg.open(n, 'x', 64, { temporary = true })", name)
      other:call("map = assert(shmseg.map(..., 'x', 64, { temporary = true }))", mapped)
      assert.True(exists(name))
      other:send(case[2])
      assert.equal(case[3], (other:finish()))
      assert.False(exists(name))
      assert.is_nil(io.open(mapped))
    end)
  end

  it("is unlinked that a finalizer opens while the state closes", function()
    local other, base = peer.start(), scratch.family()
    other:call([[
      local base = ...
      local finalizer = require "spec.support.finalizer"
      kept = {}
      for i = 1, 20 do
        kept[i] = finalizer(function()
          kept[-i] = assert(shmseg.open(base .. ("x"):rep(i) .. i, "x", 64, { temporary = true }))
        end)
      end
      collectgarbage "stop"]], base)
    assert.equal(0, other:quit())
    assert.same({}, shmseg.list("^" .. base:gsub("%-", "%%-")))
    assert.equal("", other:stderr())
  end)

  it("is unlinked at the end of a process that has no descriptor left", function()
    -- A sanitizer's search for leaks, at the very end, needs descriptors.
    local other = peer.start { "env", "ASAN_OPTIONS=detect_leaks=0:handle_sigbus=0" }
    local name = scratch.name()
    local code = other:call([[
      seg, others = assert(shmseg.open(..., "x", 64, { temporary = true })), {}
      local last, code
      repeat
        last, _, code = shmseg.anonymous(64)
        others[#others + 1] = last
      until not last
      return code]], name)
    assert.equal("EMFILE", code)
    other:send "os.exit(0)"
    assert.equal(0, (other:finish()))
    assert.False(exists(name))
  end)

  it("is left by a fatal signal", function()
    local other, name = peer.start(), scratch.name()
    other:call("seg = shmseg.open(..., 'x', 64, { temporary = true })", name)
    other:signal "KILL"
    other:finish()
    assert.True(exists(name))
  end)

  it("never takes a namesake along", function()
    local seg, name = create(64, { temporary = true })
    shmseg.unlink(name)
    expect.success(shmseg.open(name, "x", 128)):close()
    seg:close()
    assert.equal(128, #scratch.bytes(name))
    local other = peer.start()
    os.remove(scratch.objects .. name)
    other:call("seg = shmseg.open(..., 'x', 64, { temporary = true })", name)
    shmseg.unlink(name)
    expect.success(shmseg.open(name, "x", 128)):close()
    other:send "os.exit(0)"
    other:finish()
    assert.equal(128, #scratch.bytes(name))
  end)

  it("goes with its handle when the process has no descriptor left", function()
    local other = peer.start()
    local name = scratch.name()
    local code = other:call([[
      local seg = assert(shmseg.open(..., "x", 64, { temporary = true }))
      local others, last, code = {}
      repeat
        last, _, code = shmseg.anonymous(64)
        others[#others + 1] = last
      until not last
      seg:close()
      return code]], name)
    assert.equal("EMFILE", code)
    assert.is_nil(scratch.bytes(name))
  end)

  it("goes with the handle that created it, and with no other", function()
    local seg, name = create(64, { temporary = true })
    for _, mode in ipairs { "r", "rw", "c" } do
      local other, created = expect.success(shmseg.open(name, mode, 64, { temporary = true }))
      assert.False(created)
      other:close()
      assert.True(exists(name))
    end
    seg:close()
    assert.False(exists(name))
    local path = scratch.path()
    seg = expect.success(shmseg.map(path, "x", 64))
    expect.success(shmseg.map(path, "c", 64, { temporary = true })):close()
    assert.truthy(io.open(path)):close()
    seg:unlink()
  end)

  it("is left by a process that only found it, when that ends", function()
    local _, name = create()
    local other = peer.start()
    other:call("seg = assert(shmseg.open(..., 'c', 64, { temporary = true }))", name)
    other:send "os.exit(0)"
    other:finish()
    assert.True(exists(name))
  end)

  it("is left by who has lost the race for its name", function()
    local name = scratch.name()
    local winner
    local seg, created = expect.success(shmseg.open(name, "c", 64, {
      temporary = true,
      init = function()
        winner = expect.success(shmseg.open(name, "x", 64))
      end,
    }))
    assert.False(created)
    seg:close()
    assert.True(exists(name))
    winner:close()
  end)

  it("stands a thousand at once", function()
    local other, base = peer.start(), scratch.family()
    local pattern = "^" .. base:gsub("%-", "%%-")
    local count = other:call(
      [[
      local base, pattern = ...
      local function open(i)
        return assert(shmseg.open(base .. "-" .. i, "x", 64, { temporary = true }))
      end
      all = {}
      for i = 1, 1000 do all[i] = open(i) end
      for i = 1, 1000, 2 do all[i]:close() end
      local left = #shmseg.list(pattern)
      for i = 1, 1000, 2 do all[i] = open(i) end
      return left]],
      base,
      pattern
    )
    assert.equal(500, count)
    assert.equal(1000, #shmseg.list(pattern))
    other:send "os.exit(0)"
    other:finish()
    assert.same({}, shmseg.list(pattern))
  end)
end)

describe("fork", function()
  after_each(scratch.clean)

  local function run(chunk, ...)
    local lines, reason = host.run([[local shmseg = require "shmseg" ]] .. chunk, ...)
    if not lines then
      pending(reason)
    end
    assert.equal("done", lines[#lines])
  end

  it("gives the child handles that work", function()
    run(
      [[
      local seg = assert(shmseg.open(..., "x", 4096))
      local anonymous = assert(shmseg.anonymous(64))
      local slice = seg:slice(100, 10)
      local child = host.fork()
      if child == 0 then
        slice:write(0, "from child")
        anonymous:write(0, "child")
        seg:resize(8192)
        seg:write(8000, "there")
        host._exit(7)
      end
      assert(host.wait(child) == 7)
      assert(slice:read() == "from child")
      assert(anonymous:read(0, 5) == "child")
      assert(seg:refresh() == 8192)
      assert(seg:read(8000, 5) == "there")
      print "done"]],
      scratch.name()
    )
  end)

  it("leaves a temporary segment to the process that opened it", function()
    run(
      [[
      local name = ...
      local endings = {
        function(seg) seg:close() host._exit(0) end,
        function() os.exit(0) end,
        function() os.exit(0, true) end,
        function(seg) seg = nil collectgarbage() collectgarbage() os.exit(0, true) end,
        function() host._exit(0) end,
      }
      for i, ending in ipairs(endings) do
        local seg = assert(shmseg.open(name, "x", 64, { temporary = true }))
        local child = host.fork()
        if child == 0 then
          ending(seg)
        end
        assert(host.wait(child) == 0)
        assert(shmseg.stat(name), "gone after ending " .. i)
        assert(seg:read(0, 1) == "\0")
        seg:close()
        assert(not shmseg.stat(name))
      end
      print "done"]],
      scratch.name()
    )
  end)

  it("lets the child have temporary segments of its own", function()
    run(
      [[
      local name = ...
      local mine = assert(shmseg.open(name .. "-parent", "x", 64, { temporary = true }))
      local child = host.fork()
      if child == 0 then
        child_seg = assert(shmseg.open(name .. "-child", "x", 64, { temporary = true }))
        os.exit(0)
      end
      assert(host.wait(child) == 0)
      assert(not shmseg.stat(name .. "-child"))
      assert(shmseg.stat(name .. "-parent"))
      mine:close()
      print "done"]],
      scratch.family()
    )
  end)

  it("gives the child a fault guard that works #hole", function()
    run(
      [[
      local name = ...
      local seg = assert(shmseg.open(name, "x", 65536))
      local child = host.fork()
      if child == 0 then
        local cutter = assert(shmseg.open(name))
        cutter:resize(1)
        local _, _, code = seg:read(32768, 10)
        host._exit(code == "truncated" and 5 or 6)
      end
      assert(host.wait(child) == 5)
      assert(select(3, seg:read(32768, 10)) == "truncated")
      print "done"]],
      scratch.name()
    )
  end)
end)

describe("two Lua states in two threads", function()
  after_each(scratch.clean)

  it("use the library at once #hole", function()
    local work = scratch.file(
      [[
      local number, name = ...
      number = tonumber(number)
      local shmseg = require "shmseg"
      local shared = assert(shmseg.open(name, "c", 4096))
      for round = 1, 1000 do
        local options = { temporary = round % 2 == 0 }
        local own = assert(shmseg.open(name .. "-" .. number, "c", 8192, options))
        own:pack(0, "<i4 s4", round, ("x"):rep(round % 100))
        local i, s = own:unpack(0, "<i4 s4")
        assert(i == round and #s == round % 100)
        local slice = own:slice(4096, 100)
        slice:fill(0, 100, number)
        assert(slice:read() == string.char(number):rep(100))
        shared:set_u32(4 * number, round)
        assert(shared:get_u32(4 * number) == round)
        -- A hole made by oneself, and one that others make.
        if round % 20 == 0 then
          local cutter = assert(shmseg.open(own:name()))
          cutter:resize(1)
          assert(select(3, own:read(4096, 10)) == "truncated")
          assert(own:refresh() == 1)
          cutter:close()
        end
        own:close()
        if round % 2 == 1 then
          assert(shmseg.unlink(name .. "-" .. number))
        end
      end]],
      "work.lua"
    )
    local lines, reason = host.run(
      [[
      local work, name = ...
      for _ = 1, 3 do
        assert(host.threads(4, work, name))
      end
      local shmseg = require "shmseg"
      assert(shmseg.open(name)):unlink()
      assert(#shmseg.list((name:gsub("%-", "%%-"))) == 0)
      print "done"]],
      work,
      scratch.family()
    )
    if not lines then
      pending(reason)
    end
    assert.same({ "done" }, lines)
  end)

  it("meet holes at once, each in its own handle #hole", function()
    local work = scratch.file(
      [[
      local number, name = ...
      local shmseg = require "shmseg"
      local seg = assert(shmseg.open(name))
      local cuts, wholes = 0, 0
      for round = 1, 3000 do
        if number == "1" then
          assert(seg:resize(round % 2 == 0 and 65536 or 4096))
        else
          seg:refresh()
          local ok, value, _, code = pcall(seg.read, seg, 0, 65536)
          if ok and value then
            wholes = wholes + 1
          else
            cuts = cuts + 1
            assert(not ok or code == "truncated", code)
          end
        end
      end
      assert(number == "1" or cuts + wholes == 3000)]],
      "work.lua"
    )
    local lines, reason = host.run(
      [[
      local work, name = ...
      local shmseg = require "shmseg"
      local seg = assert(shmseg.open(name, "x", 65536, { temporary = true }))
      assert(host.threads(4, work, name))
      print "done"]],
      work,
      scratch.family()
    )
    if not lines then
      pending(reason)
    end
    assert.same({ "done" }, lines)
  end)

  it("leave a fault handler that outlives them, and passes on what is not theirs #hole", function()
    local work = scratch.file [[
      local shmseg = require "shmseg"
      assert(shmseg.anonymous(64)):close()]]
    local main = scratch.file [[
      local work = ...
      assert(host.threads(2, work, ""))
      os.execute "kill -BUS $PPID"]]
    local started, reason = host.start(main, work)
    if not started then
      pending(reason)
    end
    local SIGBUS = 7
    assert.equal(128 + SIGBUS, (started:finish()))
  end)
end)
