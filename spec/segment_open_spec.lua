-- SPDX-License-Identifier: MIT
-- Opening segments: names, modes, sizes, options, and what a failed open leaves behind.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local machine = require "spec.support.machine"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local nan, huge = 0 / 0, math.huge

local function create(size, options)
  local name = scratch.name()
  local seg = expect.success(shmseg.open(name, "x", size or 64, options))
  return seg, name
end

local function exists(name)
  return scratch.bytes(name) ~= nil
end

describe("opening", function()
  after_each(scratch.clean)

  describe("an absent name", function()
    for _, mode in ipairs { "r", "rw" } do
      it("fails with ENOENT in mode " .. mode .. " and says that mode c creates", function()
        local name = scratch.name()
        local message = expect.failure("ENOENT", shmseg.open(name, mode))
        assert.truthy(message:find(name, 1, true))
        assert.truthy(message:find('mode "c"', 1, true))
        assert.False(exists(name))
      end)
    end

    it("is what the default mode refuses too", function()
      expect.failure("ENOENT", shmseg.open(scratch.name()))
    end)

    for _, mode in ipairs { "c", "x" } do
      it("is created in mode " .. mode .. ", and the second result is true", function()
        local name = scratch.name()
        local seg, created = expect.success(shmseg.open(name, mode, 100))
        assert.True(created)
        assert.equal(100, seg:size())
        assert.equal("rw", seg:mode())
        assert.equal(name, seg:name())
        assert.equal(("\0"):rep(100), scratch.bytes(name))
      end)

      it("is not created in mode " .. mode .. " without a size", function()
        local name = scratch.name()
        expect.misuse("size", function()
          return shmseg.open(name, mode)
        end)
        assert.False(exists(name))
      end)
    end
  end)

  describe("an existing name", function()
    it("attaches read-only in mode r", function()
      local seg, name = create()
      seg:write(0, "hello")
      local reader, created = expect.success(shmseg.open(name, "r"))
      assert.falsy(created)
      assert.equal("r", reader:mode())
      assert.equal("hello", reader:read(0, 5))
    end)

    it("attaches read-write in mode rw, which is the default", function()
      local seg, name = create()
      for _, mode in ipairs { "rw", false } do
        local other, created = expect.success(shmseg.open(name, mode or nil))
        assert.falsy(created)
        assert.equal("rw", other:mode())
        other:write(0, "from " .. tostring(mode))
        assert.equal("from " .. tostring(mode), seg:read(0, 5 + #tostring(mode)))
        other:close()
      end
    end)

    it("attaches read-write in mode c with false as second result", function()
      local seg, name = create()
      seg:write(0, "kept")
      local other, created = expect.success(shmseg.open(name, "c", 64))
      assert.False(created)
      assert.equal("rw", other:mode())
      assert.equal("kept", other:read(0, 4))
    end)

    it("fails with EEXIST in mode x and is left as it was", function()
      local seg, name = create()
      seg:write(0, "kept")
      local message = expect.failure("EEXIST", shmseg.open(name, "x", 4096))
      assert.truthy(message:find(name, 1, true))
      assert.equal("kept" .. ("\0"):rep(60), scratch.bytes(name))
    end)

    it("is mapped whole, whatever size was asked for", function()
      local _, name = create(5000)
      for _, mode in ipairs { "r", "rw", "c" } do
        local seg = expect.success(shmseg.open(name, mode, 10))
        assert.equal(5000, seg:size())
        seg:close()
      end
    end)

    it("fails with 'too small' when it is smaller than asked for, and stays as small", function()
      local _, name = create(64)
      for _, mode in ipairs { "r", "rw", "c" } do
        local message = expect.failure("too small", shmseg.open(name, mode, 65))
        assert.equal(('segment "%s": 64 bytes, 65 needed'):format(name), message)
      end
      assert.equal(64, #scratch.bytes(name))
    end)

    it("fails with 'too small' when it is empty", function()
      local name = scratch.name()
      assert(io.open(scratch.objects .. name, "w")):close()
      for _, mode in ipairs { "r", "rw" } do
        local message = expect.failure("too small", shmseg.open(name, mode))
        assert.equal(('segment "%s": is empty'):format(name), message)
      end
      expect.failure("too small", shmseg.open(name, "c", 64))
      assert.equal("", scratch.bytes(name))
    end)

    it("that is no object is told what it is", function()
      for what, make in pairs {
        ["a FIFO"] = "mkfifo ", ["a directory"] = "mkdir ",
        ["a symbolic link"] = "ln -s " .. scratch.path() .. " ",
      } do
        local name = scratch.name()
        assert(shell.succeeds(make .. scratch.objects .. name))
        for _, mode in ipairs { "r", "rw", "c" } do
          local _, message = shmseg.open(name, mode, 64)
          assert.equal(('segment "%s": is %s'):format(name, what), message)
        end
        expect.failure("EEXIST", shmseg.open(name, "x", 64))
        assert.truthy(select(2, shmseg.stat(name)):find("is " .. what, 1, true))
        shell.run("rmdir " .. scratch.objects .. name)
      end
    end)

    it("that is a directory is refused", function()
      local name = scratch.name()
      assert(shell.succeeds("mkdir " .. scratch.objects .. name))
      for _, mode in ipairs { "r", "rw", "c" } do
        local value, _, code = shmseg.open(name, mode, 64)
        assert.is_nil(value)
        assert.truthy(code == "ENODEV" or code == "EISDIR", code)
      end
      expect.failure("EEXIST", shmseg.open(name, "x", 64))
    end)

    it("that is a FIFO is refused at once", function()
      local name = scratch.name()
      assert(shell.succeeds("mkfifo " .. scratch.objects .. name))
      local other = peer.start()
      for _, mode in ipairs { "r", "rw", "c" } do
        local value, message, code = other:call("return shmseg.open(...)", name, mode, 64)
        assert.is_nil(value)
        assert.is_string(message)
        assert.truthy(code == "ENODEV" or code == "ENXIO", code)
      end
    end)

    it("of somebody else fails with EACCES", function()
      local _, name = create(64, { perm = "600" })
      local words = { "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups" }
      local command = shell.quote((table.unpack or unpack)(words))
      local script = "package.cpath=" .. ("%q"):format(package.cpath) .. " require 'shmseg'"
      local lua = shell.quote(shell.lua(), "-e", peer.command()[3], "-e", script)
      if not shell.succeeds(command .. " " .. lua) then
        pending("another user cannot be played here")
      end
      local other = peer.start(words)
      for _, mode in ipairs { "r", "rw", "c" } do
        local value, message, code = other:call("return shmseg.open(...)", name, mode, 64)
        assert.is_nil(value)
        assert.equal("EACCES", code)
        assert.truthy(message:find(name, 1, true))
      end
      local code = other:call("return (select(3, shmseg.unlink(...)))", name)
      assert.truthy(code == "EACCES" or code == "EPERM", code)
      assert.True(exists(name))
    end)
  end)

  describe("a name", function()
    it("may begin with one slash, which it is given back without", function()
      local name = scratch.name()
      local seg = expect.success(shmseg.open("/" .. name, "x", 64))
      assert.equal(name, seg:name())
      seg:write(0, "same")
      assert.equal("same", expect.success(shmseg.open(name)):read(0, 4))
    end)

    local wrong = {
      { "with a slash inside", "a/b" },
      { "with a slash at the end", "ab/" },
      { "with two slashes in front", "//ab" },
      { "of a slash alone", "/" },
      { "that is empty", "" },
      { "with a NUL", "a\0b" },
      { "of 300 bytes", ("n"):rep(300) },
      { "that is a dot", "." },
      { "that is two dots", ".." },
    }
    for _, case in ipairs(wrong) do
      it(case[1] .. " is misuse everywhere", function()
        for _, mode in ipairs { "r", "rw", "c", "x" } do
          expect.misuse("name", function()
            return shmseg.open(case[2], mode, 64)
          end)
        end
        expect.misuse("name", function()
          return shmseg.unlink(case[2])
        end)
        expect.misuse("name", function()
          return shmseg.stat(case[2])
        end)
      end)
    end

    for _, value in ipairs { true, {}, print, io.stdout } do
      it("of type " .. type(value) .. " is misuse", function()
        expect.misuse({ "name", "string" }, function()
          return shmseg.open(value, "c", 64)
        end)
      end)
    end

    it("may have 200 bytes, spaces, dots and bytes that are no text", function()
      for _, tail in ipairs { ("n"):rep(160), "a b.c", "\1\200\255" } do
        local name = scratch.name() .. tail
        scratch.defer(function()
          os.remove(scratch.objects .. name)
        end)
        expect.success(shmseg.open(name, "x", 64)):close()
        assert.True(exists(name))
      end
    end)

    it("of nil picks a free one in mode x", function()
      local seg, created = expect.success(shmseg.open(nil, "x", 64))
      scratch.defer(function()
        os.remove(scratch.objects .. seg:name())
      end)
      assert.True(created)
      assert.truthy(seg:name():find("^shmseg%-%x+$"))
      assert.True(exists(seg:name()))
      local other = expect.success(shmseg.open(nil, "x", 64, { temporary = true }))
      assert.not_equal(seg:name(), other:name())
      other:close()
    end)

    for _, mode in ipairs { "r", "rw", "c" } do
      it("of nil is misuse in mode " .. mode, function()
        expect.misuse("name", function()
          return shmseg.open(nil, mode, 64)
        end)
      end)
    end
  end)

  it("takes no other mode than r, rw, c and x", function()
    for _, mode in ipairs { "w", "", "rwx", "R", "r ", "r\0", 1, true, {} } do
      expect.misuse("mode", function()
        return shmseg.open("shmseg-spec-never", mode, 64)
      end)
    end
    assert.False(exists("shmseg-spec-never"))
  end)

  describe("a size", function()
    for _, size in ipairs {
      0, -1, -2 ^ 31, 0.5, 64.5, nan, huge, -huge, 2 ^ 63, 2 ^ 64, "many", true, {},
    } do
      it("of " .. tostring(size) .. " is misuse", function()
        local name = scratch.name()
        for _, mode in ipairs { "c", "x" } do
          expect.misuse("size", function()
            return shmseg.open(name, mode, size)
          end)
        end
        assert.False(exists(name))
        expect.misuse("size", function()
          return shmseg.anonymous(size)
        end)
        local path = scratch.path()
        expect.misuse("size", function()
          return shmseg.map(path, "x", size)
        end)
        assert.is_nil(io.open(path))
      end)
    end

    it("that is a string which reads as a number is taken for it", function()
      for text, size in pairs { ["64"] = 64, ["0x40"] = 64, [" 100 "] = 100, ["1e3"] = 1000 } do
        local name, path = scratch.name(), scratch.path()
        assert.equal(size, #expect.success(shmseg.open(name, "c", text)))
        assert.equal(size, #expect.success(shmseg.open(name, "rw", text)))
        assert.equal(size, #expect.success(shmseg.map(path, "x", text)))
        assert.equal(size, #expect.success(shmseg.anonymous(text, { max = "65536" })))
      end
      for _, text in ipairs { "64abc", "", "0", "-64", "6.5", "nan", "inf", "0x" } do
        local message = expect.misuse("size: ", shmseg.open, scratch.name(), "c", text)
        assert.truthy(message:find(("got %q"):format(text), 1, true) or message:find "too large")
      end
    end)

    it("that is too large is said to be too large", function()
      for _, size in ipairs { 2 ^ 62, 2 ^ 63, huge, "1e30" } do
        expect.misuse("size: too large", shmseg.open, scratch.name(), "c", size)
        expect.misuse("max\": too large", shmseg.anonymous, 64, { max = size })
      end
    end)

    it("in whose place the options stand, or which stands in the mode's, is told so", function()
      local name = scratch.name()
      expect.misuse("size: .*options come after the size", shmseg.open, name, "c", { perm = "600" })
      expect.misuse("size: .*options come after the size", shmseg.anonymous, { max = 64 })
      expect.misuse("mode: .*size comes after the mode", shmseg.open, name, 64)
      expect.misuse("mode: .*size comes after the mode", shmseg.open, name, "64")
      expect.misuse("mode: .*options come last", shmseg.open, name, { perm = "600" })
      expect.misuse("options: .*{ capacity = 64 }", shmseg.queue.open, name, "c", 64)
      assert.False(exists(name))
    end)

    for _, size in ipairs { 2 ^ 46, 2 ^ 53, 2 ^ 62, math.maxinteger or 2 ^ 62 } do
      it(("of %.0f fails and leaves nothing"):format(size), function()
        local name = scratch.name()
        for _, mode in ipairs { "c", "x" } do
          local ok, value, message, code = pcall(shmseg.open, name, mode, size)
          if ok then
            assert.is_nil(value)
            assert.is_string(message)
            assert.truthy(code:find("^E%u+$"), code)
          end
        end
        assert.False(exists(name))
      end)
    end

    it("larger than the memory there is fails for nameless segments too", function()
      if machine.small then
        pending(machine.small)
      end
      -- The limit on files keeps the machine alive should this not hold.
      local other = peer.start { "sh", "-c", 'ulimit -f 1000000; exec "$@"', "sh" }
      for _, size in ipairs { 2 ^ 46, 2 ^ 53 } do
        expect.failure("ENOMEM", other:call("return shmseg.anonymous(...)", size))
      end
    end)

    it("of one byte will do", function()
      local seg = create(1)
      assert.equal(1, seg:size())
      assert.equal("\0", seg:read())
    end)
  end)

  describe("the option", function()
    local function option(name, value)
      return function()
        return shmseg.open("shmseg-spec-never", "x", 64, { [name] = value })
      end
    end

    it("that is unknown is misuse and named", function()
      expect.misuse("colour", option("colour", "blue"))
      local all = "there are grow, init, max, perm, pin, populate, reserve, temporary$"
      for meant, names in pairs {
        temporary = { "temprary", "temp", "tempoary", "Temporary" }, perm = { "prem", "perms" },
        reserve = { "reserved", "resrve" }, max = { "maxi" },
      } do
        for _, name in ipairs(names) do
          local patterns = { ('unknown option "%s": "%s"%%? '):format(name, meant), all }
          expect.misuse(patterns, option(name, 1))
        end
      end
      expect.misuse('unknown option "colour": ' .. all, option("colour", "blue"))
      expect.misuse('unknown option "colour": there are max, perm, pin, populate, reserve$',
        shmseg.anonymous, 64, { colour = 1 })
      expect.misuse("1", function()
        return shmseg.open("shmseg-spec-never", "x", 64, { "perm" })
      end)
      assert.False(exists("shmseg-spec-never"))
    end)

    local wrong = {
      perm = {
        600, true, "", "9", "999", "60", "rwx", "rw-r-----x", "u=rw", "77777", "-600", " 600",
      },
      reserve = { 1, "yes", {} },
      init = { 1, "function", {} },
      temporary = { 1, "yes", {} },
      max = { -1, 0.5, nan, huge, "much", true, {} },
      populate = { 1, "yes", {} },
      pin = { 1, "yes", {} },
    }
    for name, values in pairs(wrong) do
      it(name .. " of a wrong type or form is misuse and named", function()
        for _, value in ipairs(values) do
          expect.misuse(name, option(name, value))
          expect.misuse(name, function()
            local inherited = setmetatable({}, { __index = { [name] = value } })
            return shmseg.open("shmseg-spec-never", "x", 64, inherited)
          end)
          expect.misuse(name, function()
            return shmseg.anonymous(64, { [name] = value })
          end)
        end
        assert.False(exists("shmseg-spec-never"))
      end)
    end

    it("table must be a table", function()
      for _, value in ipairs { 1, "temporary", true } do
        expect.misuse("options", function()
          return shmseg.open("shmseg-spec-never", "x", 64, value)
        end)
      end
    end)

    describe("perm", function()
      local forms = {
        ["600"] = "600",
        ["0640"] = "640",
        ["666"] = "666",
        ["rw-r-----"] = "640",
        ["rw-rw-rw-"] = "666",
        ["rwxr-x--x"] = "751",
      }
      for form, perm in pairs(forms) do
        it(form .. " is exact whatever the umask", function()
          for _, umask in ipairs { "000", "022", "077", "777" } do
            local other = peer.start { "sh", "-c", "umask " .. umask .. '; exec "$@"', "sh" }
            local name = scratch.name()
            other:call("local n, p = ... assert(shmseg.open(n, 'x', 64, { perm = p }))", name, form)
            assert.equal(perm, shmseg.stat(name).perm)
            assert.equal(perm, (shell.run("stat -c %a " .. scratch.objects .. name):gsub("\n", "")))
          end
        end)
      end

      it("is 600 if it is not given", function()
        local _, name = create()
        assert.equal("600", shmseg.stat(name).perm)
      end)

      it("does not change an object that exists", function()
        local _, name = create(64, { perm = "640" })
        expect.success(shmseg.open(name, "c", 64, { perm = "600" })):close()
        assert.equal("640", shmseg.stat(name).perm)
      end)
    end)

    describe("reserve", function()
      it("is on if it is not given: the memory is taken at once", function()
        local _, name = create(2 ^ 20)
        assert.truthy(shmseg.stat(name).allocated >= 2 ^ 20)
      end)

      it("of false takes memory only where something is written", function()
        local seg, name = create(2 ^ 20, { reserve = false })
        local before = shmseg.stat(name).allocated
        seg:write(2 ^ 19, "x")
        local after = shmseg.stat(name).allocated
        assert.truthy(before < after and after < 2 ^ 19)
      end)
    end)

    describe("init", function()
      it("fills the segment before anybody can see it", function()
        local name = scratch.name()
        local seen
        local seg, created = expect.success(shmseg.open(name, "x", 64, {
          init = function(new)
            seen = { exists(name), select(3, shmseg.open(name, "r")), new:size(), new:mode() }
            new:write(0, "ready")
          end,
        }))
        assert.True(created)
        assert.same({ false, "ENOENT", 64, "rw" }, seen)
        assert.equal("ready", seg:read(0, 5))
        assert.equal("ready", scratch.bytes(name):sub(1, 5))
      end)

      it("is not called for an object that exists", function()
        local _, name = create()
        local called = false
        local function init()
          called = true
        end
        expect.success(shmseg.open(name, "c", 64, { init = init })):close()
        expect.failure("EEXIST", shmseg.open(name, "x", 64, { init = init }))
        assert.False(called)
      end)

      it("that raises lets its error through, and leaves nothing", function()
        local name = scratch.name()
        local problem = setmetatable({}, { __name = "problem" })
        for _, mode in ipairs { "c", "x" } do
          local ok, message = pcall(shmseg.open, name, mode, 64, {
            init = function()
              error(problem)
            end,
          })
          assert.False(ok)
          assert.equal(problem, message)
          assert.same({}, shmseg.list(name))
        end
      end)

      it("that closes or unlinks the segment breaks nothing", function()
        for _, method in ipairs { "close", "unlink" } do
          local name = scratch.name()
          local ok, seg = pcall(shmseg.open, name, "x", 64, {
            init = function(new)
              new[method](new)
            end,
          })
          if ok and seg then
            seg:close()
          end
          if method == "close" then
            assert.falsy(ok and seg)
            assert.False(exists(name))
          end
        end
      end)

      it("that is overtaken by another creator gives way to it", function()
        local name = scratch.name()
        local function overtake()
          expect.success(shmseg.open(name, "x", 128)):write(0, "first")
        end
        local seg, created = expect.success(shmseg.open(name, "c", 64, { init = overtake }))
        assert.False(created)
        assert.equal("first", seg:read(0, 5))
        os.remove(scratch.objects .. name)
        expect.failure("EEXIST", shmseg.open(name, "x", 64, { init = overtake }))
        assert.equal(128, #scratch.bytes(name))
      end)

      it("fills a new file too", function()
        local function init(new)
          new:write(0, "ready")
        end
        local seg = expect.success(shmseg.map(scratch.path(), "c", 64, { init = init }))
        assert.equal("ready", seg:read(0, 5))
      end)
    end)

    it("populate and pin give a segment like any other, or the system's refusal", function()
      local seg = create(2 ^ 16, { populate = true })
      seg:write(2 ^ 16 - 4, "tail")
      assert.equal("tail", seg:read(2 ^ 16 - 4))
      local name = scratch.name()
      local pinned, _, code = shmseg.open(name, "x", 4096, { pin = true })
      if pinned then
        assert.equal(4096, #pinned:read())
      else
        assert.truthy(code == "ENOMEM" or code == "EPERM" or code == "EAGAIN", code)
        assert.False(exists(name))
      end
    end)
  end)

  it("that fails leaves no descriptor, no mapping and no object behind", function()
    local other = peer.start()
    local _, taken = create()
    local before, after = other:call(
      [[
      local taken, absent = ...
      local census = require "spec.support.census"
      local function count()
        return ("%d mappings, %d fds, %d names"):format(
          census.mappings(), census.descriptors(), #shmseg.list(absent))
      end
      local function fail()
        shmseg.open(taken, "x", 64)
        shmseg.open(taken, "rw", 65)
        shmseg.open(absent, "r")
        pcall(shmseg.open, absent, "x", 2 ^ 46)
        pcall(shmseg.open, absent, "x", 64, { init = error })
        pcall(shmseg.open, absent, "x", 64, { init = function(seg) seg:close() end })
        pcall(shmseg.open, absent, "x", 64, { perm = "9" })
        shmseg.map("/nowhere/at/all", "c", 64)
        shmseg.map("/", "r")
        pcall(shmseg.from_fd, 9999)
        collectgarbage()
        collectgarbage()
      end
      fail()
      local before = count()
      for _ = 1, 20 do fail() end
      return before, count()]],
      taken,
      scratch.name()
    )
    assert.equal(before, after)
  end)
end)

describe("a function of the module that is called with a colon", function()
  it("is told to be called with a dot", function()
    local name = "shmseg-spec-never"
    for call, colon in pairs {
      ["shmseg:open"] = function() return true, shmseg:open(name, "c", 64) end,
      ["shmseg:map"] = function() return true, shmseg:map(name, "c", 64) end,
      ["shmseg:anonymous"] = function() return true, shmseg:anonymous(64) end,
      ["shmseg:unlink"] = function() return true, shmseg:unlink(name) end,
      ["shmseg:stat"] = function() return true, shmseg:stat(name) end,
      ["shmseg:list"] = function() return true, shmseg:list() end,
      ["shmseg.queue:open"] = function()
        return true, shmseg.queue:open(name, "c", { capacity = 1 })
      end,
      ["shmseg.mutex:open"] = function() return true, shmseg.mutex:open(name, "c") end,
      ["shmseg.cell:size_for"] = function()
        return true, shmseg.cell:size_for { capacity = 1 }
      end,
    } do -- none of these is a tail call, which would have no line
      expect.misuse({ "^spec/segment_open_spec%.lua:%d+: ", call, "with a dot" }, colon)
    end
  end)
end)

describe("where there is no /dev/shm", function()
  after_each(scratch.clean)

  it("the modes c and x say so", function()
    -- In a namespace of its own, with nothing in /dev.
    local bare = 'mount -t tmpfs none /dev && exec "$@"'
    if not shell.succeeds("unshare -m sh -c 'mount -t tmpfs none /dev'") then
      pending("no mount namespace can be had here")
    end
    local other = peer.start { "unshare", "-m", "sh", "-c", bare, "sh" }
    for _, mode in ipairs { "c", "x" } do
      local message = expect.failure("ENOENT", other:call("return shmseg.open('a', ...)", mode, 64))
      assert.equal('segment "a": /dev/shm is not there', message)
      message = expect.failure("ENOENT", other:call("return shmseg.mutex.open('a', ...)", mode))
      assert.equal('mutex "a": /dev/shm is not there', message)
    end
    local path = scratch.path() .. "/none/file"
    local message = expect.failure("ENOENT", shmseg.map(path, "c", 64))
    assert.equal(('file "%s": its folder is not there'):format(path), message)
  end)
end)
