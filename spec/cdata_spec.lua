-- SPDX-License-Identifier: MIT
-- 64-bit cdata of LuaJIT: what running its FFI's functions in the middle of a call must not break,
-- and a LuaJIT without FFI. Which values are taken and given stands with each noun.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local interpret = require "spec.support.interpret"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scalars = require "spec.support.scalars"
local scratch = require "spec.support.scratch"

local pcall = pcall -- to look a global up is a call in busted's environment
local Point = shmseg.struct("CdataPoint", { { "id", "u64" }, { "list", "i64", 3 } })

-- What converts or makes cdata, given a segment of bytes 255, whose integers no number holds.
local function operations(seg, one)
  local a, n = seg:array(0, "u64", 4), seg:atomic(0, "u64")
  local q = expect.success(shmseg.queue.open(expect.success(shmseg.anonymous(512)), "c"))
  q:push_many { "1", "2", "3" }
  local p, large = Point:at(seg, 0), seg:array(0, "i64", 4)
  large:fill(scalars.int64(1, 2 ^ 21))
  seg:fill(32, 32, 255)
  return {
    function() return seg:get_u64(32) end,
    function() return seg:set_i64(one, one) end,
    function() return seg:read(one, one) end,
    function() return seg:pack(one, "i8 i8", one, one) end,
    function() return seg:unpack(0, "j j j j") end,
    function() return a[1] end,
    function() a[one] = one end,
    function() return a:get(1, 4) end,
    function() return a:totable() end,
    function() return a:set(1, one, one, one) end,
    function() return a:set(1, { one, one, one }) end,
    function() return a:fill(one) end,
    function() return p.id end,
    function() p.list = { one, one } end,
    function() return Point:read(seg, 0) end,
    function() return Point:write(seg, one, { id = one }) end,
    function() return n:add(one) end,
    function() return n:swap(5) end,
    function() return n:cas(one, one) end,
    function() return seg:slice(one, one) end,
    function() return #q:drain(one), #q:drain(one, 0) end,
    function() return q:pop_into(seg, one) end,
  }
end

describe("64-bit cdata", function()
  after_each(scratch.clean)

  -- Whatever FFI function a call runs, a hook can close the segment at it.
  it("leads no call into a segment that a hook has closed meanwhile", function()
    if not jit then
      pending("this is no LuaJIT")
    end
    interpret()
    scratch.defer(debug.sethook)
    local one, closed, ended = scalars.int64(1), 0, 0
    for index = 1, 22 do
      for calls = 1, 60 do
        local seg, left = expect.success(shmseg.anonymous(4096)), calls
        local operation = operations(seg, one)[index]
        debug.sethook(function()
          left = left - 1
          if left == 0 then
            seg:close()
          end
        end, "cr")
        local ok, message = pcall(operation)
        debug.sethook()
        closed = closed + (left <= 0 and 1 or 0)
        ended = ended + (ok and 0 or 1)
        assert.truthy(ok or message:find "closed", index .. ": " .. tostring(message))
        seg:close()
      end
    end
    assert.truthy(ended > 100 and closed > ended)
  end)

  it("changes no word whose old value has no memory to be given in", function()
    if not jit then
      pending("this is no LuaJIT")
    end
    local seg = expect.success(shmseg.anonymous(64))
    local n = seg:atomic(0, "u64")
    n:store(scalars.uint64(1, 2 ^ 21))
    interpret()
    scratch.defer(debug.sethook)
    local raised = 0
    for calls = 2, 12 do -- the first one is that of pcall
      local left = calls
      debug.sethook(function()
        left = left and left - 1
        if left == 0 then
          error "no memory"
        end
      end, "c")
      local ok, old = pcall(n.add, n, 1)
      left = nil
      debug.sethook()
      if ok then
        n:sub(1)
      else
        raised = raised + 1
        assert.truthy(old:find "no memory")
      end
      assert.equal(scalars.uint64(1, 2 ^ 21), n:load())
    end
    assert.truthy(raised > 0)
  end)

  it("is not given by a LuaJIT without FFI, which raises as Lua 5.1 does", function()
    if not jit then
      pending("this is no LuaJIT")
    end
    local words = peer.command()
    words[#words] = words[#words] .. [[
      package.preload.ffi, package.loaded.ffi = nil, nil
      local shmseg = require "shmseg"
      local seg = assert(shmseg.anonymous(64))
      seg:fill(0, 64, 255)
      local a, n = seg:array(0, "u64"), seg:atomic(0, "u64")
      local before = seg:read()
      for i, f in ipairs {
        function() return seg:get_u64(0) end, function() return a[1] end,
        function() return a:totable() end, function() return n:load() end,
        function() return n:add(1) end, function() return seg:unpack(0, "J") end,
      } do
        local ok, message = pcall(f)
        print(not ok and message:find "exactly" ~= nil)
      end
      print(seg:read() == before, seg:get_i64(0))
    ]]
    words[#words + 1] = "-e"
    words[#words + 1] = "os.exit(0)"
    local status, lines = process.start(words):finish()
    assert.same({ 0, "true", "true", "true", "true", "true", "true", "true\t-1" },
      { status, (table.unpack or unpack)(lines) })
  end)
end)
