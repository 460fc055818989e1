--- What a command is given: its streams, failures, objects and signals.
-- @module shmseg.cli.context

local check = require "shmseg.check"
local core = require "shmseg.core"
local json = require "shmseg.cli.json"
local text = require "shmseg.cli.text"

local context = {}
context.__index = context

local codes = {
  bold = 1, dim = 2, red = 31, green = 32, yellow = 33, blue = 34, magenta = 35, cyan = 36,
}

-- A dumb terminal knows no escape sequences.
local function is_dumb()
  return os.getenv "TERM" == "dumb"
end

local function may_color()
  local no_color = os.getenv "NO_COLOR"
  return (no_color or "") == "" and not is_dumb()
end

--- A context on the standard streams, or on files that a test gives in their place.
function context.new(streams)
  local self = setmetatable({ json = false }, context)
  self.streams = streams or { out = io.stdout, err = io.stderr, input = io.stdin }
  self.is_test = streams ~= nil
  if not streams then
    self.columns, self.rows = core.terminal(1) -- of the terminal that stdout is, or nil
    self.asks = core.terminal(0) ~= nil and core.terminal(2) ~= nil
    self.shows_progress = core.terminal(2) ~= nil and not is_dumb()
    self.redraws = self.columns ~= nil and not is_dumb()
    io.stdout:setvbuf(self.columns and "line" or "full")
  end
  local colored = self.columns and may_color()
  self.color = function(name, shown) -- on a terminal, unless NO_COLOR is set
    return colored and ("\27[%dm%s\27[0m"):format(codes[name], shown) or shown
  end
  return self
end

-- --- failures ------------------------------------------------------------------------------------

--- Ends the command: the message goes to stderr, the exit code is 1.
-- @tparam ?string message nil: nothing is printed
-- @tparam[opt] string code the library's word for it; "interrupted" ends as the signal would have
function context:fail(message, code) -- luacheck: no self
  error({ message = message, code = code }, 0)
end

--- Ends the command, whose options or operands are wrong: the exit code is 2.
function context:misuse(message) -- luacheck: no self
  error({ message = message, misuse = true }, 0)
end

--- The values of a call of the library; its failure ends the command.
function context:check(value, message, code, ...)
  if value == nil then
    self:fail((message:gsub(" %(mode \"c\" creates it%)$", "")), code) -- that is for Lua programs
  end
  return value, message, code, ...
end

--- Prints a line on stderr, and goes on.
function context:error(message)
  self:progress()
  self:flush()
  self.streams.err:write("shmseg: ", text.message(message), "\n")
end

-- --- output --------------------------------------------------------------------------------------

local EPIPE = 32

local function written(self, done, message, number)
  if not done then
    self:fail("write: " .. tostring(message), number == EPIPE and "EPIPE" or nil)
  end
end

--- Writes bytes to stdout as they are.
function context:write(bytes)
  written(self, self.streams.out:write(bytes))
end

--- Writes to stdout, formatted as by string.format.
function context:out(format, ...)
  self:write(format:format(...))
end

--- Writes what is still in the buffer of stdout.
function context:flush()
  written(self, self.streams.out:flush())
end

--- Writes a value as one line of JSON, a list with a line for each element.
function context:json_out(value)
  if not json.is_array(value) then
    return self:write(json.encode(value) .. "\n")
  end
  for i, element in ipairs(value) do
    self:write((i == 1 and "[" or ",\n ") .. json.encode(element))
  end
  self:write(value[1] == nil and "[]\n" or "]\n")
end

-- --- the terminal --------------------------------------------------------------------------------

local function bar(part)
  local full = math.floor(part * 30)
  return ("[%s%s] %3d %%"):format(("#"):rep(full), (" "):rep(30 - full), math.floor(part * 100))
end

--- Shows how far long work has come, on a terminal alone. Without arguments the line is removed.
-- @tparam ?number done
-- @tparam ?number all nil: nobody knows
-- @tparam[opt] string what is counted, where nobody knows how many there are
function context:progress(done, all, what)
  if not done then
    if self.progress_shown then
      self.streams.err:write "\r\27[K"
      self.progress_shown = nil
    end
    return
  end
  local now = core.now()
  if not self.shows_progress or now - (self.progress_shown or 0) < 0.1 then
    return
  end
  self.progress_shown = now
  local shown = all and bar(all > 0 and math.min(1, done / all) or 1)
    or ("%.0f %s"):format(done, what or "done")
  self.streams.err:write("\r", shown, "\27[K")
  self.streams.err:flush()
end

--- Asks on the terminal: true if the answer is yes. False where there is no terminal.
function context:confirm(question)
  if not self.asks then
    return false
  end
  self:flush()
  self.streams.err:write(text.message(question), " [y/N] ")
  self.streams.err:flush()
  local answer = self.streams.input:read "*l"
  return answer ~= nil and answer:lower():find "^%s*ye?s?%s*$" ~= nil
end

-- --- signals -------------------------------------------------------------------------------------

--- From now on INT, TERM, HUP and PIPE end waits, and not the tool.
function context:catch_signals()
  if not self.is_test then
    self.stop = self:check(core.signals("INT", "TERM", "HUP", "PIPE"))
  end
end

--- The signal that has come, or nil: "INT", …; for long loops.
function context:signal()
  if self.stop and not self.came then
    self.came = self.stop:wait(0)
  end
  return self.came
end

--- Fails when a signal has come.
function context:look_for_signal()
  if self:signal() then
    self:fail(nil, "interrupted")
  end
end

--- Puts signals back.
function context:close()
  self:progress()
  if self.stop then
    self.stop:close()
    self.stop = nil
  end
end

-- --- operands ------------------------------------------------------------------------------------

--- A name that is fit to be one, without its slash.
function context:name(operand)
  local bare, wrong = check.name(operand)
  return bare or self:misuse(wrong)
end

--- A number of bytes: 4096, 0x1000, 4K, 1.5M, 2G. what names the option or operand.
function context:bytes(what, word)
  return text.to_bytes(word)
    or self:misuse(("%s: a number of bytes expected, got %q"):format(what, word))
end

--- Seconds, with a fraction perhaps.
function context:seconds(what, word)
  local seconds = text.to_number(word)
  return seconds and seconds >= 0 and seconds
    or self:misuse(("%s: seconds expected, got %q"):format(what, word))
end

--- An integer from least to most.
function context:integer(what, word, least, most)
  local number = word:find "^[+-]?%d+$" and text.to_number(word)
  if not number or number < (least or -2 ^ 53) or number > (most or 2 ^ 53) then
    local range = most and " from %.0f to %.0f" or least and " from %.0f on" or ""
    self:misuse(("%s: an integer%s expected, got %q"):format(what, range:format(least, most),
      word))
  end
  return math.floor(number)
end

--- Opens an object, or a segment when noun is nil. Its failure ends the command.
-- @tparam string name
-- @tparam ?string noun "queue", …
-- @tparam[opt] string mode
-- @param[opt] more the options of the object; the size of the segment
-- @return the object
-- @treturn boolean was it created?
function context:open(name, noun, mode, more)
  local bare = self:name(name)
  local shmseg = require "shmseg"
  local open = noun and shmseg[noun].open or shmseg.open
  local ok, object, created, code = pcall(open, bare, mode, more)
  if not ok then
    self:misuse(text.without_place(object))
  end
  return self:check(object, created, code), created
end

--- Notes what the command has made: when it fails, that goes again, if it is still unused.
-- @param object an object or a segment
-- @tparam string name
-- @tparam function is_unused is_unused(object)
function context:has_made(object, name, is_unused)
  self.made = { object = object, name = name, is_unused = is_unused }
end

--- Removes what the command has made, unless it was used or somebody else has it open.
function context:undo()
  local made = self.made
  if made and made.is_unused(made.object) and require("shmseg").users(made.name) == 1 then
    made.object:unlink()
  end
end

return context
