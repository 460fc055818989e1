-- SPDX-License-Identifier: MIT
-- Nothing that another process does to an object kills the interpreter: a peer that shrinks it, and
-- a file system that is full.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local unpack_table = table.unpack or unpack
local MiB = 2 ^ 20
local page = shmseg.pagesize

-- Shrinks or grows the object, at once, as no shell could.
local function cut(seg, size)
  if size == 0 then
    assert(io.open(scratch.objects .. seg:name(), "w")):close()
  else
    expect.success(seg:resize(size))
  end
end

-- An object of `size` bytes, all of them `text` again and again: a peer that has it mapped as
-- `seg`, and a handle to cut it with (sparse, to be quick). Nil and the reason where there is no
-- room for it.
local function victim(size, text)
  local name = scratch.name()
  local seg, message, code = shmseg.open(name, "x", size)
  if code == "ENOSPC" then
    return nil, message
  end
  expect.success(seg, message, code)
  if text then
    seg:write(0, text:rep(size / #text))
  end
  seg:close()
  local cutter = expect.success(shmseg.open(name, "rw", size, { reserve = false }))
  local other = peer.start()
  other:call([[
    seg = assert(shmseg.open(...))
    whole = seg:slice(0)
    private = assert(shmseg.anonymous(seg:size(), { reserve = false }))
    summary = function(value, ...)
      if type(value) == "string" then return #value, ... end
      return value, ...
    end]], name)
  return other, cutter
end

-- Every operation, on the segment `seg` of `size` bytes and a private one, `private`, as large.
local operations = {
  { "read", "seg:read()" },
  { "read of a part", "seg:read(size - 10000, 10000)" },
  { "read of few bytes", "seg:read(size - 8, 8)" },
  { "write", "seg:write(0, ('x'):rep(size))" },
  { "write of few bytes", "seg:write(size - 8, '12345678')" },
  { "fill", "seg:fill(0, size, 1)" },
  { "fill of few bytes", "seg:fill(size - 8, 8, 1)" },
  { "copy to it", "seg:copy(0, private)" },
  { "copy from it", "private:copy(0, seg)" },
  { "copy within it", "seg:copy(0, seg, 1)" },
  { "compare with a string", "seg:compare(0, ('\\0'):rep(size))" },
  { "compare with a segment", "seg:compare(0, private)" },
  { "compare as the source", "private:compare(0, seg)" },
  { "find", "seg:find('needle')" },
  { "find of a byte", "seg:find('n')" },
  { "find of many bytes", "seg:find(('n'):rep(5000))" },
  { "find from the end", "seg:rfind('needle')" },
  { "pack of an integer", "seg:pack(size - 8, '<i8', 1)" },
  { "pack of a string", "seg:pack(0, '<s8', ('x'):rep(size - 8))" },
  { "pack of zeroes", "seg:pack(0, 'c' .. ('%d'):format(size), '')" },
  { "unpack of an integer", "seg:unpack(size - 8, '<i8')" },
  { "unpack of a string", "seg:unpack(0, 'c' .. ('%d'):format(size))" },
  { "unpack of a string to its zero", "seg:unpack(size - 8, 'z')" },
  { "dump", "seg:dump(size - 65536)" },
  { "flush", "seg:flush()", true },
}
for _, name in ipairs {
  "bool", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64",
} do
  local get, set = "get_" .. name, "set_" .. name
  local value = name == "bool" and "true" or "1"
  operations[#operations + 1] = { get, "seg:" .. get .. "(size - 8)" }
  operations[#operations + 1] = { set, "seg:" .. set .. "(size - 8, " .. value .. ")" }
end

describe("when a peer has cut the object #hole", function()
  after_each(scratch.clean)

  local size = 64 * page
  for _, view in ipairs { "seg", "whole" } do
    for _, rest in ipairs { 0, size / 2 } do
      local kind = view == "seg" and "a segment" or "a slice"
      local to = rest == 0 and "to nothing" or "in the middle"

      local sentence = "%s, every operation on %s fails as truncated and the process lives"
      it(sentence:format(to, kind), function()
        local other, cutter = assert(victim(size))
        for _, operation in ipairs(operations) do
          local what, source, may_do = unpack_table(operation)
          local call = ("local size, seg, private = ..., %s, private return summary(%s)"):format(
            view,
            source
          )
          cut(cutter, rest)
          local value, message, code = other:call(call, size)
          if not (may_do and value) then
            assert.same({ nil, "truncated" }, { value, code }, what)
            assert.equal("string", type(message), what)
          end
          cut(cutter, size)
          assert.equal(size, other:call "return seg:refresh()")
          value, message, code = other:call(call, size)
          assert.is_nil(code, what .. ": " .. tostring(message))
          if not what:find "^find" and not what:find "^get_bool" then
            assert.truthy(value, what)
          end
        end
      end)
    end
  end

  it("stays truncated until it is refreshed, also where there are bytes again", function()
    local other, cutter = assert(victim(size, "text"))
    cut(cutter, 0)
    expect.failure("truncated", other:call "return seg:read()")
    cut(cutter, size)
    for _, call in ipairs {
      "seg:read(0, 4)", "whole:read(0, 4)", "seg:get_u8(0)", "seg:write(0, 'x')", "seg:find('t')",
    } do
      expect.failure("truncated", other:call("return " .. call))
    end
    assert.equal(size, other:call "return seg:refresh()")
    assert.equal("\0\0\0\0", other:call "return whole:read(0, 4)")
    assert.equal(1, other:call "return seg:write(0, 'x')")
    assert.equal("x", scratch.bytes(cutter:name()):sub(1, 1))
  end)

  it("gives the bytes that are left before it meets the hole", function()
    local other, cutter = assert(victim(size, "text"))
    cut(cutter, 10 * page)
    assert.equal("text", other:call "return seg:read(0, 4)")
    assert.equal(("text"):rep(page / 2), other:call("return seg:read(0, ...)", 2 * page))
    expect.failure("truncated", other:call "return seg:read()")
    assert.equal(10 * page, other:call "return seg:refresh()")
    assert.equal(("text"):rep(10 * page / 4), other:call "return seg:read()")
    expect.misuse("out of range", function()
      other:call("return seg:read(..., 1)", 10 * page)
    end)
  end)

  it("to nothing, a refresh gives size 0, and every access raises until it grows", function()
    local other, cutter = assert(victim(size, "text"))
    cut(cutter, 0)
    assert.equal(0, other:call "return seg:refresh()")
    assert.equal(0, other:call "return seg:size()")
    for _, call in ipairs {
      "seg:read(0, 1)", "seg:write(0, 'x')", "seg:get_u8(0)", "whole:read(0, 1)",
    } do
      expect.misuse("out of range", function()
        other:call("return " .. call)
      end)
    end
    assert.equal("", other:call "return seg:read()")
    cut(cutter, 100)
    assert.equal(100, other:call "return seg:refresh()")
    assert.equal(("\0"):rep(100), other:call "return seg:read()")
  end)

  it("inside a page, the rest of the page reads as zeroes", function()
    local other, cutter = assert(victim(2 * page, "text"))
    cut(cutter, page + 100)
    assert.equal("texttext" .. ("\0"):rep(8), other:call("return seg:read(..., 16)", page + 92))
    assert.equal(page + 100, other:call "return seg:refresh()")
  end)

  it("and grown it again, zeroes are read and nothing fails", function()
    local other, cutter = assert(victim(4 * page, "text"))
    cut(cutter, 0)
    cut(cutter, 4 * page)
    assert.equal(("\0"):rep(4 * page), other:call "return seg:read()")
  end)

  it("a read-only handle fails and recovers the same way", function()
    local other, cutter = assert(victim(size, "text"))
    other:call("reader = assert(shmseg.open(..., 'r'))", cutter:name())
    cut(cutter, 0)
    expect.failure("truncated", other:call "return reader:read()")
    expect.failure("truncated", other:call "return reader:find('x')")
    cut(cutter, size)
    assert.equal(size, other:call "return reader:refresh()")
    assert.equal(size, other:call "return #reader:read()")
  end)

  it("other handles go on", function()
    local other, cutter = assert(victim(size, "text"))
    local untouched = scratch.name()
    other:call("fine = assert(shmseg.open(..., 'x', 4096))", untouched)
    other:call("again = assert(shmseg.open(...))", cutter:name())
    cut(cutter, 0)
    expect.failure("truncated", other:call "return seg:read()")
    assert.equal(4, other:call "return fine:write(0, 'fine')")
    cut(cutter, size)
    assert.equal(size, other:call "return #again:read()")
  end)

  it("the handle can be resized, closed, collected and unlinked", function()
    local other, cutter = assert(victim(size, "text"))
    cut(cutter, 0)
    expect.failure("truncated", other:call "return seg:read()")
    other:call "seg:unlink() seg:close()"
    expect.misuse("closed", function()
      other:call "seg:read()"
    end)
    assert.is_nil(scratch.bytes(cutter:name()))
    other, cutter = assert(victim(size, "text"))
    cut(cutter, 0)
    expect.failure("truncated", other:call "return seg:read()")
    other:call "seg, whole = nil collectgarbage() collectgarbage()"
    assert.equal(0, other:quit())
    other, cutter = assert(victim(size, "text"))
    cut(cutter, 0)
    expect.failure("truncated", other:call "return seg:read()")
    other:call "whole:close() whole = nil seg:refresh()"
    assert.equal(size, other:call("return seg:resize(...)", size))
    assert.equal(size, other:call "return #seg:read()")
  end)

  it("a mapped file and a segment from a descriptor fail the same way", function()
    local other = peer.start()
    local path = scratch.path()
    other:call([[
      file = assert(shmseg.map(..., "x", 65536))
      copy = assert(shmseg.from_fd(file:fd()))]], path)
    assert(shell.succeeds("truncate -s 0 " .. path))
    expect.failure("truncated", other:call "return file:read()")
    expect.failure("truncated", other:call "return copy:write(60000, 'x')")
    assert(shell.succeeds("truncate -s 65536 " .. path))
    assert.equal(65536, other:call "return file:refresh()")
    assert.equal(65536, other:call "return #file:read()")
  end)

  it("hundreds of times, it recovers each time", function()
    local other, cutter = assert(victim(size))
    local failures = other:call(
      [[
      local name, size = ...
      local cutter = assert(shmseg.open(name))
      local failures = 0
      for round = 1, 300 do
        cutter:resize(round % 2 * 4096 + 1)
        local value, _, code = seg:read()
        assert(value == nil and code == "truncated")
        failures = failures + 1
        cutter:resize(size)
        assert(seg:refresh() == size)
        assert(#seg:read() == size)
      end
      return failures]],
      cutter:name(),
      size
    )
    assert.equal(300, failures)
    local maps = assert(io.open("/proc/" .. other.pid .. "/maps"))
    local count = select(2, maps:read("*a"):gsub("\n", ""))
    maps:close()
    assert.truthy(count < 300)
  end)
end)

describe("when a peer cuts the object during #hole", function()
  after_each(scratch.clean)

  -- What the peer runs, the size in MiB, and how this process sees that it is under way: a byte
  -- changes ("watch"), or some part of the time that it takes has passed ("time").
  local runs = {
    { "a read", "seg:read()", 256, "time", probe = "seg:read(0, size / 16)" },
    { "a write", "seg:write(0, text)", 256, "watch", "text = ('x'):rep(size)" },
    { "a slice's read", "whole:read()", 16, "time" },
    { "a slice's write", "whole:write(0, text)", 16, "watch", "text = ('x'):rep(size)" },
    { "a find", "seg:find('needle')", 16, "time" },
    { "a compare with a string", "seg:compare(0, text)", 16, "time", "text = ('\\0'):rep(size)" },
    { "a compare with a segment", "seg:compare(0, private)", 16, "time", "private:read()" },
    { "a copy to it", "seg:copy(0, private)", 16, "watch", "private:fill(0, size, 1)" },
    { "a copy from it", "private:copy(0, seg)", 16, "time" },
    { "a fill", "seg:fill(0, size, 1)", 16, "watch" },
    { "a pack", "seg:pack(0, 'B s8', 1, text)", 16, "watch", "text = ('x'):rep(size - 9)" },
    { "an unpack", "seg:unpack(0, 'c' .. ('%d'):format(size))", 16, "time" },
    { "an unpack to a zero", "seg:unpack(1, 'z')", 16, "time", "seg:fill(0, size - 1, 1)", true },
    { "a dump", "seg:dump()", 2, "time" },
  }

  -- Returns once the peer is at it: a byte has changed, of the second page or the last but one
  -- (memmove goes either way, and may store the outermost bytes last).
  local function await_change(seg, size)
    repeat
      local first, last = seg:get_u8(page), seg:get_u8(size - page)
    until first ~= 0 or last ~= 0
  end

  -- Returns when the peer has been at it for some seconds.
  local function await_time(flag, seconds)
    repeat
      local started = flag:get_u8(0)
    until started ~= 0
    local begin = shmseg.now()
    repeat
      local now = shmseg.now()
    until now - begin >= seconds
  end

  for _, run in ipairs(runs) do
    local what, source, megabytes, way, prepare, again = unpack_table(run)

    local tag = megabytes == 256 and " #once" or ""
    it(("%s of %d MiB, it is truncated or whole%s"):format(what, megabytes, tag), function()
      local size = megabytes * MiB
      local flag_name = scratch.name()
      local flag = expect.success(shmseg.open(flag_name, "x", 64))
      local other, cutter = victim(size)
      if not other then
        pending("no room for it: " .. cutter)
      end
      other:call("flag, size = assert(shmseg.open((...))), select(2, ...)", flag_name, size)
      other:call(prepare or "")
      local call = [[
        flag:set_u8(0, 1)
        local value, message, code = ]] .. source .. [[
        return value ~= nil or code == nil, code]]
      local took = way == "time" and other:call([[
        local began = shmseg.now()
        local value = ]] .. (run.probe or source) .. [[
        return shmseg.now() - began]]) * (run.probe and 16 or 1)
      for _, rest in ipairs { 0, size / 2 } do
        local wait = took
        local done, code
        for _ = 1, 400 do -- on a busy machine many cuts come too late
          other:call(again and prepare or "")
          flag:set_u8(0, 0)
          other:send(call)
          if way == "watch" then
            await_change(cutter, size)
          else
            wait = wait > took / 256 and wait / 2 or took / 2
            await_time(flag, wait)
          end
          cut(cutter, rest)
          done, code = other:receive()
          assert.truthy(done or code == "truncated", code)
          if not done then
            break
          end
          cut(cutter, size)
          other:call "seg:refresh()"
          cutter:refresh()
        end
        assert.equal("truncated", code)
        assert.equal(rest, other:call "return seg:refresh()")
        cut(cutter, 1)
        cut(cutter, size)
        assert.equal(size, other:call "return seg:refresh()")
        assert.equal(8, other:call "return #seg:read(size - 8)")
      end
    end)
  end

  it("anything at all, the process lives", function()
    local size = 64 * page
    local other, cutter = assert(victim(size))
    other:send([[
      local size, count = ...
      local seen = { truncated = 0, whole = 0, raised = 0 }
      local operations = {
        function() return seg:read() end,
        function() return seg:write(0, ("x"):rep(seg:size())) end,
        function() return seg:fill(0, seg:size(), 1) end,
        function() return private:copy(0, seg) end,
        function() return seg:copy(0, seg, 1) end,
        function() return seg:compare(0, private) end,
        function() return seg:find("needle") or 0 end,
        function() return seg:unpack(0, "z") end,
        function() return seg:pack(0, "s8", ("y"):rep(size - 8)) end,
        function() return seg:dump(0, 4096) end,
        function() return seg:get_i32(seg:size() - 4) end,
        function() return whole:read() end,
        function() return seg:flush() end,
      }
      for round = 1, count do
        local ok, value, message, code = pcall(operations[round % #operations + 1])
        if not ok then
          seen.raised = seen.raised + 1
        elseif value == nil then
          assert(code == "truncated", message)
          seen.truncated = seen.truncated + 1
        else
          seen.whole = seen.whole + 1
        end
        if round % 3 == 0 then seg:refresh() end
      end
      return seen]], size, 1000)
    -- This process cuts and grows until the peer reports: its line is awaited by a second handle's
    -- byte, so that no call blocks.
    local flag_name = scratch.name()
    local flag = expect.success(shmseg.open(flag_name, "x", 64))
    other:send("assert(shmseg.open(...)):set_u8(0, 1)", flag_name)
    local round = 0
    repeat
      round = round + 1
      cut(cutter, round % 4 * size / 4)
    until flag:get_u8(0) == 1
    local seen = other:receive()
    assert.truthy(seen.truncated > 0 and seen.whole > 0)
  end)
end)

describe("a process that has all the mappings it may have #hole #mappings", function()
  after_each(scratch.clean)

  it("lives, and learns that a peer has cut its segments", function()
    if (os.getenv "LD_PRELOAD" or ""):find "asan" then
      pending("the sanitizer itself needs mappings")
    end
    local size = 4 * page
    local other, cutter = assert(victim(size, "text"))
    local code, kept = other:call([[
      local page, limit = shmseg.pagesize, io.open("/proc/sys/vm/max_map_count"):read("*n")
      local split = assert(shmseg.anonymous((limit + 2) * page, { reserve = false }))
      for i = 0, limit, 2 do
        if not split:slice(i * page, page):advise "random" then break end
      end
      kept = { split }
      local last, code
      repeat
        last, _, code = shmseg.anonymous(page, { reserve = false })
        kept[#kept + 1] = last
      until not last
      return code, #kept]])
    assert.equal("ENOMEM", code)
    assert.truthy(kept < 1000, kept)
    cut(cutter, page)
    local value, _, why = other:call "return seg:read()"
    assert.same({ nil, "truncated" }, { value, why })
    assert.equal(page, other:call "return seg:refresh()")
    assert.equal("text", other:call "return seg:read(0, 4)")
  end)
end)

describe("a full file system #hole", function()
  after_each(scratch.clean)

  local mount = "mount -t tmpfs -o size=1m tmpfs /dev/shm && exec \"$@\""
  local ways = {
    { "unshare", "-m", "sh", "-c", mount, "sh" }, { "unshare", "-rm", "sh", "-c", mount, "sh" },
  }

  -- A peer that has a /dev/shm of 1 MiB to itself, or nil.
  local function cramped()
    for _, way in ipairs(ways) do
      if shell.succeeds(shell.quote(unpack_table(way)) .. " true") then
        return peer.start(way)
      end
    end
  end

  local function in_cramped(chunk)
    return function()
      local other = cramped()
      if not other then
        pending("a mount namespace of one's own is refused here")
      end
      assert.equal("done", other:call(chunk))
    end
  end

  it("is ENOSPC at open, and leaves nothing behind", in_cramped [[
    for _, mode in ipairs { "c", "x" } do
      local seg, message, code = shmseg.open("large", mode, 2 * 2 ^ 20)
      assert(seg == nil and code == "ENOSPC", code)
      assert(message:find("large", 1, true))
      assert(#shmseg.list() == 0)
    end
    local seg = assert(shmseg.open("fits", "x", 900 * 1024))
    local other, _, code = shmseg.open("more", "x", 200 * 1024)
    assert(other == nil and code == "ENOSPC")
    assert(#shmseg.list() == 1)
    seg:unlink()
    seg:close()
    assert(shmseg.open("fits", "x", 900 * 1024))
    return "done"]])

  it("is ENOSPC at resize, which changes nothing", in_cramped [[
    local seg = assert(shmseg.open("seg", "x", 65536))
    seg:fill(0, 65536, 65)
    local size, message, code = seg:resize(2 * 2 ^ 20)
    assert(size == nil and code == "ENOSPC", code)
    assert(type(message) == "string")
    assert(seg:size() == 65536 and seg:stat().size == 65536)
    assert(seg:stat().allocated == 65536, seg:stat().allocated)
    assert(seg:read() == ("A"):rep(65536))
    assert(seg:resize(131072) == 131072)
    return "done"]])

  it("is ENOSPC at the write into a sparse segment, and at the read of its hole", in_cramped [[
    local size = 4 * 2 ^ 20
    local text = ("x"):rep(size)
    local calls = {
      function(seg) return seg:write(0, text) end,
      function(seg) return seg:fill(0, size, 1) end,
      function(seg) return seg:read() end,
      function(seg) return seg:find("needle") end,
      function(seg) return seg:compare(0, ("\0"):rep(size)) end,
      function(seg) return seg:pack(0, "s8", text:sub(9)) end,
      function(seg) return seg:unpack(0, "c" .. ("%d"):format(size)) end,
      function(seg) return seg:slice(0):write(0, text) end,
      function(seg) return seg:copy(0, assert(shmseg.anonymous(size))) end,
    }
    for i, call in ipairs(calls) do
      local seg = assert(shmseg.open("sparse", "x", size, { reserve = false }))
      local value, message, code = call(seg)
      assert(value == nil and code == "ENOSPC", i .. ": " .. tostring(code))
      assert(type(message) == "string")
      seg:unlink()
      seg:close()
    end
    local file = assert(shmseg.open("full", "x", 1000 * 1024))
    local seg = assert(shmseg.open("sparse", "x", size, { reserve = false }))
    local last = shmseg.stat("full").allocated
    local offset, code = 0, nil
    repeat
      local value
      value, _, code = seg:set_u8(offset, 1)
      offset = offset + 4096
    until not value
    assert(code == "ENOSPC", code)
    return "done"]])

  it("is ENOSPC at the push of a sparse segment, and at pop_into one", in_cramped [[
    local q = assert(shmseg.queue.open(assert(shmseg.anonymous(2 ^ 20)), "c"))
    local hog = assert(shmseg.open("hog", "x", 1016 * 1024))
    local seg = assert(shmseg.open("sparse", "x", 65536, { reserve = false }))
    local value, message, code = q:push(seg)
    assert(value == nil and code == "ENOSPC" and message:find("sparse", 1, true), message)
    assert(seg:refresh())
    value, message, code = q:push_many { "first", seg, "last" }
    assert(value == 0 and code == "ENOSPC" and message:find("sparse", 1, true), message)
    assert(#q == 0 and q:push(("m"):rep(65536)))
    assert(seg:refresh())
    value, message, code = q:pop_into(seg)
    assert(value == nil and code == "ENOSPC" and message:find("sparse", 1, true), message)
    assert(#q == 1 and q:pop(0) == ("m"):rep(65536))
    return "done"]])

  it("is recovered from by a refresh when there is room again", in_cramped [[
    local hog = assert(shmseg.open("hog", "x", 1016 * 1024))
    local seg = assert(shmseg.open("sparse", "x", 65536, { reserve = false }))
    local value, _, code = seg:write(0, ("x"):rep(65536))
    assert(value == nil and code == "ENOSPC")
    hog:unlink()
    hog:close()
    assert(seg:refresh() == 65536)
    assert(seg:write(0, ("y"):rep(65536)) == 65536)
    assert(seg:read() == ("y"):rep(65536))
    return "done"]])
end)
