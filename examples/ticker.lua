-- SPDX-License-Identifier: MIT
-- A stock ticker that waits for nobody. A reader that is slow learns how many prices it has missed.
--   lua ticker.lua publish [NAME]
--   lua ticker.lua watch [NAME [SECONDS]]       in other terminals; busy so long with each price
-- Ctrl-C ends either.

local shmseg = require "shmseg"

local role, name, busy = arg[1], arg[2] or "ticker", tonumber(arg[3]) or 0
local stop = shmseg.signals("INT", "TERM")
io.stdout:setvbuf("line")

if role == "publish" then
  -- The capacity is also how far a watcher can fall behind: some 30 prices.
  local options = { capacity = 1024, temporary = true }
  local ticker = assert(shmseg.broadcast.open(name, "c", options))
  local price = 100
  repeat
    price = math.max(1, price + math.random(-100, 100) / 100)
    ticker:publish(("ACME %.2f"):format(price))
  until stop:wait(0.005)
  ticker:shutdown()                          -- ends the watchers
  ticker:close()
elseif role == "watch" then
  local ticker = assert(shmseg.broadcast.open(name, "r"))
  for price, number, lost in ticker:subscribe():messages() do
    if lost > 0 then
      print(lost .. " prices missed")
    end
    print(number, price)
    shmseg.sleep(busy)
  end
else
  io.stderr:write("say publish or watch\n")
  os.exit(1)
end
