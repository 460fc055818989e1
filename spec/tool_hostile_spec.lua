-- SPDX-License-Identifier: MIT
-- Every command of the tool on names behind which something is wrong: it says so in a line, or does
-- its work, and harms nothing.

local cli = require "shmseg.cli"
local core = require "shmseg.core"
local shmseg = require "shmseg"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"
local tool = require "spec.support.tool"

-- For each command the words before and behind the name. None of them waits.
local recording = "/nonexistent/recording"
local commands = {
  ls = { { "ls" } }, info = { { "info" }, {}, { "--json" } }, dump = { { "dump", "-n", "16" } },
  read = { { "read", "-n", "8" } }, watch = { { "watch", "-n", "1", "-i", "0.001" } },
  get = { { "get" }, { "key" } }, set = { { "set" }, { "key", "value" } },
  del = { { "del" }, { "key" } }, keys = { { "keys" } }, incr = { { "incr" }, { "key" } },
  ttl = { { "ttl" }, { "key" } }, push = { { "push", "-t", "0" }, { "a" } },
  pop = { { "pop", "-t", "0" } }, pub = { { "pub" }, { "a" } }, sub = { { "sub", "-t", "0" } },
  record = { { "record", "-t", "0" }, { recording } }, replay = { { "replay", recording } },
  lock = { { "lock", "-t", "0" }, { "--", "true" } }, check = { { "check" } }, rm = { { "rm" } },
  gc = { { "gc" } },
}
-- These write when they are told to, or remove; the others leave what they do not know as it is.
local writes = { rm = true }

local function words_of(command, name)
  local words = {}
  for _, word in ipairs(commands[command][1]) do
    words[#words + 1] = word
  end
  words[#words + 1] = name
  for _, word in ipairs(commands[command][2] or {}) do
    words[#words + 1] = word
  end
  return words
end

-- Runs a command on a name: it ends in order or with a failure, which it tells in lines of its own.
local function try(command, name)
  local code, out, err = tool.run((table.unpack or unpack)(words_of(command, name)))
  local shown = ("%s of %s: %s, %s"):format(command, name, tostring(code), err)
  local has_keys = err:find "has no keys" ~= nil -- misuse: the key belongs to a dict
  assert.truthy(code == 0 or code == 1 or has_keys, shown)
  for line in err:gmatch "[^\n]*\n" do
    assert.truthy(line:find "^shmseg: ", shown)
  end
  assert.falsy(err:find "unexpected error" or err:find "traceback", shown)
  local is_quiet = command == "pop" or command == "sub" -- nothing has come
  assert.truthy(code == 0 or err ~= "" or out ~= "" or is_quiet, shown)
  return code
end

-- Tries all commands, on what `make` makes under a name; it stays as it is.
local function try_all(make)
  for _, command in ipairs(cli.commands) do
    if commands[command] then
      local name = scratch.name()
      make(name)
      local before = scratch.bytes(name)
      try(command, name)
      if not writes[command] then
        assert.equal(before, scratch.bytes(name), command)
      end
      os.remove("/dev/shm/" .. name)
    end
  end
end

local function write_file(name, bytes)
  local file = assert(io.open("/dev/shm/" .. name, "wb"))
  file:write(bytes)
  file:close()
end

local function object(noun, name)
  local options = {}
  for _, number in ipairs(core[noun].numbers) do
    local words = core[noun].words[number]
    if words ~= true then -- true: it is a switch
      options[number] = words and words[1] or 100
    end
  end
  return assert(shmseg[noun].open(name, "c", options))
end

-- To look through all processes takes long: here they are looked through once.
local function look_once()
  local openers, once = core.openers, core.openers()
  core.openers = function() return once end
  scratch.defer(function() core.openers = openers end)
end

describe("every command of the tool", function()
  after_each(scratch.clean)

  it("is tried here when it has a name", function()
    for _, command in ipairs(cli.commands) do
      local first = (cli.command(command).operands or {})[1] or ""
      assert.truthy(commands[command] or command == "write" or not first:find "^name", command)
    end
  end)

  it("says that there is nothing, and makes nothing", function()
    for command in pairs(commands) do
      local name = scratch.name()
      local code = try(command, name)
      assert.equal((command == "gc" or command == "lock") and 0 or 1, code, command)
      assert.equal(command ~= "lock", scratch.bytes(name) == nil, command)
    end
  end)

  it("leaves other programs' memory alone", function()
    try_all(function(name) write_file(name, ("foreign "):rep(100)) end)
    try_all(function(name) write_file(name, "x") end)
    try_all(function(name) write_file(name, "") end)
    try_all(function(name) write_file(name, ("\0"):rep(4096)) end)
  end)

  it("stands what was cut, and what has no sense", function()
    look_once()
    for i, noun in ipairs(core.kinds) do
      local path = scratch.name()
      object(noun, path):close()
      local whole = scratch.bytes(path)
      local cut = whole:sub(1, i % 2 == 0 and 64 or #whole - 64)
      local zeroed = whole:sub(1, 64) .. ("\0"):rep(#whole - 64)
      local senseless = whole:sub(1, 64) .. ("\171\205\3\1\0\0\0\0"):rep(#whole / 8):sub(1,
        #whole - 64)
      local has_much = noun == "queue" or noun == "dict" or noun == "broadcast" or noun == "cell"
      for _, bytes in ipairs(has_much and { cut, zeroed, senseless } or { cut }) do
        for _, command in ipairs { "ls", "info", "check", "dump", "get", "keys", "pop", "sub",
          "watch", "lock", "rm" } do
          write_file(path, bytes)
          try(command, path)
        end
      end
    end
  end)

  it("works with names that have spaces, control characters and a dash in front", function()
    local family = scratch.family()
    for _, name in ipairs { family .. " a  b ", family .. "\n\27[2J\r", family .. "'\"$x`*?",
      family .. "\\n%s%d", family .. "\255\254", "-" .. family, "--" } do
      scratch.defer(function() os.remove("/dev/shm/" .. name) end)
      object("mutex", name):close()
      for _, command in ipairs { "ls", "info", "check", "dump", "read", "gc", "rm" } do
        local words = commands[command][1]
        local code, out, err = tool.run(words[1], words[2] or "--", words[2] and words[3] or name,
          words[2] and "--" or nil, words[2] and name or nil)
        assert.same({ 0, "" }, { code, err }, command .. name)
        assert.falsy(command ~= "read" and out:gsub("\n", ""):find "%c", command)
      end
      assert.is_nil(scratch.bytes(name))
    end
  end)

  it("says that another user's memory may not be opened", function()
    local words = { "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups" }
    local prefix = shell.quote((table.unpack or unpack)(words))
    if not shell.succeeds(prefix .. " " .. tool.line "--version") then
      pending "another user cannot be played here"
    end
    local name, leaked = scratch.name(), scratch.name()
    object("queue", name):close()
    write_file(leaked, scratch.bytes(name):sub(1, 12) .. "\1" .. scratch.bytes(name):sub(14))
    assert(shell.succeeds("chmod 600 /dev/shm/" .. leaked))
    local before = scratch.bytes(name)
    local other = peer.start(words)
    for command in pairs(commands) do
      local code, out, err = other:call("return require('spec.support.tool').run(...)",
        (table.unpack or unpack)(words_of(command, name)))
      assert.equal((command == "ls" or command == "gc") and 0 or 1, code, command .. err)
      assert.falsy(err:find "unexpected error", err)
      assert.truthy(command ~= "ls" or out:find "EACCES +%d")
    end
    assert.equal(0, (other:call("return require('spec.support.tool').run(...)", "gc", leaked)))
    assert.equal(before, scratch.bytes(name))
    assert.truthy(scratch.bytes(leaked))
  end)

  it("stands names that come and go, and objects that change, while it works", function()
    local family = scratch.family()
    local names = { family .. "a", family .. "b" }
    local other = peer.start()
    other:send([[
      local a, b = ...
      report "begins"
      while true do
        for _, noun in ipairs { "queue", "cell", "dict" } do
          for _, name in ipairs { a, b } do
            local object = shmseg[noun].open(name, "c", { capacity = 1000 })
            if object then
              pcall(function()
                local segment = object:segment()
                segment:set_u32(128, 7)
                segment:resize(100)
                object:unlink()
              end)
              object:close()
            end
          end
        end
      end]], names[1], names[2])
    assert.equal("begins", other:receive())
    look_once()
    for round = 1, 10 do
      for _, command in ipairs { "ls", "info", "check", "dump", "read", "get", "pop" } do
        try(command, names[round % 2 + 1])
      end
      try("ls", family .. "*")
    end
    other:stop()
  end)
end)
