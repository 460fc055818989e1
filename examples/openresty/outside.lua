-- SPDX-License-Identifier: MIT
-- A program outside of nginx that reads and writes the dict of its workers.

local shmseg = require "shmseg"

local usage = [[
Usage: lua outside.lua                     prints which page was seen how often
       lua outside.lua block ADDRESS [S]   nginx refuses this address, for S seconds or for ever
       lua outside.lua admit ADDRESS       takes that back
       lua outside.lua visit PATH          counts as a visit
]]

local commands = {}

function commands.show(shared)
  for key, count in shared:pairs "visits " do
    print(key:match "^visits (.*)$", count)
  end
end

function commands.block(shared, address, seconds)
  return assert(shared:set("blocked " .. address, true, tonumber(seconds)))
end

function commands.admit(shared, address)
  return assert(shared:delete("blocked " .. address))
end

function commands.visit(shared, path)
  return assert(shared:incr("visits " .. path, 1, 0))
end

local command = commands[arg[1] or "show"]
if not command or arg[1] and not arg[2] then
  io.stderr:write(usage)
  os.exit(2)
end
command(assert(shmseg.dict.open("shmseg-site", "rw")), arg[2], arg[3])
