-- SPDX-License-Identifier: MIT
-- The tool's commands lock, check, rm and bench.

local shmseg = require "shmseg"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"
local tool = require "spec.support.tool"

local sized = { capacity = 1000 }

describe("shmseg lock", function()
  after_each(scratch.clean)

  it("runs a command while the mutex is held, and gives it back", function()
    local name = scratch.name()
    local held = tool.line("lock", "-t", "0", name, "--", "true")
    local out, status = shell.run(tool.line("lock", name, "--", "sh", "-c", held))
    assert.equal(('shmseg: mutex "%s": timeout\n'):format(name), out)
    assert.equal(1, status)
    assert.equal("mutex", shmseg.kind(name))
    assert.same({ "", 0 }, { shell.run(held) })
    local mutex = assert(shmseg.mutex.open(name))
    assert.truthy(mutex:lock(0))
    assert.same({ ('shmseg: mutex "%s": timeout\n'):format(name), 75 },
      { shell.run(tool.line("lock", "-t0.01", "-E", "75", name, "--", "true")) })
  end)

  it("hands the words over as they are", function()
    local words = { "a b", "", "'", "\"$HOME\"", "`x`", "\\n", "*", "-n", "--", "a\nb", "!", "\\'" }
    local line = tool.line("lock", scratch.name(), "--", "printf", "<%s>",
      (table.unpack or unpack)(words))
    assert.equal("<" .. table.concat(words, "><") .. ">", (shell.run(line)))
  end)

  it("ends with the command's exit code, or 128 and its signal", function()
    local name = scratch.name()
    local function status_of(...)
      return select(2, shell.run(tool.line("lock", name, "--", ...)))
    end
    assert.equal(0, status_of("true"))
    assert.equal(37, status_of("sh", "-c", "exit 37"))
    assert.equal(143, status_of("sh", "-c", "kill -TERM $$"))
    assert.equal(137, status_of("sh", "-c", "kill -KILL $$"))
    assert.equal(127, status_of("/no/such/command"))
  end)

  it("says that the last owner died, and runs", function()
    local name = scratch.name()
    local other = peer.start()
    other:call("kept = assert(shmseg.mutex.open(..., 'c')) kept:lock() return 1", name)
    other:stop()
    local out, status = shell.run(tool.line("lock", name, "--", "echo", "runs"))
    assert.equal(('shmseg: mutex "%s": abandoned: its last owner died while it held it\nruns\n')
      :format(name), out)
    assert.equal(0, status)
    assert.equal("runs\n", (shell.run(tool.line("lock", name, "--", "echo", "runs"))))
  end)

  it("shares an rwlock among readers", function()
    local name = scratch.name()
    local reads = tool.line("lock", "-t0", "--shared", name, "--", "echo", "reads")
    local writes = tool.line("lock", "-t0", "-E9", name, "--", "echo", "writes")
    assert.equal("reads\n", (shell.run(tool.line("lock", "-s", name, "--", "sh", "-c", reads))))
    assert.equal("rwlock", shmseg.kind(name))
    assert.equal(9, select(2, shell.run(tool.line("lock", "-s", name, "--", "sh", "-c", writes))))
    assert.equal(1, select(2, shell.run(tool.line("lock", name, "--", "sh", "-c", reads))))
    assert.equal("writes\n", (shell.run(writes)))
    local other = scratch.name()
    assert(shmseg.mutex.open(other, "c")):close()
    assert.truthy(tool.fails(1, "lock", "--shared", other, "--", "true"):find "an rwlock")
  end)

  it("takes no lock of what is none", function()
    local name = scratch.name()
    local queue = assert(shmseg.queue.open(name, "c", sized))
    assert.truthy(tool.fails(1, "lock", name, "--", "true"):find "a mutex or an rwlock is needed")
    queue:close()
    name = scratch.name()
    assert(shmseg.open(name, "c", 128)):close()
    tool.fails(1, "lock", name, "--", "true")
  end)

  -- A process of the tool in a session of its own, as a terminal's Ctrl-C reaches it with its
  -- command.
  local function start_session(...)
    local words = { "setsid", (table.unpack or unpack)(tool.words(...)) }
    return process.start(words)
  end

  it("leaves Ctrl-C to the command, and gives the lock back after it", function()
    if not shell.has "setsid" then
      pending "setsid is not installed"
    end
    local name = scratch.name()
    local run = start_session("lock", name, "--", "sh", "-c",
      "trap 'echo told; exit 5' INT; echo here; while :; do sleep 0.01; done")
    assert.equal("here", run:line())
    assert.truthy(shell.succeeds("kill -INT -" .. run.pid))
    assert.equal("told", run:line())
    assert.equal(5, (run:finish()))
    assert.equal("", run:stderr())
    assert.equal("free", (select(2, assert(shmseg.mutex.open(name)):lock(0)) or "free"))
  end)

  it("holds the lock until the command has ended when it is told to stop, and ends then", function()
    local name, fifo = scratch.name(), scratch.path "fifo"
    assert(shell.succeeds("mkfifo " .. fifo))
    local run = tool.start("lock", name, "--", "sh", "-c",
      "echo here; read line <$0; echo there; exit 3", fifo)
    assert.equal("here", run:line())
    local mutex = assert(shmseg.mutex.open(name))
    run:signal "TERM"
    run:await_signals()
    assert.is_nil((mutex:lock(0)))
    assert(shell.succeeds("echo >" .. fifo))
    assert.same({ 143, { "there" } }, { run:finish() })
    assert.truthy(mutex:lock(0))
  end)

  it("says that the lock was spoilt while the command ran", function()
    local name = scratch.name()
    local line = tool.line("lock", name, "--", "truncate", "-s", "0", "/dev/shm/" .. name)
    local out, status = shell.run(line)
    assert.equal(('shmseg: mutex "%s": another process has shrunk the segment\n'):format(name), out)
    assert.equal(0, status)
  end)

  it("is ended by Ctrl-C while it waits", function()
    local name = scratch.name()
    local mutex = assert(shmseg.mutex.open(name, "c"))
    mutex:lock()
    for signal, code in pairs { INT = 130, TERM = 143, HUP = 129 } do
      local run = tool.start("lock", name, "--", "echo", "runs")
      run:await_sleep()
      run:signal(signal)
      local status, lines = run:finish()
      assert.same({ code, {}, "" }, { status, lines, run:stderr() })
    end
  end)
end)

describe("shmseg check", function()
  after_each(scratch.clean)

  it("says that objects are in order", function()
    local names = {}
    for i, noun in ipairs { "queue", "dict", "cell", "broadcast", "mutex", "event" } do
      names[i] = scratch.name()
      local object = assert(shmseg[noun].open(names[i], "c",
        (noun ~= "mutex" and noun ~= "event") and sized or nil))
      object:close()
    end
    local out = tool.prints("check", (table.unpack or unpack)(names))
    assert.truthy(out:find("^" .. names[1]:gsub("%p", "%%%0") .. ": queue, in order\n"), out)
    assert.equal(6, select(2, out:gsub("in order\n", "")))
    assert.equal(('[{"kind":"dict","name":"%s","ok":true}]\n'):format(names[2]),
      tool.prints("check", "--json", names[2]))
  end)

  it("names the invariant that is broken, and goes on with the others", function()
    local broken, fine, none = scratch.name(), scratch.name(), scratch.name()
    local queue = assert(shmseg.queue.open(broken, "c", sized))
    queue:push "abc"
    assert(shmseg.queue.open(fine, "c", sized)):close()
    local segment = queue:segment()
    for offset = 64, segment:size() - 4, 4 do -- nothing behind the header is right
      segment:set_u32(offset, 0xdeadbeef)
    end
    queue:close()
    local code, out, err = tool.run("check", broken, none, fine)
    assert.equal(1, code)
    assert.equal(fine .. ": queue, in order\n", out)
    assert.truthy(err:find('queue "' .. broken .. '": broken: ', 1, true), err)
    assert.truthy(err:find(none .. '": No such file', 1, true), err)
    code, out = tool.run("check", "--json", broken)
    assert.equal(1, code)
    assert.truthy(out:find '"code":"corrupt","kind":"queue","message":".*broken: .*","name":', out)
  end)

  it("has nothing to check in other memory", function()
    local name = scratch.name()
    assert(shmseg.open(name, "c", 64)):close()
    assert.truthy(tool.fails(1, "check", name):find "no object of this library")
  end)
end)

describe("shmseg rm", function()
  after_each(scratch.clean)

  it("removes the names that are there, and tells of the others", function()
    local a, b = scratch.name(), scratch.name()
    assert(shmseg.open(a, "c", 64)):close()
    local code, out, err = tool.run("rm", b, "/" .. a)
    assert.same({ 1, "" }, { code, out })
    assert.equal(('shmseg: segment "%s": No such file or directory\n'):format(b), err)
    assert.is_nil(shmseg.stat(a))
    assert.equal("", tool.prints("rm", "-f", a, b))
  end)

  it("removes nothing when a name is none", function()
    local name = scratch.name()
    assert(shmseg.open(name, "c", 64)):close()
    tool.fails(2, "rm", "--force", name, "a/b")
    assert.truthy(shmseg.stat(name))
  end)
end)

describe("shmseg bench", function()
  after_each(scratch.clean)

  it("measures, until Ctrl-C", function()
    local bench = require "shmseg.cli.bench"
    local seconds = bench.seconds
    bench.seconds = 0
    scratch.defer(function() bench.seconds = seconds end)
    local out = tool.prints "bench"
    assert.truthy(out:find "^OPERATION +TIME +A SECOND\n", out)
    assert.truthy(out:find "\nqueue: push and pop 64 bytes +[%d.]+ .s +%d+\n", out)
    assert.truthy(tool.prints("bench", "--json"):find '^%[{"operation":"segment: .*","seconds":%d')
    local run = tool.start "bench"
    local maps
    repeat -- until it measures
      maps = assert(io.open("/proc/" .. run.pid .. "/maps"))
      local text = maps:read "*a"
      maps:close()
    until text:find("memfd:", 1, true)
    run:signal "INT"
    assert.same({ 130, {} }, { run:finish() })
    assert.equal("", run:stderr())
  end)
end)
