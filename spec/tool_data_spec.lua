-- SPDX-License-Identifier: MIT
-- shmseg get, set, del, keys, incr and ttl.

local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"
local shmseg = require "shmseg"
local tool = require "spec.support.tool"

-- A name with a new object behind it, and the object.
local function made(noun, capacity)
  local name = scratch.name()
  local object = assert(shmseg[noun].open(name, "x", { capacity = capacity or 65536 }))
  return name, object
end

describe("the tool's get and set of a cell", function()
  after_each(scratch.clean)

  it("give and take any bytes, from standard input too", function()
    local name, cell = made("cell", 1000)
    for _, value in ipairs { "plain", "", "a\0b\n", ("\255"):rep(1000) } do
      assert.equal("", tool.prints("set", "--", name, value))
      assert.equal(value, cell:get())
      assert.equal(value, tool.prints("get", name))
      for _, words in ipairs { {}, { "-" } } do
        cell:set "other"
        assert.equal(0, (tool.feed(value, "set", name, words[1])))
        assert.equal(value, cell:get())
      end
    end
    assert.equal(0, (tool.feed("line\n", "set", "--chomp", name)))
    assert.equal("line", cell:get())
    assert.equal("line\n", tool.prints("get", "-n", name))
  end)

  it("tell the version in JSON, and set by it", function()
    local name, cell = made "cell"
    tool.prints("set", "--cas", "0", name, "one")
    assert.equal(('{"name":"%s","value":"one","version":1}\n'):format(name),
      tool.prints("get", "--json", name))
    local message = tool.fails(1, "set", "--cas=7", name, "two")
    assert.truthy(message:find("the version is 1, and not 7", 1, true))
    assert.equal("one", cell:get())
    tool.prints("set", "--cas=1", name, "two")
    assert.equal("two", cell:get())
  end)

  it("fail in a line when there is no value, or it is too long, and change nothing", function()
    local name, cell = made("cell", 10)
    assert.truthy(tool.fails(1, "get", name):find(name .. ": empty", 1, true))
    assert.truthy(tool.fails(1, "set", name, "eleven byte"):find "11 bytes, and 10 are the most")
    local code, _, err = tool.feed(("x"):rep(11), "set", name)
    assert.equal(1, code)
    assert.truthy(err:find "too long: 10 bytes are the most")
    assert.is_nil((cell:get()))
    assert.truthy(tool.fails(2, "get", name, "key"):find "is a cell, and has no keys")
    assert.truthy(tool.fails(2, "set", name, "key", "value"):find "is a cell, and has no keys")
    assert.truthy(tool.fails(2, "set", name, "--ttl", "5", "x"):find "%-%-ttl is for a dict")
  end)

  it("make what is not there, and leave what is there", function()
    local name = scratch.name()
    assert.truthy(tool.fails(1, "set", name, "x"):find "No such file")
    assert.is_nil((shmseg.stat(name)))
    tool.prints("set", "--create", "1K", name, "first")
    tool.prints("set", "--create", "2K", name, "second")
    local cell = assert(shmseg.cell.open(name, "r"))
    assert.equal(1024, cell:capacity())
    assert.equal("second", cell:get())
    local other = scratch.name()
    tool.prints("set", "--create", "16K", other, "key", "value")
    assert.equal("dict", shmseg.kind(other))
  end)
end)

describe("the tool's commands for a dict", function()
  after_each(scratch.clean)

  it("keep the type of a value", function()
    local name, dict = made "dict"
    tool.prints("set", name, "text", "5")
    tool.prints("set", "-i", name, "integer", "5")
    tool.prints("set", "--number", name, "float", "0.5")
    tool.prints("set", "-b", name, "yes", "true")
    assert.equal(0, (tool.feed("12\n", "set", "-i", name, "fed")))
    assert.equal("5", dict:get "text")
    assert.equal(5, dict:get "integer")
    assert.equal(0.5, dict:get "float")
    assert.True(dict:get "yes")
    assert.equal(12, dict:get "fed")
    assert.equal("5", tool.prints("get", name, "text"))
    assert.equal("5\n", tool.prints("get", name, "integer"))
    assert.equal("0.5\n", tool.prints("get", name, "float"))
    assert.equal("true\n", tool.prints("get", name, "yes"))
    assert.truthy(tool.fails(2, "set", "-i", name, "k", "five"):find "a number expected")
    assert.truthy(tool.fails(2, "set", "-b", name, "k", "1"):find "true or false expected")
    assert.is_nil((dict:get "k"))
  end)

  it("take no number that would become another one", function()
    local name, dict = made "dict"
    dict:set("n", 1)
    for _, word in ipairs { "9223372036854775808", "-9223372036854775809", "0x10000000000000001" }
    do
      for _, command in ipairs { { "set", "--number" }, { "incr", "--json" } } do
        local err = tool.fails(2, command[1], command[2], name, "n", "--", word)
        assert.truthy(err:find "no number that is exactly", err)
      end
    end
    assert.truthy(tool.fails(2, "set", "--flags", "4294967296", name, "n", "1")
      :find "from 0 to 4294967295 expected")
    assert.equal(1, dict:get "n")
    tool.prints("set", "-i", name, "n", "0x0000000000000000000a")
    assert.equal(10, dict:get "n")
  end)

  it("set flags and times to live, and only where that is asked", function()
    local name, dict = made "dict"
    tool.prints("set", "--ttl", "100", "--flags", "7", name, "k", "v")
    assert.same({ "v", 7 }, { dict:get "k" })
    local ttl = tonumber((tool.prints("ttl", name, "k")))
    assert.True(ttl > 90 and ttl <= 100)
    tool.prints("ttl", name, "k", "0")
    assert.equal("0\n", tool.prints("ttl", name, "k"))
    assert.equal(('{"flags":7,"key":"k","name":"%s","ttl":0,"value":"v"}\n'):format(name),
      tool.prints("get", "--json", name, "k"))
    assert.truthy(tool.fails(1, "set", "--add", name, "k", "w"):find "k: exists")
    assert.truthy(tool.fails(1, "set", "--replace", name, "l", "w"):find "l: not found")
    assert.equal("v", dict:get "k")
    assert.truthy(tool.fails(2, "set", "--add", "--replace", name, "k", "w"):find "exclude")
  end)

  it("tell what is not there", function()
    local name = made "dict"
    for _, words in ipairs { { "get", name, "k" }, { "ttl", name, "k" }, { "ttl", name, "k", "5" },
      { "incr", name, "k" }, { "del", name, "k" } } do
      assert.truthy(tool.fails(1, (table.unpack or unpack)(words)):find "k: not found")
    end
    assert.truthy(tool.fails(2, "get", name):find "a KEY is missing")
    assert.truthy(tool.fails(2, "set", name):find "a KEY is missing")
  end)

  it("take a value that has expired for none", function()
    local name, dict = made "dict"
    dict:set("k", "v", 0.001)
    repeat until dict:get "k" == nil
    assert.truthy(tool.fails(1, "ttl", name, "k"):find "k: it has expired")
    for _, words in ipairs { { "get", name, "k" }, { "del", name, "k" } } do
      assert.truthy(tool.fails(1, (table.unpack or unpack)(words)):find "k: not found")
    end
  end)

  it("add to numbers, and begin where that is asked", function()
    local name, dict = made "dict"
    assert.equal("42\n", tool.prints("incr", "--init", "40", "--ttl", "50", name, "k", "2"))
    assert.True(dict:ttl "k" > 0)
    assert.equal("41\n", tool.prints("incr", name, "k", "--", "-1"))
    assert.equal("41.5\n", tool.prints("incr", name, "k", "0.5"))
    assert.equal(('{"key":"k","name":"%s","value":42.5}\n'):format(name),
      tool.prints("incr", "--json", name, "k"))
    assert.truthy(tool.fails(2, "incr", "--ttl", "5", name, "k"):find "%-%-ttl needs %-%-init")
    dict:set("t", "text")
    assert.truthy(tool.fails(1, "incr", name, "t"):find "t: not a number")
  end)

  it("delete, and tell which keys were not there", function()
    local name, dict = made "dict"
    dict:set("a", 1)
    dict:rpush("b", "element")
    local code, out, err = tool.run("del", name, "a", "x", "b")
    assert.same({ 1, "" }, { code, out })
    assert.truthy(err:find "x: not found\n$")
    assert.equal(0, #dict)
  end)

  it("print lists, an element a line", function()
    local name, dict = made "dict"
    for i = 1, 9 do
      dict:rpush("list" .. i, "another's")
    end
    for _, element in ipairs { "one", 2 } do
      dict:rpush("list", element)
    end
    assert.equal("one\n2\n", tool.prints("get", name, "list"))
    assert.truthy(tool.prints("get", "--json", name, "list"):find('"value":["one",2]', 1, true))
  end)

  it("show the bytes of what a codec has made", function()
    local name = scratch.name()
    local codec = { encode = function(value) return "<" .. value[1] .. ">" end, decode = error }
    local dict = assert(shmseg.dict.open(name, "x", { capacity = 65536, codec = codec }))
    dict:set("k", { "table" })
    assert.equal("<table>", tool.prints("get", name, "k"))
    assert.equal("k\t<table>\n", tool.prints("keys", "-v", name))
  end)

  it("list the keys with a prefix, a line for each whatever is in them", function()
    local name, dict = made "dict"
    local nasty = "user:\n\27[2J\\"
    dict:set_many { ["user:ann"] = 31, [nasty] = "a\tb", ["page:1"] = true }
    local lines = {}
    for line in tool.prints("keys", name, "user:"):gmatch "[^\n]+" do
      lines[#lines + 1] = line
    end
    table.sort(lines)
    assert.same({ "user:\\n\\x1b[2J\\\\", "user:ann" }, lines)
    assert.equal(nasty .. "\0", tool.prints("keys", "-0", name, "user:\n"))
    assert.equal("page:1\ttrue\n", tool.prints("keys", "--values", name, "page"))
    assert.equal('{"key":"user:ann","value":31}\n', tool.prints("keys", "--json", "-v", name,
      "user:a"))
    assert.equal("", tool.prints("keys", name, "nothing"))
  end)
end)

describe("a data command of the tool", function()
  after_each(scratch.clean)

  local commands = {
    { "get", "NAME", "k" }, { "set", "NAME", "k", "v" }, { "del", "NAME", "k" }, { "keys", "NAME" },
    { "incr", "NAME", "k" }, { "ttl", "NAME", "k" }, { "ttl", "NAME", "k", "5" },
  }

  -- Calls `run` with the words of each command for the name.
  local function each_on(name, run)
    for _, words in ipairs(commands) do
      local line = {}
      for i, word in ipairs(words) do
        line[i] = word == "NAME" and name or word
      end
      run(line[1], "--", (table.unpack or unpack)(line, 2))
    end
  end

  local function all_fail(name)
    local said = {}
    each_on(name, function(...)
      said[#said + 1] = tool.fails(1, ...)
    end)
    return said
  end

  it("fails in a line on what is not there", function()
    for _, message in ipairs(all_fail(scratch.name())) do
      assert.truthy(message:find "No such file" or message:find "it is not there")
    end
  end)

  it("leaves other objects and foreign bytes as they are", function()
    local name = made "queue"
    local foreign = scratch.name()
    local file = assert(io.open(scratch.objects .. foreign, "wb"))
    file:write(("foreign "):rep(100))
    file:close()
    for _, each in ipairs { name, foreign } do
      local before = scratch.bytes(each)
      all_fail(each)
      assert.equal(before, scratch.bytes(each))
    end
  end)

  it("fails in a line on an object that was cut", function()
    local name = made "dict"
    shell.run("truncate -s 5000 " .. scratch.objects .. name)
    all_fail(name)
    shell.run("truncate -s 0 " .. scratch.objects .. name)
    all_fail(name)
  end)

  it("ends in order on an object that is spoiled", function()
    local name, dict = made "dict"
    local segment = dict:segment()
    segment:fill(512, #segment - 512, 255)
    each_on(name, function(...)
      local code, _, err = tool.run(...)
      assert.truthy(code == 0 or code == 1 and err:find "^shmseg: [^\n]+\n$", err)
      assert.is_nil(err:find "unexpected")
    end)
  end)

  it("takes names that a shell would not like", function()
    for _, odd in ipairs { "-dash", " two words", "\27[1m\n", "\255" } do
      local name = odd .. scratch.name()
      scratch.defer(function()
        shmseg.unlink(name)
      end)
      tool.prints("set", "--create", "1K", "--", name, "value")
      assert.equal("value", tool.prints("get", "--", name))
      shmseg.unlink(name)
      local message = tool.fails(1, "get", "--", name)
      assert.is_nil(message:find "[%z\1-\9\11-\31\127]")
    end
  end)

  it("looks through a handle that only reads", function()
    local name, dict = made "dict"
    dict:set("k", "v")
    local cell_name, cell = made "cell"
    cell:set "v"
    shell.run(("chmod 444 %s%s %s%s"):format(scratch.objects, name, scratch.objects, cell_name))
    if shell.run "id -u" ~= "0\n" or not shell.has "setpriv" then
      return
    end
    local nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups "
    local function as_nobody(...)
      return shell.run(nobody .. tool.line(...))
    end
    assert.equal("v", (as_nobody("get", name, "k")))
    assert.equal("v", (as_nobody("get", cell_name)))
    assert.equal("k\n", (as_nobody("keys", name)))
    assert.equal("0\n", (as_nobody("ttl", name, "k")))
    local text, status = as_nobody("set", name, "k", "w")
    assert.equal(1, status)
    assert.truthy(text:find "Permission denied")
    assert.equal("v", dict:get "k")
  end)
end)
