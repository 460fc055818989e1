-- SPDX-License-Identifier: MIT
-- libshmseg as it is installed, and programs that are compiled against it.

local build = require "spec.support.build"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local library = {}

--- Runs a command that has to succeed: what it printed.
function library.run(command)
  local output, status = shell.run(command)
  assert(status == 0, output)
  return output
end

--- Why nothing can be compiled here, or nil. Names of more tools may follow.
function library.missing(...)
  for _, tool in ipairs { "make", "cc", "pkg-config", ... } do
    if not shell.has(tool) then
      return "there is no " .. tool .. " here"
    end
  end
end

local installed

--- Where it is installed: once for all cases of a run. Two runs may build at the same time.
function library.install()
  if not installed then
    installed = shell.run("pwd"):gsub("\n$", "") .. "/" .. build.folder .. "/prefix"
    local lock = shell.has "flock" and "flock build/library.lock " or ""
    library.run("mkdir -p build && " .. lock .. "make -s install PREFIX=" .. shell.quote(installed))
  end
  return installed
end

--- The word that stands before a command which needs the shared library.
function library.path()
  return "LD_LIBRARY_PATH=" .. library.install() .. "/lib"
end

--- Compiles a program with the flags that pkg-config tells and no others: its path.
function library.compile(compiler, source, static)
  local prefix, program = library.install(), scratch.path("program")
  local words = "PKG_CONFIG_PATH=" .. shell.quote(prefix .. "/lib/pkgconfig") .. " pkg-config "
  words = words .. (static and "--static " or "") .. "--cflags --libs shmseg"
  local flags = library.run(words):gsub("\n", " ")
  if static then
    assert(flags:find("-lpthread", 1, true)) -- of Libs.private
    flags = flags:gsub("%-lshmseg", (shell.quote(prefix .. "/lib/libshmseg.a"):gsub("%%", "%%%%")))
  end
  library.run(("%s -Wall -Wextra -Werror -o %s %s %s"):format(compiler, program, source, flags))
  return program
end

return library
