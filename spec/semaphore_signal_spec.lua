-- SPDX-License-Identifier: MIT
-- The counting signal: a semaphore that anybody posts, and whose posts are used up.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"

local COUNT = 68 -- where the word of the count is

local function signal(most)
  local name = scratch.name()
  local options = { permits = most or 100, signal = true }
  return expect.success(shmseg.semaphore.open(name, "x", options)), name
end

-- A peer that has the signal as `s`.
local function user(name)
  local other = peer.start()
  other:call("s = assert(shmseg.semaphore.open(...))", name)
  return other
end

describe("a counting signal", function()
  after_each(scratch.clean)

  it("starts at 0, and gives each post to one who acquires", function()
    local s, name = signal()
    local other = user(name)
    assert.equal(0, s:value())
    expect.failure("timeout", s:acquire(0))
    expect.failure("timeout", s:acquire(0.001))
    assert.True(s:post())
    assert.True(other:call "return s:post(3)")
    assert.equal(4, s:value())
    assert.True(s:acquire(0))
    assert.True(other:call "return s:acquire(0)")
    assert.True(s:acquire())
    assert.True(s:acquire(0.5))
    expect.failure("timeout", other:call "return s:acquire(0)")
    assert.equal(0, s:value())
  end)

  it("wakes those who sleep, as many as are posted", function()
    local s, name = signal()
    local others = { user(name), user(name) }
    for _, other in ipairs(others) do
      other:send "report 'waits' return s:acquire()"
      assert.equal("waits", other:receive())
      other:await_sleep()
    end
    assert.True(s:post(2))
    for _, other in ipairs(others) do
      assert.True(other:receive())
    end
    assert.equal(0, s:value())
  end)

  it("refuses what would be more than the most, and changes nothing", function()
    local s = signal(3)
    assert.equal("too many", expect.failure("too many", s:post(4)))
    assert.equal(0, s:value())
    assert.True(s:post(2))
    for _, count in ipairs { 2, 3, 2 ^ 31, 2 ^ 32, 2 ^ 32 + 1, 2 ^ 53 } do
      expect.failure("too many", s:post(count))
    end
    assert.equal(2, s:value())
    assert.True(s:post(1))
    expect.failure("too many", s:post())
    s:acquire()
    assert.True(s:post())
    local large = signal(2 ^ 31 - 1)
    assert.True(large:post(2 ^ 31 - 1))
    assert.equal(2 ^ 31 - 1, large:value())
    expect.failure("too many", large:post())
  end)

  it("is posted a positive number, and has no release", function()
    local s, name = signal()
    for _, count in ipairs { 0, -1, 1.5, -2 ^ 53, 0 / 0, "x", true, {} } do
      expect.misuse("bad argument #%d", s.post, s, count)
    end
    s:post(2)
    s:acquire()
    expect.misuse(('semaphore "%s": a signal has no release'):format(name:gsub("%-", "%%-")),
      s.release, s)
    assert.equal(1, s:value())
    local permits = expect.success(shmseg.semaphore.open(scratch.name(), "x", { permits = 3 }))
    expect.misuse('semaphore ".*": no signal to post', permits.post, permits)
    assert.equal(3, permits:value())
  end)

  it("gives nothing back when a handle closes or a process is killed", function()
    local s, name = signal()
    s:post(5)
    local second = expect.success(shmseg.semaphore.open(name))
    second:acquire()
    second:close()
    local other = user(name)
    other:call "s:acquire() s:acquire() s:post(4)"
    other:signal "KILL"
    other:finish()
    assert.equal(6, s:value())
  end)

  it("can only be read through a handle that was opened for reading", function()
    local s, name = signal()
    local reader = expect.success(shmseg.semaphore.open(name, "r"))
    s:post(2)
    assert.equal(2, reader:value())
    expect.misuse("read%-only", reader.post, reader)
    expect.misuse("read%-only", reader.acquire, reader)
    expect.misuse("read%-only", reader.acquire, reader, 0)
    assert.equal(2, s:value())
    reader:close()
    expect.misuse("closed", reader.post, reader)
    expect.misuse("closed", reader.acquire, reader, 0)
    expect.misuse("closed", reader.value, reader)
  end)

  it("is another sort than permits: to open one as the other is incompatible", function()
    local s, name = signal(9)
    local open = shmseg.semaphore.open
    for _, mode in ipairs { "r", "rw", "c" } do
      local function refuses(words, options)
        local message = expect.failure("incompatible", open(name, mode, options))
        assert.truthy(message:find(words, 1, true), message)
      end
      refuses("signal true, false asked", { permits = 9 })
      refuses("signal true, false asked", { permits = 9, signal = false })
      refuses("permits 9, 8 asked", { permits = 8, signal = true })
      expect.success(open(name, mode, { permits = 9, signal = true }))
    end
    expect.success(open(name, "r", { signal = true }))
    expect.failure("incompatible", open(name, "r", { signal = false }))
    assert.True(expect.success(open(name)):post())
    assert.equal(1, s:value())
    local plain = scratch.name()
    expect.success(open(plain, "x", { permits = 9 }))
    for _, options in ipairs { { signal = true }, { permits = 9, signal = true } } do
      local message = expect.failure("incompatible", open(plain, "rw", options))
      assert.truthy(message:find("signal false, true asked", 1, true), message)
    end
  end)

  it("lies in a slice of 128 bytes, with the largest number where none is given", function()
    local seg = expect.success(shmseg.anonymous(4096))
    local s = expect.success(shmseg.semaphore.open(seg:slice(64, 128), "c", { signal = true }))
    assert.True(s:post(2 ^ 31 - 1))
    expect.failure("too many", s:post())
    expect.failure("too small", shmseg.semaphore.open(seg:slice(256, 64), "c", { signal = true }))
    assert.equal(128, shmseg.semaphore.size_for { permits = 1, signal = true })
    assert.equal(128, shmseg.semaphore.size_for { permits = 2 ^ 31 - 1, signal = true })
    assert.equal(192, shmseg.semaphore.size_for { permits = 1, signal = false })
  end)

  it("wants the most to make it under a name, and a boolean", function()
    local name = scratch.name()
    local open = shmseg.semaphore.open
    expect.misuse('option "permits": needed', open, name, "c", { signal = true })
    expect.misuse('"permits": out of range: too large', open, name, "c",
      { permits = 2 ^ 31, signal = true })
    for _, given in ipairs { 1, "true", {} } do
      expect.misuse({ 'option "signal": boolean expected, got ' .. type(given) }, open, name, "c",
        { permits = 3, signal = given })
    end
    expect.misuse("unknown option \"signal\"", shmseg.mutex.open, name, "c", { signal = true })
    expect.failure("ENOENT", shmseg.semaphore.open(name))
  end)

  it("whose count is none is corrupt", function()
    local s = signal(5)
    for _, word in ipairs { 0, 7, 0xffffffff } do
      s:segment():set_u32(COUNT, word)
      expect.failure("corrupt", s:post())
      expect.misuse("corrupt", s.acquire, s)
      expect.failure("corrupt", s:value())
      assert.equal(word, s:segment():get_u32(COUNT))
    end
  end)

  it("counts exactly while processes post and acquire at once", function()
    local s, name = signal(50)
    local posters, takers = {}, {}
    for i = 1, 2 do
      posters[i], takers[i] = user(name), user(name)
      posters[i]:send [[
        local refused = 0
        for i = 1, 2000 do
          while not s:post(1 + i % 3) do
            refused = refused + 1
            shmseg.sleep(0)
          end
        end
        return refused]]
      takers[i]:send "for i = 1, 3500 do assert(s:acquire(60)) end return 'done'"
    end
    local left = 0
    for i = 1, 2 do
      assert.equal("done", takers[i]:receive())
    end
    while left < 2 * 4001 - 2 * 3500 do
      assert.True(s:acquire(60))
      left = left + 1
    end
    for i = 1, 2 do
      assert.equal("number", type(posters[i]:receive()))
    end
    expect.failure("timeout", s:acquire(0))
  end)
end)
