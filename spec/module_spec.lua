-- SPDX-License-Identifier: MIT
-- The module itself.

local shmseg = require "shmseg"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

describe("the module", function()
  after_each(scratch.clean)

  it("is one table that require gives again", function()
    assert.equal("table", type(shmseg))
    assert.equal(shmseg, require "shmseg")
  end)

  it("has the functions of the manual", function()
    for _, name in ipairs {
      "open",
      "anonymous",
      "map",
      "from_fd",
      "unlink",
      "stat",
      "list",
      "now",
      "sleep",
      "signals",
      "features",
    } do
      assert.equal("function", type(shmseg[name]), name)
    end
  end)

  it("tells its version", function()
    assert.equal("string", type(shmseg._VERSION))
    assert.truthy(shmseg._VERSION:find("shmseg"))
  end)

  it("knows the size of a page", function()
    assert.equal(shell.run("getconf PAGESIZE"), ("%d\n"):format(shmseg.pagesize))
  end)

  it("tells what the platform has", function()
    local features = shmseg.features()
    assert.equal("string", type(features.platform))
    local count = 0
    for name, value in pairs(features) do
      if name ~= "platform" and name ~= "watch" then
        assert.equal("boolean", type(value), name)
        count = count + 1
      end
    end
    assert.truthy(count > 0)
    for _, name in ipairs { "futex", "memfd", "fault_guard" } do
      assert.equal("boolean", type(features[name]), name)
    end
    local ways = { io_uring = true, thread = true, [false] = true }
    assert.True(ways[features.watch], tostring(features.watch))
    features.platform = nil
    assert.equal("string", type(shmseg.features().platform))
  end)

  it("makes no global variable and changes no library", function()
    local other = peer.start()
    local before, after = other:call [[
      package.loaded["shmseg"], package.loaded["shmseg.core"] = nil
      local function census()
        local names = {}
        for name, value in pairs(_G) do
          if name ~= "shmseg" then names[#names + 1] = name end
          if type(value) == "table" and value ~= _G and name ~= "package" and name ~= "shmseg" then
            for field in pairs(value) do names[#names + 1] = name .. "." .. tostring(field) end
          end
        end
        for key in pairs(getmetatable("")) do names[#names + 1] = "metatable " .. tostring(key) end
        table.sort(names)
        return table.concat(names, "\n")
      end
      local before = census()
      require "shmseg"
      return before, census()]]
    assert.equal(before, after)
  end)

  it("loads in a coroutine, more than once, and after the state's collector has run", function()
    local other = peer.start()
    assert.equal(
      "text",
      other:call [[
      local seg = assert(shmseg.anonymous(64))
      for _ = 1, 3 do
        package.loaded["shmseg"], package.loaded["shmseg.core"] = nil
        collectgarbage()
        shmseg = coroutine.wrap(function() return require "shmseg" end)()
      end
      seg:write(0, "text")
      local copy = assert(shmseg.anonymous(64))
      copy:copy(0, seg)
      seg:close()
      return copy:read(0, 4)]]
    )
  end)

  it("gives the same classes when it is required again", function()
    local other = peer.start()
    assert.same(
      { "text", true },
      { other:call [[
        local core, seg = require "shmseg.core", assert(shmseg.anonymous(4096))
        local queue = assert(shmseg.queue.open(seg, "c", { capacity = 64 }))
        for module in pairs(package.loaded) do
          if module:find("^shmseg") then package.loaded[module] = nil end
        end
        shmseg = require "shmseg"
        queue:push("text")
        local again = assert(shmseg.queue.open(seg))
        for message in queue:messages() do
          again:shutdown()
          return message, require "shmseg.core" == core
        end]] }
    )
  end)

  it("exports the function that opens it, and nothing else", function()
    if not shell.has "nm" then
      pending "there is no nm here"
    end
    for template in package.cpath:gmatch("[^;]+") do
      local path = template:gsub("%?", "shmseg/core")
      local file = io.open(path, "rb")
      if file then
        file:close()
        local symbols = shell.run("nm -D --defined-only " .. shell.quote(path))
        symbols = symbols:gsub("%x+ T _init\n", ""):gsub("%x+ T _fini\n", "") -- musl's own
        assert.match("^%x+ T luaopen_shmseg_core\n$", symbols)
        return
      end
    end
    pending "the module is in no file of its own"
  end)

  it("refuses to load from a second file, and the handles of the first go on", function()
    local copy = scratch.path("core.so")
    local other = peer.start()
    local loaded, message, text = other:call(
      [[
      local copy = ...
      local path
      for template in package.cpath:gmatch("[^;]+") do
        local candidate = template:gsub("%?", "shmseg/core")
        local file = not path and io.open(candidate, "rb")
        if file then
          local out = assert(io.open(copy, "wb"))
          out:write((file:read("*a")))
          out:close()
          file:close()
          path = candidate
        end
      end
      local seg = assert(shmseg.anonymous(4096))
      local m = assert(shmseg.mutex.open(seg, "c"))
      local loaded, message = pcall(assert(package.loadlib(copy, "luaopen_shmseg_core")))
      assert(m:lock())
      m:unlock()
      seg:slice(0):write(0, "text")
      local text = seg:read(0, 4)
      seg:close()
      return loaded, message:gsub(path:gsub("%p", "%%%0"), "path", 1), text, path]],
      copy
    )
    assert.False(loaded)
    assert.equal("shmseg.core is in this state already, from another file: path", message)
    assert.equal("text", text)
  end)

  it("stays loaded while a finalizer at the end of the state opens a segment", function()
    local script = scratch.file([[
      -- Made before the library is loaded: on Lua 5.1 it ends after it.
      local metatable = { __gc = true }
      keep = setmetatable({}, metatable)
      if rawget(_G, "newproxy") then
        keep = newproxy(true)
        metatable = getmetatable(keep)
      end
      function metatable.__gc()
        local all = {}
        for i = 1, 1000 do all[i] = {} end
        local seg = assert(late.anonymous(64))
        seg:write(0, "text")
        io.stdout:write(seg:read(0, 4), "\n")
        io.stdout:flush()
      end
      late = require "shmseg"]], "late.lua")
    local words = peer.command()
    words[#words + 1] = script
    local other = process.start(words)
    local status, lines = other:finish()
    assert.same({ 0, "", { "text" } }, { status, other:stderr(), lines })
  end)

  it("knows its userdata by more than their metatables", function()
    local other = peer.start()
    local told = other:call [[
      local seg = assert(shmseg.anonymous(2 ^ 17))
      local function object(noun, offset, options)
        return assert(shmseg[noun].open(seg:slice(offset, 4096), "c", options))
      end
      local dict = assert(shmseg.dict.open(seg:slice(40960, 16384), "c", { capacity = 64 }))
      local P = shmseg.struct("P", { { "x", "i32" } })
      local all = {
        seg, seg:slice(0), seg:array(0, "i32", 4), seg:atomic(0, "u32"), P:at(seg, 0),
        object("mutex", 4096), object("mutex", 8192):lock(), object("rwlock", 12288),
        object("semaphore", 16384, { permits = 2 }), object("event", 20480),
        object("cell", 24576, { capacity = 64 }), object("queue", 28672, { capacity = 64 }),
        object("broadcast", 32768, { capacity = 64 }),
        object("broadcast", 36864, { capacity = 64 }):subscribe(), shmseg.signals("USR1"),
        dict, dict:claim("key"), object("event", 65536):watch(),
        debug.getregistry()["shmseg.listing"],
      }
      local count = 0
      local function refuse(what, fn, ...)
        local ok, message = pcall(fn, ...)
        message = tostring(message)
        assert(not ok and message:find("expected", 1, true), what .. ": " .. message)
        count = count + 1
      end
      local forged = assert(io.tmpfile())
      local original = debug.getmetatable(forged)
      for i, own in ipairs(all) do
        local metatable = type(own) == "table" and own or debug.getmetatable(own)
        debug.setmetatable(forged, metatable)
        for name, fn in pairs(metatable) do
          if type(fn) == "function" then refuse(i .. name, fn, forged, "x", 1) end
        end
        for name, fn in pairs(type(metatable.__index) == "table" and metatable.__index or {}) do
          if type(fn) == "function" and debug.getinfo(fn, "S").what == "C" then
            refuse(i .. name, fn, forged)
          end
        end
        debug.setmetatable(forged, original)
      end
      return count]]
    assert.truthy(told > 100, told)
  end)

  it("has each kind of object in its manual, under the number of the format", function()
    local function read(path)
      local file = assert(io.open(path))
      local text = file:read("*a")
      file:close()
      return text
    end
    local index, format = read("doc/README.md"), read("doc/format.md")
    local kinds = require("shmseg.core").kinds
    assert.truthy(#kinds >= 8)
    for number, kind in ipairs(kinds) do
      assert.equal("table", type(shmseg[kind]))
      assert.truthy(#read("doc/" .. kind .. ".md") > 0)
      assert.truthy(index:find(("[%s](%s.md)"):format(kind, kind), 1, true), kind)
      assert.truthy(format:find(("%d %s"):format(number, kind), 1, true), kind)
      assert.truthy(format:find(("\nKind %d,"):format(number), 1, true), kind)
    end
  end)

  it("has each function and method on the page of all calls", function()
    local file = assert(io.open("doc/api.md"))
    local page = file:read("*a")
    file:close()
    local absent, count = {}, 0
    local function look(of, methods, callers)
      for name, method in pairs(methods) do
        local typed = of == "segment" and name:match("^[gs]et_%w+$")
        local called = callers .. (typed and name:sub(1, 4) .. "i32" or name)
        local whole_word = "%f[%w]" .. called:gsub("%p", "%%%0") .. "%f[^%w_]"
        if type(method) == "function" and not page:find(whole_word) then
          absent[#absent + 1] = called
        end
        count = count + 1
      end
    end
    local segment = assert(shmseg.anonymous(2 ^ 18))
    look("shmseg", shmseg, "shmseg.")
    look("segment", getmetatable(segment).__index, "segment:")
    look("atomic", getmetatable(segment:atomic(0, "u32")).__index, "n:")
    local common = { capacity = true, close = true, segment = true, unlink = true }
    for i, kind in ipairs(require("shmseg.core").kinds) do
      local object = assert(shmseg[kind].open(segment:slice(i * 16384, 16384), "c"))
      local methods = {}
      for name, method in pairs(getmetatable(object).__index) do
        methods[name] = not common[name] and method or nil
      end
      look(kind, methods, kind .. ":")
      if kind == "broadcast" then
        look("subscription", getmetatable(object:subscribe()).__index, "subscription:")
      elseif kind == "dict" then
        look("claim", getmetatable(object:claim "key").__index, "claim:")
        look("watch", getmetatable(object:watch "key").__index, "watch:")
      end
    end
    assert.same({}, absent)
    assert.truthy(count > 80)
    segment:close()
  end)

  it("ends with its state in silence", function()
    local other = peer.start()
    other:call "seg = shmseg.anonymous(64) stop = shmseg.signals()"
    assert.equal(0, other:quit())
    assert.equal("", other:stderr())
  end)
end)
