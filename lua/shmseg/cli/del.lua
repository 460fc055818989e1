--- shmseg del: removes keys of a dict.
-- @module shmseg.cli.del

local data = require "shmseg.cli.data"
local text = require "shmseg.cli.text"

-- dict:delete does not tell whether there was something: a value, or a list.
local function is_there(context, dict, key)
  local ttl, word = dict:ttl(key)
  if ttl == nil and word ~= "not found" then
    data.check_dict(context, dict, key, nil, word)
  end
  return ttl ~= nil and ttl >= 0
end

return {
  summary = "deletes keys of a dict",
  usage = "NAME KEY...",
  operands = { "name:dict", "text", "..." },
  least = 2,
  detail = [[
The exit code is 1 when one of the keys was not there; the others are deleted.]],
  run = function(context, _, operands)
    local dict = context:open(operands[1], "dict", "rw")
    local all_there = true
    for i = 2, #operands do
      local key = operands[i]
      if is_there(context, dict, key) then
        data.check_dict(context, dict, key, dict:delete(key))
      else
        context:error(("%s: %s: not found"):format(dict:segment():name(), text.escape(key)))
        all_there = false
      end
    end
    return all_there and 0 or 1
  end,
}
