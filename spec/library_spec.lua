-- SPDX-License-Identifier: MIT
-- libshmseg, as C and C++ programs use it: installed, found by pkg-config, at the other end of what
-- Lua has made.

local build = require "spec.support.build"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"
local shmseg = require "shmseg"

local function run(command)
  local output, status = shell.run(command)
  assert(status == 0, output)
  return output
end

-- One installation for all cases of a run; two runs may build at the same time.
local installed
local function install()
  if not installed then
    installed = shell.run("pwd"):gsub("\n$", "") .. "/" .. build.folder .. "/prefix"
    local lock = shell.has "flock" and "flock build/library.lock " or ""
    run("mkdir -p build && " .. lock .. "make -s install PREFIX=" .. shell.quote(installed))
  end
  return installed
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- Compiles a program against what is installed, with pkg-config's words alone: its path.
local function compile(compiler, source, static)
  local prefix, program = install(), scratch.path("program")
  local words = "PKG_CONFIG_PATH=" .. shell.quote(prefix .. "/lib/pkgconfig") .. " pkg-config "
  words = words .. (static and "--static " or "") .. "--cflags --libs shmseg"
  local flags = run(words):gsub("\n", " ")
  if static then
    assert.match("%-lpthread", flags) -- of Libs.private
    flags = flags:gsub("%-lshmseg", (shell.quote(prefix .. "/lib/libshmseg.a"):gsub("%%", "%%%%")))
  end
  run(("%s -Wall -Wextra -Werror -o %s %s %s"):format(compiler, program, source, flags))
  return program
end

local function library_path()
  return "LD_LIBRARY_PATH=" .. install() .. "/lib"
end

local function missing(...)
  for _, tool in ipairs { "make", "cc", "pkg-config", ... } do
    if not shell.has(tool) then
      return "there is no " .. tool .. " here"
    end
  end
end

-- The program answers through a queue, a cell and a mutex that Lua has made.
local function play(program)
  local names = { scratch.name(), scratch.name(), scratch.name() }
  local queue = assert(shmseg.queue.open(names[1], "c", { capacity = 1000 }))
  local cell = assert(shmseg.cell.open(names[2], "c", { capacity = 100 }))
  local segment = assert(shmseg.open(names[3], "c", 8192))
  local mutex = assert(shmseg.mutex.open(segment:slice(0, 4096), "c"))
  cell:set("the first value")
  local peer = process.start {
    "env", library_path(), program, names[1], names[2], names[3], "2000"
  }
  queue:push("a message")
  for _ = 1, 2000 do
    mutex:with(function()
      segment:set_i32(4096, segment:get_i32(4096) + 1)
    end)
  end
  assert.match("^done with version %d+%.%d+%.%d+$", peer:line())
  assert.is_nil(peer:line())
  assert.equal(0, peer.status)
  assert.equal("answer to a message", queue:pop(0))
  assert.equal("after the first value", (cell:get()))
  assert.equal(4000, segment:get_i32(4096))
end

describe("libshmseg", function()
  after_each(scratch.clean)

  it("passes messages, a value and a mutex between a C program and Lua, both ways", function()
    local reason = missing()
    if reason then
      pending(reason)
    end
    play(compile("cc", "spec/support/library_peer.c"))
  end)

  it("does so with a C++ program", function()
    local reason = missing("g++")
    if reason then
      pending(reason)
    end
    play(compile("g++ -x c++", "spec/support/library_peer.c -x none"))
  end)

  it("does so when it is linked into the program", function()
    local reason = missing()
    if reason then
      pending(reason)
    end
    local program = compile("cc", "spec/support/library_peer.c", true)
    assert.not_match("libshmseg", run("ldd " .. program))
    play(program)
  end)

  it("runs the programs of its manual", function()
    local reason = missing()
    if reason then
      pending(reason)
    end
    local name, account, programs = scratch.name(), scratch.name(), {}
    for text in read("doc/c.md"):gmatch("```c\n(.-)```") do
      local leaf = assert(text:match("^/%* (%w+)%.c %*/"))
      text = text:gsub('"lines"', '"' .. name .. '"'):gsub('"account"', '"' .. account .. '"')
      local source = scratch.file(text, leaf .. ".c")
      programs[leaf] = compile("cc -std=c11", source)
    end
    run(library_path() .. " " .. programs.writer)
    assert.equal("line 1\nline 2\nline 3\nline 4\nline 5\n",
      run(library_path() .. " " .. programs.reader))
    assert.is_nil(scratch.bytes(name))
    assert.equal('queue "lines": No such file or directory\nstatus 1\n',
      run(library_path() .. " " .. programs.reader .. "; echo status $?"))
    run(library_path() .. " " .. programs.deposit)
    local Account = shmseg.struct("Account", { { "deposits", "u32" }, { "balance", "f64" } })
    local segment = assert(shmseg.open(account))
    local mutex = assert(shmseg.mutex.open(segment:slice(0, 128)))
    mutex:with(function(abandoned)
      assert.is_nil(abandoned)
      assert.same({ deposits = 1, balance = 10 }, Account:read(segment, 128))
    end)
  end)

  it("exports what its headers declare, and nothing else", function()
    local reason = missing("nm")
    if reason then
      pending(reason)
    end
    local declared, exported = {}, {}
    local text = run("cc -E -P -x c -Isrc src/shmseg.h"):gsub("%s+", " ")
    for declaration in text:gmatch('visibility%("default"%)%)%)([^;]*);') do
      declared[#declared + 1] = declaration:match("([%w_]+)%s*%(")
        or declaration:match("([%w_]+)%s*$")
    end
    local symbols = run("nm -D --defined-only " .. install() .. "/lib/libshmseg.so")
    for symbol in symbols:gmatch("%x+ %u ([%w_]+)") do
      exported[#exported + 1] = symbol
    end
    table.sort(declared)
    table.sort(exported)
    assert.truthy(#declared > 50)
    assert.same(declared, exported)
  end)

  it("needs no Lua to be built", function()
    local reason = missing()
    if reason then
      pending(reason)
    end
    assert.not_match("lua", run("make -s -n -B library"))
  end)
end)
