--- Where push and pub get messages: their operands, or standard input.
-- @module shmseg.cli.feed

local core = require "shmseg.core"
local data = require "shmseg.cli.data"
local framing = require "shmseg.cli.framing"
local text = require "shmseg.cli.text"

local feed = {}

-- Seconds after which the progress is shown.
local LONG = 1

-- Sends a list. A failure ends the command, and tells how far it has come.
local function send(context, target, list)
  if #list == 0 then
    return
  end
  local n, message, code = target.send(list)
  target.sent = target.sent + n
  if n < #list then
    data.fail_partly(context, ("%s: %s (%s, and %s %s not)"):format(target.name, message,
      text.count(target.sent, "message") .. " " .. target.done, #list - n,
      #list - n == 1 and "was read and" or "were read and"), code)
  end
end

local function stop_at(context, target, list, wrong)
  send(context, target, list)
  if wrong then
    data.fail_partly(context, ("%s: %s (%s %s before it)"):format(target.name, wrong,
      text.count(target.sent, "message"), target.done))
  end
end

-- Reads to the end of standard input, and sends what has come.
local function copy_input(context, target, splitter)
  local began = core.now()
  while true do
    local block, message, code = data.read_block(context)
    if context:signal() or not block then
      if splitter.held > 0 then
        context:error(("%s: a part of a message was read, and is not %s"):format(target.name,
          target.done))
      end
      context:fail(block and "interrupted" or "standard input: " .. message, code)
    elseif block == "" then
      return stop_at(context, target, splitter:finish())
    end
    stop_at(context, target, splitter:feed(block))
    if core.now() - began > LONG then
      context:progress(target.sent, nil, "messages")
    end
  end
end

local function check_values(context, target, values)
  for i, value in ipairs(values) do
    if #value > target.limit then
      context:fail(("%s: message %d is too long: %d bytes, and %.0f are the most"):format(
        target.name, i, #value, target.limit))
    end
  end
end

--- Sends the values, or without values, or with "-" alone, what comes from standard input.
-- @tparam table target name; limit, bytes of the longest message; done, a word ("pushed"); and
--   send(list), which returns how many it has sent, and a message and a code if these are not all
function feed.run(context, options, values, target)
  local kind, wrong = framing.chosen(options)
  if not kind then
    context:misuse(wrong)
  end
  target.sent = 0
  if #values == 0 or #values == 1 and values[1] == "-" then
    copy_input(context, target, framing.splitter(kind, target.limit))
  else
    check_values(context, target, values)
    send(context, target, values)
  end
end

return feed
