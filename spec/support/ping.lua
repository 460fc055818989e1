-- SPDX-License-Identifier: MIT
-- Two processes that answer each other, and wait by polling watches alone. For peers that have poll
-- (poll.lua).

local shmseg = require "shmseg"

local ping = {}

local LONG = 60 -- seconds: longer than any wake takes

-- How each noun is opened, by a name; watched; sent a number by; and asked whether that number has
-- come: `take` gives true then, and what rearm is told, if the noun sees something.
local nouns = {}

nouns.queue = {
  open = function(name) return shmseg.queue.open(name, "c", { capacity = 64 }) end,
  watch = function(q) return q:watch "pop" end,
  send = function(q, i) assert(q:push(tostring(i), 0)) end,
  take = function(q) return q:pop(0) end,
}

-- One message fills it, and the answer is the room for the next one.
nouns.room = {
  open = function(name) return shmseg.queue.open(name, "c", { capacity = 8 }) end,
  begin = function(q) q:push("12345678", 0) end,
  watch = function(q) return q:watch "push" end,
  send = function(q) assert(q:pop(0)) end,
  take = function(q) return q:push("12345678", 0) end,
}

nouns.broadcast = {
  open = function(name) return shmseg.broadcast.open(name, "c", { capacity = 64 }) end,
  of = function(b) return b:subscribe "oldest" end,
  watch = function(s) return s:watch() end,
  send = function(b, i) assert(b:publish(tostring(i))) end,
  take = function(s) return s:next(0) end,
}

nouns.cell = {
  sees = true,
  open = function(name) return shmseg.cell.open(name, "c", { capacity = 64 }) end,
  watch = function(c) return c:watch() end,
  send = function(c, i) assert(c:set(tostring(i))) end,
  take = function(c, i)
    local value, version = c:get()
    return value == tostring(i), value and version
  end,
}

nouns.event = {
  open = function(name) return shmseg.event.open(name, "c") end,
  watch = function(e) return e:watch() end,
  send = function(e) assert(e:set()) end,
  take = function(e) return e:is_set() and e:clear() end,
}

nouns.signal = {
  open = function(name)
    return shmseg.semaphore.open(name, "c", { permits = 9, signal = true })
  end,
  watch = function(s) return s:watch() end,
  send = function(s) assert(s:post()) end,
  take = function(s) return s:acquire(0) end,
}

nouns.atomic = {
  sees = true,
  open = function(name) return assert(shmseg.open(name, "c", 64)):atomic(0, "u32") end,
  watch = function(n) return n:watch(0) end,
  send = function(n, i)
    n:store(i)
    n:notify()
  end,
  take = function(n, i) return n:load() == i, n:load() end,
}

nouns.dict = {
  sees = true,
  open = function(name) return shmseg.dict.open(name, "c", { capacity = 8192 }) end,
  watch = function(d) return d:watch "key" end,
  send = function(d, i) assert(d:set("key", i)) end,
  take = function(d, i)
    local value = d:get "key"
    return value == i, value
  end,
}

--- What there is to ping, sorted.
ping.nouns = {}
for name in pairs(nouns) do
  ping.nouns[#ping.nouns + 1] = name
end
table.sort(ping.nouns)

-- Waits for the watch as a loop does; counts the waits that were interrupted.
local function await(watch, interrupts)
  local list = poll({ watch:fd() }, LONG) -- luacheck: ignore
  if not list then
    return interrupts + 1
  end
  assert(#list == 1, "a wake was lost")
  return interrupts
end

--- Opens what this process sends by, and what it is told by, and makes the watch.
function ping.prepare(what, out_name, back_name)
  local noun = nouns[what]
  local out, back = assert(noun.open(out_name)), assert(noun.open(back_name))
  if noun.begin then
    noun.begin(out)
    noun.begin(back)
  end
  local told = noun.of and noun.of(back) or back
  return { noun = noun, out = out, told = told, watch = assert(noun.watch(told)) }
end

--- Sends count numbers and awaits the answer to each; or answers each.
-- @treturn integer how many polls were interrupted
function ping.run(self, count, is_first)
  local noun, watch, interrupts = self.noun, self.watch, 0
  for i = 1, count do
    if is_first then
      noun.send(self.out, i)
    end
    repeat
      interrupts = await(watch, interrupts)
      local taken, seen = noun.take(self.told, i)
      if noun.sees and seen then
        assert(watch:rearm(seen))
      else
        assert(watch:rearm())
      end
    until taken
    if not is_first then
      noun.send(self.out, i)
    end
  end
  return interrupts
end

return ping
