--- The options of a command line.
-- @module shmseg.cli.options

local check = require "shmseg.check"

local options = {}

local HINT = "; behind -- there are none"

local help = { "-h", "--help", nil, "prints this help" }
local json = { nil, "--json", nil, "prints JSON" }

--- All options of a command: its own, and those that the framework adds.
function options.all(command)
  local all = {}
  for i, option in ipairs(command.options or {}) do
    all[i] = option
  end
  if command.json then
    all[#all + 1] = json
  end
  all[#all + 1] = help
  return all
end

local function by_word(command)
  local words, long = {}, {}
  for _, option in ipairs(options.all(command)) do
    if option[1] then
      words[option[1]] = option
    end
    words[option[2]] = option
    long[option[2]] = true
  end
  return words, long
end

local function next_word(parser)
  local word = parser.words[parser.at]
  parser.at = parser.at + 1
  return word
end

-- Takes "--count=5", or "--count" and the next word.
local function take_long(parser, word)
  local name, value = word:match "^([^=]+)=(.*)$"
  name = name or word
  local option = parser.known[name]
  if not option then
    return check.unknown_option(name, parser.long) .. HINT
  elseif not option[3] then
    parser.given[name:sub(3)] = true
    return value and ("option %s takes no argument"):format(name) or nil
  end
  value = value or next_word(parser)
  parser.given[name:sub(3)] = value
  return not value and ("option %s: %s is missing"):format(name, option[3]) or nil
end

-- Takes "-n5", "-n" and the next word, and several in one word: "-0n5".
local function take_short(parser, word)
  for i = 2, #word do
    local name = "-" .. word:sub(i, i)
    local option = parser.known[name]
    if not option then
      return check.unknown_option(name, parser.long) .. HINT
    elseif option[3] then
      local value = i < #word and word:sub(i + 1) or next_word(parser)
      parser.given[option[2]:sub(3)] = value
      return not value and ("option %s: %s is missing"):format(name, option[3]) or nil
    end
    parser.given[option[2]:sub(3)] = true
  end
end

--- Parses the words behind a command's name. Options and operands may stand in any order; behind
-- "--" all are operands. first is the index of the first word.
-- @treturn table the options that are given, by their long names without dashes: a string or true
-- @treturn {string,...} the operands; or nil and what is wrong
function options.parse(command, arguments, first)
  local parser = { given = {}, words = arguments, at = first }
  parser.known, parser.long = by_word(command)
  local operands = {}
  local is_behind = false
  for word in next_word, parser do
    local wrong
    if is_behind then
      operands[#operands + 1] = word
    elseif word == "--" then
      is_behind = true
    elseif word:sub(1, 2) == "--" then
      wrong = take_long(parser, word)
    elseif word:sub(1, 1) == "-" and word ~= "-" then
      wrong = take_short(parser, word)
    else
      operands[#operands + 1] = word
    end
    if wrong then
      return nil, wrong
    end
  end
  return parser.given, operands
end

return options
