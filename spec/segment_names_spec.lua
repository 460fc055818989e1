-- SPDX-License-Identifier: MIT
-- Names in the file system: stat, list and unlink; and segments that have none.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local function create(size, options)
  local name = scratch.name()
  return expect.success(shmseg.open(name, "x", size or 64, options)), name
end

local function exists(name)
  return scratch.bytes(name) ~= nil
end

describe("shmseg.unlink", function()
  after_each(scratch.clean)

  it("removes the name and leaves the handles good", function()
    local seg, name = create()
    assert.truthy(expect.success(shmseg.unlink(name)))
    assert.False(exists(name))
    seg:write(0, "alive")
    assert.equal("alive", seg:read(0, 5))
  end)

  it("takes a slash in front", function()
    local _, name = create()
    expect.success(shmseg.unlink("/" .. name))
    assert.False(exists(name))
  end)

  it("fails with ENOENT when there is none", function()
    local name = scratch.name()
    assert.truthy(expect.failure("ENOENT", shmseg.unlink(name)):find(name, 1, true))
  end)

  it("removes a symbolic link, wherever that leads, and nothing behind it", function()
    local _, target = create()
    for _, to in ipairs { scratch.objects .. target, scratch.path(), "/", target } do
      local name = scratch.name()
      assert(shell.succeeds("ln -s " .. to .. " " .. scratch.objects .. name))
      assert.True(expect.success(shmseg.unlink(name)))
      assert.False(shell.succeeds("test -L " .. scratch.objects .. name))
      assert.True(exists(target))
    end
  end)

  it("says of what else has a name in the folder what it is, and leaves it", function()
    for what, make in pairs { ["a FIFO"] = "mkfifo ", ["a directory"] = "mkdir " } do
      local name = scratch.name()
      assert(shell.succeeds(make .. scratch.objects .. name))
      local removed, message = shmseg.unlink(name)
      assert.is_nil(removed)
      assert.equal(('segment "%s": is %s'):format(name, what), message)
      assert.True(shell.succeeds("test -e " .. scratch.objects .. name))
      shell.run("rmdir " .. scratch.objects .. name)
    end
  end)
end)

describe("a segment's unlink", function()
  after_each(scratch.clean)

  it("removes the name of its own object, once", function()
    local seg, name = create()
    assert.truthy(expect.success(seg:unlink()))
    assert.False(exists(name))
    expect.failure("ENOENT", seg:unlink())
    assert.equal(64, seg:size())
  end)

  it("works through a read-only handle", function()
    local _, name = create()
    expect.success(expect.success(shmseg.open(name, "r")):unlink())
    assert.False(exists(name))
  end)

  it("never removes a namesake", function()
    local old, name = create()
    expect.success(shmseg.unlink(name))
    local new = expect.success(shmseg.open(name, "x", 64))
    new:write(0, "new")
    expect.failure("ENOENT", old:unlink())
    assert.equal("new", scratch.bytes(name):sub(1, 3))
    expect.success(new:unlink())
    assert.False(exists(name))
  end)

  it("never removes a namesake that has the old one's content and size", function()
    local old, name = create()
    assert(os.rename(scratch.objects .. name, scratch.objects .. name .. "-moved"))
    scratch.defer(function()
      os.remove(scratch.objects .. name .. "-moved")
    end)
    expect.success(shmseg.open(name, "x", 64)):close()
    expect.failure("ENOENT", old:unlink())
    assert.True(exists(name))
    assert.True(exists(name .. "-moved"))
  end)

  it("of a file removes the file, and no namesake", function()
    local path = scratch.path()
    local old = expect.success(shmseg.map(path, "x", 64))
    expect.success(old:unlink())
    assert.is_nil(io.open(path))
    assert(io.open(path, "w")):close()
    expect.failure("ENOENT", old:unlink())
    assert(io.open(path)):close()
  end)

  it("is misuse where there is no name", function()
    local seg = expect.success(shmseg.anonymous(64))
    for _, nameless in ipairs { seg, expect.success(shmseg.from_fd(seg:fd())) } do
      assert.is_nil(nameless:name())
      local ok, value, message, code = pcall(nameless.unlink, nameless)
      if ok then
        expect.failure("ENOENT", value, message, code)
      end
    end
  end)

  it("of a handle that closed is misuse, and removes nothing", function()
    local seg, name = create()
    seg:close()
    expect.misuse("closed", function()
      return seg:unlink()
    end)
    assert.True(exists(name))
  end)
end)

describe("a segment", function()
  after_each(scratch.clean)

  it("is current as long as its name leads to it", function()
    local old, name = create()
    local reader = expect.success(shmseg.open(name, "r"))
    assert.True(old:is_current())
    assert.True(reader:is_current())
    assert.True(old:slice(32):is_current())
    expect.success(shmseg.unlink(name))
    assert.False(old:is_current())
    local new = expect.success(shmseg.open(name, "x", 64))
    assert.False(old:is_current())
    assert.False(reader:is_current())
    assert.True(new:is_current())
    new:resize(128)
    assert.True(new:is_current())
    new:close()
    expect.misuse("closed", new.is_current, new)
  end)

  it("that is a file is current as long as its path leads to it", function()
    local path = scratch.path()
    local seg = expect.success(shmseg.map(path, "x", 64))
    assert.True(seg:is_current())
    assert(os.rename(path, path .. "-moved"))
    assert.False(seg:is_current())
    assert(os.rename(path .. "-moved", path))
    assert.True(seg:is_current())
    assert(os.remove(path))
    assert.False(seg:is_current())
    local folder = path:match "^(.*)/"
    assert.truthy(shell.succeeds("rm -rf " .. shell.quote(folder)))
    assert.False(seg:is_current())
    assert(io.open(folder, "w")):close()
    assert.False(seg:is_current())
    assert(os.remove(folder))
  end)

  it("without a name is current nowhere", function()
    local seg = expect.success(shmseg.anonymous(64))
    assert.False(seg:is_current())
    local named = create()
    assert.False(expect.success(shmseg.from_fd(named:fd())):is_current())
  end)
end)

describe("shmseg.stat", function()
  after_each(scratch.clean)

  it("tells size, memory, permissions, owner, links, identity and times", function()
    local seg, name = create(5000, { perm = "640" })
    local expected = shell.run("stat -c '%s %a %u %g %h %i %X %Y %Z' " .. scratch.objects .. name)
    local stat = expect.success(shmseg.stat(name))
    local found = ("%d %s %d %d %d %d %d %d %d\n"):format(
      stat.size,
      stat.perm,
      stat.uid,
      stat.gid,
      stat.links,
      stat.inode,
      math.floor(stat.accessed),
      math.floor(stat.modified),
      math.floor(stat.changed)
    )
    assert.equal(expected, found)
    assert.equal("number", type(stat.device))
    assert.truthy(stat.allocated >= 5000 and stat.allocated < 5000 + 4 * shmseg.pagesize)
    assert.same(stat, seg:stat())
  end)

  it("sees no links once the object is unlinked", function()
    local seg = create()
    assert.equal(1, seg:stat().links)
    seg:unlink()
    assert.equal(0, seg:stat().links)
  end)

  it("fails with ENOENT when there is none", function()
    local name = scratch.name()
    assert.truthy(expect.failure("ENOENT", shmseg.stat(name)):find(name, 1, true))
  end)

  it("works for anonymous segments and files", function()
    assert.equal(64, expect.success(shmseg.anonymous(64)):stat().size)
    assert.equal(64, expect.success(shmseg.map(scratch.path(), "c", 64)):stat().size)
  end)
end)

describe("shmseg.list", function()
  after_each(scratch.clean)

  it("gives the names that match the pattern, sorted", function()
    local base = scratch.name()
    local names = {}
    for i, tail in ipairs { "-c", "-a", "-b" } do
      names[i] = base .. tail
      scratch.defer(function()
        os.remove(scratch.objects .. base .. tail)
      end)
      expect.success(shmseg.open(names[i], "x", 64)):close()
    end
    table.sort(names)
    local pattern = "^" .. base:gsub("%-", "%%-") .. "%-%a$"
    assert.same(names, shmseg.list(pattern))
    assert.same({ names[2] }, shmseg.list((base .. "-b"):gsub("%-", "%%-") .. "$"))
    assert.same({}, shmseg.list("^no such name can be$"))
  end)

  it("gives all names without a pattern", function()
    local _, name = create()
    local found = 0
    local last = ""
    for _, each in ipairs(shmseg.list()) do
      assert.truthy(last < each)
      last = each
      found = found + (each == name and 1 or 0)
    end
    assert.equal(1, found)
  end)

  it("takes nothing but a string", function()
    for _, value in ipairs { true, {}, print } do
      expect.misuse("pattern", function()
        return shmseg.list(value)
      end)
    end
  end)

  it("names the pattern when it is malformed, and blames the caller", function()
    expect.misuse("^spec/segment_names_spec%.lua:%d+: pattern: malformed", function()
      local names = shmseg.list("[")
      return names
    end)
  end)

  it("finds a pattern malformed also where no name gets so far with it", function()
    create()
    for pattern, message in pairs {
      ["["] = "missing ']'", ["no such name["] = "missing ']'", ["[]"] = "missing ']'",
      ["[^]"] = "missing ']'", ["[%"] = "missing ']'", ["[%]"] = "missing ']'",
      ["no such name%"] = "ends with '%%'", ["%b"] = "missing arguments", ["%bx"] = "missing arg",
      ["%fx"] = "missing '%['", ["%f["] = "missing ']'", ["(no such name"] = "unfinished capture",
      ["no such name)"] = "invalid pattern capture", ["%1"] = "invalid capture index",
      ["(%1)"] = "invalid capture index", ["()%2"] = "invalid capture index",
      [("()"):rep(33)] = "too many captures",
    } do
      expect.misuse({ "pattern: ", message }, shmseg.list, pattern)
    end
    for _, pattern in ipairs {
      "", "^", "$", "^$", "a-", "[]]", "[^]]", "[%]]", "[]-a]", "%%", "%.", "()", "(())",
      "(a)%1", "((a)%2)%1", "%b()", "%f[%w]a", "%f[^]]", "[%a-z]*", ("()"):rep(32), "a]", "]",
    } do
      assert.equal("table", type(expect.success(shmseg.list(pattern))))
      assert.True((pcall(string.find, "text", pattern)), pattern)
    end
  end)
end)

describe("an anonymous segment", function()
  after_each(scratch.clean)

  it("is zeroed, nameless and read-write", function()
    local seg = expect.success(shmseg.anonymous(100))
    assert.equal(100, seg:size())
    assert.is_nil(seg:name())
    assert.equal("rw", seg:mode())
    assert.equal(("\0"):rep(100), seg:read())
  end)

  it("cannot be shrunk by anybody, but grown", function()
    local seg = expect.success(shmseg.anonymous(8192))
    if not shmseg.features().memfd then
      pending("this platform has no memfd")
    end
    local path = "/proc/" .. shell.pid() .. "/fd/" .. seg:fd()
    local output, status = shell.run("truncate -s 0 " .. path)
    assert.not_equal(0, status)
    assert.truthy(output:find("permitted"))
    assert.equal(8192, seg:refresh())
    assert.is_nil((seg:resize(4096)))
    assert.equal("EPERM", select(3, seg:resize(4096)))
    assert.equal(8192, seg:size())
    assert.True(shell.succeeds("truncate -s 16384 " .. path))
    assert.equal(16384, seg:refresh())
    assert.equal(20000, seg:resize(20000))
    assert.equal(20000, #seg:read())
  end)

  it("can be had a second time through its descriptor", function()
    local seg = expect.success(shmseg.anonymous(64))
    local other = expect.success(shmseg.from_fd(seg:fd()))
    seg:write(0, "shared")
    assert.equal("shared", other:read(0, 6))
    assert.is_nil(other:name())
  end)

  it("is nothing that shmseg.list shows", function()
    local seg = expect.success(shmseg.anonymous(64))
    local own = seg:stat()
    for _, name in ipairs(shmseg.list()) do
      local listed = shmseg.stat(name) -- nil when others have removed it meanwhile
      assert.False(listed and listed.inode == own.inode and listed.device == own.device or false)
    end
    seg:close()
  end)
end)

describe("a segment from a descriptor", function()
  after_each(scratch.clean)

  it("is independent of the caller's descriptor, which stays the caller's", function()
    local seg = expect.success(shmseg.anonymous(64))
    local fd = seg:fd()
    local other = expect.success(shmseg.from_fd(fd))
    assert.not_equal(fd, other:fd())
    seg:write(0, "x")
    other:close()
    assert.equal("x", expect.success(shmseg.from_fd(fd)):read(0, 1))
    other = expect.success(shmseg.from_fd(fd))
    seg:close()
    assert.equal("x", other:read(0, 1))
  end)

  it("is read-write unless mode r was asked for", function()
    local seg = expect.success(shmseg.anonymous(64))
    assert.equal("rw", expect.success(shmseg.from_fd(seg:fd())):mode())
    assert.equal("rw", expect.success(shmseg.from_fd(seg:fd(), "rw")):mode())
    assert.equal("r", expect.success(shmseg.from_fd(seg:fd(), "r")):mode())
    for _, mode in ipairs { "c", "x", "w", 1 } do
      expect.misuse("bad argument #2", function()
        return shmseg.from_fd(seg:fd(), mode)
      end)
    end
  end)

  it("fails with EACCES when the descriptor is for reading only", function()
    local _, name = create()
    local reader = expect.success(shmseg.open(name, "r"))
    expect.failure("EACCES", shmseg.from_fd(reader:fd(), "rw"))
    assert.equal("r", expect.success(shmseg.from_fd(reader:fd(), "r")):mode())
  end)

  it("fails with EBADF when there is none", function()
    expect.failure("EBADF", shmseg.from_fd(9999))
  end)

  it("fails when the descriptor is no file", function()
    local other = peer.start()
    local value, message, code = other:call("return shmseg.from_fd(0)")
    assert.is_nil(value)
    assert.is_string(message)
    assert.truthy(code:find("^E%u+$"), code)
  end)

  it("takes only a descriptor's number", function()
    for _, fd in ipairs { -1, 0.5, 0 / 0, 2 ^ 31, 2 ^ 53, "x", true, {} } do
      local ok, value = pcall(shmseg.from_fd, fd)
      assert.falsy(ok and value, tostring(fd))
    end
    for _, fd in ipairs { 0.5, 0 / 0, "x", true, {} } do
      expect.misuse("bad argument #1", function()
        return shmseg.from_fd(fd)
      end)
    end
  end)
end)

describe("a mapped file", function()
  after_each(scratch.clean)

  it("is created, written through and kept", function()
    local path = scratch.path()
    local seg, created = expect.success(shmseg.map(path, "c", 64))
    assert.True(created)
    assert.equal(path, seg:name())
    seg:write(0, "kept")
    expect.success(seg:flush())
    seg:close()
    local file = assert(io.open(path, "rb"))
    assert.equal("kept" .. ("\0"):rep(60), file:read("*a"))
    file:close()
    seg, created = expect.success(shmseg.map(path, "c", 64))
    assert.False(created)
    assert.equal("kept", seg:read(0, 4))
  end)

  it("obeys the modes", function()
    local path = scratch.path()
    local message = expect.failure("ENOENT", shmseg.map(path))
    assert.truthy(message:find(path, 1, true))
    expect.failure("ENOENT", shmseg.map(path, "r"))
    expect.success(shmseg.map(path, "x", 64)):close()
    expect.failure("EEXIST", shmseg.map(path, "x", 64))
    assert.equal("r", expect.success(shmseg.map(path, "r")):mode())
    assert.equal("rw", expect.success(shmseg.map(path)):mode())
    expect.failure("too small", shmseg.map(path, "r", 65))
  end)

  it("may be any existing file, of any size", function()
    local text = ("A line of text.\n"):rep(1000)
    local seg = expect.success(shmseg.map(scratch.file(text), "r"))
    assert.equal(text, seg:read())
    assert.equal(16, seg:find("A", 1))
  end)

  it("takes a relative path", function()
    local seg = expect.success(shmseg.map("spec/support/host.c", "r"))
    assert.equal("/*", seg:read(0, 2))
  end)

  it("says of a link that leads nowhere that it is one", function()
    local path = scratch.path()
    assert(os.execute("ln -s nowhere " .. path))
    for _, mode in ipairs { "c", "x" } do
      local expected = mode == "c" and "ELOOP" or "EEXIST"
      expect.failure(expected, shmseg.map(path, mode, 64))
    end
    expect.failure("ENOENT", shmseg.map(path))
  end)

  it("fails for directories, devices and paths that lead nowhere", function()
    for _, path in ipairs { "/", "/dev/null", "/nowhere/at/all" } do
      local value, message, code = shmseg.map(path, "r")
      assert.is_nil(value)
      assert.is_string(message)
      assert.truthy(code:find("^E%u+$"), code)
    end
    expect.failure("ENOENT", shmseg.map("/nowhere/at/all", "c", 64))
  end)

  it("takes no empty path and none with a NUL", function()
    local path = scratch.path()
    expect.misuse("path", function()
      return shmseg.map(path .. "\0x", "c", 64)
    end)
    assert.is_nil(io.open(path))
    local ok, value = pcall(shmseg.map, "", "c", 64)
    assert.falsy(ok and value)
    expect.misuse("path", function()
      return shmseg.map(nil, "x", 64)
    end)
  end)

  it("has the permissions asked for", function()
    local path = scratch.path()
    local seg = expect.success(shmseg.map(path, "x", 64, { perm = "640" }))
    assert.equal("640", seg:stat().perm)
  end)
end)
