--- The loop of pop and sub: batches of messages, until there are enough.
-- @module shmseg.cli.take

local core = require "shmseg.core"
local data = require "shmseg.cli.data"
local framing = require "shmseg.cli.framing"
local outlet = require "shmseg.cli.outlet"

local take = {}

-- Seconds after which a wait looks whether the reader is still there.
local GLANCE = 0.25

--- The options that both have.
take.options = {
  framing.options[1], framing.options[2],
  { "-t", "--timeout", "SECONDS", "ends when there was no message for so long" },
}

local function count_of(context, options, otherwise)
  if options.count then
    return context:integer("--count", options.count, 0)
  end
  return otherwise
end

-- No message came: goes on, or returns how it ends. A code that is no end is a failure.
local function look_around(context, self, message, code)
  if context:signal() then
    context:fail(nil, "interrupted")
  elseif code == "timeout" then
    return self.deadline and core.now() >= self.deadline and code or nil
  elseif code == "shutdown" then
    return code
  end
  context:fail(code == message and self.name .. ": " .. message or message, code)
end

--- Takes messages until there are enough of them.
-- @tparam table self name; count, how many (math.huge: all that come); draw(max, timeout), which
--   takes a batch; give(list, ...), which writes it; outlet
-- @treturn integer the exit code
function take.run(context, options, self)
  local timeout = data.timeout(context, options)
  local wanted = count_of(context, options, self.count)
  local left, ended = wanted, nil
  self.deadline = data.deadline(timeout)
  while left > 0 and not ended do
    if outlet.has_no_reader(context) then
      context:fail(nil, "EPIPE")
    end
    local max = math.min(left, self.outlet.batch)
    local list, first, third = self.draw(max, data.left(self.deadline, GLANCE))
    if list then
      self.give(list, first, third)
      left = left - #list
      self.deadline = data.deadline(timeout)
      context:look_for_signal()
    else
      ended = look_around(context, self, first, third)
    end
  end
  if left > 0 and wanted < math.huge then
    context:error(("%s: %s (%d of %d messages)"):format(self.name, ended, wanted - left, wanted))
    return 1
  end
  return 0
end

return take
