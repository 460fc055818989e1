-- SPDX-License-Identifier: MIT
-- libshmseg as it is installed, and programs that are compiled against it.

local build = require "spec.support.build"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local installed = {}

--- Runs a command that has to succeed: what it printed.
function installed.run(command)
  local output, status = shell.run(command)
  assert(status == 0, output)
  return output
end

--- Why nothing can be compiled here, or nil. Names of more tools may follow.
function installed.missing(...)
  for _, tool in ipairs { "make", "cc", "pkg-config", ... } do
    if not shell.has(tool) then
      return "there is no " .. tool .. " here"
    end
  end
end

local prefix

--- Where it is installed: once for all cases of a run. Two runs may build at the same time.
function installed.install()
  if not prefix then
    prefix = shell.run("pwd"):gsub("\n$", "") .. "/" .. build.folder .. "/prefix"
    local lock = shell.has "flock" and "flock build/library.lock " or ""
    installed.run("mkdir -p build && " .. lock .. "make -s install PREFIX=" .. shell.quote(prefix))
  end
  return prefix
end

--- The word that stands before a command which needs the shared library.
function installed.path()
  return "LD_LIBRARY_PATH=" .. installed.install() .. "/lib"
end

--- Compiles a program with the flags that pkg-config tells and no others: its path.
function installed.compile(compiler, source, static)
  local root, program = installed.install(), scratch.path("program")
  local words = "PKG_CONFIG_PATH=" .. shell.quote(root .. "/lib/pkgconfig") .. " pkg-config "
  words = words .. (static and "--static " or "") .. "--cflags --libs shmseg"
  local flags = installed.run(words):gsub("\n", " ")
  if static then
    assert(flags:find("-lpthread", 1, true)) -- of Libs.private
    flags = flags:gsub("%-lshmseg", (shell.quote(root .. "/lib/libshmseg.a"):gsub("%%", "%%%%")))
  end
  installed.run(("%s -Wall -Wextra -Werror -o %s %s %s"):format(compiler, program, source, flags))
  return program
end

return installed
