-- SPDX-License-Identifier: MIT
-- Tables on a queue: a codec makes a string of each table, and a table of the string: JSON where
-- lua-cjson is installed, and else a struct.

local shmseg = require "shmseg"
local example = dofile((arg[0]:match("^.*/") or "") .. "example.lua")
local check, needs = example.check, example.needs

local Size = shmseg.struct("Size", { { "width", "u32" }, { "height", "u32" } })
local Order = shmseg.struct("Order", {
  { "number", "u32" },
  { "what", "char", 16 },
  { "size", Size },
})

local codec, name_of_codec = Order, "struct"
local found, json = pcall(require, "cjson")
if found then
  codec, name_of_codec = { encode = json.encode, decode = json.decode }, "json"
end

-- Both ends need the same codec. The name says which, so that two that differ do not meet.
local function queue_name(options)
  return options.name .. "-" .. name_of_codec
end

local function produce(options, stop)
  local settings = { capacity = 4096, codec = codec, temporary = true }
  local orders = check(shmseg.queue.open(queue_name(options), "x", settings))
  print("orders go as " .. name_of_codec)
  local shapes, number = { "circle", "square", "star" }, 0
  local signal
  repeat
    number = number + 1
    check(orders:push {                      -- a table; waits when the queue is full
      number = number,
      what = shapes[number % #shapes + 1],
      size = { width = math.random(9), height = math.random(9) },
    })
    print(("order %d is in the queue"):format(number))
    signal = number < options.count and stop:wait(options.interval)
  until number == options.count or signal
  orders:shutdown()                          -- no more; consumers get what is left
  if not signal and #orders > 0 then
    print(("orders that wait for a consumer: %d"):format(#orders))
    repeat until #orders == 0 or stop:wait(0.1)
  end
end

local function consume(options, stop)
  local orders = needs("tables.lua produce",
    shmseg.queue.open(queue_name(options), "rw", { codec = codec }))
  for order in orders:messages() do          -- a table again; ends at the shutdown
    print(("order %d: a %s of %d by %d"):format(order.number, order.what,
      order.size.width, order.size.height))
    if stop:wait(0) then                     -- a signal, while there are more orders
      break
    end
  end
end

example.run([[
Sends tables from one process to others, through a queue with a codec: JSON where lua-cjson is
installed for this Lua, else a struct.

Usage: lua tables.lua produce [options]
       lua tables.lua consume [options]
  --name NAME         the shared memory object, followed by -json or -struct (orders)
  --count ORDERS      the producer makes so many (30)
  --interval SECONDS  the producer's pause between two orders (0.5)
  --help              show this text

Start first:
  lua tables.lua produce
Then, in one or more other terminals, on the same Lua:
  lua tables.lua consume
Consumers end when all orders are done. Ctrl-C ends each.
]], { produce = produce, consume = consume })
