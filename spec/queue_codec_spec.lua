-- SPDX-License-Identifier: MIT
-- Queues with a codec: what decode may do, and what becomes of its errors.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local queues = require "spec.support.queues"
local scratch = require "spec.support.scratch"

-- Numbers; what is none cannot be decoded.
local function decode_number(bytes)
  return tonumber(bytes) or error("cannot decode " .. bytes, 0)
end

local function push_all(q, ...)
  for _, value in ipairs { ... } do
    assert.True(q:push(value))
  end
end

describe("pop through a codec", function()
  after_each(scratch.clean)

  it("raises decode's error once; the message is gone", function()
    local q = queues.coded(decode_number)
    push_all(q, "bad", 5)
    expect.misuse("cannot decode bad", q.pop, q)
    assert.equal(5, q:pop(0))
    expect.failure("timeout", q:pop(0))
  end)

  it("gives what decode gives, which may have used the queue", function()
    local q
    q = queues.coded(function(bytes)
      return bytes == "more" and q:drain() or bytes
    end)
    push_all(q, "more", "1", "2")
    assert.same({ "1", "2" }, q:pop(0))
    assert.equal(0, #q)
  end)

  it("raises when decode gives nil; the message is gone", function()
    local q = queues.coded(function() end)
    push_all(q, "x", "y", "z")
    expect.misuse("decode gave nil", q.pop, q, 0)
    expect.misuse("decode gave nil", q:messages())
    assert.equal(1, #q)
  end)
end)

describe("drain through a codec", function()
  after_each(scratch.clean)

  it("gives what is before a message that cannot be decoded, and begins with that next", function()
    local q, plain = queues.coded(decode_number)
    push_all(q, 1, 2, "bad", 3, 4)
    assert.same({ 1, 2 }, q:drain())
    assert.equal(3, #q)
    assert.equal("cannot decode bad", expect.misuse("", q.drain, q))
    assert.equal(2, #q) -- it alone was taken
    assert.same({ 3, 4 }, q:drain())
    push_all(q, 5, "bad", "worse")
    assert.same({ 5 }, q:drain(3, 60))
    assert.same({ "bad", "worse" }, plain:drain())
  end)

  it("raises the error of the first message as it was raised, and takes that alone", function()
    local problem = {}
    for _, wait in ipairs { false, true } do
      local q = queues.coded(function(bytes)
        return bytes ~= "bad" and bytes or error(problem, 0)
      end)
      push_all(q, "bad", "bad", "good")
      for left = 2, 1, -1 do
        local ok, caught = pcall(q.drain, q, 10, wait and 60 or nil)
        assert.False(ok)
        assert.equal(problem, caught)
        assert.equal(left, #q)
      end
      assert.same({ "good" }, q:drain())
    end
  end)

  it("decodes no more than it may take", function()
    local decoded = 0
    local q = queues.coded(function(bytes)
      decoded = decoded + 1
      return bytes
    end)
    push_all(q, 1, 2, 3, 4)
    assert.same({}, q:drain(0))
    assert.equal(0, decoded)
    assert.same({ "1", "2", "3" }, q:drain(3))
    assert.equal(3, decoded)
  end)

  it("gives false as a value, and raises when decode gives nil", function()
    local q = queues.coded(function(bytes)
      if bytes == "none" then
        return nil
      end
      return bytes == "true"
    end)
    push_all(q, false, true, "none", false)
    assert.same({ false, true }, q:drain())
    expect.misuse("decode gave nil", q.drain, q)
    assert.same({ false }, q:drain())
  end)

  it("does not give what decode has popped itself", function()
    for at = 1, 4 do
      local q, popped
      local calls = 0
      q = queues.coded(function(bytes)
        calls = calls + 1
        if calls == at then
          popped = { q:pop(0), q:pop(0) }
        end
        return bytes
      end)
      push_all(q, 1, 2, 3, 4)
      assert.same({ "3", "4" }, q:drain())
      assert.same({ "1", "2" }, popped)
      assert.same({}, q:drain())
    end
  end)

  it("does not give what decode has drained itself", function()
    for at = 1, 3 do
      for max = 1, 4 do
        local q, drained
        local calls = 0
        q = queues.coded(function(bytes)
          calls = calls + 1
          if calls == at then
            drained = q:drain(max)
          end
          return bytes
        end)
        push_all(q, 1, 2, 3)
        local all = q:drain()
        assert.equal(math.max(0, 3 - max), #all)
        for i = #all, 1, -1 do
          table.insert(drained, max + 1, all[i])
        end
        assert.same({ "1", "2", "3" }, drained)
        assert.equal(0, #q)
      end
    end
  end)

  it("looks again when others have taken all that it decoded", function()
    for _, timeout in ipairs { false, 0, 60 } do
      local calls, q, plain = 0
      q, plain = queues.coded(function(bytes)
        calls = calls + 1
        if calls == 1 then
          assert.same({ "1", "2" }, plain:drain())
          plain:push "new"
        end
        return bytes
      end)
      push_all(q, 1, 2)
      assert.same({ "new" }, timeout and q:drain(5, timeout) or not timeout and q:drain())
    end
  end)

  it("is not misled by a decode that fails after it has used and refilled the queue", function()
    local huge = ("\0\0\0\64\0\0\0\0"):rep(20) -- would be the size of a record
    local q, plain
    q, plain = queues.coded(function(bytes)
      if bytes ~= "bad" then
        return bytes
      end
      assert.same({ "first", "bad", "behind" }, plain:drain())
      plain:push(huge)
      assert.equal(huge, plain:pop(0))
      error "bad"
    end)
    push_all(q, "first", "bad", "behind")
    assert.same({}, q:drain())
    push_all(q, "next")
    assert.same({ "next" }, q:drain())
  end)

  it("raises when decode has closed the handle, and nothing is taken", function()
    for at = 1, 3 do
      local calls, q, plain = 0
      q, plain = queues.coded(function(bytes)
        calls = calls + 1
        if calls == at then
          q:close()
        end
        return bytes
      end)
      push_all(q, 1, 2, 3)
      expect.misuse("closed", q.drain, q)
      assert.same({ "1", "2", "3" }, plain:drain())
    end
  end)

  it("loses at most the first message, with an error, wherever a hook raises", function()
    local _, name = queues.new()
    local told, events = queues.user(name):call [[
      if jit then jit.off() end
      local codec = { encode = tostring, decode = function(bytes) return tonumber(bytes) end }
      local coded = assert(shmseg.queue.open(q:segment(), "rw", { codec = codec }))
      local n, hit, told = 0, true, { raised = 0 }
      while hit do
        n, hit = n + 1, false
        q:push_many { 1, 2, 3 }
        local left = n
        local function hook()
          left = left - 1
          if left == 0 then
            hit = true
            debug.sethook()
            error "from the hook"
          end
        end
        local ok, result = pcall(function()
          debug.sethook(hook, "cr")
          local list = coded:drain()
          debug.sethook()
          return list
        end)
        debug.sethook()
        local rest = q:drain()
        for i, message in ipairs(rest) do
          assert(tonumber(message) == 3 - #rest + i)
        end
        if ok then
          assert(#result + #rest == 3)
        else
          told.raised = told.raised + 1
          assert(result:find "from the hook" and #rest ~= 1, n)
        end
      end
      return told, n]]
    assert.truthy(told.raised > 0 and events > 8)
  end)

  it("raises an error that a second try does not meet, and takes nothing", function()
    for _, which in ipairs { "1", "2" } do
      local interrupted = false
      local q = queues.coded(function(bytes)
        if bytes == which and not interrupted then
          interrupted = true
          error("interrupted!", 0)
        end
        return bytes
      end)
      push_all(q, "1", "2", "3")
      assert.equal("interrupted!", expect.misuse("", q.drain, q))
      assert.same({ "1", "2", "3" }, q:drain())
    end
  end)

  it("is not yielded across: that is an error of decode", function()
    local q = queues.coded(function(bytes)
      return bytes == "yields" and coroutine.yield() or bytes
    end)
    push_all(q, "1", "yields", "2")
    local step = coroutine.wrap(function()
      local list = q:drain()
      local ok, message = pcall(q.drain, q)
      return list, ok, message, q:drain()
    end)
    local list, ok, message, rest = step()
    assert.same({ "1" }, list)
    assert.False(ok)
    assert.truthy(message:find "yield", message)
    assert.same({ "2" }, rest)
  end)

  it("runs in a coroutine as elsewhere", function()
    local q = queues.coded(decode_number)
    push_all(q, 1, 2)
    assert.same({ 1, 2 }, coroutine.wrap(function() return q:drain() end)())
  end)

  it("takes each message once beside another consumer, though a decode may run in vain", function()
    local q, name = queues.new(2 ^ 16)
    local codec = { encode = tostring, decode = tonumber }
    local coded = expect.success(shmseg.queue.open(name, "rw", { codec = codec }))
    local other, count = queues.user(name), 4000
    for i = 1, count do
      q:push(tostring(i))
    end
    q:shutdown()
    other:send "local all = {} for m in q:messages() do all[#all + 1] = tonumber(m) end return all"
    local seen, last = {}, 0
    repeat
      local list, shut = coded:drain(20)
      for _, number in ipairs(list) do
        assert.True(number > last)
        last, seen[number] = number, true
      end
    until shut
    for _, number in ipairs((other:receive())) do
      assert.falsy(seen[number])
      seen[number] = true
    end
    assert.equal(count, #seen)
  end)
end)
