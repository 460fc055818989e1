-- SPDX-License-Identifier: MIT
-- libshmseg, as C and C++ programs use it: installed, found by pkg-config, at the other end of what
-- Lua has made.

local installed = require "spec.support.installed"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"
local shmseg = require "shmseg"

local run, compile, missing = installed.run, installed.compile, installed.missing

-- The program answers through a queue, a cell and a mutex that Lua has made.
local function play(program)
  local names = { scratch.name(), scratch.name(), scratch.name() }
  local queue = assert(shmseg.queue.open(names[1], "c", { capacity = 1000 }))
  local cell = assert(shmseg.cell.open(names[2], "c", { capacity = 100 }))
  local segment = assert(shmseg.open(names[3], "c", 8192))
  local mutex = assert(shmseg.mutex.open(segment:slice(0, 4096), "c"))
  cell:set("the first value")
  local peer = process.start {
    "env", installed.path(), program, names[1], names[2], names[3], "2000"
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

describe("libshmseg #once", function()
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
    local symbols = run("nm -D --defined-only "
      .. shell.quote(installed.install() .. "/lib/libshmseg.so"))
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
