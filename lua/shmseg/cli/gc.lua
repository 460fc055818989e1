--- shmseg gc: removes what nobody needs any more.
-- @module shmseg.cli.gc

local core = require "shmseg.core"
local objects = require "shmseg.cli.objects"
local shmseg = require "shmseg"
local text = require "shmseg.cli.text"

-- What is garbage at this moment: marked as temporary, or plain segments. Nobody has it open.
local function find(self, is_wanted, is_plain)
  local openers = objects.openers(self)
    or self:fail("this system does not tell who has shared memory open")
  local found = {}
  for _, name in ipairs(self:check(shmseg.list())) do
    local each = is_wanted(name) and objects.look(name, openers)
    local is_unused = each and each.state ~= "open"
    if is_unused and not is_plain and each.mark then
      found[#found + 1] = each
    elseif is_unused and is_plain and each.kind == "segment" and not each.mark then
      found[#found + 1] = each
    end
  end
  return found
end

local function question(found, is_plain)
  local bytes = 0
  for _, each in ipairs(found) do
    bytes = bytes + each.allocated
  end
  return ("Remove %s %s, %s?"):format(#found == 1 and "this" or "these " .. #found,
    (is_plain and "segment" or "object") .. (#found == 1 and "" or "s"), text.size(bytes))
end

local function names_of(found)
  local lines = {}
  for i, each in ipairs(found) do
    lines[i] = ("%s  %s\n"):format(text.escape(each.name), text.size(each.allocated))
  end
  return table.concat(lines)
end

-- True when it is to be done. Off a terminal the certain garbage goes without a question.
local function is_agreed(self, options, found)
  if options.yes or #found == 0 then
    return true
  elseif not self.asks then
    return not options.plain
      or self:misuse("--plain: there is no terminal to ask on; --yes removes without a question")
  end
  self.streams.err:write(names_of(found))
  return self:confirm(question(found, options.plain))
end

-- Somebody may have opened or removed it since it was found: then it is left alone. So are those
-- that are left when a signal comes.
local expected = { EBUSY = true, ENOENT = true, EPERM = true, interrupted = true }

-- So many at once take one look at all processes.
local BATCH = 64

-- What becomes of found[first] and those behind it: for each true, or message and code.
local function collect(found, first, is_plain)
  local names = {}
  for i = first, math.min(first + BATCH - 1, #found) do
    names[#names + 1] = found[i].name
  end
  return core.collect(names, is_plain)
end

local function remove(self, found, is_plain)
  local removed, refused, failed = {}, 0, false
  for first = 1, #found, BATCH do
    if self:signal() then
      break -- what was removed is still told
    end
    for i, done in ipairs(collect(found, first, is_plain)) do
      if done == true then
        removed[#removed + 1] = found[first + i - 1]
      elseif done.code == "EACCES" then
        refused = refused + 1
      elseif not expected[done.code] then
        self:error(done.message)
        failed = true
      end
    end
    self:progress(math.min(first + BATCH - 1, #found), #found)
  end
  self:progress()
  if refused > 0 then
    self:error(("%d of other users: no permission to remove them"):format(refused))
  end
  return removed, failed
end

return {
  summary = "removes temporary objects that nobody has open any more",
  usage = "[NAME]...",
  operands = { "name", "..." },
  least = 0,
  json = true,
  catches = true,
  options = {
    { "-n", "--dry-run", nil, "prints what would be removed" },
    { "-p", "--plain", "PATTERN", "plain segments instead, those with such names" },
    { "-y", "--yes", nil, "asks no question" },
  },
  detail = [[
Removes what was made as temporary and has outlived its users, after a crash
for example; with names, in which * and ? stand for any characters, of these
alone. A queue between two runs is no such thing, and stays. On a terminal it
asks first. Prints the names that it has removed, also when Ctrl-C ends it.

A plain segment says nothing about itself, so gc removes it only when --plain
names it: --plain 'job-*'. It has to be unused: no handle of the library has it
open, and no process that can be seen has it mapped. A program that you may not
look into may still use it; ask as root. Without a terminal this needs --yes.]],
  run = function(self, options, operands)
    local is_plain = options.plain ~= nil
    if is_plain and #operands > 0 then
      self:misuse("--plain has a pattern of its own: names besides it are too many")
    end
    local found = find(self, objects.filter(self, is_plain and { options.plain } or operands),
      is_plain)
    local failed
    if not options["dry-run"] then
      local is_wanted = is_agreed(self, options, found)
      self:look_for_signal() -- it has ended the question, too
      if not is_wanted then
        return 1
      end
      found, failed = remove(self, found, is_plain)
    end
    if self.json then
      objects.print_json(self, found)
    else
      self:write(names_of(found))
    end
    self:look_for_signal()
    return failed and 1 or 0
  end,
}
