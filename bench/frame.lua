-- SPDX-License-Identifier: MIT
-- Frames of 8 MiB that never become strings: from a segment and into one, against a memcpy.

local SIZE = 8 * 1024 * 1024
local TEXT = "8 MiB"
local GROUP = "a frame of " .. TEXT

-- Each is one copy. The times are of single calls: what fills or empties is not timed.
local function add(suite, what, run, before, after)
  suite:add(what, run, { block = 1, before = before, after = after, operation = GROUP })
  suite:target(what, "memcpy, " .. TEXT, {})
end

local function add_queue(suite, bench, frame, room)
  local options = { capacity = SIZE }
  local segment = bench.segment(bench.shmseg.queue.size_for(options))
  local q = assert(bench.shmseg.queue.open(segment, "c", options))
  local function push()
    assert(q:push(frame))
  end
  local function pop_into()
    assert(q:pop_into(room))
  end
  add(suite, "q:push(slice), " .. TEXT, push, nil, pop_into)
  add(suite, "q:pop_into(segment), " .. TEXT, pop_into, push)
end

local function add_cell(suite, bench, frame, room)
  local options = { capacity = SIZE }
  local segment = bench.segment(bench.shmseg.cell.size_for(options))
  local cell = assert(bench.shmseg.cell.open(segment, "c", options))
  add(suite, "cell:set(slice), " .. TEXT, function()
    assert(cell:set(frame))
  end)
  add(suite, "cell:get_into(segment), " .. TEXT, function()
    assert(cell:get_into(room))
  end)
end

return function(suite, bench)
  local native = bench.native
  local bytes = ("f"):rep(SIZE)
  local room, source = bench.segment(SIZE), bench.segment(SIZE)
  source:write(0, bytes)
  room:fill(0, SIZE)
  local to = room:pointer()
  suite:add("memcpy, " .. TEXT, function()
    native.copy(to, bytes)
  end, { block = 1, operation = GROUP })
  suite:add("memcpy, again", function()
    native.copy(to, bytes)
  end, { block = 1, operation = GROUP })
  suite:target("memcpy, again", "memcpy, " .. TEXT, {})
  add_queue(suite, bench, source:slice(0), room)
  add_cell(suite, bench, source:slice(0), room)
end
