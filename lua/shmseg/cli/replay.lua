--- shmseg replay: publishes again what record has recorded.
-- @module shmseg.cli.replay

local core = require "shmseg.core"
local data = require "shmseg.cli.data"
local recording = require "shmseg.cli.recording"
local subscribe = require "shmseg.cli.subscribe"
local text = require "shmseg.cli.text"

-- What is published at once, at most.
local MESSAGES, BYTES = 1024, 65536

-- Publishes what has been collected.
local function publish(context, self)
  if #self.list == 0 then
    return
  end
  local number, message, code = self.broadcast:publish_many(self.list)
  if not number then
    data.fail_partly(context, ("%s: %s (%s played)"):format(self.name, message,
      text.count(self.played, "message")), code)
  end
  self.played = self.played + #self.list
  self.list, self.bytes = {}, 0
end

local function stop_here(context, self)
  if context:signal() then
    data.fail_partly(context, ("%s: interrupted (%s played)"):format(self.name,
      text.count(self.played, "message")), "interrupted")
  end
end

-- Standard input, which gives at once what has come. What was read before is played before it waits
-- for more: by player, once there is one.
local function open_stdin(context)
  local input = {}
  function input.seek() end -- it may be a pipe
  function input.read()
    if input.player then
      publish(context, input.player)
    end
    local block, message, code = data.read_block(context)
    if input.player then
      stop_here(context, input.player)
    end
    if not block then
      context:fail("standard input: " .. message, code)
    end
    return block ~= "" and block or nil
  end
  return input
end

local function open_path(context, path)
  local file, message = io.open(path, "rb")
  context:check(file, message)
  local read, wrong = file:read(0)
  if not read and wrong then -- a directory
    context:fail(("%s: %s"):format(path, wrong))
  end
  return file
end

local function open_reader(context, path, input)
  local reader, reason = recording.open(input or open_path(context, path))
  if not reader then
    context:fail(("%s: %s"):format(path, reason))
  end
  return reader
end

-- Waits until the message's time has come.
local function await(context, self, seconds)
  if not self.first then
    self.first, self.began = seconds, core.now()
  end
  if self.speed == 0 then
    return
  end
  local due = self.began + (seconds - self.first) / self.speed
  if due > core.now() then
    publish(context, self)
    while due > core.now() do
      core.sleep(math.min(0.1, due - core.now()))
      stop_here(context, self)
      context:progress(self.reader:position(), self.reader.size)
    end
  end
end

local function take(context, self, seconds, number, message)
  if number < self.from then
    return
  end
  await(context, self, seconds)
  self.list[#self.list + 1] = message
  self.bytes = self.bytes + #message
  if #self.list >= MESSAGES or self.bytes >= BYTES then
    publish(context, self)
    stop_here(context, self)
    context:progress(self.reader:position(), self.reader.size)
  end
end

-- Plays until the recording ends: nil, or what is wrong with the end.
local function play(context, self)
  while true do
    local kind, one, two, three = self.reader:next(self.broadcast:capacity())
    if kind == "message" then
      take(context, self, one, two, three)
    elseif kind == "lost" then
      context:error(subscribe.lost_text(self.path, one, two) .. ", when it was recorded")
    else
      stop_here(context, self) -- a signal may have ended the read
      publish(context, self)
      return kind ~= "end" and one or nil
    end
  end
end

local function to_speed(context, word)
  return word and context:seconds("--speed", word) or 1
end

return {
  summary = "publishes what record has recorded, at its times",
  usage = "FILE NAME",
  operands = { "file", "name:broadcast" },
  catches = true,
  options = {
    { "-s", "--speed", "N", "so many times as fast; 0: as fast as can be" },
    { nil, "--from", "NUMBER", "begins with the message that had this number" }, data.create_option,
  },
  detail = [[
Times count from the first message that is played. Of a file that was cut, all
whole messages are played; then stderr tells, and the exit code is 1. Messages
that were lost when it was recorded are told. FILE - is standard input: what comes
is played at once when its time has come.]],
  run = function(context, options, operands)
    local speed = to_speed(context, options.speed)
    local from = options.from and context:integer("--from", options.from, 1) or 1
    local input = operands[1] == "-" and open_stdin(context)
    local reader = open_reader(context, operands[1], input)
    local broadcast = data.open(context, operands[2], "broadcast", options)
    local self = {
      path = operands[1], reader = reader, broadcast = broadcast, speed = speed, from = from,
      name = broadcast:segment():name(), list = {}, bytes = 0, played = 0,
    }
    if input then
      input.player = self
    end
    local wrong = play(context, self)
    if wrong then
      context:fail(("%s: %s; %s played"):format(self.path, wrong,
        text.count(self.played, "message")))
    end
  end,
}
