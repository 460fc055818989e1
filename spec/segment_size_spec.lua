-- SPDX-License-Identifier: MIT
-- resize and refresh: growing and shrinking, one's own and a peer's.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local machine = require "spec.support.machine"
local scratch = require "spec.support.scratch"

local page = shmseg.pagesize

local function create(size, options)
  local name = scratch.name()
  return expect.success(shmseg.open(name, "x", size, options)), name
end

local function refused(f)
  return expect.misuse({ "out of range" }, f)
end

describe("resizing", function()
  after_each(scratch.clean)

  it("grows the object, keeps the bytes and adds zeroes", function()
    local seg, name = create(100)
    seg:fill(0, 100, 65)
    assert.equal(10000, seg:resize(10000))
    assert.equal(10000, seg:size())
    assert.equal(("A"):rep(100) .. ("\0"):rep(9900), seg:read())
    assert.equal(10000, shmseg.stat(name).size)
    seg:write(9999, "z")
    assert.equal("z", scratch.bytes(name):sub(-1))
  end)

  it("takes the memory at once, unless the segment is sparse", function()
    local seg, name = create(page)
    seg:resize(64 * page)
    assert.truthy(shmseg.stat(name).allocated >= 64 * page)
    local sparse, sparse_name = create(page, { reserve = false })
    sparse:resize(64 * page)
    assert.truthy(shmseg.stat(sparse_name).allocated < 64 * page)
  end)

  it("shrinks the object, and what lies beyond the end raises", function()
    local seg, name = create(10000)
    seg:fill(0, 10000, 65)
    assert.equal(50, seg:resize(50))
    assert.equal(50, seg:size())
    assert.equal(("A"):rep(50), seg:read())
    assert.equal(50, #scratch.bytes(name))
    refused(function()
      return seg:read(49, 2)
    end)
  end)

  it("to the same size changes nothing", function()
    local seg = create(100)
    seg:write(0, "kept")
    assert.equal(100, seg:resize(100))
    assert.equal("kept", seg:read(0, 4))
  end)

  it("may go on a hundred times", function()
    local seg = create(1)
    for i = 1, 100 do
      local size = i * 7919 % 40000 + 1
      assert.equal(size, seg:resize(size))
      seg:write(size - 1, "x")
      assert.equal("x", seg:read(size - 1))
    end
  end)

  it("takes no size that is none", function()
    local seg = create(100)
    local sizes = { 0, -1, 0.5, 0 / 0, math.huge, -math.huge, 2 ^ 63, 2 ^ 64, "x", true, {} }
    for _, size in ipairs(sizes) do
      expect.misuse({ "bad argument #1", "resize" }, function()
        seg:resize(size)
      end)
    end
    expect.misuse("bad argument #1", function()
      seg:resize()
    end)
    for _, size in ipairs { 2 ^ 46, 2 ^ 53, 2 ^ 62, math.maxinteger } do
      local ok, value = pcall(seg.resize, seg, size)
      assert.falsy(ok and value)
    end
    assert.equal(100, seg:size())
    assert.equal(100, seg:stat().size)
    assert.equal(100, #seg:read())
  end)

  it("fails with ENOSPC and changes nothing when there is no room", function()
    if machine.small then
      pending(machine.small)
    end
    local seg, name = create(100)
    seg:write(0, "kept")
    local value, message, code = seg:resize(2 ^ 45)
    assert.is_nil(value)
    assert.is_string(message)
    -- valgrind's mmap says EINVAL
    local codes = { ENOSPC = true, EFBIG = true, ENOMEM = true, EINVAL = true }
    assert.True(codes[code], code)
    assert.equal(100, seg:size())
    assert.equal(100, #scratch.bytes(name))
    assert.equal("kept", seg:read(0, 4))
  end)

  it("is not for read-only handles", function()
    local _, name = create(100)
    local reader = expect.success(shmseg.open(name, "r"))
    expect.misuse("read%-only", function()
      return reader:resize(200)
    end)
    assert.equal(100, #scratch.bytes(name))
  end)

  it("never cuts what a live slice covers", function()
    local seg = create(100)
    local slice = seg:slice(10, 50)
    expect.misuse("", function()
      return seg:resize(59)
    end)
    assert.equal(100, seg:size())
    assert.equal(60, seg:resize(60))
    assert.equal(50, #slice:read())
  end)

  it("cuts what a closed slice or a collected one covered", function()
    local seg = create(100)
    local slice = seg:slice(10, 50)
    slice:close()
    assert.equal(40, seg:resize(40))
    do
      local _ = seg:slice(20, 20)
    end
    collectgarbage()
    collectgarbage()
    assert.equal(10, seg:resize(10))
  end)

  it("works on files and anonymous segments", function()
    local file = expect.success(shmseg.map(scratch.path(), "x", 100))
    file:write(0, "kept")
    assert.equal(5000, file:resize(5000))
    assert.equal(60, file:resize(60))
    assert.equal("kept", file:read(0, 4))
    local nameless = expect.success(shmseg.anonymous(100))
    assert.equal(5000, nameless:resize(5000))
  end)
end)

describe("the option max", function()
  after_each(scratch.clean)

  it("keeps the address while the segment grows up to it", function()
    local seg = create(page, { max = 64 * page })
    local address = seg:pointer()
    for pages = 2, 64, 7 do
      assert.equal(pages * page, seg:resize(pages * page))
      assert.equal(address, seg:pointer())
      seg:write(pages * page - 1, "x")
    end
    assert.equal(page, seg:resize(page))
    assert.equal(address, seg:pointer())
    assert.equal(100 * page, seg:resize(100 * page))
    seg:write(100 * page - 1, "x")
    assert.equal("x", seg:read(100 * page - 1))
  end)

  it("keeps the address while a peer grows the object", function()
    local seg, name = create(page)
    local other = expect.success(shmseg.open(name, "rw", page, { max = 64 * page }))
    local address = other:pointer()
    seg:resize(40 * page)
    assert.equal(40 * page, other:refresh())
    assert.equal(address, other:pointer())
  end)

  it("takes no memory and no size", function()
    local seg = create(page, { max = machine.small and 2 ^ 28 or 2 ^ 32 })
    assert.equal(page, seg:size())
    assert.truthy(seg:stat().allocated < 2 ^ 20)
    refused(function()
      return seg:read(page, 1)
    end)
  end)
end)

describe("refreshing", function()
  after_each(scratch.clean)

  it("sees a peer's growth, which is not seen before", function()
    local seg, name = create(100)
    local peer = expect.success(shmseg.open(name))
    peer:resize(5000)
    peer:write(4999, "z")
    assert.equal(100, seg:size())
    refused(function()
      return seg:read(100, 1)
    end)
    assert.equal(5000, seg:refresh())
    assert.equal(5000, seg:size())
    assert.equal("z", seg:read(4999))
  end)

  it("sees a peer's shrinking", function()
    local seg, name = create(3 * page)
    local peer = expect.success(shmseg.open(name))
    peer:resize(page)
    assert.equal(page, seg:refresh())
    refused(function()
      return seg:read(page, 1)
    end)
    assert.equal(page, #seg:read())
  end)

  it("works through a read-only handle", function()
    local seg, name = create(100)
    local reader = expect.success(shmseg.open(name, "r"))
    seg:resize(200)
    seg:write(150, "there")
    assert.equal(200, reader:refresh())
    assert.equal("there", reader:read(150, 5))
  end)

  it("changes nothing when nothing has changed", function()
    local seg = create(100)
    seg:write(0, "kept")
    assert.equal(100, seg:refresh())
    assert.equal("kept", seg:read(0, 4))
  end)

  it("follows the object and not the name", function()
    local seg, name = create(100)
    seg:unlink()
    expect.success(shmseg.open(name, "x", 5000))
    assert.equal(100, seg:refresh())
  end)
end)

describe("growing", function()
  after_each(scratch.clean)

  it("never undoes a peer's growth", function()
    local seg, name = create(100)
    local peer = expect.success(shmseg.open(name))
    peer:resize(5000)
    peer:write(4999, "z")
    local size = expect.success(seg:resize(200))
    assert.equal(5000, #scratch.bytes(name))
    assert.equal(size, seg:size())
    assert.truthy(size == 5000 or size == 200)
    assert.equal("z", peer:read(4999))
  end)
end)

describe("slices", function()
  after_each(scratch.clean)

  it("stay good when the segment moves", function()
    local seg = create(100)
    local slices = {}
    for i = 0, 9 do
      slices[i] = seg:slice(10 * i, 10)
      slices[i]:fill(0, 10, 65 + i)
    end
    for _, size in ipairs { 10000, 5000000, 20000000 } do
      seg:resize(size)
      for i = 0, 9 do
        assert.equal(string.char(65 + i):rep(10), slices[i]:read())
      end
      slices[3]:write(0, "new")
      assert.equal("new", seg:read(30, 3))
      slices[3]:write(0, "DDD")
    end
  end)

  it("beyond a peer's cut raise, and are good again when it has grown", function()
    local seg, name = create(3 * page)
    local low, high = seg:slice(0, 10), seg:slice(2 * page, 10)
    local across = seg:slice(page - 10, 20)
    local peer = expect.success(shmseg.open(name))
    peer:resize(page)
    assert.equal(page, seg:refresh())
    assert.equal(("\0"):rep(10), low:read())
    refused(function()
      return high:read(0, 1)
    end)
    refused(function()
      return across:read(5, 10)
    end)
    peer:resize(3 * page)
    peer:write(2 * page, "back again")
    seg:refresh()
    assert.equal("back again", high:read())
    assert.equal(20, #across:read())
  end)
end)
