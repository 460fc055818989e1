-- SPDX-License-Identifier: MIT
-- examples/writer.lua and examples/reader.lua, with each other and with two C programs.

local shmseg = require "shmseg"
local build = require "spec.support.build"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local function example(script, ...)
  local words = peer.command()
  words[#words + 1] = "examples/" .. script .. ".lua"
  for _, word in ipairs { ... } do
    words[#words + 1] = word
  end
  return process.start(words)
end

-- One of the C programs: a function that starts it. Nil and the reason where there is none.
local function c_program(name)
  if not build.possible() then
    return nil, "there is no C compiler here"
  end
  local program = assert(build.program({ "spec/support/" .. name .. ".c" }, "-lrt"))
  return function(...)
    return process.start { program, ... }
  end
end

local function check_pointer(line)
  assert.truthy(line:find("^shared memory pointer: 0x%x+$"), line)
end

local function check_start_of_writer(writer)
  assert.equal("Allocate shared memory.", writer:line())
  check_pointer(writer:line())
  local letters = writer:line()
  assert.truthy(letters:find("^%u+$") and #letters == 32, letters)
  return letters
end

local function check_end(program)
  assert.equal("finally", program:line())
  assert.is_nil(program:line())
  assert.equal(0, program.status)
  assert.equal("", program:stderr())
end

describe("the demo", function()
  after_each(scratch.clean)

  for _, signal in ipairs { "INT", "TERM" } do
    it("prints the same on both ends, and ends in order and at once at SIG" .. signal, function()
      local name = scratch.name()
      local writer = example("writer", "--name", name, "--interval", "600")
      local letters = check_start_of_writer(writer)
      assert.equal(letters, scratch.bytes(name))
      local reader = example("reader", "--name", name, "--interval", "600")
      check_pointer(reader:line())
      assert.equal(letters, reader:line())
      reader:signal(signal)
      check_end(reader)
      assert.equal(letters, scratch.bytes(name))
      writer:signal(signal)
      check_end(writer)
      assert.is_nil(scratch.bytes(name))
    end)
  end

  it("works without arguments on memory.bin, 32 bytes", function()
    if scratch.bytes("memory.bin") then
      pending("somebody has an object memory.bin")
    end
    local writer = example("writer")
    local letters = check_start_of_writer(writer)
    assert.equal(letters, scratch.bytes("memory.bin"))
    assert.equal(32, shmseg.stat("memory.bin").size)
    local reader = example("reader")
    check_pointer(reader:line())
    assert.equal(letters, reader:line())
    reader:signal "INT"
    check_end(reader)
    writer:signal "TERM"
    check_end(writer)
    assert.is_nil(scratch.bytes("memory.bin"))
  end)

  it("writes new letters again and again, as many lines as asked for", function()
    local name = scratch.name()
    local writer = example("writer", "--name", name, "--interval", "0.001", "--count", "20")
    local status, lines = writer:finish()
    assert.equal(0, status)
    assert.equal(23, #lines)
    local seen, letters = {}, {}
    for i = 3, 22 do
      assert.truthy(lines[i]:find("^%u+$") and #lines[i] == 32)
      assert.is_nil(seen[lines[i]])
      seen[lines[i]] = true
      lines[i]:gsub("%u", function(letter)
        letters[letter] = true
      end)
    end
    local count = 0
    for _ in pairs(letters) do
      count = count + 1
    end
    assert.equal(26, count)
    assert.equal("finally", lines[23])
    assert.is_nil(scratch.bytes(name))
  end)

  it("takes any size", function()
    local name = scratch.name()
    local writer = example("writer", "--name", name, "--size", "100", "--interval", "600")
    assert.equal("Allocate shared memory.", writer:line())
    check_pointer(writer:line())
    local letters = writer:line()
    assert.equal(100, #letters)
    local reader = example("reader", "--name=" .. name, "--size=100", "--count=1")
    local status, lines = reader:finish()
    assert.equal(0, status)
    assert.equal(letters, lines[2])
    assert.equal("finally", lines[3])
    writer:signal "INT"
    check_end(writer)
  end)

  it("sees the writer's changes from the reader", function()
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 32))
    seg:write(0, ("A"):rep(32))
    local reader = example("reader", "--name", name, "--interval", "0.001")
    check_pointer(reader:line())
    assert.equal(("A"):rep(32), reader:line())
    seg:write(0, ("B"):rep(32))
    local line
    repeat
      line = reader:line()
    until line == ("B"):rep(32)
    -- A zero ends the line, as in C.
    seg:write(0, "short\0")
    repeat
      line = reader:line()
    until line == "short"
    reader:signal "TERM"
    repeat
      line = reader:line()
    until line ~= "short"
    assert.equal("finally", line)
    assert.is_nil(reader:line())
    assert.equal(0, reader.status)
  end)

  for _, script in ipairs { "writer", "reader" } do
    it("explains itself: " .. script .. " --help", function()
      local status, lines = example(script, "--help"):finish()
      assert.equal(0, status)
      local text = table.concat(lines, "\n")
      for _, option in ipairs { "--name", "--size", "--interval", "--count", "--help" } do
        assert.truthy(text:find(option, 1, true), option)
      end
    end)

    it("refuses wrong options with status 2 and makes nothing: " .. script, function()
      local name = scratch.name()
      for _, words in ipairs {
        { "--colour" },
        { "stray" },
        { "--size" },
        { "--size", "0" },
        { "--size", "-1" },
        { "--size", "1.5" },
        { "--size", "many" },
        { "--interval", "-1" },
        { "--interval", "nan" },
        { "--interval", "soon" },
        { "--count", "0" },
        { "--count", "some" },
        { "--name", "a/b" },
        { "--name", "" },
      } do
        local program = example(script, "--name", name, (table.unpack or unpack)(words))
        local status, lines = program:finish()
        assert.equal(2, status, table.concat(words, " "))
        assert.same({}, lines)
        local message = program:stderr()
        assert.truthy(message:find(words[1], 1, true), message)
        assert.is_nil(message:find("traceback"))
        assert.is_nil(scratch.bytes(name))
      end
    end)
  end

  it("says what is wrong when the reader comes first", function()
    local name = scratch.name()
    local reader = example("reader", "--name", name)
    local status = reader:finish()
    assert.equal(1, status)
    local message = reader:stderr()
    assert.truthy(message:find(name, 1, true) and message:find("writer", 1, true), message)
    assert.is_nil(message:find("traceback"))
  end)

  it("says what is wrong when the object is too small", function()
    local name = scratch.name()
    expect.success(shmseg.open(name, "x", 16))
    for _, script in ipairs { "writer", "reader" } do
      local program = example(script, "--name", name)
      assert.equal(1, (program:finish()))
      assert.truthy(program:stderr():find(name, 1, true))
      assert.is_nil(program:stderr():find("traceback"))
      assert.equal(16, #scratch.bytes(name))
    end
  end)

  it("survives that somebody cuts the object, and says so", function()
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 32))
    seg:write(0, ("A"):rep(32))
    local reader = example("reader", "--name", name, "--interval", "0.001")
    check_pointer(reader:line())
    assert.equal(("A"):rep(32), reader:line())
    assert(io.open(scratch.objects .. name, "w")):close()
    local status, lines = reader:finish()
    assert.equal(1, status)
    assert.equal("finally", lines[#lines])
    assert.truthy(reader:stderr() ~= "")
    assert.is_nil(reader:stderr():find("traceback"))
  end)

  it("starts again after a writer was killed", function()
    local name = scratch.name()
    local killed = example("writer", "--name", name)
    check_start_of_writer(killed)
    killed:signal "KILL"
    killed:finish()
    local writer = example("writer", "--name", name)
    local letters = check_start_of_writer(writer)
    assert.equal(letters, scratch.bytes(name))
    writer:signal "TERM"
    check_end(writer)
    assert.equal(letters, scratch.bytes(name)) -- it may be somebody's still
  end)

  it("leaves the object to the writer that made it, when there is a second one", function()
    local name = scratch.name()
    local first = example("writer", "--name", name, "--interval", "600")
    check_start_of_writer(first)
    local second = example("writer", "--name", name, "--count", "1")
    local letters = check_start_of_writer(second)
    check_end(second)
    local reader = example("reader", "--name", name, "--count", "1")
    check_pointer(reader:line())
    assert.equal(letters, reader:line())
    check_end(reader)
    first:signal "TERM"
    check_end(first)
    assert.is_nil(scratch.bytes(name))
  end)

  it("reads what the C program writes", function()
    local start, reason = c_program("mmap_write")
    if not start then
      pending(reason)
    end
    local name = scratch.name()
    local writer = start(name)
    local letters = check_start_of_writer(writer)
    local reader = example("reader", "--name", name)
    check_pointer(reader:line())
    assert.equal(letters, reader:line())
    reader:signal "INT"
    check_end(reader)
    writer:await_sleep()
    writer:signal "INT"
    check_end(writer)
    assert.is_nil(scratch.bytes(name))
  end)

  it("writes what the C program reads", function()
    local start, reason = c_program("mmap_read")
    if not start then
      pending(reason)
    end
    local name = scratch.name()
    local writer = example("writer", "--name", name, "--interval", "600")
    local letters = check_start_of_writer(writer)
    local reader = start(name)
    check_pointer(reader:line())
    assert.equal(letters, reader:line())
    reader:await_sleep()
    reader:signal "TERM"
    check_end(reader)
    writer:signal "INT"
    check_end(writer)
  end)

  it("takes over an object that the C program has left behind", function()
    local start, reason = c_program("mmap_write")
    if not start then
      pending(reason)
    end
    local name = scratch.name()
    local killed = start(name)
    check_start_of_writer(killed)
    killed:signal "KILL"
    killed:finish()
    local writer = example("writer", "--name", name)
    assert.equal(check_start_of_writer(writer), scratch.bytes(name))
    writer:signal "TERM"
    check_end(writer)
  end)
end)
