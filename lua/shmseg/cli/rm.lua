--- shmseg rm: removes names.
-- @module shmseg.cli.rm

local shmseg = require "shmseg"

local function remove(self, name, is_forced)
  local done, message, code = shmseg.unlink(name)
  if done or (is_forced and code == "ENOENT") then
    return true
  end
  self:error(message)
  return false
end

return {
  summary = "removes names; processes that have the memory open keep it",
  usage = "NAME...",
  operands = { "name", "..." },
  options = { { "-f", "--force", nil, "a name that is not there is no failure" } },
  detail = [[
Whatever has a name is removed, other programs' memory too. The names that can
be removed are, also when others cannot. A name that begins with a dash comes
behind --.]],
  run = function(self, options, operands)
    local names, all_done = {}, true
    for i, operand in ipairs(operands) do
      names[i] = self:name(operand)
    end
    for _, name in ipairs(names) do
      all_done = remove(self, name, options.force) and all_done
    end
    return all_done and 0 or 1
  end,
}
