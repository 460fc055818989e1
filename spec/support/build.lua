-- SPDX-License-Identifier: MIT
-- Compiles the C programs of the specs, each once in a run. spec/support/helper.lua puts them away.

local shell = require "spec.support.shell"

local build = {}

--- Where the programs of this run are.
build.folder = "build/spec-" .. shell.pid()

local function compiler()
  local command = os.getenv("CC")
  return command and command ~= "" and command or "cc"
end

-- A name for what a command makes: it is there already when the same command has made it.
local function name_of(command)
  local sum = 0
  for i = 1, #command do
    sum = (sum * 31 + command:byte(i)) % 2 ^ 32
  end
  return ("%08x"):format(sum)
end

-- Runs a command that makes a file, which it calls "$out": nil, or what went wrong.
local function make(path, command)
  local file = io.open(path)
  if file then
    file:close()
    return nil
  end
  local line = "mkdir -p %s && out=%s && { %s\n} && mv $out %s"
  local output, status = shell.run(line:format(build.folder, path .. ".new", command, path))
  return status ~= 0 and output or nil
end

--- Compiles C files (a list) into a program: its path, or nil and what the compiler said.
function build.program(sources, flags)
  local command = ("%s -std=gnu11 -o $out %s %s"):format(
    compiler(), table.concat(sources, " "), flags or "")
  local path = build.folder .. "/" .. name_of(command)
  local problem = make(path, command)
  if problem then
    return nil, problem
  end
  return path
end

--- The same for a program that uses shmseg.h: floors 1 to 3 are linked to it,
-- compiled as plain C11: each source says itself which features it needs. Large files are asked for
-- as the rockspec does it.
function build.user(source)
  local compile = compiler()
    .. " -std=c11 -D_FILE_OFFSET_BITS=64 -O1 -Isrc -c {} -o $out-$(basename {} .c).o"
  local problem = make(build.folder .. "/core.a", table.concat({
    "export out",
    "ls src/os/*.c src/core/*.c src/objects/*.c | xargs -P 2 -I{} sh -c " .. shell.quote(compile),
    "ar rcs $out $out-*.o",
  }, " && "))
  if problem then
    return nil, problem
  end
  return build.program({ source }, ("-Isrc %s/core.a -pthread -lrt -ldl"):format(build.folder))
end

--- True where there is a C compiler.
function build.possible()
  return shell.has(compiler())
end

local function lua_flags()
  local given = os.getenv("SHMSEG_LUA_FLAGS")
  if given and given ~= "" then
    return { given }
  elseif rawget(_G, "jit") then
    return {
      "-I/usr/include/luajit-2.1 -lluajit-5.1",
      "-I/usr/local/include/luajit-2.1 -L/usr/local/lib -lluajit-5.1",
    }
  end
  local version = _VERSION:match("%d%.%d")
  local prefix = shell.lua():match("^(/.*)/bin/[^/]+$") or "/usr/local"
  return {
    ("-I/usr/include/lua%s -llua%s"):format(version, version),
    ("-I/usr/include/lua%s -llua-%s"):format(version, version),
    ("-I/usr/include/lua-%s -llua-%s"):format(version, version),
    ("-I%s/include -L%s/lib -llua"):format(shell.quote(prefix), shell.quote(prefix)),
    "-llua",
  }
end

local working -- of lua_flags, once they are known

--- Compiles a program that embeds the Lua under test: its path, or nil and what the compiler said.
function build.host(sources)
  local path, output
  for _, flags in ipairs(working or lua_flags()) do
    path, output = build.program(sources, flags .. " -rdynamic -lm -ldl -pthread")
    if path then
      working = { flags }
      return path
    end
  end
  return nil, output
end

--- Compiles a module for the Lua under test: its path, or nil and what the compiler said.
function build.module(source)
  local path, output
  for _, flags in ipairs(lua_flags()) do
    local headers = flags:gsub("%-[lL]%S+", "") -- the interpreter has Lua itself
    path, output = build.program({ source }, headers .. " -shared -fPIC")
    if path then
      return path
    end
  end
  return nil, output
end

return build
