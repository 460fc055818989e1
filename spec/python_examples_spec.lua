-- SPDX-License-Identifier: MIT
-- examples/shmseg_cell.py: a cell, read by a Python program that knows the written format alone.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local PROGRAM = "examples/shmseg_cell.py"

local function needs_python()
  if not shell.has "python3" then
    pending("there is no python3 here")
  end
end

describe("shmseg_cell.py #once", function()
  after_each(scratch.clean)

  -- Runs lines of Python that see the module, and the cell's name as `name`.
  local function python(name, source)
    local head = "import sys\nsys.path.insert(0, 'examples')\nimport shmseg_cell\n"
    local file = scratch.file(head .. "name = sys.argv[1]\n" .. source)
    return process.start { "python3", "-B", file, name }
  end

  local function cell(capacity)
    local name = scratch.name()
    return expect.success(shmseg.cell.open(name, "x", { capacity = capacity })), name
  end

  it("prints a cell, knowing the written format alone", function()
    needs_python()
    local c, name = cell(100)
    for _, value in ipairs { "a", "", "b", ("x"):rep(100) } do
      c:set(value)
    end
    local line = "4 " .. ("x"):rep(100)
    assert.same({ line }, process.start({ "python3", "-B", PROGRAM, name }):ends_well())
    c:set "\255\195\169"
    assert.same({ "5 \\xff\195\169" }, process.start({
      "env", "PYTHONIOENCODING=utf-8", "python3", "-B", PROGRAM, "/" .. name,
    }):ends_well())
  end)

  it("explains itself, and refuses unknown arguments with status 2", function()
    needs_python()
    local helped = process.start { "python3", "-B", PROGRAM, "--help" }
    local text = table.concat(helped:ends_well(), "\n")
    assert.truthy(text:find("Start first", 1, true), text)
    for _, wrong in ipairs { "--colour", "--count=0", "--wait=-1" } do
      local started = process.start { "python3", "-B", PROGRAM, wrong }
      assert.equal(2, (started:finish()))
      assert.truthy(started:stderr():find "^usage: ")
    end
  end)

  it("says in a line what is wrong", function()
    needs_python()
    local function message_of(...)
      return process.start({ "python3", "-B", PROGRAM, ... }):fails_in_a_line()
    end
    local none = scratch.name()
    assert.truthy(message_of(none):find(none .. " is not there; start first what sets it", 1, true))
  end)

  it("says in a line that the version has gone back to 0", function()
    local c, name = cell(10)
    c:set "x"
    local reader = process.start { "python3", "-B", PROGRAM, name, "--count", "2", "--wait", "600" }
    assert.equal("1 x", reader:line())
    c:segment():set_u64(128, 1)
    assert.truthy(reader:fails_in_a_line():find("its version has gone back to 0", 1, true))
  end)

  it("says in a line that there is no /dev/shm", function()
    needs_python()
    local bare = { "unshare", "-m", "sh", "-c", 'mount -t tmpfs none /dev && exec "$@"', "sh" }
    if not shell.succeeds(shell.quote((table.unpack or unpack)(bare)) .. " true") then
      pending("a /dev of one's own cannot be had here")
    end
    for _, word in ipairs { "python3", "-B", PROGRAM } do
      bare[#bare + 1] = word
    end
    local message = process.start(bare):fails_in_a_line()
    assert.truthy(message:find("/dev/shm is not there", 1, true), message)
  end)

  it("takes nothing else for a cell", function()
    needs_python()
    local names, expected = {}, {}
    local function add(name, line)
      names[#names + 1] = name
      expected[#expected + 1] = name .. ": " .. line
    end
    for _, damage in ipairs {
      { "I4", 0, 0x534d4853, "Incompatible: made on a machine with another byte order" },
      { "I4", 0, 0x80000010, "Incompatible: no cell, or not complete yet" },
      { "I4", 0, 0x12345678, "Incompatible: no cell" },
      { "I4", 4, 6, "Incompatible: no cell" },
      { "I4", 8, 2, "Incompatible: a cell of format 2, 1 is known" },
      { "I8", 16, 64, "Incompatible: no cell: its size does not fit its capacity" },
      { "I8", 24, 2 ^ 40, "Incompatible: no cell: its size does not fit its capacity" },
      { "I8", 128, 0, "Corrupt: zeroes where the version is" },
      { "I8", 192 + 128, 65, "Corrupt: a value larger than the capacity" }, -- of version 1
      { "I8", 192 + 128, 64, "64 bytes" },
    } do
      local c, name = cell(64)
      c:set "x"
      c:segment():pack(damage[2], "=" .. damage[1], damage[3])
      add(name, damage[4])
    end
    for size, line in pairs { [31] = "too small for a cell", [32] = "no cell", [512] = "no cell" }
    do
      local name = scratch.name()
      expect.success(shmseg.open(name, "x", size))
      add(name, "Incompatible: " .. line)
    end
    for bytes, line in pairs { [0] = "empty", [100] = "smaller than its header says" } do
      local c, name = cell(64)
      local header = c:segment():read(0, bytes)
      c:unlink()
      local file = assert(io.open(scratch.objects .. name, "w"))
      file:write(header)
      file:close()
      add(name, "Incompatible: " .. line)
    end
    for make, line in pairs {
      ["mkfifo "] = "Incompatible: no shared memory",
      ["mkdir "] = "Incompatible: no shared memory",
      ["ln -s /etc/hostname "] = "CellError: Too many levels of symbolic links",
    } do
      local name = scratch.name()
      local path = scratch.objects .. name
      scratch.defer(function()
        shell.run("rm -rf " .. path)
      end)
      shell.run(make .. path)
      add(name, line)
    end
    add("a/b", "ValueError: a name without slashes is wanted, not 'a/b'")
    local reader = python(table.concat(names, " "), [[
for each in name.split():
    try:
        with shmseg_cell.Cell(each) as cell:
            print("%s: %d bytes" % (each, len(cell.get()[0])))
    except Exception as error:
        kind, text = type(error).__name__, str(error)
        print("%s: %s: %s" % (each, kind, text.replace(each + ": ", "", 1)))
]])
    assert.same(expected, reader:ends_well())
  end)

  it("reads a cell at an offset, waits for changes, and sees that the object was cut", function()
    needs_python()
    local name = scratch.name()
    local seg = expect.success(shmseg.open(name, "x", 4096))
    local c = expect.success(shmseg.cell.open(seg:slice(128), "c", { capacity = 100 }))
    local reader = python(name, [[
with shmseg_cell.Cell(name, 128) as cell:
    print(*cell.get(), cell.version(), cell.capacity, flush=True)
    print(*cell.wait(), flush=True)
    print(*cell.wait(1), flush=True)
    try:
        cell.wait(2, 0)
    except TimeoutError as error:
        print(error, flush=True)
    try:
        cell.wait(2)
    except shmseg_cell.Truncated as error:
        print(error, flush=True)
try:
    shmseg_cell.Cell(name + "-none")
except FileNotFoundError as error:
    print(error)
]])
    assert.equal("None 0 0 100", reader:line(), reader:stderr())
    c:set "one"
    assert.equal("b'one' 1", reader:line())
    c:set "two"
    assert.equal("b'two' 2", reader:line())
    assert.equal(name .. ": no other value within 0 seconds", reader:line())
    reader:await_sleep() -- between two looks: a cut in the middle of one is Python's end
    assert(io.open(scratch.objects .. name, "w")):close()
    assert.equal(name .. ": another process has shrunk it", reader:line(), reader:stderr())
    assert.equal(name .. "-none is not there; start first what sets it", reader:line())
    reader:ends_well()
  end)

  it("reads whole values beside a writer at full speed, and tells when it is overtaken", function()
    needs_python()
    local c, name = cell(1000)
    c:set(("\0"):rep(1000))
    local writer = peer.start()
    writer:send("c = shmseg.cell.open('" .. name .. "')\n" .. [[
      report "begins"
      for i = 1, 1e12 do c:set(string.char(i % 256):rep(1000)) end]])
    assert.equal("begins", writer:receive())
    local reader = python(name, [[
last = 0
with shmseg_cell.Cell(name) as cell:
    for _ in range(1000):
        value, version = cell.get(100)
        assert value == value[:1] * 1000 and version >= last, version
        last = version
print("whole")
cell = shmseg_cell.Cell(name)
versions = iter(range(1, 1000000, 3))   # as if a writer had come round between any two looks
cell.version = lambda: next(versions)
try:
    cell.get(0)
except shmseg_cell.Overtaken as error:
    print(error)
]])
    assert.equal("whole", reader:line(), reader:stderr())
    assert.equal(name .. ": overwritten faster than it can be read", reader:line(), reader:stderr())
    reader:ends_well()
  end)

  it("ends in order at Ctrl-C", function()
    needs_python()
    local c, name = cell(10)
    c:set "x"
    local reader = process.start { "python3", "-B", PROGRAM, name, "--count", "2", "--wait", "600" }
    assert.equal("1 x", reader:line())
    reader:await_sleep()
    reader:signal "INT"
    assert.same({}, reader:ends_well())
  end)
end)
