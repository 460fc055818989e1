-- SPDX-License-Identifier: MIT
-- Prints, every few seconds, the line that writer.lua has put into shared memory.

local shmseg = require "shmseg"
local parse = dofile((arg[0]:match("^.*/") or "") .. "options.lua")

local options = parse("reader.lua", arg)

local function read_lines(segment, stop)
  local lines = 0
  repeat
    local bytes, message = segment:read(0, options.size)
    if not bytes then
      return nil, message
    end
    print((bytes:match("^%Z*")))   -- up to the first zero byte, as C prints it
    lines = lines + 1
  until lines == options.count or stop:wait(options.interval)
  return true
end

local function run(stop)
  local segment, message, code = shmseg.open(options.name, "r", options.size)
  if code == "ENOENT" then
    return nil, options.name .. " is not there yet: start writer.lua first"
  elseif not segment then
    return nil, message
  end
  print(("shared memory pointer: 0x%x"):format(segment:pointer()))

  local ok
  ok, message = read_lines(segment, stop)
  segment:close()
  return ok, message
end

io.stdout:setvbuf("line")

-- From here on a signal ends the wait between two lines, so that what follows the loop always runs.
local stop = shmseg.signals("INT", "TERM")
local ok, message = run(stop)
if not ok then
  io.stderr:write("reader.lua: ", message, "\n")
end
print("finally")
os.exit(ok and 0 or 1)
