-- SPDX-License-Identifier: MIT
-- A second process: its lines, its end, and signals to it.

local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local process = {}
process.__index = process

--- Seconds after which a process is killed: a guard against hanging, never a measure.
process.limit = 100

--- Starts a command, given as a list of words. `options.input` is a file for its stdin.
function process.start(words, options)
  local self = setmetatable({ errors = scratch.path("stderr") }, process)
  local command = {
    "exec 2>" .. shell.quote(self.errors) .. ";",
    "timeout -s KILL " .. process.limit,
    "sh -c 'echo $$; exec \"$@\"' sh",
    shell.quote((table.unpack or unpack)(words)),
    "<" .. shell.quote(options and options.input or "/dev/null") .. ";",
    "echo \"status $?\"",
  }
  self.pipe = assert(io.popen(table.concat(command, " "), "r"))
  scratch.defer(function()
    self:stop()
  end)
  if options and options.opened then
    options.opened()
  end
  self.pid = assert(tonumber(self:line()))
  return self
end

--- The next line that the process prints, or nil once it has ended; `status` is set then.
function process:line()
  if self.status then
    return nil
  end
  local line = self.pipe:read("*l")
  local status = line and line:match("^status (%d+)$")
  if status or not line then
    self.status = tonumber(status) or -1
    self.pipe:close()
    return nil
  end
  return line
end

function process:signal(name)
  assert(not self.status, "the process has ended")
  shell.run("kill -" .. name .. " " .. self.pid)
end

-- What the kernel tells of a process; nil when it is gone, which it can also be between opening and
-- reading.
local function told_of(pid, leaf)
  local file = io.open("/proc/" .. pid .. "/" .. leaf)
  local text = file and file:read("*a")
  if file then
    file:close()
  end
  return text
end

-- "R" when it runs, "S" when it sleeps, …; nil when it is gone.
local function state_of(pid)
  local text = told_of(pid, "stat")
  return text and text:match("%) (%a)")
end

--- Returns once the process sleeps in the kernel.
function process:await_sleep()
  repeat
    local state = assert(state_of(self.pid), "the process has ended")
  until state == "S"
end

--- "ended", or else true when it sleeps in the kernel at this moment.
function process:sleeps_or_has_ended()
  local state = state_of(self.pid)
  return (state == nil or state == "Z") and "ended" or state == "S"
end

--- Returns once all signals that were sent to the process have reached it, or it has ended.
function process:await_signals()
  local pending
  repeat
    local text = told_of(self.pid, "status")
    pending = text and text:match("ShdPnd:%s*(%x+)")
  until not pending or pending:find("^0+$")
end

--- Has it not ended?
function process:lives()
  local state = state_of(self.pid)
  return state ~= nil and state ~= "Z"
end

--- Reads to the end: the exit status (128 and the signal's number after a signal), and the lines.
function process:finish()
  local lines = {}
  for line in
    function()
      return self:line()
    end
  do
    lines[#lines + 1] = line
  end
  return self.status, lines
end

--- Reads to the end, which has to be in order, with nothing on stderr: the lines.
function process:ends_well()
  local status, lines = self:finish()
  local message = self:stderr()
  if status ~= 0 or message ~= "" then
    error(("it has ended with status %d, and says: %s"):format(status, message), 2)
  end
  return lines
end

--- Reads to the end, which has to be a failure that one line on stderr tells: that line.
function process:fails_in_a_line()
  local status = self:finish()
  local message = self:stderr()
  if status ~= 1 or not message:find "^[^\n]+\n$" then
    error(("no line and status 1, but status %d and: %s"):format(status, message), 2)
  end
  return message
end

--- What it wrote on stderr so far.
function process:stderr()
  local file = io.open(self.errors)
  local text = file and file:read("*a") or ""
  if file then
    file:close()
  end
  return text
end

--- Ends it, whatever it is doing.
function process:stop()
  if not self.status then
    self:signal("KILL")
    self:finish()
  end
end

return process
