-- SPDX-License-Identifier: MIT
-- What the benchmarks are given: the library, the C helper, segments that are removed in the end.

local context = {}

local lua_version = _VERSION:match("%d+%.%d+")
local version = jit and "luajit" or lua_version -- what the tree in build/ is called

--- The first line that a command prints.
function context.output_of(command)
  local pipe = io.popen(command)
  local line = pipe:read("*l")
  pipe:close()
  return line or ""
end

--- The command that this interpreter was started with.
function context.interpreter()
  local first = 0
  while arg[first - 1] do
    first = first - 1
  end
  return arg[first]
end

local function helper_path(root, name)
  return ("%s/build/bench/%s-%s.so"):format(root, name, version)
end

--- Lets `require` find the library in the tree that `make` builds, after LUA_PATH.
function context.use_tree(root)
  local tree = root .. "/build/" .. version
  local share = ("%s/share/lua/%s"):format(tree, lua_version)
  local lib = ("%s/lib/lua/%s"):format(tree, lua_version)
  package.path = ("%s;%s/?.lua;%s/?/init.lua"):format(package.path, share, share)
  package.cpath = ("%s;%s/?.so"):format(package.cpath, lib)
end

-- Compiles a helper into build/bench; gives false if it does not compile.
local function build(root, source, name, rest)
  local headers = context.output_of(("'%s/.ci/find' headers %s"):format(root, version))
  local library = helper_path(root, name)
  local compile = "%s -std=c11 -O2 -Wall -Wextra -shared -fPIC '-I%s' -o '%s' '%s/bench/%s' %s"
  os.remove(library)
  local compiler = os.getenv("CC") or "cc"
  local done = os.execute(compile:format(compiler, headers, library, root, source, rest))
  return done == true or done == 0
end

-- LMDB is in the system, or among the peers that README.md says how to unpack.
local function build_lmdb(root)
  local installed = require "bench.installed"
  local flags = { "'-I" .. installed.folder(root) .. "/usr/include'" }
  for path in installed.libraries(root):gmatch("[^:]+") do
    table.insert(flags, ("'-L%s' '-Wl,-rpath,%s'"):format(path, path))
  end
  build(root, "peers/lmdb.c", "lmdb", table.concat(flags, " ") .. " -llmdb 2>/dev/null")
end

--- Compiles the C helpers. Where channel.c does not compile, nothing runs in two processes.
function context.build_helpers(root)
  os.execute(("mkdir -p '%s/build/bench'"):format(root))
  assert(build(root, "native.c", "native", ""), "the C helper does not compile")
  build(root, "peers/channel.c", "channel", "-lrt 2>/dev/null")
  build_lmdb(root)
end

--- What lmdb.c offers; nil where it does not compile.
function context.lmdb(root)
  local load = package.loadlib(helper_path(root, "lmdb"), "luaopen_lmdb")
  return load and load()
end

--- Loads everything. keys: of the largest dict that is asked for, or nil.
-- The caller closes it in the end; if it cannot, the guard removes the objects.
function context.open(root, slice, keys)
  local bench = { root = root, slice = slice, keys = keys, opened = {} }
  bench.native_path = helper_path(root, "native")
  bench.native = assert(package.loadlib(bench.native_path, "luaopen_native"))()
  local channel = package.loadlib(helper_path(root, "channel"), "luaopen_channel")
  bench.channel = channel and channel() -- nil where it does not compile
  bench.shmseg = require "shmseg"
  bench.prefix = ("shmseg-bench-%d-"):format(bench.native.pid())
  bench.native.guard(bench.prefix)

  --- A new segment; and its name.
  function bench.segment(size, options)
    local name = bench.prefix .. (#bench.opened + 1)
    local segment = assert(bench.shmseg.open(name, "x", size, options))
    table.insert(bench.opened, segment)
    return segment, name
  end

  function bench.close()
    for _, segment in ipairs(bench.opened) do
      pcall(segment.unlink, segment)
      pcall(segment.close, segment)
    end
  end
  return bench
end

return context
