--- Where pop and sub write messages: standard output, in batches that are written at once.
-- @module shmseg.cli.outlet

local core = require "shmseg.core"
local data = require "shmseg.cli.data"
local framing = require "shmseg.cli.framing"
local json = require "shmseg.cli.json"
local text = require "shmseg.cli.text"

local outlet = {}
outlet.__index = outlet

-- What a batch should have: no more is lost when this process is killed.
local BYTES, MESSAGES = 65536, 4096

--- Bytes for a terminal: it obeys none of them, but newlines and tabs stay.
function outlet.shown(bytes)
  return (bytes:gsub("[^\n\t]+", text.message))
end

--- An outlet for the messages of a command, whose options choose the framing.
function outlet.new(context, options)
  local kind, wrong = framing.chosen(options)
  if not kind then
    context:misuse(wrong)
  elseif context.json and kind ~= "line" then
    context:misuse("--json prints lines: neither --null nor --length goes with it")
  end
  return setmetatable({ context = context, kind = kind, batch = 1 }, outlet)
end

--- Writes bytes: how many came through; and when not all of them, a message and a code.
function outlet.write_bytes(context, bytes)
  if context.is_test then
    context:write(bytes)
    return #bytes
  end
  context:flush()
  return core.write(1, bytes)
end

--- Has the reader of standard output gone? Then nothing should be taken for it.
function outlet.has_no_reader(context)
  return not context.is_test and core.is_closed(1)
end

-- The next batch should be as many bytes as a pipe holds.
function outlet:adapt(count, bytes)
  local fitting = math.floor(BYTES * count / math.max(bytes, 1))
  self.batch = math.max(1, math.min(MESSAGES, fitting, 4 * self.batch))
end

--- The list as it is to be shown; entry(message, i) gives a table for JSON.
function outlet:prepare(list, entry)
  if self.context.json then
    local lines = {}
    for i, message in ipairs(list) do
      lines[i] = json.encode(entry(message, i))
    end
    return lines
  elseif self.context.columns and self.kind == "line" then
    local lines = {}
    for i, message in ipairs(list) do
      lines[i] = outlet.shown(message)
    end
    return lines
  end
  return list
end

--- Writes messages. A failure ends the command.
-- @tparam {string,...} list as prepare has made it
-- @tparam string lost what is said of n messages that were not written: a format
function outlet:write(list, lost)
  local bytes, wrong = framing.join(self.kind, list)
  if not bytes then
    self.context:fail(wrong)
  end
  self:adapt(#list, #bytes)
  local count, message, code = outlet.write_bytes(self.context, bytes)
  if count < #bytes then
    local left = #list - framing.whole(self.kind, list, count)
    data.fail_partly(self.context, ("write: %s: %s"):format(message, lost:format(left)), code)
  end
end

return outlet
