-- SPDX-License-Identifier: MIT
-- Commands of the shell, the same on every Lua.

local shell = {}

--- The words as one command line, each of them quoted.
function shell.quote(...)
  local words = { ... }
  for i, word in ipairs(words) do
    words[i] = "'" .. tostring(word):gsub("'", "'\\''") .. "'"
  end
  return table.concat(words, " ")
end

--- Runs a command line: what it printed (stderr too), and its exit status.
function shell.run(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1; echo \"status $?\"", "r"))
  local output = pipe:read("*a")
  pipe:close()
  local text, status = output:match("^(.*)status (%d+)\n$")
  return text, tonumber(status)
end

--- True if the command line ends with status 0.
function shell.succeeds(command)
  local _, status = shell.run(command)
  return status == 0
end

function shell.has(tool)
  return shell.succeeds("command -v " .. shell.quote(tool))
end

--- The process id of this very process: the shell's parent.
function shell.pid()
  return tonumber((shell.run("echo $PPID")))
end

--- The command that started this interpreter.
function shell.lua()
  local command = os.getenv("SHMSEG_LUA")
  if command and command ~= "" then
    return command
  end
  local lowest = 0
  while arg and arg[lowest - 1] do
    lowest = lowest - 1
  end
  if arg and lowest < 0 then
    return arg[lowest]
  end
  return (shell.run("readlink /proc/$PPID/exe"):gsub("\n$", ""))
end

return shell
