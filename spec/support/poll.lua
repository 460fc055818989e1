-- SPDX-License-Identifier: MIT
-- Waiting for descriptors, as an event loop does it (poll.c).

local build = require "spec.support.build"

local poll = {}

--- Why there is none, or nil.
poll.path, poll.missing = build.module("spec/support/poll.c")

--- A chunk that gives a peer the function poll(list, seconds): those that are readable now.
poll.chunk = ("poll = assert(package.loadlib(%q, 'luaopen_poll'))()"):format(poll.path or "")

--- The same here.
poll.list = poll.path and assert(package.loadlib(poll.path, "luaopen_poll"))()

--- Is the descriptor readable, now or within some seconds?
function poll.readable(fd, seconds)
  local list
  repeat
    list = poll.list({ fd }, seconds or 0)
  until list
  return #list > 0
end

return poll
