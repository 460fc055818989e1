--- shmseg set: gives a cell, or a key of a dict, a value.
-- @module shmseg.cli.set

local data = require "shmseg.cli.data"
local shmseg = require "shmseg"
local text = require "shmseg.cli.text"

-- Options that only one of the kinds has.
local own = {
  cell = { "cas" }, dict = { "ttl", "flags", "number", "boolean", "add", "replace" },
}

local function check_options(context, options, kind)
  for other, names in pairs(own) do
    for _, name in ipairs(other ~= kind and names or {}) do
      if options[name] then
        context:misuse(("--%s is for a %s, and not for a %s"):format(name, other, kind))
      end
    end
  end
  if options.add and options.replace or options.number and options.boolean then
    context:misuse(("--%s and --%s exclude each other"):format(
      options.add and "add" or "number", options.add and "replace" or "boolean"))
  end
end

-- The kind that is there, or with --create the kind that is to be made.
local function kind_of(context, options, operands)
  local name = context:name(operands[1])
  if options.create and select(3, shmseg.kind(name)) == "ENOENT" then
    return #operands == 3 and "dict" or "cell"
  end
  return (data.kind(context, name, { "cell", "dict" }))
end

local function value_of(context, options, word, most)
  local value = word
  if word == nil or word == "-" then
    value = data.read_input(context, most)
    if options.chomp or options.number or options.boolean then
      value = value:gsub("\n$", "")
    end
  end
  if options.number then
    return data.number(context, "--number", value)
  elseif options.boolean then
    if value ~= "true" and value ~= "false" then
      context:misuse(("--boolean: true or false expected, got %s"):format(text.quote { value }))
    end
    return value == "true"
  end
  return value
end

local function set_cell(context, options, operands)
  local version = options.cas and context:integer("--cas", options.cas, 0)
  local cell = data.open(context, operands[1], "cell", options)
  local name, most = cell:segment():name(), cell:capacity()
  local value = value_of(context, options, operands[2], most)
  if #value > most then
    context:fail(("%s: the value has %d bytes, and %.0f are the most"):format(name, #value, most))
  elseif not version then
    return context:check(cell:set(value))
  end
  local done, actual, code = cell:cas(version, value)
  if done == false then
    context:fail(("%s: the version is %.0f, and not %.0f"):format(name, actual, version))
  end
  context:check(done, actual, code)
end

local function set_key(context, options, operands)
  local ttl = options.ttl and context:seconds("--ttl", options.ttl)
  local flags = options.flags and context:integer("--flags", options.flags, 0, 2 ^ 32 - 1)
  local dict = data.open(context, operands[1], "dict", options)
  local value = value_of(context, options, operands[3], dict:capacity())
  local method = options.add and "add" or options.replace and "replace" or "set"
  local key = operands[2]
  data.check_dict(context, dict, key, dict[method](dict, key, value, ttl, flags))
end

return {
  summary = "sets the value of a cell, or of a key of a dict",
  usage = "NAME [KEY] [VALUE]",
  operands = { "name:cell,dict", "text", "text" },
  least = 1,
  options = {
    { "-t", "--ttl", "SECONDS", "dict: the time to live" },
    { nil, "--flags", "N", "dict: the user's flags" },
    { "-i", "--number", nil, "dict: the value is a number" },
    { "-b", "--boolean", nil, "dict: the value is true or false" },
    { nil, "--add", nil, "dict: only when the key is not there" },
    { nil, "--replace", nil, "dict: only when the key is there" },
    { nil, "--cas", "VERSION", "cell: only when it has this version; 0: it is empty" },
    { nil, "--chomp", nil, "without the newline at the end of standard input" },
    data.create_option,
  },
  detail = [[
Without a VALUE, or with -, it comes from standard input, all bytes of it. With
--create and a KEY and a VALUE a dict is made when nothing is there, else a cell.]],
  run = function(context, options, operands)
    local kind = kind_of(context, options, operands)
    check_options(context, options, kind)
    if kind == "cell" then
      if #operands > 2 then
        context:misuse(("%s is a cell, and has no keys"):format(operands[1]))
      end
      set_cell(context, options, operands)
    elseif #operands < 2 then
      context:misuse(("%s is a dict: a KEY is missing"):format(operands[1]))
    else
      set_key(context, options, operands)
    end
  end,
}
