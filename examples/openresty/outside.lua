-- SPDX-License-Identifier: MIT
-- A program outside of nginx that reads and writes the dict of its workers, and answers them.

local shmseg = require "shmseg"

local usage = [[
Usage: lua outside.lua                     prints which page was seen how often
       lua outside.lua block ADDRESS [S]   nginx refuses this address, for S seconds or for ever
       lua outside.lua admit ADDRESS       takes that back
       lua outside.lua visit PATH          counts as a visit
       lua outside.lua work [N]            answers N questions of nginx, or all there will be
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

local function primes(limit)
  local composite, count = {}, 0
  for number = 2, limit do
    if not composite[number] then
      count = count + 1
      for multiple = number * number, limit, number do
        composite[multiple] = true
      end
    end
  end
  return count
end

-- Sleeps until there is a question, since here nobody is held up.
function commands.work(shared, count)
  local questions = assert(shmseg.queue.open("shmseg-site-questions"))
  local left = tonumber(count) or math.huge
  while left > 0 do
    local limit = assert(questions:pop())
    assert(shared:set("primes " .. limit, primes(tonumber(limit)), 60))
    left = left - 1
  end
end

local command = commands[arg[1] or "show"]
if not command or arg[1] and arg[1] ~= "work" and not arg[2] then
  io.stderr:write(usage)
  os.exit(2)
end
command(assert(shmseg.dict.open("shmseg-site", "rw")), arg[2], arg[3])
