--- shmseg lock: runs a command while a lock is held.
-- @module shmseg.cli.lock

local core = require "shmseg.core"
local data = require "shmseg.cli.data"
local text = require "shmseg.cli.text"

-- The kind of lock that the name has, or that a new one is to have.
local function kind_of(self, name, options)
  local kind, message, code = core.kind(name)
  if code == "ENOENT" then
    return options.shared and "rwlock" or "mutex"
  elseif not kind then
    self:fail(message, code)
  elseif kind ~= "mutex" and kind ~= "rwlock" then
    self:fail(("%s %q: a mutex or an rwlock is needed"):format(kind, name))
  elseif kind == "mutex" and options.shared then
    self:fail(("mutex %q: --shared needs an rwlock"):format(name))
  end
  return kind
end

-- The lock's own failures raise; a signal ends the tool as it would have ended it.
local function take(self, lock, method, timeout)
  local ok, guard, word = pcall(lock[method], lock, timeout)
  if not ok then
    self:look_for_signal()
    self:fail(text.without_place(guard))
  end
  return guard, word
end

-- The exit code of what os.execute has run: 128 and its number after a signal.
local function exit_code(status, how, code)
  if type(status) == "number" then -- on 5.1: the status as the system has it
    if status < 0 then
      return 1
    end
    return status % 128 ~= 0 and 128 + status % 128 or math.floor(status / 256) % 256
  end
  return how == "signal" and 128 + code or code or 1
end

local function run_locked(self, lock, command)
  local guard, word = take(self, lock.object, lock.method, lock.timeout)
  if not guard then
    self:error(("%s %q: timeout"):format(lock.kind, lock.name))
    return lock.timeout_code
  elseif word == "abandoned" then
    self:error(("%s %q: abandoned: its last owner died while it held it"):format(lock.kind,
      lock.name))
  end
  self:flush()
  local code = not self:signal() and exit_code(os.execute("exec " .. text.quote(command)))
  local ok, done, wrong = pcall(lock.object.unlock, lock.object)
  if not ok or not done then -- somebody has spoilt it meanwhile
    self:error(text.without_place(ok and wrong or done))
  end
  self:look_for_signal() -- the command's status is lost when one has come
  return code
end

return {
  summary = "runs a command while a mutex or an rwlock is held",
  usage = "NAME -- COMMAND [ARGUMENT]...",
  operands = { "name:mutex,rwlock", "command", "text", "..." },
  least = 2,
  catches = true,
  options = {
    { "-t", "--timeout", "SECONDS", "gives up after so long; 0 tries once" },
    { "-s", "--shared", nil, "takes an rwlock for reading: others may read, too" },
    { "-E", "--timeout-code", "N", "the exit code after a timeout; by default 1" },
  },
  detail = [[
Makes the mutex when nothing has the name, with --shared an rwlock, and leaves
it there. An rwlock is taken for writing unless --shared is given. The exit
code is the command's, 128 and the number of a signal that has ended it; 127:
there is no such command. Ctrl-C reaches the command; other signals end shmseg
when the command has ended. When the last owner died, "abandoned" is told on
stderr, and the command runs.]],
  run = function(self, options, operands)
    local name = self:name(operands[1])
    local timeout = data.timeout(self, options)
    local timeout_code = options["timeout-code"]
      and self:integer("--timeout-code", options["timeout-code"], 0, 255) or 1
    local command = {}
    for i = 2, #operands do
      command[i - 1] = operands[i]
    end
    local kind = kind_of(self, name, options)
    return run_locked(self, {
      kind = kind, name = name, timeout = timeout, timeout_code = timeout_code,
      object = self:open(name, kind, "c"),
      method = kind == "mutex" and "lock" or options.shared and "read_lock" or "write_lock",
    }, command)
  end,
}
