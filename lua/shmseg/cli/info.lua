--- shmseg info: all that can be told of one name.
-- @module shmseg.cli.info

local core = require "shmseg.core"
local json = require "shmseg.cli.json"
local objects = require "shmseg.cli.objects"
local shmseg = require "shmseg"
local text = require "shmseg.cli.text"

-- What an object holds, by kind: a table, or nil, message, code. Nothing here waits for a lock.
local fills = {}

function fills.queue(object)
  return object:stats()
end

fills.broadcast, fills.dict = fills.queue, fills.queue

function fills.cell(object)
  local value, version, code = object:get()
  if code == "empty" then
    return { version = 0 }
  elseif value == nil then
    return nil, version, code
  end
  return { version = version, bytes = #value }
end

function fills.semaphore(object)
  local value, message, code = object:value()
  return value and { value = value }, message, code
end

function fills.event(object)
  local is_set, message, code = object:is_set()
  if is_set == nil then
    return nil, message, code
  end
  return { set = is_set }
end

-- Opens an object for reading, and adds fill and words to what is known; or problem, the message of
-- what has gone wrong.
local function look_inside(info)
  local object, message, code = shmseg[info.kind].open(info.name, "r")
  if not object then
    info.problem, info.code = message, code
    return
  end
  local fill, words
  if fills[info.kind] then
    fill, message, code = fills[info.kind](object)
    if not fill then
      info.problem, info.code = message, code
    end
  end
  words, message, code = core[info.kind].inspect(object)
  if not words then
    info.problem, info.code = message, code
  end
  object:close()
  info.fill, info.words = fill or nil, words or nil
end

local function gather(self, name)
  local info = self:check(objects.look(name, objects.openers(self)))
  if info.kind and info.kind ~= "segment" and info.complete then
    look_inside(info)
  elseif info.code then
    local _, message = core.kind(name)
    info.problem = message or info.code
  end
  return info
end

local function print_json(self, info)
  local all = objects.for_json(info)
  all.geometry, all.fill, all.problem = info.geometry, info.fill, info.problem
  all.words = info.words and json.array(info.words)
  self:json_out(all)
end

-- --- for people ----------------------------------------------------------------------------------

local marks = {
  process = "temporary: goes with the process that made it",
  last = "temporary: goes with the last that has it open",
}

local function describe_use(info)
  if not info.state then
    return "this system does not tell"
  elseif info.state == "leaked" then
    return "leaked: nobody has it open, and it was to go"
  elseif info.state == "unused" then
    return "unused: nobody has it open"
  end
  return ("%s of the library; processes: %s"):format(text.count(info.handles, "handle"),
    info.pids[1] and objects.processes(info.pids) or "none that may be seen")
end

local function shown(value)
  return type(value) == "number" and value == math.floor(value) and ("%.0f"):format(value)
    or tostring(value)
end

-- The entries of a table as rows, the first names first, then the others in order.
local function add_rows(rows, entries, first)
  local names = {}
  for name in pairs(entries) do
    names[#names + 1] = name
  end
  table.sort(names, function(a, b)
    local left, right = first[a] or 99, first[b] or 99
    return left < right or (left == right and a < b)
  end)
  for _, name in ipairs(names) do
    rows[#rows + 1] = { name, shown(entries[name]) }
  end
end

local function who(word)
  return word.pids[1] and objects.processes(word.pids) or "a process that cannot be seen"
end

-- What is told of one word of an object that processes share.
local function describe_word(word)
  local parts = {}
  if word.of then
    parts[1] = ("%d words, %d %s"):format(word.of, word.taken or word.waiters,
      word.taken and "taken" or "with waiters")
    return parts[1]
  elseif word.state == "held" then
    parts[1] = "held by " .. who(word)
  elseif word.state == "dead" then
    parts[1] = "held by a process that has died"
  else
    parts[1] = word.state
  end
  if word.count and word.count > 1 then
    parts[#parts + 1] = ("%d times"):format(word.count)
  end
  if word.set ~= nil then
    parts[#parts + 1] = word.set and "set" or "clear"
  end
  if word.value then
    parts[#parts + 1] = shown(word.value)
  end
  if word.dirty then
    parts[#parts + 1] = "its data may be half changed"
  end
  if word.waiters ~= nil then
    local waits = word.waiters and word.waiters ~= 0
    parts[#parts + 1] = waits and "somebody waits" or "nobody waits"
  end
  return table.concat(parts, ", ")
end

-- The words that tell of locks and waiters; the others are in the fill.
local function word_rows(self, words)
  local rows = {}
  for _, word in ipairs(words) do
    if word.state or word.waiters ~= nil or word.of then
      local name = word.index and ("%s %d"):format(word.word, word.index) or word.word
      local described = describe_word(word)
      local is_bad = word.state == "dead" or word.state == "abandoned" or word.state == "corrupt"
      rows[#rows + 1] = { name, is_bad and self.color("red", described) or described }
    end
  end
  return rows
end

local order = { capacity = 1, permits = 1, messages = 2, count = 2, first = 2, next = 3, bytes = 4 }

local function rows_of(self, info)
  local rows = {
    { "size", ("%s, %s taken"):format(text.size(info.size), text.size(info.allocated)) },
    { "owner", ("%s, %s"):format(info.owner, objects.perm(info.perm)) },
    { "changed", text.age(os.time() - info.modified) .. " ago, its size or by the first write" },
    { "open", describe_use(info) },
  }
  if info.mark then
    rows[#rows + 1] = { "mark", marks[info.mark] }
  end
  local entries = {}
  for _, each in ipairs { info.geometry or {}, info.fill or {} } do
    for name, value in pairs(each) do
      entries[name] = value
    end
  end
  add_rows(rows, entries, order)
  if info.problem then
    rows[#rows + 1] = { "problem", self.color("red", text.message(info.problem)) }
  end
  return rows
end

local function print_rows(self, rows)
  for _, row in ipairs(rows) do
    row[1] = "  " .. row[1]
  end
  self:write(table.concat(text.columns(rows), "\n") .. "\n")
end

local function print_text(self, info)
  local kind = info.kind or info.code or "?"
  if info.version then
    kind = ("%s, version %d of its format"):format(kind, info.version)
  end
  self:out("%s: %s\n", self.color("bold", text.escape(info.name)), kind)
  print_rows(self, rows_of(self, info))
  local rows = word_rows(self, info.words or {})
  if #rows > 0 then
    self:write "locks and waiters:\n"
    print_rows(self, rows)
  end
end

return {
  summary = "tells all about one name: size, fill, locks, owners, waiters",
  usage = "NAME",
  operands = { "name" },
  json = true,
  detail = [[
Opens what has the name for reading, and changes nothing; it waits for nobody,
so a lock that a stopped process holds does not hold it up. Works for the memory
of any program. The numbers are not of one moment when somebody writes
meanwhile. The processes of owners that may not be looked into are not seen.]],
  run = function(self, _, operands)
    local info = gather(self, self:name(operands[1]))
    if self.json then
      print_json(self, info)
    else
      print_text(self, info)
    end
    return info.problem and 1 or 0
  end,
}
