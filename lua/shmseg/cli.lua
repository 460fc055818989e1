--- The command line tool `shmseg`: finds the command, parses its options, prints help and errors.
-- @module shmseg.cli

local check = require "shmseg.check"
local context = require "shmseg.cli.context"
local core = require "shmseg.core"
local help = require "shmseg.cli.help"
local options = require "shmseg.cli.options"

local cli = {}

--- The commands, in the order of the help. Each is a module of its own, shmseg.cli.<command>:
--   summary    one line
--   usage      its operands, as the help shows them
--   operands   what they are, for completion: "name" (of any object), "name:<kind>,<kind>", "file",
--              "command", "one:<word>,<word>" or "text"; a last "..." means that the one before may
--              come again
--   least      how many operands there must be; by default all in the list
--   options    a list of { short or nil, long, argument or nil, text }
--   json       true: it takes --json
--   catches    true: it has something to undo. Signals that ask to stop end its waits, and not
--              the tool
--   detail     more help
--   run        function(context, options, operands) -> exit code (nil: 0)
cli.commands = {
  "ls", "info", "dump", "read", "write", "watch",
  "get", "set", "del", "keys", "incr", "ttl",
  "push", "pop", "pub", "sub", "record", "replay",
  "lock", "check", "rm", "gc", "bench",
  "completion", "man",
}

--- Exit codes besides those of signals, which are 128 and the signal's number.
cli.done, cli.failed, cli.misused = 0, 1, 2

local numbers = { HUP = 1, INT = 2, PIPE = 13, TERM = 15 }

--- The command of that name: a table as described above; or nil.
function cli.command(name)
  for _, each in ipairs(cli.commands) do
    if each == name then
      return require("shmseg.cli." .. name)
    end
  end
end

-- What is wrong with the number of operands, or nil.
local function operands_error(command, operands)
  local kinds = command.operands or {}
  local repeats = kinds[#kinds] == "..."
  local least = command.least or (repeats and #kinds - 1 or #kinds)
  if #operands < least then
    return ("%s is missing"):format(#operands == 0 and least == 1 and command.usage:match "[%u:/]+"
      or "an operand")
  elseif not repeats and #operands > #kinds then
    return ("one operand too many: %q"):format(operands[#kinds + 1])
  end
end

local function unknown_command(self, name)
  local known = {}
  for _, each in ipairs(cli.commands) do
    known[each] = true
  end
  local wrong = check.unknown_option(name, known):gsub("^unknown option", "unknown command")
  self:misuse(wrong)
end

local function run_help(self, name)
  if not name then
    return self:write(help.overview(cli))
  end
  local command = cli.command(name) or unknown_command(self, name)
  self:write(help.command(name, command))
end

local function run_command(self, name, arguments)
  local command = cli.command(name) or unknown_command(self, name)
  self.command = name
  local given, operands = options.parse(command, arguments, 2)
  if not given then
    self:misuse(operands)
  elseif given.help then
    return self:write(help.command(name, command))
  end
  local wrong = operands_error(command, operands)
  if wrong then
    self:misuse(wrong)
  end
  self.json = given.json or false
  if command.catches then
    self:catch_signals()
  end
  return command.run(self, given, operands)
end

local function run(self, arguments)
  local first = arguments[1]
  if first == nil then
    self:misuse("a command is missing")
  elseif first == "--help" or first == "-h" or first == "help" then
    return run_help(self, arguments[2])
  elseif first == "--version" then
    local jit = rawget(_G, "jit")
    return self:out("%s, %s\n", require("shmseg")._VERSION, jit and jit.version or _VERSION)
  elseif first == "--describe" then
    return self:json_out(help.describe(cli))
  elseif first == "--complete" then
    return require("shmseg.cli.complete").run(self, cli, arguments)
  elseif first:find "^%-" then
    self:misuse(check.unknown_option(first, { ["--help"] = true, ["--version"] = true }))
  end
  return run_command(self, first, arguments)
end

-- With SHMSEG_DEBUG set, an error that nobody has foreseen comes with its traceback.
local function traced(message)
  if type(message) == "string" and os.getenv "SHMSEG_DEBUG" then
    return { message = debug.traceback(message, 2), traced = true }
  end
  return message
end

-- Tells what has gone wrong on stderr, and returns the exit code.
local function report(self, failure)
  self:progress()
  local signal = self:signal()
  if signal then
    return 128 + numbers[signal]
  elseif type(failure) ~= "table" then
    local message = tostring(failure)
    if message:find "interrupted!$" then
      return 128 + numbers.INT
    end
    self:error("unexpected error: " .. message)
    return cli.failed
  elseif failure.traced then
    self.streams.err:write("shmseg: ", failure.message, "\n")
  elseif failure.misuse then
    local command = self.command and " " .. self.command or ""
    self:error(("%s (shmseg%s --help)"):format(failure.message, command))
    return cli.misused
  elseif failure.code == "EPIPE" then
    return 128 + numbers.PIPE
  elseif failure.message then
    self:error(failure.message)
  end
  return cli.failed
end

--- Runs the tool.
-- @tparam {string,...} arguments
-- @tparam[opt] table streams out, err and input: files in place of the standard ones; then signals
--   stay as they are
-- @treturn integer the exit code
function cli.main(arguments, streams)
  local self = context.new(streams)
  if not streams then
    core.default_signal("PIPE")
  end
  local ok, result = xpcall(function()
    local code = run(self, arguments)
    self:flush()
    return type(code) == "number" and code or cli.done
  end, traced)
  if not ok then
    pcall(self.flush, self)
    pcall(self.undo, self)
    result = report(self, result)
  end
  self:close()
  return result
end

return cli
