-- SPDX-License-Identifier: MIT
-- Processes that hold a lock and lose it without giving it back.

local build = require "spec.support.build"
local peer = require "spec.support.peer"
local shell = require "spec.support.shell"

local owners = {}

-- What a Lua peer does to hold the lock of that kind under a name; its handle is `lock` then.
local chunks = {
  mutex = "lock = assert(shmseg.mutex.open(...)) assert(lock:lock(60))",
  read = "lock = assert(shmseg.rwlock.open(...)) assert(lock:read_lock(60))",
  write = "lock = assert(shmseg.rwlock.open(...)) assert(lock:write_lock(60))",
  permit = "lock = assert(shmseg.semaphore.open(...)) assert(lock:acquire(60))",
}

local namespace -- the words that start a command in a PID namespace of its own; false: none do

--- These words, or nil and the reason why there are none.
function owners.namespace()
  if namespace == nil then
    namespace = false
    for _, words in ipairs {
      { "unshare", "--pid", "--fork", "--kill-child" },
      { "unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child" },
    } do
      if shell.succeeds(shell.quote((table.unpack or unpack)(words)) .. " true") then
        namespace = words
        break
      end
    end
  end
  return namespace or nil, "no PID namespace can be made here"
end

--- A Lua peer that holds the lock of the kind ("mutex", "read", "write", "permit") under the name.
function owners.start(kind, name, prefix)
  local owner = peer.start(prefix)
  owner:call(chunks[kind], name)
  return owner
end

local function kill(owner)
  owner:signal "KILL"
  owner:finish()
end

--- The ways to lose a lock. `start(kind, name)` gives a process that holds it, or nil and why there
-- is none here; `lose(owner)` returns when it has lost it, or is about to.
owners.ways = {
  { name = "is killed", start = owners.start, lose = kill },
  {
    name = "is killed in another PID namespace",
    start = function(kind, name)
      local prefix, reason = owners.namespace()
      if not prefix then
        return nil, reason
      end
      return owners.start(kind, name, prefix)
    end,
    lose = kill, -- of unshare, which takes the peer with it
  },
  {
    name = "executes another program",
    start = function(kind, name)
      if not build.possible() then
        return nil, "there is no C compiler here"
      end
      local owner = owners.start(kind, name)
      owner.program = assert(build.program({ "spec/support/execute.c" }, "-shared -fPIC"))
      return owner
    end,
    lose = function(owner)
      owner:send("assert(package.loadlib(..., 'execute'))()", owner.program)
      assert(owner:line() == "executed", "it has not executed another program")
    end,
  },
  {
    name = "ends with os.exit",
    start = owners.start,
    lose = function(owner)
      owner:send "os.exit(3)"
      assert(owner:finish() == 3)
    end,
  },
  {
    name = "ends and closes its Lua",
    start = owners.start,
    lose = function(owner)
      assert(owner:quit() == 0)
    end,
  },
}

return owners
