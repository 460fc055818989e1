--- What may come next on a command line: the shells' completions ask for it with
--   shmseg --complete SHELL WORD...
-- The words are those behind "shmseg", up to the one that is being written. The answer is lines:
-- what else the shell is to complete ("files", "commands" or "words": nothing else), and then the
-- words, each with a tab and what it is.
-- @module shmseg.cli.complete

local core = require "shmseg.core"
local options = require "shmseg.cli.options"
local text = require "shmseg.cli.text"

local complete = {}

-- What bash's own words are without their quotes; a word may end inside of some.
local function unquoted(word)
  local bare, i, quote = {}, 1, nil
  while i <= #word do
    local char = word:sub(i, i)
    if char == quote then
      quote = nil
    elseif not quote and (char == "'" or char == '"') then
      quote = char
    else
      if char == "\\" and quote ~= "'" then
        i = i + 1
        char = word:sub(i, i)
      end
      bare[#bare + 1] = char
    end
    i = i + 1
  end
  return table.concat(bare)
end

-- A word as it has to stand on bash's command line; in a quote that has begun it is as it is.
local function quoted(word, is_in_quotes)
  return is_in_quotes and word or (word:gsub("[^%w%%+,./:=@_\128-\255-]", "\\%0"))
end

-- --- candidates ------------------------------------------------------------------------------

local function add(answer, word, what)
  answer[#answer + 1] = { word, what }
end

local function add_commands(answer, cli)
  for _, name in ipairs(cli.commands) do
    add(answer, name, cli.command(name).summary)
  end
end

local function add_options(answer, command)
  for _, option in ipairs(options.all(command)) do
    add(answer, option[2], option[4])
    if option[1] then
      add(answer, option[1], option[4])
    end
  end
end

-- Names of shared memory; kinds: a list as "cell,dict", or nil: all.
local function add_names(answer, kinds, prefix)
  for _, name in ipairs(core.list() or {}) do
    if name:sub(1, #prefix) == prefix then
      local seen = core.look(name)
      local kind = seen and seen.kind
      if kind and (not kinds or ("," .. kinds .. ","):find("," .. kind .. ",", 1, true)) then
        add(answer, name, kind)
      end
    end
  end
end

-- What an operand or the argument of an option may be: "name", "name:cell,dict", "file" …
local function add_operands(answer, kind, prefix)
  local what, list = kind:match "^(%l+):?(.*)$"
  if what == "name" then
    add_names(answer, list ~= "" and list or nil, prefix)
  elseif what == "one" then
    for word in list:gmatch "[^,]+" do
      add(answer, word, "")
    end
  elseif what == "file" or what == "command" then
    answer.also = what .. "s"
  end
end

-- The operand of that number. What follows a command are its own words, files for example.
local function operand_kind(command, number)
  local kinds = command.operands or {}
  if kinds[number] == "..." or number > #kinds and kinds[#kinds] == "..." then
    number = #kinds - 1
  end
  local kind = kinds[number] or "text"
  return kind == "text" and kinds[number - 1] == "command" and "file" or kind
end

-- The option that a word ends with and whose argument comes next, or nil.
local function open_option(command, word)
  for _, option in ipairs(options.all(command)) do
    local is_short = word:find "^%-[^-]" and option[1] and word:sub(-1) == option[1]:sub(2)
    if option[3] and (word == option[2] or is_short) then
      return option
    end
  end
end

-- What stands before the word that is being written: how many operands, whether options have
-- ended, and the option that waits for its argument.
local function read(command, words)
  local count, is_behind, waiting = 0, false, nil
  for i = 2, #words - 1 do
    local word = words[i]
    if waiting then
      waiting = nil
    elseif is_behind or word == "-" or word:sub(1, 1) ~= "-" then
      count = count + 1
    elseif word == "--" then
      is_behind = true
    else
      waiting = open_option(command, word)
    end
  end
  return count, is_behind, waiting
end

local function argument_kind(option)
  return option[3] == "FILE" and "file" or "text"
end

local function complete_command(answer, command, words)
  local current = words[#words]
  local count, is_behind, waiting = read(command, words)
  local name = current:match "^(%-%-[^=]+)="
  if waiting then
    add_operands(answer, argument_kind(waiting), current)
  elseif not is_behind and name then
    local option = open_option(command, name)
    answer.also = option and argument_kind(option) == "file" and "files" or answer.also
  elseif not is_behind and current:sub(1, 1) == "-" then
    add_options(answer, command)
  else
    add_operands(answer, operand_kind(command, count + 1), current)
  end
end

--- What may stand for the last of the words.
-- @treturn table a list of { word, what it is }; also: "files", "commands" or "words"
function complete.candidates(cli, words)
  local answer = { also = "words" }
  if #words == 1 then
    add_commands(answer, cli)
    add(answer, "help", "prints the help of all or of one command")
    add(answer, "--help", "prints the help")
    add(answer, "--version", "prints the version")
  elseif #words == 2 and words[1] == "help" then
    add_commands(answer, cli)
  elseif cli.command(words[1]) then
    complete_command(answer, cli.command(words[1]), words)
  end
  return answer
end

--- Answers a shell. Words that a line of a shell cannot have are left out.
function complete.run(self, cli, arguments)
  local words, shell = {}, arguments[2]
  for i = 3, #arguments do
    words[i - 2] = shell == "bash" and unquoted(arguments[i]) or arguments[i]
  end
  words[1] = words[1] or ""
  local current = words[#words]
  local is_in_quotes = shell == "bash" and (arguments[#arguments] or ""):find "^['\"]" ~= nil
  local answer = complete.candidates(cli, words)
  self:out("%s\n", answer.also)
  for _, candidate in ipairs(answer) do
    local word = candidate[1]
    if word:sub(1, #current) == current and not word:find "%c" then
      word = shell == "bash" and quoted(word, is_in_quotes) or word
      self:out("%s\t%s\n", word, text.escape(candidate[2]))
    end
  end
end

return complete
