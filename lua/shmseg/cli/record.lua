--- shmseg record: a broadcast's messages, with their times, into a file.
-- @module shmseg.cli.record

local core = require "shmseg.core"
local data = require "shmseg.cli.data"
local outlet = require "shmseg.cli.outlet"
local recording = require "shmseg.cli.recording"
local subscribe = require "shmseg.cli.subscribe"

local GLANCE = 0.25 -- seconds

-- As many messages as are written at once.
local BATCH = 1024

-- Standard output as open_file gives a file.
local function open_stdout(context)
  return {
    write = function(bytes)
      local count, message, code = outlet.write_bytes(context, bytes)
      return count == #bytes or nil, "write: " .. tostring(message), code
    end,
    close = function() return true end,
    is_closed = function() return outlet.has_no_reader(context) end,
  }
end

-- Opens a file whose descriptor is none of the standard ones, though these may be closed: what is
-- said on stderr would go into the recording.
local function open_above_standard(path, mode)
  local standard = {}
  for i = 1, 3 do
    standard[i] = io.open "/dev/null"
  end
  local file, message = io.open(path, mode)
  for _, each in pairs(standard) do
    each:close()
  end
  return file, message
end

-- What writes bytes and gives true, or nil, message, code; what closes; is_closed: can nobody read?
local function open_file(context, path, is_forced)
  if path == "-" then
    return open_stdout(context)
  end
  local file, message = open_above_standard(path, is_forced and "wb" or "ab")
  context:check(file, message)
  if not is_forced and (file:seek "end" or 0) > 0 then -- nil: it is a FIFO
    context:fail(path .. ": the file is there already; --force writes over it")
  end
  return {
    write = function(bytes)
      local done, wrong = file:write(bytes)
      if done then
        done, wrong = file:flush()
      end
      return done, path .. ": " .. tostring(wrong)
    end,
    close = function() return file:close() end,
    is_closed = function() return false end,
  }
end

-- How the loop goes on after no message came; true at the end.
local function look_around(context, self, message, code)
  if code == "timeout" then
    return self.deadline and core.now() >= self.deadline
  elseif code == "shutdown" or context:signal() then
    return true
  end
  context:error(code == message and self.name .. ": " .. message or message)
  self.failed = true
  return true
end

local function note(context, self, list, first, lost)
  local parts = {}
  if lost > 0 then
    context:error(subscribe.lost_text(self.name, lost, first))
    parts[1] = recording.gap(lost, first)
  end
  parts[#parts + 1] = recording.messages(list, first, core.now() - self.began)
  self.messages, self.lost = self.messages + #list, self.lost + lost
  self.write(table.concat(parts))
  context:progress(self.messages, nil, "messages")
end

local function run(context, self)
  local is_over = false
  while not is_over and self.messages < self.wanted do
    if self.file.is_closed() then
      context:fail(nil, "EPIPE")
    end
    local list, first, third = self.subscription:drain(math.min(BATCH, self.wanted - self.messages),
      data.left(self.deadline, GLANCE))
    if list then
      note(context, self, list, first, third)
      self.deadline = data.deadline(self.timeout)
      is_over = context:signal() ~= nil
    else
      is_over = look_around(context, self, first, third)
    end
  end
end

return {
  summary = "records a broadcast's messages and their times in a file",
  usage = "NAME FILE",
  operands = { "name:broadcast", "file" },
  catches = true,
  options = {
    subscribe.options[1], { "-n", "--count", "N", "so many messages, and no more" },
    { "-t", "--timeout", "SECONDS", "ends when there was no message for so long" },
    { nil, "--force", nil, "writes over a file that is there" }, subscribe.options[2],
  },
  detail = [[
Until the broadcast is shut, or Ctrl-C. The times are those at which record has
seen the messages: within some milliseconds, with --wake within less than one.
Messages that were lost are noted in the file, and told. FILE - is standard
output. The file is good for replay also when record was killed.]],
  run = function(context, options, operands)
    local wanted = options.count and context:integer("--count", options.count, 0) or math.huge
    local timeout = data.timeout(context, options)
    local subscription, broadcast = subscribe.open(context, operands[1], options)
    local file = open_file(context, operands[2], options.force)
    local self = {
      name = broadcast:segment():name(), subscription = subscription, wanted = wanted,
      timeout = timeout, deadline = data.deadline(timeout), messages = 0, lost = 0,
      began = core.now(), file = file, write = function(bytes)
        context:check(file.write(bytes))
      end,
    }
    self.write(recording.head(broadcast:capacity(), os.time()))
    run(context, self)
    self.write(recording.tail(self.messages, self.lost))
    context:check(file.close())
    context:look_for_signal()
    return self.failed and 1 or 0
  end,
}
