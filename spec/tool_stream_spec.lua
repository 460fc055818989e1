-- SPDX-License-Identifier: MIT
-- shmseg push, pop, pub, sub, record and replay.

local framing = require "shmseg.cli.framing"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"
local shmseg = require "shmseg"
local tool = require "spec.support.tool"

local LONG = 60 -- seconds: a guard against hanging, never a measure

-- A name with a new object behind it, and the object.
local function made(noun, capacity)
  local name = scratch.name()
  local object = assert(shmseg[noun].open(name, "x", { capacity = capacity or 65536 }))
  return name, object
end

local function read_file(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "*a"
  file:close()
  return bytes
end

-- Starts the tool with a pipe as its stdin, which the second result writes to.
local function start_with_input(...)
  local fifo = scratch.path "input"
  assert(shell.succeeds("mkfifo " .. shell.quote(fifo)))
  local input
  local started = process.start(tool.words(...), {
    input = fifo,
    opened = function()
      input = assert(io.open(fifo, "w"))
      input:setvbuf "no"
    end,
  })
  return started, input
end

describe("the framing of messages", function()
  local messages = { "one", "", "two words", ("long "):rep(50), "" }

  it("gives the same messages, in whatever blocks the bytes come", function()
    for _, kind in ipairs { "line", "null", "length" } do
      local bytes = assert(framing.join(kind, messages))
      for size = 1, #bytes do
        local splitter, list = framing.splitter(kind, 1000), {}
        for from = 1, #bytes, size do
          for _, message in ipairs((splitter:feed(bytes:sub(from, from + size - 1)))) do
            list[#list + 1] = message
          end
        end
        assert.same({}, (splitter:finish()))
        assert.same(messages, list)
      end
    end
  end)

  it("counts which messages of a cut stream are whole", function()
    for _, kind in ipairs { "line", "null", "length" } do
      local bytes = assert(framing.join(kind, messages))
      for size = 0, #bytes do
        local splitter = framing.splitter(kind, 1000)
        local list = splitter:feed(bytes:sub(1, size))
        assert.equal(#list, framing.whole(kind, messages, size))
      end
    end
  end)

  it("refuses a message that is too long before all of it is there", function()
    local splitter = framing.splitter("line", 10)
    local list, wrong = splitter:feed("short\n" .. ("x"):rep(11))
    assert.same({ "short" }, list)
    assert.truthy(wrong:find "line 2 is too long: more than 10 bytes")
    list, wrong = framing.splitter("length", 10):feed("\1\0\0\0a\255\255\255\255")
    assert.same({ "a" }, list)
    assert.truthy(wrong:find "message 2 is too long: 4294967295 bytes")
  end)
end)

describe("the tool's push and pop", function()
  after_each(scratch.clean)

  it("take messages from the command line, and from standard input a line each", function()
    local name, queue = made "queue"
    tool.prints("push", name, "one", "two words", "")
    assert.same({ "one", "two words", "" }, queue:drain())
    tool.prints("push", name, "--", "-", "-")
    assert.same({ "-", "-" }, queue:drain())
    assert.equal(0, (tool.feed("a\n\nno newline", "push", name)))
    assert.same({ "a", "", "no newline" }, queue:drain())
    assert.equal(0, (tool.feed("a\nb\0c", "push", "-0", name, "-")))
    assert.same({ "a\nb", "c" }, queue:drain())
    assert.equal(0, (tool.feed("\1\0\0\0x\0\0\0\0", "push", "--length", name)))
    assert.same({ "x", "" }, queue:drain())
    assert.equal(0, (tool.feed("", "push", name)))
    assert.equal(0, #queue)
  end)

  it("print messages a line each, with a NUL, or with their length", function()
    local name, queue = made "queue"
    queue:push_many { "one", "two", "three", "four", "a\nb" }
    assert.equal("one\n", tool.prints("pop", name))
    assert.equal("two\nthree\n", tool.prints("pop", "-n", "2", name))
    assert.equal("\4\0\0\0four", tool.prints("pop", "-l", name))
    assert.equal('{"message":"a\\nb"}\n', tool.prints("pop", "--json", name))
    queue:push_many { "a\nb", "c" }
    assert.equal("a\nb\0c\0", tool.prints("pop", "-f0", "-t", "0", name))
    assert.truthy(tool.fails(2, "pop", "--json", "-0", name):find "neither")
    assert.truthy(tool.fails(2, "pop", "-0", "-l", name):find "exclude each other")
    assert.truthy(tool.fails(2, "pop", "-f", "-n2", name):find "exclude each other")
  end)

  it("tell how they end", function()
    local name, queue = made("queue", 64)
    queue:push "only"
    local code, out, err = tool.run("pop", "-n", "2", "-t", "0", name)
    assert.same({ 1, "only\n" }, { code, out })
    assert.truthy(err:find "timeout %(1 of 2 messages%)")
    code, out, err = tool.run("push", "-t", "0", name, ("x"):rep(40), ("y"):rep(40))
    assert.same({ 1, "" }, { code, out })
    assert.truthy(err:find("timeout (1 message pushed, and 1 was read and not)", 1, true))
    queue:drain()
    tool.prints("push", "--shutdown", name, "last")
    assert.equal("last\n", tool.prints("pop", "-f", name))
    assert.truthy(tool.fails(1, "pop", name):find "shutdown %(0 of 1 messages%)")
    assert.truthy(tool.fails(1, "push", name, "more"):find "shutdown %(0 messages pushed")
  end)

  it("push what comes before a message that is too long, and tell where it is", function()
    local name, queue = made("queue", 32)
    local code, _, err = tool.feed("one\ntwo\n" .. ("x"):rep(33) .. "\nthree\n", "push", name)
    assert.equal(1, code)
    assert.truthy(err:find "line 3 is too long: 33 bytes, and 32 are the most %(2 messages pushed")
    assert.same({ "one", "two" }, queue:drain())
    code, _, err = tool.feed("\1\0\0\0x\9\0\0\0y", "push", "-l", name)
    assert.equal(1, code)
    assert.truthy(err:find "the input ends in the middle of message 2 %(1 message pushed")
    assert.same({ "x" }, queue:drain())
    assert.truthy(tool.fails(1, "push", name, "a", ("x"):rep(33)):find "message 2 is too long")
    assert.equal(0, #queue)
  end)

  it("hand on each message at once", function()
    local name, queue = made "queue"
    local popper = tool.start("pop", "-f", name) -- before there is a pipe for it to inherit
    local pusher, input = start_with_input("push", name)
    for _, message in ipairs { "first", "second" } do
      input:write(message, "\n")
      assert.equal(message, popper:line())
    end
    input:write "part"
    input:close()
    assert.equal("part", popper:line())
    assert.same({}, pusher:ends_well())
    queue:shutdown()
    assert.same({}, popper:ends_well())
  end)

  it("move many lines through a queue that is much smaller", function()
    local name = made("queue", 4096)
    local lines = {}
    for i = 1, 20000 do
      lines[i] = ("line %d"):format(i)
    end
    local path = scratch.file(table.concat(lines, "\n") .. "\n")
    local pusher = process.start(tool.words("push", "--shutdown", name), { input = path })
    local out = scratch.path "out"
    assert(shell.succeeds(tool.line("pop", "-f", name) .. " >" .. shell.quote(out)))
    assert.same({}, pusher:ends_well())
    assert.equal(read_file(path), read_file(out))
  end)

  it("end at Ctrl-C, and tell what was read and not pushed", function()
    local name, queue = made("queue", 64)
    local popper = tool.start("pop", "-f", name)
    queue:push "a"
    assert.equal("a", popper:line())
    popper:signal "INT"
    assert.equal(130, (popper:finish()))
    assert.equal("", popper:stderr())

    local pusher, input = start_with_input("push", name)
    input:write(("line\n"):rep(10))
    while queue:stats().bytes < 48 do
      shmseg.sleep(0.001)
    end
    pusher:await_sleep()
    pusher:signal "INT"
    assert.equal(130, (pusher:finish()))
    local pushed, left = pusher:stderr():match "interrupted %((%d+) messages? pushed, and (%d+) w"
    assert.equal(10, pushed + left)
    assert.equal(#queue, tonumber(pushed))
    input:close()
  end)

  it("take nothing for a reader that has gone", function()
    local name, queue = made "queue"
    queue:push "first"
    local line = ("{ %s; echo \"ended $?\" >&2; } | head -n 1"):format(tool.line("pop", "-f", name))
    assert.equal("first\nended 141\n", (shell.run(line)))
    queue:push "second"
    assert.equal("second", queue:pop(0))
  end)

  it("tell how many messages they have taken and could not write", function()
    if not shell.succeeds "test -w /dev/full" then
      return
    end
    local name, queue = made "queue"
    queue:push_many { "a", "b" }
    local said, status = shell.run(tool.line("pop", "-n2", name) .. " >/dev/full")
    assert.equal(1, status)
    assert.truthy(said:find "No space left on device: .*: 1 messages were taken and not written")
    assert.equal("b", queue:pop(0))
  end)
end)

describe("the tool's pub and sub", function()
  after_each(scratch.clean)

  it("publish, and print from where that is asked", function()
    local name, broadcast = made "broadcast"
    tool.prints("pub", name, "one", "two")
    assert.equal(0, (tool.feed("three\nfour", "pub", name)))
    assert.equal(5, broadcast:stats().next)
    local all = "one\ntwo\nthree\nfour\n"
    assert.equal(all, tool.prints("sub", "--from", "oldest", "-t0", name))
    assert.equal("two\nthree\n", tool.prints("sub", "--from=2", "-n", "2", name))
    assert.equal("3\tthree\n4\tfour\n", tool.prints("sub", "--from=-2", "-s", "-t0", name))
    assert.equal("", tool.prints("sub", "-t0", name))
    assert.equal('{"lost":0,"message":"four","sequence":4}\n',
      tool.prints("sub", "--json", "--from=4", "-t0", name))
    assert.truthy(tool.fails(1, "sub", "--from=9", name):find "no message has that number yet")
    assert.truthy(tool.fails(2, "sub", "--from=0", name):find "expected, got 0")
    assert.truthy(tool.fails(2, "sub", "--from=all", name):find "%-%-from: an integer expected")
    tool.prints("pub", "--shutdown", name, "last")
    assert.equal("last\n", tool.prints("sub", "--from=5", name))
    assert.truthy(tool.fails(1, "pub", name, "more"):find "shutdown")
  end)

  it("change nothing where they only look, and tell what was lost", function()
    local name, broadcast = made("broadcast", 64)
    for day = 1, 5 do
      broadcast:publish("day " .. day)
    end
    local before = scratch.bytes(name)
    local code, out, err = tool.run("sub", "--from=1", "-t0", "-s", name)
    assert.same({ 0, "3\tday 3\n4\tday 4\n5\tday 5\n" }, { code, out })
    assert.truthy(err:find "2 messages were lost before number 3")
    assert.equal(before, scratch.bytes(name))
  end)

  it("hand on each message at once, until Ctrl-C", function()
    local name, broadcast = made "broadcast"
    broadcast:publish "first"
    for _, option in ipairs { "--from=oldest", "-w" } do
      local subscriber = tool.start("sub", "--from=1", option, name)
      assert.equal("first", subscriber:line())
      subscriber:signal "INT"
      assert.equal(130, (subscriber:finish()))
    end
  end)
end)

describe("the tool's record and replay", function()
  after_each(scratch.clean)

  -- A recording of the messages.
  local function recorded(messages)
    local name, broadcast = made "broadcast"
    broadcast:publish_many(messages)
    local path = scratch.path "recording"
    tool.prints("record", "--from=oldest", "-t0", name, path)
    return path
  end

  local function played(broadcast)
    return (assert(broadcast:subscribe "oldest"):drain())
  end

  it("give the same messages again", function()
    local messages = { "one", "", "two\nlines\n", "\0\255", ("x"):rep(5000) }
    local path = recorded(messages)
    local name, broadcast = made "broadcast"
    tool.prints("replay", "--speed", "0", path, name)
    assert.same(messages, played(broadcast))
    local other = scratch.name()
    tool.prints("replay", "--speed=0", "--from=4", "--create=64K", path, other)
    assert.same({ messages[4], messages[5] }, played(assert(shmseg.broadcast.open(other))))
  end)

  it("play what is whole of a recording that was cut at any byte, and say so", function()
    local messages = { "one", "", "two\n", ("x"):rep(20) }
    local bytes = read_file(recorded(messages))
    local path = scratch.path "cut"
    local seen = {}
    for size = 0, #bytes - 1 do
      local file = assert(io.open(path, "wb"))
      file:write(bytes:sub(1, size))
      file:close()
      local name, broadcast = made("broadcast", 1000)
      local said = tool.fails(1, "replay", "-s0", path, name)
      local list = played(broadcast)
      assert.truthy(said:find "ends at byte %d+, in the middle; %d messages? played"
        or said:find "no recording is there" or said:find "ends at byte %d+, in the middle\n", said)
      for i, message in ipairs(list) do
        assert.equal(messages[i], message)
      end
      seen[#list] = true
      broadcast:unlink()
      broadcast:close()
    end
    assert.same({ [0] = true, true, true, true, true }, seen)
  end)

  it("play nothing behind a damaged byte", function()
    local bytes = read_file(recorded { "one", "two" })
    local name, broadcast = made "broadcast"
    for _, change in ipairs { { "message", "messige" }, { "one\n", "one " }, { " 3\n", " 4\n" },
      { " 3\n", ("9"):rep(200) } } do
      local path = scratch.file((bytes:gsub(change[1], change[2], 1)))
      assert.truthy(tool.fails(1, "replay", "-s0", path, name):find "damaged at byte")
    end
    assert.same({}, played(broadcast))
    local path = scratch.file((bytes:gsub("recording 1", "recording 2", 1)))
    assert.truthy(tool.fails(1, "replay", path, name):find "version 2 is there, and not 1")
    local small = made("broadcast", 2)
    path = scratch.file(bytes)
    assert.truthy(tool.fails(1, "replay", path, small):find "message 1 has 3 bytes, and 2 are")
    assert.truthy(tool.fails(1, "replay", "/", name):find "directory")
  end)

  it("keep and tell what was lost", function()
    local name, broadcast = made("broadcast", 64)
    for day = 1, 5 do
      broadcast:publish("day " .. day)
    end
    local path = scratch.path "recording"
    local code, _, err = tool.run("record", "--from=1", "-n3", name, path)
    assert.equal(0, code)
    assert.truthy(err:find "2 messages were lost before number 3")
    local other, again = made "broadcast"
    code, _, err = tool.run("replay", "-s0", path, other)
    assert.equal(0, code)
    assert.truthy(err:find "2 messages were lost before number 3, when it was recorded")
    assert.same({ "day 3", "day 4", "day 5" }, played(again))
  end)

  it("write over no file that is there", function()
    local name = made "broadcast"
    local path = scratch.file "precious"
    assert.truthy(tool.fails(1, "record", "-t0", name, path):find "there already")
    assert.equal("precious", read_file(path))
    tool.prints("record", "-t0", "--force", name, path)
    assert.truthy(read_file(path)
      :find "^shmseg recording 1\nstarted %d+ capacity 65536\nend 0 0\n$")
  end)

  it("write a recording to standard output, as long as somebody reads it", function()
    local name, broadcast = made "broadcast"
    broadcast:publish "one"
    assert.truthy(tool.prints("record", "--from=1", "-n1", name, "-"):find " 1 3\none\nend 1 0\n$")
    local line = tool.line("record", name, "-")
    assert.equal("shmseg recording 1\nended 141\n",
      (shell.run(("{ %s; echo \"ended $?\" >&2; } | head -n 1"):format(line))))
  end)

  it("play each message of a pipe at once", function()
    local name, broadcast = made "broadcast"
    local subscription = assert(broadcast:subscribe())
    local player, input = start_with_input("replay", "-", name)
    input:write "shmseg recording 1\nstarted 0 capacity 100\n"
    for i = 1, 3 do
      input:write(("message 0.00000%d %d 5\nagain\n"):format(i, i))
      assert.equal("again", (subscription:next(LONG)))
    end
    input:write "end 3 0\n"
    input:close()
    assert.same({}, player:ends_well())
  end)

  it("write a recording to a FIFO, and not to the file of a closed standard stream", function()
    local name, broadcast = made("broadcast", 64)
    local path = scratch.path "fifo"
    assert(shell.succeeds("mkfifo " .. shell.quote(path)))
    local recorder = tool.start("record", "-t0", name, path)
    assert.truthy(read_file(path):find "^shmseg recording 1\n.*\nend 0 0\n$")
    assert.same({}, recorder:ends_well())
    local file = scratch.path "recording"
    broadcast:publish_many { ("x"):rep(30), ("y"):rep(30), ("z"):rep(30) } -- the first one is lost
    local line = tool.line("record", "--from=1", "-t0", name, file)
    assert(shell.succeeds(line .. " 2>&-"))
    assert.truthy(read_file(file):find "^shmseg recording 1\nstarted %d+ capacity %d+\nlost ")
  end)

  it("end at Ctrl-C, and leave a recording that is whole", function()
    local name, broadcast = made "broadcast"
    local path = scratch.path "recording"
    local recorder = tool.start("record", name, path)
    repeat
      broadcast:publish "again"
    until shell.succeeds("grep -q again " .. shell.quote(path))
    recorder:signal "INT"
    assert.equal(130, (recorder:finish()))
    assert.truthy(read_file(path):find "\nend %d+ 0\n$")
  end)

  it("wait until a message's time has come, and end at Ctrl-C", function()
    local path = scratch.file(table.concat { "shmseg recording 1\nstarted 0 capacity 100\n",
      "message 9000.000000 1 5\nfirst\n", "message 18000.000000 2 4\nlast\n", "end 2 0\n" })
    local name, broadcast = made "broadcast"
    local subscription = assert(broadcast:subscribe())
    local player = tool.start("replay", path, name)
    assert.equal("first", (subscription:next(LONG)))
    player:await_sleep()
    player:signal "INT"
    assert.equal(130, (player:finish()))
    assert.truthy(player:stderr():find "interrupted %(1 message played%)")
    tool.prints("replay", "--speed", "1000000000", path, name)
    assert.equal("last", (broadcast:subscribe(-1):next(0)))
  end)
end)
