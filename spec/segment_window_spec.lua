-- SPDX-License-Identifier: MIT
-- shmseg.map with a window, and with a private mapping; and growing at opening.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local page = shmseg.pagesize

-- A new file of so many bytes, in which each word of 4 bytes is its own offset: its path, and all
-- of it mapped.
local function numbered(size)
  local path = scratch.path()
  local whole = expect.success(shmseg.map(path, "x", size))
  local words = whole:array(0, "u32")
  local list = {}
  for i = 1, #words do
    list[i] = 4 * (i - 1)
  end
  words:set(1, list)
  return path, whole
end

local function window(path, offset, length, options)
  local all = { offset = offset, length = length }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return expect.success(shmseg.map(path, "rw", nil, all))
end

local function truncate(path, size)
  assert.True(shell.succeeds(("truncate -s %d %s"):format(size, shell.quote(path))))
end

describe("a window of a file", function()
  after_each(scratch.clean)

  it("has the bytes from its offset on, and counts from there", function()
    local path, whole = numbered(5 * page)
    for _, offset in ipairs { 0, 64, page - 64, page, page + 64, 3 * page - 128 } do
      for _, length in ipairs { 4, 64, page - 4, page, page + 8, 2 * page } do
        local seg = window(path, offset, length)
        assert.equal(length, #seg)
        assert.equal(offset, seg:get_u32(0))
        assert.equal(offset + length - 4, seg:get_u32(length - 4))
        assert.equal(whole:read(offset, length), seg:read())
        expect.misuse("out of range", seg.get_u8, seg, length)
        seg:set_u32(length - 4, 7)
        assert.equal(7, whole:get_u32(offset + length - 4))
        whole:set_u32(offset + length - 4, offset + length - 4)
        assert.equal(seg:pointer() % page, offset % page)
        seg:close()
      end
      local seg = window(path, offset)
      assert.equal(5 * page - offset, seg:size())
    end
  end)

  it("has slices, arrays, atomics and a dump of its own", function()
    local path, whole = numbered(3 * page)
    local seg = window(path, page + 64, page)
    assert.equal(page + 164, seg:slice(100):get_u32(0))
    assert.equal(page + 64 + 40, seg:array(0, "u32")[11])
    assert.equal(page + 64, seg:atomic(0, "u32"):add(1))
    assert.equal(page + 65, whole:get_u32(page + 64))
    assert.truthy(seg:dump(0, 4):find "^00000000 ")
    assert.equal(0, seg:find(whole:read(page + 64, 8)))
    assert.equal(page - 4, seg:rfind(whole:read(2 * page + 60, 4)))
    assert.True(seg:flush(100, 8))
    assert.True(seg:advise "random")
    assert.equal(3 * page, seg:stat().size)
    assert.equal(path, seg:name())
    assert.True(seg:is_current())
    assert.True(seg:unlink())
    assert.False(seg:is_current())
  end)

  it("overlaps others as memory does", function()
    local path = numbered(4 * page)
    local a, b = window(path, 64, 3 * page), window(path, page, 3 * page)
    local expected = a:read(0, 2 * page)
    b:copy(0, a, 0, 2 * page)
    assert.equal(expected, b:read(0, 2 * page))
    expected = b:read(64, 2 * page)
    a:copy(0, b, 64, 2 * page)
    assert.equal(expected, a:read(0, 2 * page))
  end)

  it("is too small a file where it reaches past the end", function()
    local path = numbered(1000)
    for _, case in ipairs {
      { 0, 1001, 1001 }, { 64, 937, 1001 }, { 960, 41, 1001 }, { 1024, nil, 1025 },
      { 2 ^ 40, 4096, 2 ^ 40 + 4096 },
    } do
      local message = expect.failure("too small",
        shmseg.map(path, "rw", nil, { offset = case[1], length = case[2] }))
      assert.truthy(message:find(("1000 bytes, %.0f needed"):format(case[3]), 1, true), message)
    end
    expect.failure("too small", shmseg.map(path, "rw", 2000, { offset = 64, length = 8 }))
    assert.equal(936, #window(path, 64))
  end)

  it("is made with a file, whose size has room for it", function()
    local path = scratch.path()
    local options = { offset = 128, length = 100, init = function(new)
      assert.equal(100, #new)
      new:write(0, "inside")
    end }
    local seg, created = expect.success(shmseg.map(path, "c", 1000, options))
    assert.True(created)
    assert.equal(100, #seg)
    assert.equal(1000, seg:stat().size)
    assert.equal("inside", expect.success(shmseg.map(path, "r")):read(128, 6))
    local other = scratch.path()
    expect.misuse("window ends behind the size, 1000", shmseg.map, other, "x", 1000,
      { offset = 960, length = 41 })
    expect.misuse("\"offset\": the window ends", shmseg.map, other, "c", 64, { offset = 64 })
    assert.is_nil(io.open(other))
  end)

  it("wants an offset that is a multiple of 64, and a length", function()
    local path = numbered(4096)
    for _, offset in ipairs { 1, 63, 65, -64, 0.5, 1 / 0, 0 / 0, 2 ^ 53, "x", {} } do
      expect.misuse('option "offset"', shmseg.map, path, "rw", nil, { offset = offset })
    end
    for _, offset in ipairs { 2 ^ 53, 2 ^ 60, 1e300 } do
      expect.misuse('option "offset": too large', shmseg.map, path, "rw", nil, { offset = offset })
    end
    for _, length in ipairs { 0, -1, 1.5, 1 / 0, "x", {} } do
      expect.misuse('option "length"', shmseg.map, path, "rw", nil, { length = length })
    end
    expect.misuse('option "max"', shmseg.map, path, "rw", nil, { offset = 64, max = 8192 })
    for _, name in ipairs { "offset", "length" } do
      expect.misuse("unknown option", shmseg.open, scratch.name(), "c", 64, { [name] = 64 })
    end
    expect.misuse("unknown option", shmseg.open, scratch.name(), "c", 64, { private = true })
    assert.equal(64, #window(path, "128", "64"))
  end)

  it("keeps its size: resize and refresh are misuse", function()
    local path = numbered(4096)
    for _, seg in ipairs { (window(path, 64)), (window(path, 0, 100)) } do
      expect.misuse("window", seg.resize, seg, 4096)
      expect.misuse("window", seg.resize, seg, 10)
      expect.misuse("window", seg.refresh, seg)
      expect.misuse("window", seg:slice(0, 8).refresh, seg:slice(0, 8))
    end
    assert.equal(4096, expect.success(shmseg.map(path)):size())
  end)

  it("has objects that those of other windows are", function()
    local path = scratch.path()
    expect.success(shmseg.map(path, "x", 10 * page, { reserve = false })):close()
    local a, b = window(path, 64, 4 * page), window(path, 2 * page + 192)
    local options = { capacity = 600 }
    local at = 2 * page + 192 - 64
    local queue = expect.success(shmseg.queue.open(a:slice(at, 2000), "c", options))
    local same, created = shmseg.queue.open(b:slice(0, 2000), "c", options)
    assert.False(created)
    assert.True(queue:push "across")
    assert.equal("across", same:pop(0))
    local mutex = expect.success(shmseg.mutex.open(a:slice(at + 2048, 128), "c"))
    local twin = expect.success(shmseg.mutex.open(b:slice(2048, 128)))
    assert.truthy(mutex:lock(0))
    expect.failure("timeout", twin:lock(0))
    mutex:unlock()
    assert.truthy(twin:lock(0))
    expect.failure("timeout", mutex:lock(0))
    twin:unlock()
    local other = peer.start()
    other:call("seg = assert(shmseg.map(..., 'rw', nil, { offset = 1024 }))", path)
    other:call("m = assert(shmseg.mutex.open(seg:slice(..., 128))) m:lock()", at + 2048 + 64 - 1024)
    expect.failure("timeout", mutex:lock(0))
    other:signal "KILL"
    other:finish()
    assert.equal("abandoned", select(2, mutex:lock(1)))
    expect.failure("timeout", twin:lock(0))
    mutex:unlock()
  end)

  it("finds data in the place of an object, wherever the window begins", function()
    local path = scratch.path()
    local whole = expect.success(shmseg.map(path, "x", 40 * page, { reserve = false }))
    whole:write(30 * page, "x")
    local seg = window(path, 2 * page + 64)
    local size = 38 * page - 64
    local message = expect.failure("incompatible",
      shmseg.cell.open(seg, "c", { capacity = 9 * page }))
    assert.truthy(message:find(("at offset %d is"):format(28 * page - 64), 1, true), message)
    whole:write(30 * page, "\0")
    whole:write(2 * page, "y")
    whole:write(39 * page, "y")
    expect.success(shmseg.cell.open(seg, "c", { capacity = math.floor(size / 4) - page }))
  end)

  for _, offset in ipairs { 0, 64, 2 * page, 2 * page + 128 } do
    it(("at %d that a peer has cut fails as truncated, and lives"):format(offset), function()
      local path = numbered(12 * page)
      local other = window(path, 0, page)
      for _, rest in ipairs { 4 * page, page } do
        local seg = window(path, offset, 8 * page)
        truncate(path, rest)
        if rest > offset + 8 then
          assert.equal(offset, seg:get_u32(0))
        end
        local message = expect.failure("truncated", seg:read(6 * page, 8))
        assert.truthy(message:find("map the window anew", 1, true), message)
        expect.failure("truncated", seg:get_u32(0))
        expect.failure("truncated", seg:write(7 * page, "x"))
        assert.equal(8, other:get_u32(8))
        truncate(path, 12 * page)
      end
    end)
  end

  it("may be populated and pinned", function()
    local path = numbered(4 * page)
    for _, name in ipairs { "populate", "pin" } do
      local seg = shmseg.map(path, "rw", nil, { offset = page + 64, length = page, [name] = true })
      assert.equal(page + 64, expect.success(seg):get_u32(0))
    end
  end)
end)

describe("a private mapping", function()
  after_each(scratch.clean)

  it("keeps its changes for itself", function()
    local path, whole = numbered(3 * page)
    local seg = expect.success(shmseg.map(path, "rw", nil, { private = true }))
    local part = window(path, page + 64, 100, { private = true })
    assert.equal("rw", seg:mode())
    seg:set_u32(page + 64, 1)
    part:set_u32(0, 2)
    assert.equal(page + 64, whole:get_u32(page + 64))
    assert.equal(1, seg:get_u32(page + 64))
    assert.equal(2, part:get_u32(0))
    whole:set_u32(page + 64, 3)
    assert.equal(1, seg:get_u32(page + 64))
    assert.equal(7, seg:array(0, "u32", 1):set(1, { 7 }) and seg:get_u32(0))
    assert.equal(7, seg:atomic(0, "u32"):add(1))
    seg:close()
    assert.equal(0, expect.success(shmseg.map(path)):get_u32(0))
  end)

  it("can be changed although the file cannot, but not with mode r", function()
    local path = numbered(4096)
    assert.True(shell.succeeds("chmod 444 " .. shell.quote(path)))
    local seg = expect.success(shmseg.map(path, nil, nil, { private = true }))
    seg:write(0, "own")
    assert.equal("own", seg:read(0, 3))
    local reader = expect.success(shmseg.map(path, "r", nil, { private = true }))
    assert.equal("r", reader:mode())
    expect.misuse("read%-only", reader.write, reader, 0, "x")
    assert.equal("\0\0\0\0", reader:read(0, 4))
    local flags = shell.run(("grep flags /proc/%d/fdinfo/%d"):format(shell.pid(), seg:fd()))
    assert.truthy(flags:find "0%s*$", flags) -- O_RDONLY
  end)

  it("has no objects, waits, flush and resize, and makes no file", function()
    local path = numbered(4096)
    local seg = expect.success(shmseg.map(path, "rw", nil, { private = true }))
    expect.misuse("private", shmseg.mutex.open, seg:slice(0, 128), "c")
    expect.misuse("private", shmseg.queue.open, seg, "r")
    expect.misuse("private", seg.flush, seg)
    expect.misuse("private", seg.resize, seg, 8192)
    local n = seg:atomic(0, "u32")
    expect.misuse("private", n.wait, n, 0, 0)
    for _, mode in ipairs { "c", "x" } do
      expect.misuse("private", shmseg.map, scratch.path(), mode, 64, { private = true })
    end
    for _, temporary in ipairs { true, "last" } do
      expect.misuse("temporary", shmseg.map, path, "rw", nil,
        { private = true, temporary = temporary })
    end
    expect.misuse("boolean expected", shmseg.map, path, "rw", nil, { private = 1 })
    expect.failure("ENOENT", shmseg.map(scratch.path(), "rw", nil, { private = true }))
    expect.failure("too small", shmseg.map(path, "rw", 4097, { private = true }))
  end)

  it("loses its changes at a cut, and is whole again after a refresh", function()
    local path = numbered(4 * page)
    local seg = expect.success(shmseg.map(path, "rw", nil, { private = true }))
    seg:set_u32(64, 5)
    seg:set_u32(3 * page, 6)
    assert.equal(4 * page, seg:refresh())
    assert.equal(5, seg:get_u32(64))
    truncate(path, 2 * page)
    expect.failure("truncated", seg:get_u32(3 * page))
    expect.failure("truncated", seg:get_u32(64))
    assert.equal(2 * page, seg:refresh())
    assert.equal(64, seg:get_u32(64))
    expect.misuse("out of range", seg.get_u32, seg, 3 * page)
    seg:set_u32(64, 9)
    truncate(path, 6 * page)
    assert.equal(2 * page, seg:refresh())
    assert.equal(9, seg:get_u32(64))
  end)
end)

describe("growing at opening", function()
  after_each(scratch.clean)

  it("gives a smaller object the size, and never shrinks a larger one", function()
    local name = scratch.name()
    local first = expect.success(shmseg.open(name, "x", 1000))
    first:write(0, "kept")
    for _, mode in ipairs { "rw", "c" } do
      local size = mode == "rw" and 5000 or 9000
      local seg, created = shmseg.open(name, mode, size, { grow = true })
      assert.False(expect.success(created))
      assert.equal(size, #seg)
      assert.equal(size, shmseg.stat(name).size)
      assert.equal("kept", seg:read(0, 4))
      assert.equal(("\0"):rep(size - 1000), seg:read(1000))
      assert.equal(size, first:refresh())
      local again = expect.success(shmseg.open(name, mode, 2000, { grow = true }))
      assert.equal(size, #again)
    end
    assert.True(shmseg.stat(name).allocated >= 9000)
    assert.equal(9000, shmseg.stat(name).size)
  end)

  it("makes what is absent in the modes that do", function()
    local name = scratch.name()
    expect.failure("ENOENT", shmseg.open(name, "rw", 1000, { grow = true }))
    local seg, created = shmseg.open(name, "c", 1000, { grow = true })
    assert.True(expect.success(created))
    assert.equal(1000, #seg)
    expect.failure("EEXIST", shmseg.open(name, "x", 2000, { grow = true }))
    assert.equal(1000, shmseg.stat(name).size)
    local path = scratch.file("old")
    local file = expect.success(shmseg.map(path, "rw", 4096, { grow = true }))
    assert.equal("old\0", file:read(0, 4))
    assert.equal(4096, #file)
  end)

  it("leaves what is empty to who is making it", function()
    local name = scratch.name()
    assert(io.open(scratch.objects .. name, "w")):close()
    expect.failure("too small", shmseg.open(name, "rw", 1000, { grow = true }))
    expect.failure("too small", shmseg.open(name, "c", 1000, { grow = true }))
    assert.equal(0, shmseg.stat(name).size)
  end)

  it("that cannot be leaves the size as it was", function()
    local name = scratch.name()
    expect.success(shmseg.open(name, "x", 1000))
    for _, size in ipairs { 2 ^ 45, 2 ^ 50 } do
      local seg, message, code = shmseg.open(name, "rw", size, { grow = true })
      assert.is_nil(seg)
      assert.equal("string", type(message))
      assert.truthy(code == "ENOSPC" or code == "ENOMEM" or code == "EFBIG", code)
    end
    assert.equal(1000, shmseg.stat(name).size)
  end)

  it("wants a mode that may write, and a size; and is not for objects or windows", function()
    local name, path = scratch.name(), scratch.file(("x"):rep(100))
    expect.success(shmseg.open(name, "x", 1000))
    expect.misuse("\"grow\": needs a mode", shmseg.open, name, "r", 2000, { grow = true })
    expect.misuse("\"grow\": needs a size", shmseg.open, name, "rw", nil, { grow = true })
    expect.misuse("\"grow\": boolean", shmseg.open, name, "rw", 2000, { grow = 1 })
    expect.misuse("window", shmseg.map, path, "rw", 200, { grow = true, offset = 64 })
    expect.misuse("private", shmseg.map, path, "rw", 200, { grow = true, private = true })
    expect.misuse("\"grow\"", shmseg.queue.open, name, "c", { grow = true, capacity = 5 })
    expect.misuse("grow", shmseg.anonymous, 100, { grow = true })
    assert.equal(1000, shmseg.stat(name).size)
    assert.equal(1000, #expect.success(shmseg.open(name, "r", 500, { grow = false })))
  end)

  it("is done by processes at once, and the largest wins", function()
    local name = scratch.name()
    expect.success(shmseg.open(name, "x", 100))
    local others = {}
    for i = 1, 3 do
      others[i] = peer.start()
      others[i]:send(([[
        for size = 1, 60 do
          local seg = assert(shmseg.open(%q, "rw", 1000 * size + %d, { grow = true }))
          assert(#seg >= 1000 * size + %d)
          seg:close()
        end
        return "done"]]):format(name, i, i))
    end
    for i = 1, 3 do
      assert.equal("done", others[i]:receive())
    end
    assert.equal(60003, shmseg.stat(name).size)
  end)
end)
