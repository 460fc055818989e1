-- SPDX-License-Identifier: MIT
-- What the examples share: the command line, an error in one line, an end in order, more processes.

local shmseg = require "shmseg"

local example = {}

local folder, script = arg[0]:match("^(.-)([^/]*)$")

-- The words of the command that started this program: the interpreter, its options, the script.
local command = {}
do
  local first = 0
  while arg[first - 1] do
    first = first - 1
  end
  for i = first, 0 do
    command[#command + 1] = arg[i]
  end
end

-- "lua name.lua" in a text becomes what runs that example from here.
local function as_typed_here(text)
  return (text:gsub("lua (%l+%.lua)", function(name)
    return command[1] .. " " .. folder .. name
  end))
end

local function complain(text)
  io.stderr:write(script, ": ", text, "\n")
end

-- The command line -------------------------------------------------------------------------------

local function object_name(text)
  local name = text:match("^/?([^/]+)$")
  return name and #name <= 255 and name ~= "." and name ~= ".." and name or nil
end

local function seconds(text)
  local number = tonumber(text)
  return number and number >= 0 and number < math.huge and number or nil
end

local function whole_number(text)
  local number = tonumber(text)
  return number and number >= 1 and number <= 2 ^ 53 and number % 1 == 0 and number or nil
end

-- The rule for an option's value: what the usage text calls the value says which.
local function rule(value)
  if value == "NAME" then
    return object_name, "a name of 255 bytes at most, without slashes"
  elseif value == "SECONDS" then
    return seconds, "a number of seconds"
  elseif value == "NUMBER" then
    return whole_number, "a whole number, 1 at least"
  end
  return whole_number, "a whole number of " .. value:lower() .. ", 1 at least"
end

-- The lines "  --name NAME   meaning (default)" of a usage text, by the option's name.
local function declared(usage)
  local options = {}
  for name, value, meaning in usage:gmatch("\n  %-%-(%l+) (%u+)([^\n]*)") do
    local convert, wants = rule(value)
    local default = meaning:match("%(([^()]*)%)$")
    options[name] = { convert = convert, wants = wants, needed = not default }
    options[name].default = default ~= "never" and default and convert(default) or nil
  end
  return options
end

local function misuse(usage, problem)
  complain(problem)
  io.stderr:write(as_typed_here(usage))
  os.exit(2)
end

-- The options, and the role, which is the word before them; --help and a mistake end the program.
local function parse(usage, roles)
  local known, options, role = declared(usage), {}, nil
  for name, option in pairs(known) do
    options[name] = option.default
  end
  local index = 1
  if arg[1] and type(roles) == "table" and roles[arg[1]] then
    role, index = arg[1], 2
  end
  while arg[index] do
    local argument = arg[index]
    if argument == "--help" then
      io.write(as_typed_here(usage))
      os.exit(0)
    end
    local name, value = argument:match("^%-%-(%l+)=(.*)$")
    if not name then
      name = argument:match("^%-%-(%l+)$")
      index = index + 1
      value = arg[index]
    end
    local option = known[name]
    if not option then
      misuse(usage, "unknown argument '" .. argument .. "'")
    elseif not value then
      misuse(usage, argument .. " wants " .. option.wants)
    end
    options[name] = option.convert(value)
      or misuse(usage, ("--%s wants %s, not '%s'"):format(name, option.wants, value))
    index = index + 1
  end
  for name, option in pairs(known) do
    if role and option.needed and options[name] == nil then
      misuse(usage, ("'%s' needs --%s"):format(role, name))
    end
  end
  return options, role
end

-- Errors -----------------------------------------------------------------------------------------

local advice = {
  ENOSPC = "/dev/shm is full",
  EEXIST = "another program has it, or a killed one has left it there",
  incompatible = "take another --name",
  ["too small"] = "take another --name",
  shutdown = "another process has ended it",
}

-- Like assert: passes on what a call returns, or ends the program with a line about what failed.
function example.check(...)
  local value, message, code = ...
  if not value then
    code = type(code) == "string" and code or message   -- a dict's methods return the code alone
    local hint = advice[code]
    if code == "EACCES" or code == "EROFS" then
      local possible = shmseg.open(nil, "x", 1, { temporary = true })
      hint = possible and "its permissions keep this user out; take another --name"
        or "this user can create nothing in /dev/shm"
    elseif message == code then
      message = ("a call has ended with %q"):format(code)
    end
    error({ message = message .. (hint and "; " .. hint or ""), code = code }, 0)
  end
  return ...
end

-- The same for what another process has to create first: `start` is the command for that.
function example.needs(start, ...)
  local value, message, code = ...
  if not value and code == "ENOENT" and not message:find("/dev/shm is not there", 1, true) then
    local object = message:match('^[^\n]-"[^"]*"') or message
    message = object .. " is not there; start this first: " .. as_typed_here("lua " .. start)
    error({ message = message, code = code }, 0)
  end
  return example.check(...)
end

-- A library that this example needs, and not every machine has. `package` is what Debian calls it.
function example.requires(name, package)
  local found, module = pcall(require, name)
  if not found then
    local missing = "module '" .. name .. "' not found"
    local message = ("there is no module %q for %s here; Debian has it in %s"):format(
      name, rawget(_G, "jit") and "LuaJIT" or _VERSION, package)
    error({ message = module:find(missing, 1, true) and message or module }, 0)
  end
  return module
end

-- What was raised, by those above or by the library: its line and its code.
local function read_error(problem)
  local message, code = problem, nil
  if type(problem) == "table" then
    message, code = problem.message, problem.code
  end
  -- The library's message without its place in the script; an error of Lua keeps the place.
  message = tostring(message):gsub("%s*\n%s*", " ")
  message = message:match('^%S-:%d+: (%l+ ".*)$') or message
  return message, code or message:match "%((interrupted)%)$"
end

-- More processes ---------------------------------------------------------------------------------

local EINTR = 4   -- a signal has come while it was reading
local processes = {}
local process = {}
process.__index = process

-- Starts another process of this very script with these words; it ends with this one at the latest.
function example.start(...)
  local words = { "echo $$; exec" }
  for _, list in ipairs { command, { ... } } do
    for _, word in ipairs(list) do
      words[#words + 1] = "'" .. tostring(word):gsub("'", "'\\''") .. "'"
    end
  end
  local self = setmetatable({ lines = assert(io.popen(table.concat(words, " "), "r")) }, process)
  local pid, _, code
  repeat
    pid, _, code = self.lines:read("*l")
  until code ~= EINTR
  processes[self] = pid
  return self
end

-- The next line that it prints. A signal ends a read that waits, but not one that begins after it.
function process:line()
  example.check(shmseg.sleep(0))   -- says so
  return self.lines:read("*l")
    or error({ message = "a process has ended early", code = "ended" }, 0)
end

-- Waits for its end.
function process:close()
  self.lines:close()
  processes[self] = nil
end

local function end_processes()
  for each, pid in pairs(processes) do
    os.execute("kill " .. pid .. " 2>/dev/null")
    each.lines:close()
  end
end

-- Running ----------------------------------------------------------------------------------------

local function role_names(roles)
  local names = {}
  for name in pairs(roles) do
    names[#names + 1] = name
  end
  table.sort(names)
  return table.concat(names, " or ")
end

-- Runs `main(options, stop)`, or one of a table of such functions: the one that the first argument
-- names, else [1]. The usage text declares the options. Signals that would end the program end its
-- waits instead (see shmseg.signals), so that it gets to its end, where `finally` is called.
function example.run(usage, main, finally)
  local options, role = parse(usage, main)
  if type(main) == "table" then
    main = main[role or 1] or misuse(usage, "say " .. role_names(main))
  end
  io.stdout:setvbuf("line")
  local stop = shmseg.signals("INT", "TERM", "HUP", "PIPE")
  local ok, problem = pcall(main, options, stop)
  local failed = not ok
  if failed then
    local message, code = read_error(problem)
    if code == "interrupted" or code == "ended" and stop:wait(0) then
      failed = false   -- a signal has asked for it
    else
      complain(message)
    end
  end
  if finally then
    finally()
  end
  end_processes()
  os.exit(failed and 1 or 0)
end

return example
