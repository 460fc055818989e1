--- The help of the tool, and a description of its commands for programs.
-- @module shmseg.cli.help

local json = require "shmseg.cli.json"
local options = require "shmseg.cli.options"
local text = require "shmseg.cli.text"

local help = {}

local function indented(lines)
  return "  " .. table.concat(lines, "\n  ") .. "\n"
end

--- What `shmseg --help` prints.
function help.overview(cli)
  local rows = {}
  for i, name in ipairs(cli.commands) do
    rows[i] = { name, cli.command(name).summary }
  end
  return "Usage: shmseg COMMAND [OPTION]... [OPERAND]...\n\n"
    .. "Looks at shared memory, and works with what lies in it.\n\n"
    .. indented(text.columns(rows))
    .. "\nshmseg COMMAND --help tells more about one of them, shmseg --version the version.\n"
    .. "Exit codes: 0 done, 1 failed or \"no\", 2 misuse of the command line, 130 Ctrl-C.\n"
end

local function option_row(option)
  local words = (option[1] and option[1] .. ", " or "    ") .. option[2]
  return { option[3] and words .. " " .. option[3] or words, option[4] }
end

--- What `shmseg COMMAND --help` prints.
function help.command(name, command)
  local rows = {}
  for i, option in ipairs(options.all(command)) do
    rows[i] = option_row(option)
  end
  local usage = command.usage ~= "" and " " .. command.usage or ""
  return ("Usage: shmseg %s [OPTION]...%s\n\n%s.\n\n"):format(name, usage,
    command.summary:gsub("^%l", string.upper))
    .. indented(text.columns(rows)) .. (command.detail and "\n" .. command.detail .. "\n" or "")
end

--- All commands for `shmseg --describe`: from this the completions and the man page are made.
function help.describe(cli)
  local commands = {}
  for i, name in ipairs(cli.commands) do
    local command = cli.command(name)
    local described = {}
    for j, option in ipairs(options.all(command)) do
      described[j] = { short = option[1], long = option[2], argument = option[3], text = option[4] }
    end
    commands[i] = {
      name = name, summary = command.summary, usage = command.usage, detail = command.detail,
      operands = json.array(command.operands or {}),
      options = json.array(described),
    }
  end
  return { commands = json.array(commands) }
end

return help
