-- SPDX-License-Identifier: MIT
-- The tool's commands on what there is: ls, info, gc.

local shmseg = require "shmseg"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"
local tool = require "spec.support.tool"

local sized = { capacity = 1000 }

-- The row that ls has for a name: its columns.
local function row(out, name)
  local line = ("\n" .. out):match("\n([^\n]* " .. name:gsub("%p", "%%%0") .. "[^\n]*)")
  local words = {}
  for word in (line or ""):gmatch "%S+" do
    words[#words + 1] = word
  end
  return words
end

-- An object that was marked as temporary, and whose only process was killed.
local function leak(noun, mark)
  local name = scratch.name()
  local other = peer.start()
  other:call("local noun, name, mark = ... "
    .. "kept = assert(shmseg[noun].open(name, 'c', { capacity = 1000, temporary = mark })) "
    .. "return 1", noun, name, mark)
  other:stop()
  return name
end

-- Does this system tell who has what open?
local has_users = shmseg.users(scratch.name()) ~= nil or select(3, shmseg.users("x")) == "ENOENT"

describe("shmseg ls", function()
  after_each(scratch.clean)

  it("lists objects with their kind, sizes, owner, permissions, users and names", function()
    local name = scratch.name()
    local queue = assert(shmseg.queue.open(name, "c", { capacity = 1000, perm = "640" }))
    local words = row(tool.prints "ls", name)
    assert.same({ "queue", "rw-r-----", "1", "open", name, tostring(shell.pid()) },
      { words[1], words[5], words[7], words[8], words[9], words[10] })
    queue:close()
    words = row(tool.prints "ls", name)
    assert.same({ "0", "unused", name }, { words[7], words[8], words[9] })
    local json = tool.prints("ls", "--json", name)
    local stat = shmseg.stat(name)
    for _, part in ipairs { '"kind":"queue"', '"handles":0', '"pids":[]', '"perm":"640"',
      '"state":"unused"', '"name":"' .. name .. '"', ('"inode":%d'):format(stat.inode),
      ('"size":%d'):format(stat.size), ('"uid":%d'):format(stat.uid), '"complete":true' } do
      assert.truthy(json:find(part, 1, true), part .. json)
    end
  end)

  it("lists segments that somebody has open, and others with --all or by name", function()
    local name = scratch.name()
    local segment = assert(shmseg.open(name, "c", 64))
    assert.equal("segment", row(tool.prints "ls", name)[1])
    segment:close()
    assert.same({}, row(tool.prints "ls", name))
    assert.equal("unused", row(tool.prints("ls", "--all"), name)[8])
    assert.equal("unused", row(tool.prints("ls", name), name)[8])
  end)

  it("takes names and patterns, and tells of names that are not there", function()
    local family = scratch.family()
    for _, leaf in ipairs { "-a", "-b", ".a", "%[" } do
      assert(shmseg.event.open(family .. leaf, "c")):close()
    end
    local function names(...)
      local list = {}
      for name in tool.prints("ls", "--json", ...):gmatch '"name":"([^"]+)"' do
        list[#list + 1] = name:sub(#family + 1)
      end
      return table.concat(list, " ")
    end
    assert.equal("%[ -a -b .a", names(family .. "*"))
    assert.equal("-a .a", names(family .. "?a"))
    assert.equal("-a -b", names(family .. "-b", family .. "-?"))
    assert.equal("%[", names(family .. "%["))
    assert.equal("", names(family .. "x*"))
    assert.equal("[]\n", tool.prints("ls", "--json", family .. "x*"))
    assert.equal("", tool.prints("ls", family .. "x*"))
    local code, out, err = tool.run("ls", family .. "-a", family .. "x")
    assert.equal(1, code)
    assert.truthy(out:find(family .. "-a", 1, true))
    assert.truthy(err:find(family .. 'x": No such file', 1, true))
  end)

  it("shows what was cut, what it does not know, and what is no memory", function()
    local name = scratch.name()
    local cell = assert(shmseg.cell.open(name, "c", sized))
    assert(shell.succeeds("truncate -s 100 /dev/shm/" .. name))
    cell:close()
    assert.equal("cell", row(tool.prints "ls", name)[1])
    assert.truthy(tool.prints("ls", "--json", name):find('"code":"too small","complete":false', 1,
      true))
    local code, out = tool.run("info", name)
    assert.equal(1, code)
    assert.truthy(out:find "problem +.*cut: 100 bytes", out)
    local fifo, link = scratch.name(), scratch.name()
    assert(shell.succeeds(("mkfifo /dev/shm/%s; ln -s %s /dev/shm/%s"):format(fifo, name, link)))
    out = tool.prints("ls", "--all")
    assert.same({}, row(out, fifo))
    assert.same({}, row(out, link))
    tool.fails(1, "ls", fifo)
  end)

  it("escapes names, and does not in JSON", function()
    local name = "x y\n\27[31m-" .. scratch.name()
    scratch.defer(function() os.remove("/dev/shm/" .. name) end)
    local event = assert(shmseg.event.open(name, "c"))
    assert.truthy(tool.prints("ls"):find("x y\\n\\x1b[31m-shmseg-spec", 1, true))
    assert.truthy(tool.prints("info", name):find("^x y\\n\\x1b%[31m"))
    local json = tool.prints("ls", "--json")
    assert.truthy(json:find('"name":"x y\\n\\u001b[31m-shmseg-spec', 1, true))
    event:close()
  end)
end)

describe("shmseg info", function()
  after_each(scratch.clean)

  it("tells of each kind its numbers, its fill, its locks and who waits", function()
    local cases = {
      queue = { sized, function(o) o:push("abc") end, { "capacity +1000", "messages +1",
        "shutdown +false", "producers +free" } },
      broadcast = { sized, function(o) o:publish("abc") end, { "capacity +1000", "first +1",
        "next +2" } },
      cell = { sized, function(o) o:set("abc") end, { "capacity +1000", "bytes +3",
        "version +1" } },
      dict = { sized, function(o) o:set("a", 1) end, { "capacity +1000", "count +1" } },
      event = { nil, function(o) o:set() end, { "set +true" } },
      semaphore = { { permits = 3 }, function(o) o:acquire() end, { "permits +3", "value +2",
        "permit +held by " .. shell.pid() } },
      mutex = { nil, function(o) o:lock() end, { "lock +held by " .. shell.pid() } },
      rwlock = { nil, function(o) o:read_lock() end, {
        "reader +held by " .. shell.pid() } },
    }
    for noun, case in pairs(cases) do
      local name = scratch.name()
      local object = assert(shmseg[noun].open(name, "c", case[1]))
      case[2](object)
      local out = tool.prints("info", name)
      assert.truthy(out:find("^" .. name:gsub("%p", "%%%0") .. ": " .. noun .. ", version %d"), out)
      assert.truthy(out:find("1 handle of the library; processes: " .. shell.pid(), 1, true), out)
      for _, pattern in ipairs(case[3]) do
        assert.truthy(out:find("\n  " .. pattern), pattern .. " is not in " .. out)
      end
      local json = tool.prints("info", "--json", name)
      assert.truthy(json:find('"kind":"' .. noun .. '"', 1, true), json)
      assert.truthy(json:find('"words":[{', 1, true), json)
      object:close()
    end
  end)

  it("tells of any memory what is known from outside", function()
    local name = scratch.name()
    assert(shell.succeeds("printf abc >/dev/shm/" .. name))
    local out = tool.prints("info", name)
    assert.truthy(out:find(name .. ": segment\n", 1, true), out)
    assert.truthy(out:find("\n  size +3, 4.0K taken\n"), out)
    assert.truthy(out:find("\n  open +unused"), out)
    tool.fails(1, "info", scratch.name())
  end)

  it("does not wait for a lock whose owner is stopped, and tells of one that has died", function()
    local name = scratch.name()
    assert(shmseg.mutex.open(name, "c")):close()
    local other = peer.start()
    other:call("kept = assert(shmseg.mutex.open(...)) kept:lock() return 1", name)
    other:signal "STOP"
    assert.truthy(tool.prints("info", name):find("lock +held by " .. other.pid))
    other:stop()
    assert.truthy(tool.prints("info", name):find "lock +held by a process that has died")
  end)

  it("tells what is broken", function()
    local name = scratch.name()
    local queue = assert(shmseg.queue.open(name, "c", sized))
    queue:segment():fill(8, 4, 99)
    queue:close()
    local code, out = tool.run("info", name)
    assert.equal(1, code)
    assert.truthy(out:find "\n  problem ", out)
    assert.truthy(tool.fails(1, "check", name):find("queue|segment \"" .. name, 1, true) ~= 1)
  end)
end)

describe("shmseg gc", function()
  after_each(scratch.clean)

  local function needs_users() -- else the spec ends here
    if not has_users then
      pending "this system does not tell who has shared memory open"
    end
  end

  it("removes what was temporary and has outlived its users, and nothing else", function()
    needs_users()
    local leaked, last = leak("queue", true), leak("dict", "last")
    local name, used = scratch.name(), scratch.name()
    local all = { leaked, last, name, used }
    local function gc(...)
      local words = { "gc", ... }
      for _, each in ipairs(all) do
        words[#words + 1] = each
      end
      return tool.prints((table.unpack or unpack)(words))
    end
    assert(shmseg.queue.open(name, "c", sized)):close()
    local temporary = assert(shmseg.queue.open(used, "c", { capacity = 1000, temporary = true }))
    assert.equal("leaked", row(tool.prints "ls", leaked)[8])
    assert.truthy(tool.prints("info", last):find "leaked: nobody has it open")
    local out = gc "--dry-run"
    assert.truthy(out:find("^" .. leaked:gsub("%p", "%%%0") .. "  4.0K\n" .. last:gsub("%p", "%%%0")
      .. "  [%d.]+K\n$"), out)
    assert.truthy(gc("-n", "--json"):find('"name":"' .. last .. '"', 1, true))
    assert.truthy(shmseg.stat(leaked) and shmseg.stat(last))
    assert.equal(out, gc())
    assert.falsy(shmseg.stat(leaked) or shmseg.stat(last))
    assert.truthy(shmseg.stat(name) and shmseg.stat(used))
    assert.equal("", gc())
    assert.equal("[]\n", gc "--json")
    temporary:close()
  end)

  it("removes plain segments of a pattern alone, and only when it may ask or is told to", function()
    needs_users()
    local family = scratch.family()
    for _, leaf in ipairs { "-a", "-b", "-used" } do
      assert(shmseg.open(family .. leaf, "c", 64)):close()
    end
    assert(shmseg.queue.open(family .. "-queue", "c", sized)):close()
    local leaked = leak("queue", true)
    local used = assert(shmseg.open(family .. "-used"))
    local foreign = peer.start()
    local err = tool.fails(2, "gc", "--plain", family .. "-*")
    assert.truthy(err:find "%-%-yes", err)
    local out = tool.prints("gc", "--plain", family .. "-*", "--dry-run")
    assert.equal(("%s-a  4.0K\n%s-b  4.0K\n"):format(family, family), out)
    assert.equal(family .. "-a  4.0K\n", tool.prints("gc", "--plain", family .. "-a", "--yes"))
    assert.truthy(shmseg.stat(family .. "-b") and shmseg.stat(leaked))
    assert.equal(family .. "-b  4.0K\n", tool.prints("gc", "--plain", family .. "*", "--yes"))
    assert.truthy(shmseg.stat(family .. "-used") and shmseg.stat(family .. "-queue"))
    foreign:stop()
    used:close()
    shmseg.unlink(leaked)
  end)

  it("tells what it has removed when a signal ends it", function()
    needs_users()
    local family, names = scratch.family(), {}
    local other = peer.start()
    other:call("kept = {} for i = 1, 500 do kept[i] = assert(shmseg.event.open(... .. i, 'c', "
      .. "{ temporary = true })) end return 1", family)
    other:stop()
    for i = 1, 500 do
      names[i] = family .. i
    end
    local run = tool.start("gc", "--yes", family .. "*")
    while shmseg.stat(names[1]) do
      shmseg.sleep(0.0001)
    end
    run:signal "INT"
    local status, lines = run:finish()
    local removed = 0
    for _, name in ipairs(names) do
      removed = removed + (shmseg.stat(name) and 0 or 1)
      shmseg.unlink(name)
    end
    assert.equal(removed, #lines)
    assert.equal(removed == #names and status or 130, status)
  end)

  it("asks on a terminal", function()
    needs_users()
    if not shell.has "script" then
      pending "script is not installed"
    end
    local leaked = leak("queue", true)
    local function answered(answer)
      return shell.run(("echo %s | script -qec %s /dev/null"):format(answer,
        shell.quote(tool.line("gc", leaked))))
    end
    local out, status = answered "n"
    assert.truthy(out:find(leaked, 1, true) and out:find "Remove th.*%? %[y/N%]", out)
    assert.equal(1, status)
    assert.truthy(shmseg.stat(leaked))
    out, status = answered "y"
    assert.equal(0, status, out)
    assert.falsy(shmseg.stat(leaked))
  end)
end)
