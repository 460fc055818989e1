-- SPDX-License-Identifier: MIT
-- Words to stand before a command (see peer.start): surroundings that are short of something. Each
-- gives a list, or nil and the reason where this machine does not let a spec have that.

local shell = require "spec.support.shell"

local sandbox = {}

local unpack = table.unpack or unpack

local function usable(words, what)
  if shell.succeeds(shell.quote(unpack(words)) .. " true") then
    return words
  end
  return nil, what .. " cannot be had here"
end

-- Runs a shell script in a mount namespace of its own, and then the command.
local function mounted(script, what)
  return usable({ "unshare", "-m", "sh", "-c", script .. ' && exec "$@"', "sh" }, what)
end

--- Limits of setrlimit: { nofile = 64, as = bytes, memlock = bytes }; no capability lifts them.
function sandbox.limits(limits)
  if (os.getenv "LD_PRELOAD" or ""):find "asan" and (limits.as or limits.memlock) then
    return nil, "the sanitizer needs address space, and pins nothing"
  end
  local words = { "setpriv", "--inh-caps=-ipc_lock", "--bounding-set=-ipc_lock" }
  if not shell.succeeds(shell.quote(unpack(words)) .. " true") then
    words = {}
  end
  words[#words + 1] = "prlimit"
  for name, value in pairs(limits) do
    words[#words + 1] = ("--%s=%d"):format(name, value)
  end
  return usable(words, "a process with less")
end

--- A /dev/shm of its own with so many bytes.
function sandbox.small_shm(bytes)
  local script = ("mount -t tmpfs -o size=%d none /dev/shm"):format(bytes)
  return mounted(script, "a /dev/shm of one's own")
end

--- Without /proc.
function sandbox.no_proc()
  return mounted("mount -t tmpfs none /proc", "a /proc of one's own")
end

--- An overlay file system in that folder. Once its file is written to there are two sets of bytes:
-- those of the layer below, for who has it open already, and those that were written.
function sandbox.overlay(folder)
  local script = ([[f=%s; mount -t tmpfs none $f && mkdir $f/lower $f/upper $f/work &&
    echo below >$f/lower/file && mount -t overlay none \
    -o lowerdir=$f/lower,upperdir=$f/upper,workdir=$f/work $f]]):format(shell.quote(folder))
  return mounted(script, "an overlay file system")
end

--- As a user whom permissions bind, and who can load the library.
function sandbox.user()
  local words = { "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups" }
  local other, reason = usable(words, "another user")
  if not other then
    return nil, reason
  end
  local file = package.searchpath and package.searchpath("shmseg.core", package.cpath)
  local test = { "test", "-r", file or "." }
  if not shell.succeeds(shell.quote(unpack(words)) .. " " .. shell.quote(unpack(test))) then
    return nil, "another user cannot read the library"
  end
  return other
end

return sandbox
