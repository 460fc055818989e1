-- SPDX-License-Identifier: MIT
-- A stock ticker that waits for nobody. A slow watcher learns how many prices it has missed.

local shmseg = require "shmseg"
local example = dofile((arg[0]:match("^.*/") or "") .. "example.lua")
local check, needs = example.check, example.needs

local function publish(options, stop)
  -- The capacity is also how far a watcher can fall behind: some 8 prices.
  local settings = { capacity = 256, temporary = true }
  local ticker = check(shmseg.broadcast.open(options.name, "c", settings))
  print "publishing; Ctrl-C ends it"
  local price, number = 100, 0
  repeat
    price = math.max(1, price + math.random(-100, 100) / 100)
    check(ticker:publish(("ACME %.2f"):format(price)))
    number = number + 1
  until number == options.count or stop:wait(options.interval)
  print("prices published: " .. number)
  ticker:unlink()                            -- who comes later begins anew, also after a killed one
  ticker:shutdown()                          -- ends the watchers
end

local function watch(options)
  local ticker = needs("ticker.lua publish", shmseg.broadcast.open(options.name, "r"))
  local prices = 0
  for price, number, lost in ticker:subscribe():messages() do
    if lost > 0 then
      print(lost .. " prices missed")
    end
    print(number, price)
    prices = prices + 1
    if prices == options.count or not shmseg.sleep(options.busy) then
      break
    end
  end
end

example.run([[
One process publishes prices, others watch them. It waits for nobody: a watcher that is slow misses
some, and is told how many.

Usage: lua ticker.lua publish [options]
       lua ticker.lua watch [options]
  --name NAME         the shared memory object (ticker)
  --count PRICES      stop after that many (1000)
  --interval SECONDS  the publisher's pause between two prices (0.2)
  --busy SECONDS      how long a watcher works on each price (0)
  --help              show this text

Start first:
  lua ticker.lua publish
Then, in other terminals:
  lua ticker.lua watch
  lua ticker.lua watch --busy 3
Watchers end with the publisher. Ctrl-C ends each.
]], { publish = publish, watch = watch })
