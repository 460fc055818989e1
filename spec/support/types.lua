-- SPDX-License-Identifier: MIT
-- Reads the declarations for editors, lua/shmseg/types.lua, and the calls that the manual writes.

local types = {}

types.path = "lua/shmseg/types.lua"

function types.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function words_of(text)
  local words = {}
  for word in text:gmatch('"([^"]*)"') do
    words[word] = true
  end
  return words
end

-- The parameters of "fun(self: shmseg.Queue, max?: integer)", without self. A type has no comma
-- here that is not between brackets.
local function parameters_of_overload(text)
  local list = {}
  for part in (text:match("^fun(%b())"):sub(2, -2) .. ","):gmatch("%s*([^,]*),") do
    local name, mark = part:match("^([%w_.]+)(%??)")
    if name and name ~= "self" then
      list[#list + 1] = { name = name, optional = mark == "?" }
    end
  end
  return list
end

-- What the lines with one @ say. The state has the declarations so far, the class that the next
-- fields are of, and what was said of the next function.
local tags = {}

function tags.class(state, rest)
  local name, parent = rest:match("^(shmseg[%w_.]*):?%s*([%w_.]*)")
  assert(not state.classes[name], name .. " is declared twice")
  state.class = { parent = parent ~= "" and parent or nil, fields = {}, methods = {},
    operators = {} }
  state.classes[name] = state.class
end

-- Before a field's name may stand who sees it. So a field that is called like that needs one.
local scopes = { public = true, protected = true, private = true, package = true }

function tags.field(state, rest)
  local scope, behind = rest:match("^(%l+)%f[%W]%s*(.*)$")
  rest = scopes[scope] and behind or rest
  local name, text = rest:match("^([%w_]+)%??%s(.*)$")
  if not name then
    name, text = rest:match("^(%[%w+%])%s(.*)$")
  end
  assert(name, rest .. ": an editor finds no name here")
  state.class.fields[name] = text:match("^fun%b()") or text:match("^%S+")
end

function tags.operator(state, rest)
  state.class.operators[rest:match("^%w+")] = true
end

function tags.alias(state, rest)
  local name, text = rest:match("^(shmseg[%w_.]*)(.*)")
  assert(not state.aliases[name], name .. " is declared twice")
  state.alias = words_of(text)
  state.aliases[name] = state.alias
end

function tags.param(state, rest)
  local name, mark = rest:match("^([%w_.]+)(%??)%s")
  state.parameters[#state.parameters + 1] = { name = name, optional = mark == "?" }
end

function tags.overload(state, rest)
  state.overloads[#state.overloads + 1] = parameters_of_overload(rest)
end

tags["return"] = function() end
tags.generic = function() end
tags.meta = function() end

-- A line that is no comment.
local function code(state, line)
  local object, separator, name, arguments = line:match("^function (%w+)([.:])([%w_]+)(%b()) end$")
  if object then
    local method = { colon = separator == ":", parameters = state.parameters,
      overloads = state.overloads }
    local names = {}
    for i, parameter in ipairs(state.parameters) do
      names[i] = parameter.name
    end
    assert(arguments == "(" .. table.concat(names, ", ") .. ")",
      line .. ": its parameters are declared otherwise")
    local class = assert(state.variables[object], line .. ": of no class")
    assert(not class.methods[name], line .. ": it is there twice")
    class.methods[name] = method
  elseif line:find("^local ") then
    state.variables[line:match("^local (%w+) = {}$")] = state.class
  else
    assert(line == "" or line == "return shmseg", line .. ": what is this?")
  end
  state.class, state.alias, state.parameters, state.overloads = nil, nil, {}, {}
end

--- Reads the file.
-- @treturn table classes by name: parent, fields (their types), methods (colon, parameters,
--   overloads), operators
-- @treturn table aliases by name: a set of words
function types.declarations()
  local state = { classes = {}, aliases = {}, variables = {}, parameters = {}, overloads = {} }
  for line in types.read(types.path):gmatch("([^\n]*)\n") do
    local tag, rest = line:match("^%-%-%-@(%w+)%s*(.*)$")
    if tag then
      assert(tags[tag], line .. ": an unknown tag")(state, rest)
    elseif line:find("^%-%-%-|") then
      state.alias[line:match('"([^"]*)"')] = true
    elseif not line:find("^%-%-") then
      code(state, line)
    end
  end
  return state.classes, state.aliases
end

-- --- calls, as the manual writes them ----------------------------------------------------------

-- The parameters of "offset [, count]". What is no name, but a value or a table, has none.
local function parameters_of_call(text)
  local list, optional = {}, false
  text = text:gsub("%b{}", "?"):gsub('"[^,%]]*"', "?")
  for part in (text .. ","):gmatch("([^,]*),") do
    optional = optional or part:find("^%s*%[") ~= nil
    local name = part:match("[%w_?.]+")
    if name then
      name = name:find("%.%.%.$") and "..." or name:match("^[%a_][%w_]*$")
      list[#list + 1] = { name = name, optional = optional and name ~= "..." }
    end
    optional = optional or part:find("%[") ~= nil
  end
  return list
end

-- Appends the calls of a line: the object, the function, the parameters, and the text.
local function append_calls(calls, page, line)
  for object, separator, name, arguments in line:gmatch("([%w_.]+)([.:])([%a_][%w_]*)(%b())") do
    calls[#calls + 1] = {
      object = object, name = name, parameters = parameters_of_call(arguments:sub(2, -2)),
      text = ("%s: %s%s%s%s"):format(page, object, separator, name, arguments),
    }
  end
end

--- The calls of the page of all calls, and those in the headings of the other pages.
function types.calls()
  local calls = {}
  local pipe = assert(io.popen("ls doc/*.md"))
  for page in pipe:lines() do
    for line in types.read(page):gmatch("[^\n]+") do
      if line:find("^###? ") or page == "doc/api.md" and line:find("^    ") then
        append_calls(calls, page, line)
      end
    end
  end
  pipe:close()
  return calls
end

return types
