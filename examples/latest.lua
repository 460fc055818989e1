-- SPDX-License-Identifier: MIT
-- The demo without a torn line: readers get each line whole, however long it is. Ctrl-C ends it.
--   lua latest.lua write [NAME [SECONDS]]
--   lua latest.lua read [NAME]                  in as many other terminals as you like

local shmseg = require "shmseg"

local role, name, pause = arg[1], arg[2] or "latest", tonumber(arg[3]) or 1
local stop = shmseg.signals("INT", "TERM")
io.stdout:setvbuf("line")

if role == "write" then
  local cell = assert(shmseg.cell.open(name, "c", { capacity = 65536, temporary = true }))
  local number = 0
  repeat
    number = number + 1
    local letter = string.char(math.random(65, 90))
    cell:set(letter:rep(math.random(60)))    -- all at once, for everybody
    print("line " .. number)
  until stop:wait(pause)
  cell:close()                               -- temporary: the name goes with it
elseif role == "read" then
  local cell = assert(shmseg.cell.open(name, "r"))
  for line, version in cell:changes() do     -- sleeps until there is another one; ends at Ctrl-C
    print(version, line)
  end
else
  io.stderr:write("say write or read\n")
  os.exit(1)
end
