-- SPDX-License-Identifier: MIT
-- The command line tool: what all its commands have in common.

local cli = require "shmseg.cli"
local core = require "shmseg.core"
local json = require "shmseg.cli.json"
local shmseg = require "shmseg"
local text = require "shmseg.cli.text"
local expect = require "spec.support.expect"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"
local tool = require "spec.support.tool"

local unpack = table.unpack or unpack

-- The exit status and all output of the tool on a terminal of `script`, with nothing typed.
local function on_terminal(line)
  local output, status = shell.run(("script -qec %s /dev/null </dev/null"):format(
    shell.quote(line)))
  return status, (output:gsub("\r", ""))
end

describe("the tool's command line", function()
  after_each(scratch.clean)

  it("has a help for each command, which names all options", function()
    local overview = tool.prints "--help"
    for _, name in ipairs(cli.commands) do
      local command = cli.command(name)
      assert.truthy(overview:find("\n  " .. name .. " +" .. command.summary:gsub("%p", "%%%0")))
      local help = tool.prints(name, "--help")
      assert.equal(help, tool.prints("help", name))
      assert.truthy(help:find("Usage: shmseg " .. name, 1, true))
      for _, option in ipairs(command.options or {}) do
        assert.truthy(help:find(option[2] .. (option[3] and " " .. option[3] or ""), 1, true))
      end
      for line in help:gmatch "[^\n]+" do
        assert.truthy(#line <= 100, line)
      end
    end
  end)

  it("describes all commands for programs", function()
    local described = tool.prints "--describe"
    for _, name in ipairs(cli.commands) do
      assert.truthy(described:find(("%q:%q"):format("name", name), 1, true))
    end
    assert.truthy(described:find('"operands":["name","..."]', 1, true))
    assert.truthy(described:find('"argument":"N","long":"--offset","short":"-o"', 1, true))
  end)

  it("says which version it is", function()
    assert.truthy(tool.prints("--version"):find("^" .. shmseg._VERSION .. ", Lua"))
  end)

  it("takes a misused command line for misuse, and names what was perhaps meant", function()
    for _, case in ipairs {
      { "a command is missing" },
      { 'unknown command "inffo": "info"?', "inffo" },
      { 'unknown command "x"', "help", "x" },
      { 'unknown option "%-%-hlep": "%-%-help"?', "--hlep" },
      { 'unknown option "%-%-forse": "%-%-force"?', "rm", "--forse", "a" },
      { 'unknown option "%-x".*%-%- there are none', "rm", "-x" },
      { "option %-%-count: N is missing", "read", "a", "--count" },
      { "option %-n: N is missing", "read", "a", "-n" },
      { "option %-%-force takes no argument", "rm", "--force=1", "a" },
      { "NAME is missing", "rm" },
      { "NAME is missing", "info" },
      { "an operand is missing", "lock", "a" },
      { 'one operand too many: "c"', "info", "a", "c" },
      { "has a slash inside", "rm", "a/b" },
      { "names nothing", "info", "" },
      { "255", "info", ("x"):rep(300) },
      { '%-%-count: a number of bytes expected, got "many"', "read", "a", "-n", "many" },
      { '%-%-timeout: seconds expected, got "%-1"', "lock", "-t", "-1", "a", "--", "true" },
    } do
      local err = tool.fails(2, (table.unpack or unpack)(case, 2))
      assert.truthy(err:find(case[1]), err)
      assert.truthy(err:find "%(shmseg[%w ]* %-%-help%)\n$", err)
    end
  end)

  it("takes options in any order, joined and apart, and none behind --", function()
    local name = scratch.name()
    tool.prints("write", name, "--create=8", "abcdefgh")
    for _, words in ipairs {
      { "-o2", "-n", "3", name }, { name, "--offset=2", "--count", "3" },
      { "-n3", name, "-o", "2" }, { "--count=0x3", "--offset", "2", "--", name },
    } do
      assert.equal("cde", tool.prints("read", (table.unpack or unpack)(words)))
    end
    local dashed = "-" .. scratch.name()
    scratch.defer(function() os.remove("/dev/shm/" .. dashed) end)
    tool.prints("write", "-c", "4", "--", dashed, "abcd")
    tool.fails(2, "rm", dashed)
    assert.truthy(shmseg.stat(dashed))
    tool.prints("rm", "--", dashed)
    assert.falsy(shmseg.stat(dashed))
  end)

  it("reads sizes as people write them", function()
    for word, bytes in pairs { ["0"] = 0, ["4096"] = 4096, ["0x10"] = 16, ["4K"] = 4096,
      ["0x00000000000000000010"] = 16, ["1.5k"] = 1536, ["2MiB"] = 2 ^ 21, ["1g"] = 2 ^ 30 } do
      assert.equal(bytes, text.to_bytes(word))
    end
    for _, word in ipairs { "", "-1", "k", "1.5", "1x", "1e3", " 1", "99999999999999999999",
      "0x10000000000000040", "0x20000000000000" } do
      assert.is_nil(text.to_bytes(word), word)
    end
  end)
end)

describe("what the tool asks the system", function()
  after_each(scratch.clean)

  it("is how wide a terminal is, and nil where there is none", function()
    local file = assert(io.open "/dev/null")
    for fd = 3, 50 do -- no terminal is among them
      assert.is_nil(core.terminal(fd))
    end
    file:close()
    expect.misuse("not a descriptor", core.terminal, -1)
    expect.misuse("not a descriptor", core.terminal, 2 ^ 31)
    if not shell.has "script" then
      pending "script is not installed"
    end
    local words = peer.command()
    words[#words + 1] = "-e"
    words[#words + 1] = "print(require('shmseg.core').terminal(1))"
    local line = shell.quote(unpack(words))
    assert.equal("77\t20\n", select(2, on_terminal("stty cols 77 rows 20; " .. line)))
    assert.equal("80", select(2, on_terminal("stty cols 0; " .. line)):match "^%d+")
  end)

  it("is that a signal does what it does by default", function()
    for _, name in ipairs { "KILL", "nonsense", "", "INT\0" } do
      expect.misuse("not the name of a signal", core.default_signal, name)
    end
    local other = peer.start()
    other:send "stop = shmseg.signals('USR1') require('shmseg.core').default_signal 'USR1' return 1"
    assert.equal(1, other:receive())
    other:signal "USR1"
    assert.equal(128 + 10, (other:finish()))
  end)
end)

describe("the tool's output", function()
  after_each(scratch.clean)

  it("shows names and values without what a terminal would obey", function()
    for value, shown in pairs {
      ["plain name"] = "plain name", ["a\nb\27[31m"] = "a\\nb\\x1b[31m", ["a\\nb"] = "a\\\\nb",
      ["\0\127"] = "\\x00\\x7f", ["caf\195\169"] = "caf\195\169", ["\233"] = "\\xe9",
      ["\194\155x"] = "\\xc2\\x9bx", ["\226\128\174x"] = "\\xe2\\x80\\xaex",
      ["\240\159\152\128"] = "\240\159\152\128", ["\237\160\128"] = "\\xed\\xa0\\x80",
      ["\192\128"] = "\\xc0\\x80", ["\195"] = "\\xc3",
    } do
      assert.equal(shown, text.escape(value))
    end
    assert.equal(("\\xff\\x00a"):rep(5000), text.escape(("\255\0a"):rep(5000)))
    local err = tool.fails(1, "info", "no such\n\27[31m")
    assert.truthy(err:find("no such\\n\\x1b[31m", 1, true), err)
  end)

  it("is JSON that reads as what it was", function()
    for _, case in ipairs {
      { "null", nil }, { "null", json.null }, { "null", 0 / 0 }, { "null", 1 / 0 },
      { "true", true }, { "0", 0 }, { "-5", -5 }, { "0.1", 0.1 }, { "1e+300", 1e300 },
      { "9007199254740992", 2 ^ 53 },
      { '"a\\"\\\\\\n\\u001b\\u007f/"', 'a"\\\n\27\127/' }, { '"caf\195\169"', "caf\195\169" },
      { '{"base64":"/w=="}', "\255" }, { '{"base64":"AP9h"}', "\0\255a" }, { '"\\u0000"', "\0" },
      { '{"base64":"//8="}', "\255\255" },
      { '{"base64":"AP9h/w=="}', "\0\255a\255" },
      { '{"base64":"+u8g/+//"}', "\250\239 \255\239\255" },
      { "[]", json.array {} }, { "{}", {} },
      { "[1,[2]]", { 1, { 2 } } }, { '{"a":1,"b":{"c":[]}}', { b = { c = json.array {} }, a = 1 } },
    } do
      assert.equal(case[1], json.encode(case[2]))
    end
  end)

  it("has no colour unless it is a terminal's, and none with NO_COLOR", function()
    if not shell.has "script" then
      pending "script is not installed"
    end
    local name = scratch.name()
    local queue = assert(shmseg.queue.open(name, "c", { capacity = 100 }))
    local line = tool.line("ls", name)
    local status, output = on_terminal(line)
    assert.equal(0, status)
    assert.truthy(output:find("\27[1m" .. name .. "\27[0m", 1, true), output)
    assert.falsy(select(2, on_terminal("NO_COLOR=1 " .. line)):find("\27", 1, true))
    assert.falsy(select(2, on_terminal("TERM=dumb " .. line)):find("\27", 1, true))
    assert.falsy((shell.run(line)):find("\27", 1, true))
    local head, row = output:gsub("\27%[%d*m", ""):match "([^\n]*)\n([^\n]*)"
    assert.equal(head:find "NAME", (row:find(name, 1, true)))
    queue:close()
  end)

  it("leaves nothing that a command with --create has made and not filled", function()
    local name = scratch.name()
    for _, case in ipairs {
      { 1, "set", "-c4", name, "12345" }, { 2, "set", "-c4K", name, "key", "one", "--number" },
      { 1, "push", "-c4", name, "12345" }, { 2, "push", "-c4", name, "-0", "-l", "1" },
      { 1, "pub", "-c4", name, "12345" }, { 1, "incr", "-c4K", name, "key" },
      { 1, "write", "-c4", name, "12345" },
    } do
      tool.fails(unpack(case))
      assert.is_nil((shmseg.stat(name)), case[2])
    end
    assert.equal(1, (tool.feed("1\n12345\n", "push", "-c4", name)))
    assert.equal("1\n", tool.prints("pop", name)) -- what was pushed before stays
    shmseg.unlink(name)
    assert.equal(1, (tool.feed("12345", "write", "-c4", name)))
    assert.equal("1234", tool.prints("read", name))
  end)

  it("leaves what is empty and was there, or is open elsewhere", function()
    local name = scratch.name()
    local queue = assert(shmseg.queue.open(name, "x", { capacity = 4 }))
    tool.fails(1, "push", "-c4", name, "12345")
    assert.truthy(queue:segment():is_current())
    queue:unlink()
    local cell = shmseg.cell.open
    local peer_handle
    shmseg.cell.open = function(...) -- somebody opens it as soon as it is there
      local object, created, code = cell(...)
      peer_handle = created == true and assert(cell(name)) or peer_handle
      return object, created, code
    end
    local ok, message = pcall(tool.fails, 1, "set", "-c4", name, "12345")
    shmseg.cell.open = cell
    assert(ok, message)
    assert.truthy(peer_handle:segment():is_current())
    peer_handle:unlink()
  end)

  it("ends in silence when the pipe closes, and tells of a full disk", function()
    local name = scratch.name()
    assert(shmseg.open(name, "c", 2 ^ 20)):close()
    local read, path = tool.line("read", name), scratch.path()
    for _, prepare in ipairs { "", "trap '' PIPE; " } do
      local line = ("{ %s%s; echo $? >%s; } | head -c 5 | wc -c"):format(prepare, read, path)
      assert.equal("5\n", (shell.run(line)))
      assert.equal("141\n", (shell.run("cat " .. path)))
    end
    local output, code = shell.run(read .. " >/dev/full")
    assert.equal("shmseg: write: No space left on device\n", output)
    assert.equal(1, code)
  end)

  it("is one line when something unforeseen goes wrong, with SHMSEG_DEBUG a traceback", function()
    local broken = "package.preload['shmseg.cli.rm'] = function() return { operands = { '...' }, "
      .. "usage = '', summary = '', run = function() error 'a\\nb' end } end"
    local words = tool.words "rm"
    table.insert(words, #words - 1, "-e")
    table.insert(words, #words - 1, broken)
    local line = shell.quote(unpack(words))
    local output, code = shell.run(line)
    assert.equal(1, code)
    assert.truthy(output:find "^shmseg: unexpected error: [^\n]*a\\nb\n$", output)
    output, code = shell.run("SHMSEG_DEBUG=1 " .. line)
    assert.equal(1, code)
    assert.truthy(output:find "stack traceback", output)
  end)
end)
