-- SPDX-License-Identifier: MIT
-- Compiles the C programs of the specs, and puts them away with the spec's other files.

local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local build = {}

local function compiler()
  local command = os.getenv("CC")
  return command and command ~= "" and command or "cc"
end

--- Compiles C files (a list) into a program: its path, or nil and what the compiler said.
function build.program(sources, flags)
  local path = scratch.path("program")
  local words = table.concat(sources, " ")
  local command = ("%s -std=gnu11 -o %s %s "):format(compiler(), shell.quote(path), words)
  local output, status = shell.run(command .. (flags or ""))
  if status ~= 0 then
    return nil, output
  end
  return path
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
  return {
    ("-I/usr/include/lua%s -llua%s"):format(version, version),
    ("-I/usr/include/lua%s -llua-%s"):format(version, version),
    ("-I/usr/include/lua-%s -llua-%s"):format(version, version),
    "-I/usr/local/include -L/usr/local/lib -llua -lm",
    "-llua",
  }
end

--- Compiles a program that embeds the Lua under test: its path, or nil and what the compiler said.
function build.host(sources)
  local path, output
  for _, flags in ipairs(lua_flags()) do
    path, output = build.program(sources, flags .. " -lm -ldl -pthread")
    if path then
      return path
    end
  end
  return nil, output
end

return build
