-- SPDX-License-Identifier: MIT
-- Watches in the event loops that are installed for this Lua: the examples, each with what it waits
-- for. doc/event-loops.md has programs of its own, which manual_spec.lua runs.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

-- Lua code after which timers find nothing: wakes alone do.
local NO_TIMERS = [[
  local shmseg = require "shmseg"
  local bell = assert(shmseg.event.open(assert(shmseg.anonymous(4096)), "c"))
  local watch = bell:watch()
  debug.getmetatable(watch).__index.timeout = function() return 1000 end
  watch:close()]]

-- Words that start this Lua, with the library and with these words.
local function lua_with(...)
  local words = { shell.lua(), "-e",
    ("package.path=%q package.cpath=%q"):format(package.path, package.cpath) }
  for _, word in ipairs { ... } do
    words[#words + 1] = word
  end
  return words
end

local function quoted(words)
  return shell.quote((table.unpack or unpack)(words))
end

-- The words that a program has before it which watches in this way.
local function watching(way)
  return { "env", way and "SHMSEG_WATCH=" .. way }
end

-- Ends the test where watches do not work in this way, or in any.
local function needs_watches(way)
  local words = watching(way)
  local ask = [[io.write(tostring(require("shmseg").features().watch))]]
  for _, word in ipairs(lua_with("-e", ask)) do
    words[#words + 1] = word
  end
  local found = shell.run(quoted(words))
  if found ~= (way or found) or found == "false" then
    pending(("there are no watches here by %s"):format(way or "any way"))
  end
end

-- Ends the test where the loop is not installed for this Lua.
local function needs(module, way)
  if not shell.succeeds(quoted(lua_with("-e", ("require %q"):format(module)))) then
    pending("there is no module " .. module .. " here")
  end
  needs_watches(way)
end

local function example(way, name, ...)
  local words = watching(way)
  for _, word in ipairs(lua_with("-e", NO_TIMERS, "examples/" .. name .. ".lua", ...)) do
    words[#words + 1] = word
  end
  return process.start(words)
end

local function run(...)
  local text, status = shell.run(quoted(lua_with(...)))
  assert.equal(0, status, text)
  return text
end

-- A program that others can connect to prints where, and after that it is there.
local function await_listening(started, port)
  local line = assert(started:line(), started:stderr())
  assert.equal(("listening at 127.0.0.1, port %s; Ctrl-C ends it"):format(port), line)
end

local function stop(started)
  started:signal "INT"
  return started:ends_well()
end

describe("a watch", function()
  after_each(scratch.clean)

  for _, way in ipairs { "io_uring", "thread" } do
    it("lets luv serve three queues, a timer and a signal, by " .. way, function()
      needs("luv", way)
      local name = scratch.family()
      local server = example(way, "luv", "serve", "--name", name, "--interval", "0.01")
      assert.equal("serving; Ctrl-C ends it", server:line(), server:stderr())
      run("examples/luv.lua", "send", "--name", name, "--count", "200", "--interval", "0")
      local counts, last, reported = { orders = 0, returns = 0, questions = 0 }, {}, nil
      repeat
        local line = assert(server:line(), server:stderr())
        local queue, number = line:match "^(%l+): number (%d+)$"
        if queue then
          assert.True(tonumber(number) > (last[queue] or 0), line)
          last[queue], counts[queue] = tonumber(number), counts[queue] + 1
        else
          reported = line
        end
      until reported == ("so far %d orders, %d returns, %d questions"):format(
        counts.orders, counts.returns, counts.questions)
        and counts.orders + counts.returns + counts.questions == 200
      stop(server)
      for queue in pairs(counts) do
        assert.is_nil(scratch.bytes(name .. "-" .. queue))
      end
    end)
  end

  it("lets cqueues wait for a queue, a socket and a signal", function()
    needs "cqueues"
    local name = scratch.name()
    local port = run("-e", [[
      local server = require("cqueues.socket").listen("127.0.0.1", 0)
      server:listen()
      io.write(select(3, server:localname()))]])
    port = ("%d"):format(tonumber(port))
    local server = example(nil, "cqueues", "serve", "--name", name, "--port", port)
    await_listening(server, port)
    local jobs = expect.success(shmseg.queue.open(name))
    local client = scratch.file([[
      local socket = require("cqueues.socket").connect("127.0.0.1", tonumber(arg[1]))
      for i = 2, #arg do
        socket:write(arg[i], "\n")
        print(socket:read "*l")
      end]], "client.lua")
    assert.True(jobs:push "one")
    assert.equal("from the queue: one", server:line(), server:stderr())
    assert.equal("job 2 is done\njob 3 is done\n", run(client, port, "two", "three"))
    assert.equal("from the socket: two", server:line())
    assert.equal("from the socket: three", server:line())
    assert.True(jobs:push "four")
    assert.equal("from the queue: four", server:line())
    assert.same({}, stop(server))
    assert.is_nil(scratch.bytes(name))
  end)

  it("lets Copas wait for a broadcast as if it were a socket", function()
    needs "copas"
    local name = scratch.name()
    local port = run("-e", [[
      io.write((select(2, require("socket").bind("127.0.0.1", 0):getsockname())))]])
    local server = example(nil, "copas", "serve", "--name", name, "--port", port)
    await_listening(server, port)
    local news = expect.success(shmseg.broadcast.open(name))
    local client = process.start(lua_with(scratch.file([[
      local socket = require("socket").connect("127.0.0.1", arg[1])
      io.stdout:setvbuf "no"
      repeat
        local line = socket:receive "*l"
        print(line)
      until not line]], "client.lua"), port))
    assert.equal("somebody has connected", server:line(), server:stderr())
    for _, line in ipairs { "one", "two" } do
      expect.success(news:publish(line))
      assert.equal(line, client:line(), client:stderr())
    end
    assert.same({}, stop(server))
    assert.is_nil(scratch.bytes(name))
  end)

  it("lets two Neovims share what is yanked", function()
    if not rawget(_G, "jit") then
      pending "Neovim runs LuaJIT"
    elseif not shell.has "nvim" then
      pending "there is no Neovim here"
    end
    needs_watches()
    local name = scratch.name()
    local function neovim(...)
      local folder = scratch.path "home"
      local words = { "env", "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath }
      for _, kind in ipairs { "CONFIG", "DATA", "STATE", "CACHE" } do
        words[#words + 1] = ("XDG_%s_HOME=%s"):format(kind, folder)
      end
      for _, word in ipairs { "nvim", "--headless", "--clean", "--cmd",
        "set runtimepath^=examples/neovim", "-c", "lua " .. NO_TIMERS:gsub("%s*\n%s*", " "),
        "-c", "YankShare " .. name } do
        words[#words + 1] = word
      end
      for _, command in ipairs { ... } do
        words[#words + 1] = "-c"
        words[#words + 1] = command
      end
      return process.start(words)
    end
    local heard = [[lua vim.wait(90000, function() return vim.fn.getreg('"') ~= "" end)
      print = nil io.stdout:write(vim.fn.getreg('"'))]]
    local one = neovim([[lua io.stdout:write("ready\n")]], heard, "qall!")
    assert.equal("ready", one:line(), one:stderr())
    local write = [[call setline(1, ["a line of the other one"])]]
    local other = neovim(write, "normal! yy", heard, "qall!")
    assert.equal("a line of the other one", one:line(), one:stderr())
    one:ends_well()
    other:ends_well()
    assert.is_nil(scratch.bytes(name))                      -- the last one has removed it
  end)
end)
