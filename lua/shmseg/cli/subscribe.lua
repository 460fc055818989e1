--- How sub, record and watch begin to listen to a broadcast.
-- @module shmseg.cli.subscribe

local subscribe = {}

--- The options of a command that subscribes.
subscribe.options = {
  { nil, "--from", "WHERE", "new (the default), oldest, -N for the last N, or a number" },
  { "-w", "--wake", nil, "opens it for writing, so that each message wakes at once" },
}

-- What broadcast:subscribe takes for the word of --from.
local function from_word(context, word)
  if word == "new" or word == "oldest" then
    return word
  end
  local number = context:integer("--from", word)
  return number ~= 0 and number
    or context:misuse "--from: new, oldest, a number from 1 on or -N expected, got 0"
end

--- Opens the broadcast of that name, for reading alone unless --wake is given, and subscribes.
-- @return the subscription
-- @return the broadcast
function subscribe.open(context, operand, options)
  local from = from_word(context, options.from or "new")
  local broadcast = context:open(operand, "broadcast", options.wake and "rw" or "r")
  local ok, subscription, message, code = pcall(broadcast.subscribe, broadcast, from)
  if not ok then
    context:fail(("%s: --from %s: no message has that number yet"):format(
      broadcast:segment():name(), options.from))
  end
  return context:check(subscription, message, code), broadcast
end

--- What is said of messages that were lost.
function subscribe.lost_text(name, lost, number)
  return ("%s: %.0f message%s lost before number %.0f"):format(name, lost,
    lost == 1 and " was" or "s were", number)
end

return subscribe
