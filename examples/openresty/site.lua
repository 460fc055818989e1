-- SPDX-License-Identifier: MIT
-- What the workers of nginx do with the dict that they share with the programs outside.

local shmseg = require "shmseg"

local shared = assert(shmseg.dict.open("shmseg-site", "c", { capacity = 2 ^ 20 }))
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

return site
