-- SPDX-License-Identifier: MIT
-- What the workers of nginx do with the dict and the queue that they share with programs outside.

local shmseg = require "shmseg"

local PATIENCE = 2 -- seconds that a request waits for an answer from outside

local shared = assert(shmseg.dict.open("shmseg-site", "c", { capacity = 2 ^ 20 }))
local questions = assert(shmseg.queue.open("shmseg-site-questions", "c", { capacity = 2 ^ 16 }))
local site = {}

-- A program outside has blocked this address, for a time or for ever.
function site.admit()
  if shared:get("blocked " .. ngx.var.remote_addr) then
    return ngx.exit(ngx.HTTP_FORBIDDEN)
  end
end

-- Counts the visit in both dicts, and tells what they say.
function site.page()
  local path = ngx.var.uri
  local ours, word = shared:incr("visits " .. path, 1, 0)
  local nginx = ngx.shared.visits:incr(path, 1, 0)
  ngx.say(("worker %d: %s was seen %s times; nginx alone counts %s"):format(
    ngx.worker.id(), path, ours or word, nginx))
end

-- How many primes there are up to a limit: a program outside computes it. The question goes through
-- the queue, once however many ask, and the answer comes through the dict. A call that waits would
-- hold up the whole worker: so push has a timeout of 0, and this request looks again and again, and
-- lets others run meanwhile.
function site.primes(limit)
  local key = "primes " .. limit
  if not shared:get(key) and shared:add("asked " .. limit, true, PATIENCE) then
    if not questions:push(limit, 0) then
      shared:delete("asked " .. limit)
      return ngx.exit(ngx.HTTP_SERVICE_UNAVAILABLE) -- too many wait already
    end
  end
  local last = ngx.now() + PATIENCE
  repeat
    local answer = shared:get(key)
    if answer then
      return ngx.say(answer)
    end
    ngx.sleep(0.005)
  until ngx.now() > last
  return ngx.exit(ngx.HTTP_GATEWAY_TIMEOUT)
end

-- Does LuaJIT compile the calls of the library here?
function site.front()
  ngx.say(shmseg.features().ffi and "compiled" or "interpreted")
end

return site
