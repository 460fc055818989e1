-- SPDX-License-Identifier: MIT
-- The programs of the page about embedding, which need Lua's headers: a host that has the whole
-- module in it, and a host with a handler for SIGBUS.

local build = require "spec.support.build"
local manual = require "spec.support.manual"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

-- The program of the page whose first line names the file.
local function printed(name)
  for text in manual.read("doc/embedding.md"):gmatch("\n```text\n(.-\n)```") do
    if text:match("^[^\n]*"):find(name .. ":", 1, true) then
      return text
    end
  end
  error("the page has no " .. name)
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

-- Programs that embed Lua: host.c shows whether there can be any here.
local function compile(...)
  local probe, reason = build.host { "spec/support/host.c" }
  if not probe then
    pending("no program that embeds Lua can be built: " .. reason)
  end
  local program, problem = build.host { ... }
  assert(program, problem)
  return program
end

-- Runs the words to their end: the lines that they printed. They must end with status 0.
local function lines_of(words)
  local started = process.start(words)
  local status, lines = started:finish()
  assert.equal(0, status, started:stderr())
  return lines
end

describe("a host", function()
  after_each(scratch.clean)

  it("carries the module, and needs no file beside it #once", function()
    local folder = scratch.path("host")
    assert(shell.succeeds("mkdir " .. shell.quote(folder)))
    local bundle = write(folder .. "/bundle.lua", printed "bundle.lua")
    local output, status = shell.run(("%s %s lua/shmseg/*.lua lua/shmseg/front/*.lua >%s"):format(
      shell.quote(shell.lua()), shell.quote(bundle), shell.quote(folder .. "/shmseg_lua.h")))
    assert.equal(0, status, output)
    local program = compile(
      "-Wall -Wextra -Werror -D_FILE_OFFSET_BITS=64 -DSHMSEG_MODULE -Isrc",
      shell.quote(write(folder .. "/host.c", printed "host.c")),
      "src/*/*.c"
    )
    local script = write(folder .. "/script.lua", [[
      local shmseg = require "shmseg"
      local queue = assert(shmseg.queue.open(nil, "x", { capacity = 100, temporary = true }))
      queue:push "hello"
      print(queue:pop(0))
      local _, message = pcall(function()
        shmseg.queue.open(shmseg.anonymous(4096):slice(3, 100), "c")
      end)
      print((message:gsub(" to '%S+'", "")))]])
    assert.same({
      "hello",
      script .. ":6: bad argument #1 (misaligned: an object lies at a multiple of 64)",
    }, lines_of { "env", "-i", program, script })
  end)

  it("may install a handler for SIGBUS later that calls the one before", function()
    local program = compile(shell.quote(scratch.file(table.concat({
      [[
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>]],
      printed "handler.c",
      [[
static int host_install(lua_State *L) {
  (void)L;
  install();
  return 0;
}

int main(int count, char **arguments) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lua_pushcfunction(L, host_install);
  lua_setglobal(L, "install");
  int failed = count != 3 || luaL_dostring(L, arguments[1]) || luaL_dofile(L, arguments[2]);
  if (failed)
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  return failed;
}
]],
    }, "\n"), "late.c")))
    local script = scratch.file(([[
      local shmseg = require "shmseg"
      local segment = assert(shmseg.open("%s", "c", 2 * shmseg.pagesize, { temporary = true }))
      install()
      local cutter = assert(shmseg.open(segment:name()))
      cutter:resize(1)
      print((select(3, segment:read(shmseg.pagesize, 10))))
      io.flush()
      assert(segment:unlink())
      os.execute "kill -BUS $PPID"
      shmseg.sleep(5)]]):format(scratch.name()))
    local started = process.start { program, peer.command()[3], script }
    local status, lines = started:finish()
    assert.same({ "truncated" }, lines)
    local SIGBUS = 7
    assert.equal(128 + SIGBUS, status)
  end)
end)
