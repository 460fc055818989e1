--- Structs: layouts as a C compiler would make them.
-- @module shmseg.struct

local check = require "shmseg.check"
local core = require "shmseg.core"

local struct = {}

-- What is known of each struct, by the table that the user has: name, fields, shape, packed.
local definitions = setmetatable({}, { __mode = "k" })

local c_types = {
  bool = "bool", f32 = "float", f64 = "double",
  i8 = "int8_t", i16 = "int16_t", i32 = "int32_t", i64 = "int64_t",
  u8 = "uint8_t", u16 = "uint16_t", u32 = "uint32_t", u64 = "uint64_t",
}

local keywords = {}
for word in ([[
  auto break case char const continue default do double else enum extern float for goto if inline
  int long register restrict return short signed sizeof static struct switch typedef union unsigned
  void volatile while bool true false
  _Alignas _Alignof _Atomic _Bool _Complex _Generic _Imaginary _Noreturn _Static_assert
  _Thread_local
]]):gmatch("[%a_]+") do
  keywords[word] = true
end

-- Raises misuse; level is the caller to blame, counted as for error.
local function misuse(level, message, ...)
  error(message:format(...), level + 1)
end

local function is_identifier(name)
  return type(name) == "string" and name:find("^[%a_][%w_]*$") and not keywords[name]
end

local type_list = [["bool", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64", ]]
  .. [["char", "pad" or a struct]]

-- A count as an integer, also when it is a float; nil for what is none.
local function to_count(n)
  n = check.number(n)
  local is_count = type(n) == "number" and n >= 1 and n < 2 ^ 31 and n == math.floor(n)
  return is_count and math.floor(n) or nil
end

-- Sizes up to here are exact in C and in every Lua; so deep a nesting does not exhaust C's stack.
local SIZE_MAX, DEPTH_MAX = 2 ^ 31 - 1, 100

-- Raises when a field's table has keys other than 1 to entries and "cut", which is noted.
local function check_keys(entry, field, entries, level)
  for key in pairs(entry) do
    local is_entry = type(key) == "number" and key >= 1 and key <= entries and key % 1 == 0
    if not is_entry and key ~= "cut" then
      misuse(level, "field %q: unknown key %s", field.name, tostring(key))
    end
  end
  local cut = entry.cut
  if cut ~= nil and type(cut) ~= "boolean" then
    misuse(level, "field %q: \"cut\": boolean expected, got %s", field.name, type(cut))
  elseif cut ~= nil and field.type ~= "char" then
    misuse(level, "field %q: \"cut\" is for type \"char\"", field.name)
  end
  field.cut = cut
end

-- One field of a definition, checked: name, type, size and align of an element, count, is_array.
-- A field of type "char" is a string whose length is the third entry; the count is then the fourth.
local function check_field(entry, index, level)
  if type(entry) ~= "table" then
    misuse(level, "field %d: table { name, type [, count] } expected, got %s", index, type(entry))
  end
  local name, given, count = entry[1], entry[2], entry[3]
  if not is_identifier(name) then
    misuse(level, "field %d: %s is no name for a C identifier", index, tostring(name))
  end
  local field = { name = name, type = given }
  local layout = core.layouts[given]
  local inner = definitions[given]
  if given == "char" or given == "pad" then
    local length = to_count(count)
    if not length then
      misuse(level, "field %q: length in bytes expected, got %s", name, check.quoted(count))
    end
    field.size, field.align, field.length = length, 1, length
    count = entry[4]
    field.is_pad = given == "pad"
  elseif layout then
    field.size, field.align = layout.size, layout.align
  elseif inner then
    field.size, field.align, field.inner, field.shape = inner.size, inner.align, inner, inner.shape
    field.type = inner.name
  else
    misuse(level, "field %q: unknown type %s: %s expected", name, tostring(given), type_list)
  end
  field.is_array = count ~= nil
  field.count = not field.is_array and 1 or to_count(count)
  if not field.count then
    misuse(level, "field %q: number of elements expected, got %s", name, check.quoted(count))
  end
  check_keys(entry, field, field.length and 4 or 3, level + 1)
  return field
end

local function round_up(n, align)
  return n + (align - n % align) % align
end

-- Sets the fields' offsets, and returns the struct's size and alignment, all in bytes.
local function lay_out(fields, packed, level)
  local size, widest = 0, 1
  for _, field in ipairs(fields) do
    local align = packed and 1 or field.align
    size = round_up(size, align)
    field.offset = size
    size = size + field.size * field.count
    if size > SIZE_MAX then
      misuse(level, "field %q: the struct has more than %d bytes", field.name, SIZE_MAX)
    end
    widest = math.max(widest, align)
  end
  return round_up(size, widest), widest
end

-- Notes a field's struct, and those inside, by name: two may not share one. Returns the depth.
local function check_inner(field, name, inside, level)
  local depth = field.inner.depth + 1
  if depth > DEPTH_MAX then
    misuse(level, "field %q: nested too deeply", field.name)
  end
  for inner_name, inner in pairs(field.inner.inside) do
    if inner_name == name or (inside[inner_name] or inner) ~= inner then
      misuse(level, "field %q: there is another struct %q", field.name, inner_name)
    end
    inside[inner_name] = inner
  end
  return depth
end

local function check_fields(list, level)
  local fields, by_name = {}, {}
  for index, entry in ipairs(list) do
    local field = check_field(entry, index, level + 1)
    if by_name[field.name] then
      misuse(level, "field %q: there are two of that name", field.name)
    end
    by_name[field.name] = field
    fields[index] = field
  end
  for key in pairs(list) do
    if not fields[key] then -- else what stands behind a nil would be left out in silence
      misuse(level, "fields: a list expected, got a table with the key %s", tostring(key))
    end
  end
  if #fields == 0 then
    misuse(level, "a struct has one field at least")
  end
  return fields, by_name
end

-- C text of one field: "double pos[3];"
local function declaration(field)
  local c_type = field.inner and field.inner.name or c_types[field.type] or "char"
  local dimensions = (field.is_array and ("[%d]"):format(field.count) or "")
    .. (field.length and ("[%d]"):format(field.length) or "")
  return ("  %s %s%s;\n"):format(c_type, field.name, dimensions)
end

-- Appends the typedefs of the definition's inner structs and its own, each once.
local function append_cdef(definition, texts, seen)
  if seen[definition] then
    return
  end
  seen[definition] = true
  local lines = {}
  for index, field in ipairs(definition.fields) do
    if field.inner then
      append_cdef(field.inner, texts, seen)
    end
    lines[index] = declaration(field)
  end
  local packed = definition.packed and "__attribute__((packed)) " or ""
  texts[#texts + 1] = ("typedef struct %s%s {\n%s} %s;\n"):format(packed, definition.name,
    table.concat(lines), definition.name)
end

-- Follows one step of a path, "pos" or "pos[2]": the offset, the field, and whether it is an array
-- that was given no index.
local function step(definition, text, path, level)
  local name, index = text:match("^([%a_][%w_]*)%[(%d+)%]$")
  local field = definition.by_name[name or text]
  if not field then
    misuse(level, "path %q: struct %s has no field %q", path, definition.name, name or text)
  elseif not index then
    return field.offset, field, field.is_array
  end
  local i = tonumber(index)
  if not field.is_array or i < 1 or i > field.count then
    misuse(level, "path %q: %q is out of range", path, text)
  end
  return field.offset + (i - 1) * field.size, field, false
end

-- What a path leads to: offset, field, whether that is a whole array.
local function resolve(definition, path, level)
  if type(path) ~= "string" then
    misuse(level, "path: string expected, got %s", type(path))
  end
  local total, field, whole = 0, nil, false
  for text in (path .. "."):gmatch("([^.]*)%.") do
    if field and (whole or not field.inner) then
      misuse(level, "path %q: %q is no struct", path, field.name)
    end
    local offset
    offset, field, whole = step(field and field.inner or definition, text, path, level + 1)
    total = total + offset
  end
  return total, field, whole
end

-- The definition behind a method's self.
local function check_self(self, level)
  local definition = definitions[self]
  if not definition then
    misuse(level, "self: struct expected, got %s", type(self))
  end
  return definition
end

local Struct = {}
Struct.__index = Struct
Struct.__name = "shmseg.struct"

function Struct:__tostring()
  return ("shmseg.struct (%s, %d bytes)"):format(self.name, self.size)
end

--- The 0-based offset of a field. Raises when there is none of that name.
-- @tparam string path "id", "child.x", "pos[2]"
-- @treturn integer bytes from the struct's beginning
function Struct:offset(path)
  return (resolve(check_self(self, 3), path, 3))
end

--- The same struct in C, with those that it contains.
-- @treturn string typedefs
function Struct:cdef()
  local texts = {}
  append_cdef(check_self(self, 3), texts, {})
  return table.concat(texts)
end

--- Several structs in C, each once, with those that they contain.
-- @tparam {struct,...} list
-- @treturn string typedefs
function struct.cdef(list)
  if type(list) ~= "table" or definitions[list] then
    misuse(2, "structs: list expected, got %s", definitions[list] and "a struct" or type(list))
  end
  local texts, seen, named = {}, {}, {}
  for index, entry in ipairs(list) do
    local definition = definitions[entry]
    if not definition then
      misuse(2, "structs: entry %d: struct expected, got %s", index, type(entry))
    end
    for name, inner in pairs(definition.inside) do
      if (named[name] or inner) ~= inner then
        misuse(2, "structs: there are two different structs %q", name)
      end
      named[name] = inner
    end
    append_cdef(definition, texts, seen)
  end
  for key in pairs(list) do
    if type(key) ~= "number" or key % 1 ~= 0 or key < 1 or not list[key - 1] and key > 1 then
      misuse(2, "structs: list expected, got a table with the key %s", tostring(key))
    end
  end
  return table.concat(texts)
end

--- An atomic on a field. Raises when the word is misaligned or out of range.
-- @tparam segment segment or a slice
-- @tparam integer offset of the struct, in bytes
-- @tparam string path of a field of type i32, u32, i64 or u64
-- @treturn atomic
function Struct:atomic(segment, offset, path)
  local inner, field, whole = resolve(check_self(self, 3), path, 3)
  if whole or not core.layouts[field.type] then
    misuse(2, "path %q: no integer to make an atomic of", path)
  end
  local ok, atomic = pcall(core.atomic, segment, offset, field.type, inner)
  if not ok then
    error((atomic:gsub("to '[^']*'", "to 'atomic'", 1)), 2)
  end
  return atomic
end

--- Defines a struct. Raises misuse.
-- @tparam string name a C identifier
-- @tparam {table,...} fields { name, type [, count] }; type is one of i8 u8 i16 u16 i32 u32 i64 u64
-- f32 f64 bool, "char" (with the string's length, and perhaps a count; cut = true cuts what is
-- longer), "pad" (with its length) or a struct
-- @tparam[opt] table options packed (boolean): no padding, alignment 1
-- @treturn struct with name, size, align (bytes), and at, read, write, array, encode, decode
function struct.define(name, fields, options)
  if not is_identifier(name) then
    misuse(2, "name: %s is no C identifier", tostring(name))
  elseif type(fields) ~= "table" then
    misuse(2, "fields: table expected, got %s", type(fields))
  elseif options ~= nil and type(options) ~= "table" then
    misuse(2, "options: table expected, got %s", type(options))
  end
  for key, value in pairs(options or {}) do
    if key ~= "packed" then
      misuse(2, "%s", check.unknown_option(key, { packed = true }))
    elseif type(value) ~= "boolean" then
      misuse(2, "option \"packed\": boolean expected, got %s", type(value))
    end
  end
  local packed = options and options.packed or false
  local list, by_name = check_fields(fields, 3)
  local size, align = lay_out(list, packed, 3)
  local named, inside, depth = {}, {}, 1
  for _, field in ipairs(list) do
    if not field.is_pad then
      named[#named + 1] = field
    end
    if field.inner then
      depth = math.max(depth, check_inner(field, name, inside, 3))
    end
  end
  local shape, functions = core.shape(size, named)
  local result = setmetatable({ name = name, size = size, align = align }, Struct)
  for key, value in pairs(functions) do
    result[key] = value
  end
  local definition = {
    name = name, size = size, align = align, fields = list, by_name = by_name, packed = packed,
    shape = shape, depth = depth, inside = inside,
  }
  inside[name] = definition
  definitions[result] = definition
  return result
end

return struct
