--- What ls, info and gc tell of what has a name: whose it is, who has it open, is it garbage?
-- @module shmseg.cli.objects

local core = require "shmseg.core"
local json = require "shmseg.cli.json"
local text = require "shmseg.cli.text"

local objects = {}

local users -- names of users by their numbers; nil: not read yet

local function read_users()
  users = {}
  local file = io.open "/etc/passwd"
  for line in function() return file and file:read "*l" end do
    local name, uid = line:match "^([^:]+):[^:]*:(%d+):"
    if name and not users[uid] then
      users[uid] = name
    end
  end
  if file then
    file:close()
  end
end

--- The name of a user, or the number where /etc/passwd has none.
function objects.user(uid)
  if not users then
    read_users()
  end
  local number = ("%d"):format(uid)
  return users[number] or number
end

--- "600" as "rw-------".
function objects.perm(digits)
  return (digits:gsub("%d", function(digit)
    local bits = tonumber(digit)
    return (bits >= 4 and "r" or "-") .. (bits % 4 >= 2 and "w" or "-")
      .. (bits % 2 == 1 and "x" or "-")
  end))
end

--- A process as "1234 (lua5.4)"; the number alone when its name cannot be read.
function objects.process(pid)
  local file = io.open(("/proc/%d/comm"):format(pid))
  local name = file and file:read "*l"
  if file then
    file:close()
  end
  return name and ("%d (%s)"):format(pid, text.escape(name)) or ("%d"):format(pid)
end

--- Several processes, separated by commas.
function objects.processes(pids)
  local shown = {}
  for i, pid in ipairs(pids) do
    shown[i] = objects.process(pid)
  end
  return table.concat(shown, ", ")
end

-- "leaked" is garbage for certain: it was to go, and nobody has it open.
local function state_of(look, opener)
  if opener and (opener.handles > 0 or opener.pids[1]) then
    return "open"
  end
  return look.mark and "leaked" or "unused"
end

--- What is known of a name; or nil, message, code.
-- @tparam string name
-- @tparam ?table openers who has what open: what core.openers gives; nil: that is not known
function objects.look(name, openers)
  local look, message, code = core.look(name)
  if not look then
    return nil, message, code
  end
  local opener = openers and openers[("%.0f:%.0f"):format(look.device, look.inode)]
  look.name = name
  look.owner = objects.user(look.uid)
  look.handles = opener and opener.handles or 0
  look.pids = opener and opener.pids or {}
  look.state = openers and state_of(look, opener) or nil
  look.is_own = look.mark ~= nil or look.handles > 0 or (look.kind or "segment") ~= "segment"
    or look.code == "incompatible" or look.code == "too small"
  return look
end

--- Who has what open; nil where the system does not tell.
function objects.openers(self)
  local openers, message, code = core.openers()
  if not openers and code ~= "ENOTSUP" then
    self:fail(message, code)
  end
  return openers
end

--- What JSON has of a look.
function objects.for_json(look)
  return {
    name = look.name, kind = look.kind, version = look.version, mark = look.mark, code = look.code,
    complete = look.complete, size = look.size, allocated = look.allocated, perm = look.perm,
    owner = look.owner, uid = look.uid, gid = look.gid, device = look.device, inode = look.inode,
    modified = look.modified, state = look.state, handles = look.state and look.handles,
    pids = look.state and json.array(look.pids),
  }
end

--- Prints looks as JSON.
function objects.print_json(self, looks)
  local list = {}
  for i, look in ipairs(looks) do
    list[i] = objects.for_json(look)
  end
  self:json_out(json.array(list))
end

--- A Lua pattern for names with * and ?, and whether it has any of these.
function objects.pattern(glob)
  local escaped = glob:gsub("^/", ""):gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0")
  local pattern, count = escaped:gsub("[*?]", { ["*"] = ".*", ["?"] = "." })
  return "^" .. pattern .. "$", count > 0
end

--- What tells whether a name is among the operands, which may have * and ?.
-- @treturn function of a name; true for each when there are no operands
-- @treturn table the operands that are plain names, as keys
function objects.filter(self, operands)
  local patterns, plain = {}, {}
  for i, operand in ipairs(operands) do
    local pattern, has_wildcard = objects.pattern(operand)
    patterns[i] = pattern
    if not has_wildcard then
      plain[self:name(operand)] = true
    end
  end
  return function(name)
    for _, pattern in ipairs(patterns) do
      if name:find(pattern) then
        return true
      end
    end
    return #patterns == 0
  end, plain
end

return objects
