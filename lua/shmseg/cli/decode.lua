--- Structs for dump: the Lua file that describes one, and its fields as text and JSON.
-- @module shmseg.cli.decode

local json = require "shmseg.cli.json"
local shmseg = require "shmseg"
local source = require "shmseg.cli.source"
local text = require "shmseg.cli.text"

local decode = {}

local compile = rawget(_G, "setfenv") and function(chunk, name, environment)
  local loaded, message = rawget(_G, "loadstring")(chunk, name)
  return loaded and rawget(_G, "setfenv")(loaded, environment), message
end or function(chunk, name, environment)
  return load(chunk, name, "t", environment)
end

-- What the file sees. Structs that it defines are noted with the order and types of their fields.
local function environment_of(noted)
  local seen = { cdef = shmseg.cdef }
  function seen.struct(...)
    local name, fields = ...
    local ok, struct = pcall(shmseg.struct, ...)
    if not ok then
      error(text.without_place(struct), 2)
    end
    noted[struct] = {}
    for i, field in ipairs(name and fields) do
      noted[struct][i] = { name = field[1] or field.name, type = field[2] or field.type }
    end
    return struct
  end
  local environment = { shmseg = seen, string = string, math = math, table = table }
  for _, name in ipairs { "assert", "error", "ipairs", "next", "pairs", "select", "tonumber",
    "tostring", "type" } do
    environment[name] = _G[name]
  end
  function environment.require(name)
    return name == "shmseg" and seen or error(("there is no module %q here"):format(name), 2)
  end
  return environment
end

--- Loads a file that returns a struct; what is wrong with it ends the command.
-- @treturn table the struct, and fields: for each struct that the file defines, its fields
function decode.load(self, path)
  local file, message = io.open(path, "rb")
  local chunk
  if file then
    chunk, message = file:read "*a"
    file:close()
  end
  if not chunk then
    self:fail(message)
  elseif chunk:sub(1, 1) == "\27" then
    self:fail(path .. ": Lua source expected, got bytecode")
  end
  local fields = {}
  local run, wrong = compile(chunk:gsub("^#[^\n]*", ""), "@" .. path, environment_of(fields))
  if not run then
    self:fail(wrong)
  end
  local ok, result = pcall(run)
  if not ok and type(result) == "string" then
    self:fail(result:find(path, 1, true) == 1 and result or ("%s: %s"):format(path, result))
  elseif not ok then
    self:fail(path .. ": failed")
  elseif not fields[result] then
    self:fail(path .. ": return shmseg.struct(...) expected")
  end
  return { struct = result, fields = fields }
end

-- An integer of type u64 is negative from 2^63 on; this is how it reads.
local unsigned = rawget(math, "type") and load [[
  local value = ...
  local tens = (value >> 1) // 5
  return ("%d%d"):format(tens, value - tens * 10)
]]

-- What JSON has for a value of that type: a struct, or the name of a type.
local function converted(known, kind, value)
  if type(value) == "table" and value[1] ~= nil then
    local list = {}
    for i, element in ipairs(value) do
      list[i] = converted(known, kind, element)
    end
    return json.array(list)
  elseif type(value) == "table" then
    local object = {}
    for _, field in ipairs(known.fields[kind]) do
      object[field.name] = converted(known, field.type, value[field.name])
    end
    return object
  elseif kind == "u64" and unsigned and value < 0 then
    return json.raw(unsigned(value))
  end
  return value
end

local function shown(value)
  if type(value) == "string" then
    return "\"" .. text.escape(value):gsub("\"", "\\\"") .. "\""
  elseif type(value) == "number" and (value ~= value or value - value ~= 0) then
    return tostring(value)
  end
  return json.encode(value)
end

-- Appends rows of a path and what stands there.
local function add_rows(known, rows, path, kind, value)
  local fields = known.fields[kind]
  if not fields then
    local list = json.is_array(value) and value or { value }
    local cells = {}
    for i, element in ipairs(list) do
      cells[i] = shown(element)
    end
    rows[#rows + 1] = { "  " .. path, table.concat(cells, " ") }
  elseif json.is_array(value) then
    for i, element in ipairs(value) do
      add_rows(known, rows, ("%s[%d]"):format(path, i), kind, element)
    end
  else
    for _, field in ipairs(fields) do
      if value[field.name] ~= nil then
        add_rows(known, rows, path == "" and field.name or path .. "." .. field.name, field.type,
          value[field.name])
      end
    end
  end
end

local function print_one(self, known, offset, bytes)
  local ok, plain = pcall(known.struct.decode, bytes)
  if not ok then -- an integer that this Lua has no number for
    self:fail(("%s at %d: %s"):format(known.struct.name, offset, text.without_place(plain)))
  end
  local value = converted(known, known.struct, plain)
  if self.json then
    return self:json_out { offset = offset, value = value }
  end
  local rows = {}
  add_rows(known, rows, "", known.struct, value)
  self:out("%s at %d\n", known.struct.name, offset)
  self:write(table.concat(text.columns(rows), "\n") .. "\n")
end

--- Prints the structs behind a name; the option --count counts structs.
function decode.print(self, name, known, options)
  local size = known.struct.size
  local count = options.count and self:integer("--count", options.count, 0)
  local from = source.open(self, name, { offset = options.offset })
  local offset, room = from:range()
  if room < size * (count or 1) then
    self:fail(("segment %q: offset %d: %d bytes are no room for %s %s of %d bytes"):format(
      from.name, offset, room, count or 1, known.struct.name, size))
  end
  local piece = size * math.max(1, math.floor(source.piece / size))
  for at, bytes in from:pieces(offset, size * (count or math.floor(room / size)), piece) do
    for i = 0, #bytes - size, size do
      print_one(self, known, at + i, bytes:sub(i + 1, i + size))
    end
  end
end

return decode
