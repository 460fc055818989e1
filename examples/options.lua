-- SPDX-License-Identifier: MIT
-- The command line of writer.lua and reader.lua.

local usage = [[
Usage: lua %s [options]
  --name NAME         the shared memory object (memory.bin)
  --size BYTES        its size (32)
  --interval SECONDS  the pause between two lines (5)
  --count LINES       stop after that many lines (never)
  --help              show this text
]]

local function whole_number(text)
  local number = tonumber(text)
  return number and number >= 1 and number <= 2 ^ 53 and number % 1 == 0 and number or nil
end

local function seconds(text)
  local number = tonumber(text)
  return number and number >= 0 and number < math.huge and number or nil
end

local function object_name(text)
  local name = text:match("^/?([^/]+)$")
  return name and #name <= 255 and name ~= "." and name ~= ".." and name or nil
end

local check = {
  name = { object_name, "a name of 255 bytes at most, without slashes" },
  size = { whole_number, "a whole number of bytes, 1 at least" },
  interval = { seconds, "a number of seconds" },
  count = { whole_number, "a whole number of lines, 1 at least" },
}

local function misuse(program, problem)
  io.stderr:write(program, ": ", problem, "\n", usage:format(program))
  os.exit(2)
end

-- Returns the options as a table; --help and a mistake end the program.
local function parse(program, arguments)
  local options = { name = "memory.bin", size = 32, interval = 5 }
  local index = 1
  while index <= #arguments do
    local argument = arguments[index]
    if argument == "--help" then
      io.write(usage:format(program))
      os.exit(0)
    end
    local option, value = argument:match("^%-%-(%l+)=(.*)$")
    if not option then
      option = argument:match("^%-%-(%l+)$")
      index = index + 1
      value = arguments[index]
    end
    local rule = check[option]
    if not rule then
      misuse(program, "unknown argument '" .. argument .. "'")
    elseif not value then
      misuse(program, argument .. " wants " .. rule[2])
    end
    options[option] = rule[1](value)
      or misuse(program, ("--%s wants %s, not '%s'"):format(option, rule[2], value))
    index = index + 1
  end
  return options
end

return parse
