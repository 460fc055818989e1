--- shmseg ls: what there is.
-- @module shmseg.cli.ls

local core = require "shmseg.core"
local objects = require "shmseg.cli.objects"
local shmseg = require "shmseg"
local text = require "shmseg.cli.text"

-- Looks at all names: what is to be listed, how many others there are, and names that are missing.
local function look(self, options, operands)
  local is_wanted, missing = objects.filter(self, operands)
  local names = self:check(shmseg.list())
  local openers = objects.openers(self)
  local found, others = {}, 0
  for _, name in ipairs(names) do
    local each = is_wanted(name) and objects.look(name, openers)
    if each then -- else it has gone meanwhile
      missing[name] = nil
      if each.is_own or options.all or #operands > 0 then
        found[#found + 1] = each
      else
        others = others + 1
      end
    end
  end
  return found, others, missing
end

local states = { leaked = "red", open = "green" }

local function row_of(self, each, now)
  local pids = {}
  for i = 1, math.min(#each.pids, 4) do
    pids[i] = ("%d"):format(each.pids[i])
  end
  if #each.pids > 4 then
    pids[5] = ("and %d more"):format(#each.pids - 4)
  end
  local state = each.state or "?"
  return {
    each.kind or each.code or "?", text.size(each.size), text.size(each.allocated), each.owner,
    objects.perm(each.perm), text.age(now - each.modified),
    each.state and ("%d"):format(each.handles) or "?",
    states[state] and self.color(states[state], state) or state,
    self.color("bold", text.escape(each.name)), table.concat(pids, " "),
  }
end

local function print_table(self, found)
  local now = os.time()
  local rows = { { "KIND", "SIZE", "TAKEN", "OWNER", "PERM", "AGE", "OPEN", "STATE", "NAME",
    "PROCESSES" } }
  for i, each in ipairs(found) do
    rows[i + 1] = row_of(self, each, now)
  end
  if #found > 0 then
    self:write(table.concat(text.columns(rows, { [2] = true, [3] = true, [6] = true, [7] = true }),
      "\n") .. "\n")
  end
end

return {
  summary = "lists shared memory: what it is, whose, and who has it open",
  usage = "[NAME]...",
  operands = { "name", "..." },
  least = 0,
  json = true,
  options = { { "-a", "--all", nil, "other programs' memory, too" } },
  detail = [[
Without names, lists the objects of this library, and the segments that its
handles have open; a segment that nobody has open looks like any other
program's, and needs --all. In names, * and ? stand for any characters.

KIND       queue, dict, ...; segment: anything that is no object of the library;
           incompatible, "too small", EACCES: why it cannot be told
TAKEN      the memory that is really taken
AGE        since the last change of its size, or the first write
OPEN       how many handles of the library have it open
STATE      open: somebody has it open; unused: nobody has; leaked: nobody has,
           and it was to go with its users (shmseg gc removes it)
PROCESSES  that have it mapped, and may be seen: others' need root]],
  run = function(self, options, operands)
    local found, others, missing = look(self, options, operands)
    if self.json then
      objects.print_json(self, found)
    else
      print_table(self, found)
    end
    if others > 0 and self.columns and not self.json then
      self:out("%s\n", self.color("dim", ("%d of other programs or unused: shmseg ls --all")
        :format(others)))
    end
    for name in pairs(missing) do
      local _, message = core.look(name)
      self:error(message or ("segment %q: it came just now"):format(name))
    end
    return next(missing) and 1 or 0
  end,
}
