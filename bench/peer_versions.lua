-- SPDX-License-Identifier: MIT
-- Which peers are there, and in which version.

local context = require "bench.context"
local installed = require "bench.installed"

local peer_versions = {}

-- Not each Lua has it
local LUAPOSIX = [[for v in 4 3 2 1; do lua5.$v -e 'print(require "posix".version)' && break; done]]

local LUV = [[for v in 4 3 2 1; do
  lua5.$v -e 'print(require "luv".version_string())' && break
done]]

-- The line with which a program tells its version; `with` is a file that it needs besides.
local function program(root, name, argument, with)
  local words = installed.program(root, name)
  if not words or with and not installed.file(root, with) then
    return ""
  end
  return context.output_of(("%s %s 2>&1"):format(table.concat(words, " "), argument))
end

-- A peer that is compiled: what its header defines, the numbers put together.
local function header(root, path, pattern)
  local file = installed.file(root, path)
  return file and context.output_of(
    ("sed -nE '%s' '%s' | paste -sd . | tr _ ."):format(pattern, file)) or ""
end

-- Of each peer its name, and a function that gives a text with its version, or one without.
local PEERS = {
  { "Python", function()
    return context.output_of "python3 --version 2>/dev/null"
  end },
  { "LuaJIT", function()
    return context.output_of "luajit -v 2>/dev/null"
  end },
  { "luaposix", function()
    local line = context.output_of(("{ %s; } 2>/dev/null"):format(LUAPOSIX))
    return line:gsub("^.*/", "")
  end },
  { "luv", function()
    return context.output_of(("{ %s; } 2>/dev/null"):format(LUV))
  end },
  { "Node", function()
    return context.output_of "node --version 2>/dev/null"
  end },
  { "Boost", function(root)
    return header(root, "/usr/include/boost/version.hpp", [[s/.*BOOST_LIB_VERSION "(.*)"/\1/p]])
  end },
  { "LMDB", function(root)
    return header(root, "/usr/include/lmdb.h", [[s/.*MDB_VERSION_[MP][A-Z]*\s+([0-9]+)$/\1/p]])
  end },
  { "nginx with Lua (OpenResty)", function(root)
    return program(root, "nginx", "-v", "/usr/lib/nginx/modules/ngx_http_lua_module.so")
  end },
  { "Redis", function(root)
    return program(root, "redis-server", "--version")
  end },
  { "memcached", function(root)
    return program(root, "memcached", "-V")
  end },
}

--- A list of { name =, version = }; the version is nil for what is not there.
function peer_versions.list(root)
  local list = {}
  for i, peer in ipairs(PEERS) do
    list[i] = { name = peer[1], version = peer[2](root):match("%d+%.[%w.-]+") }
  end
  return list
end

return peer_versions
