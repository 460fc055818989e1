--- shmseg check: are objects in order?
-- @module shmseg.cli.check

local core = require "shmseg.core"
local shmseg = require "shmseg"
local text = require "shmseg.cli.text"

-- What is wrong with the object of that name, or nil; and its kind, if that is known.
local function examine(name)
  local kind, message, code = core.kind(name)
  if not kind then
    return message, nil, code
  elseif kind == "segment" then
    return ("segment %q: no object of this library"):format(name), kind
  end
  local object
  object, message, code = shmseg[kind].open(name, "r")
  if not object then
    return message, kind, code
  end
  local broken = core[kind].check(object)
  object:close()
  return broken and ("%s %q: broken: %s"):format(kind, name, broken), kind, broken and "corrupt"
end

return {
  summary = "tells whether objects are in order, and which invariant is broken",
  usage = "NAME...",
  operands = { "name", "..." },
  json = true,
  detail = [[
Nobody may use the object meanwhile: what is halfway done looks broken. It is
opened for reading, and nothing in it changes. The exit code is 0 when all are
in order.]],
  run = function(self, _, operands)
    local results, all_fine = {}, true
    for i, operand in ipairs(operands) do
      results[i] = { name = self:name(operand) }
    end
    for _, result in ipairs(results) do
      local wrong, kind, code = examine(result.name)
      result.kind, result.ok, result.message, result.code = kind, not wrong, wrong, code
      all_fine = all_fine and not wrong
      if wrong and not self.json then
        self:error(wrong)
      elseif not self.json then
        self:out("%s: %s, in order\n", text.escape(result.name), kind)
      end
    end
    if self.json then
      self:json_out(results)
    end
    return all_fine and 0 or 1
  end,
}
