-- SPDX-License-Identifier: MIT
-- shmseg watch.

local chart = require "shmseg.cli.chart"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"
local shmseg = require "shmseg"
local tool = require "spec.support.tool"

-- A name with a new object behind it, and the object.
local function made(noun, options)
  local name = scratch.name()
  return name, assert(shmseg[noun].open(name, "x", options))
end

local function write_file(name, bytes)
  local file = assert(io.open(scratch.objects .. name, "wb"))
  file:write(bytes)
  file:close()
end

-- Starts a watch whose looks are a line each, and come fast.
local function watching(name, ...)
  return tool.start("watch", "-i", "0.01", name, ...)
end

-- The first line that has the pattern: it comes, or the watch ends.
local function line_with(started, pattern)
  repeat
    local line = assert(started:line(), "the watch has ended")
    if line:find(pattern) then
      return line
    end
  until false
end

local function ends_at_ctrl_c(started)
  started:signal "INT"
  assert.equal(130, (started:finish()))
  assert.equal("", started:stderr())
end

describe("the chart of a watch", function()
  it("shows the last values, with a bar for all that is above nothing", function()
    local bars = chart.new(4, false)
    for _, value in ipairs { 9, 0, 1, 50, 100 } do
      bars:add(value)
    end
    assert.equal(100, bars:peak())
    assert.equal(" .=@", bars:draw(10, 100))
    assert.equal("=@", bars:draw(2, 100))
    assert.equal("    ", bars:draw(10, 0))
    local wide = chart.new(2, true)
    wide:add(1)
    wide:add(8)
    assert.equal("▁█", wide:draw(10, 8))
  end)
end)

describe("the tool's watch", function()
  after_each(scratch.clean)

  -- What one look tells, without its time.
  local function look(name, ...)
    return (tool.prints("watch", "-n1", name, ...):gsub("^%d%d:%d%d:%d%d ", ""))
  end

  it("tells what each kind of object holds", function()
    local name, cell = made("cell", { capacity = 100 })
    assert.equal(name .. " cell version=0\n", look(name))
    cell:set "a\nvalue"
    assert.equal(name .. ' cell version=1 bytes=7 value=a\\nvalue\n', look(name))
    local queue
    name, queue = made("queue", { capacity = 1000 })
    queue:push "message"
    assert.equal(name .. " queue messages=1 bytes=16 capacity=1000 shutdown=false\n", look(name))
    local broadcast
    name, broadcast = made("broadcast", { capacity = 1000 })
    broadcast:publish "message"
    assert.equal(name .. " broadcast messages=1 first=1 next=2 bytes=24 capacity=1000 "
      .. "shutdown=false\n", look(name))
    local dict
    name, dict = made("dict", { capacity = 65536 })
    dict:set("k", "v")
    assert.truthy(look(name):find " dict count=1 bytes=2 used=64 capacity=65536 evicted=0")
    local mutex
    name, mutex = made "mutex"
    assert.equal(name .. ' mutex state="lock free"\n', look(name))
    mutex:lock()
    assert.truthy(look(name):find('state="lock held by ' .. shell.pid() .. '"', 1, true))
    name = made("semaphore", { permits = 3 })
    assert.truthy(look(name):find " semaphore value=3 state=")
    local event
    name, event = made "event"
    event:set()
    assert.truthy(look(name):find " event set=true")
    name = made "rwlock"
    assert.truthy(look(name):find " rwlock state=")
  end)

  it("shows the beginning of a large value", function()
    local name, cell = made("cell", { capacity = 200000 })
    cell:set(("\226\130\172"):rep(60000))
    local out = tool.prints("watch", "-n1", name)
    assert.equal(("\226\130\172"):rep(21845) .. "...", out:match "value=(%S+)\n$")
    cell:set(("\27"):rep(65536))
    assert.truthy(tool.prints("watch", "-n1", name):find("=" .. ("\\x1b"):rep(65536) .. "\n$"))
  end)

  it("counts what goes through, and changes nothing", function()
    local name, queue = made("queue", { capacity = 1000 })
    local started = watching(name)
    line_with(started, "bytes_in_per_second=0 bytes_out_per_second=0")
    queue:push "message"
    line_with(started, "bytes_in_per_second=%d*[1-9]")
    queue:pop()
    line_with(started, "bytes_out_per_second=%d*[1-9]")
    local before = scratch.bytes(name)
    started:line()
    assert.equal(before, scratch.bytes(name))
    ends_at_ctrl_c(started)
    local dict
    name, dict = made("dict", { capacity = 65536 })
    started = watching(name)
    line_with(started, "changes_per_second=0")
    dict:set("k", "v")
    line_with(started, "changes_per_second=%d*[1-9]")
    started:stop()
  end)

  it("marks the bytes that have changed", function()
    local name = scratch.name()
    write_file(name, ("0123456789abcdef"):rep(4))
    local started = watching(name, "--offset", "16", "--count", "20")
    line_with(started, "segment size=64 changed=0$")
    local segment = assert(shmseg.open(name))
    segment:write(0, "X") -- outside
    segment:write(18, "YZ")
    line_with(started, "size=64 changed=2 first_changed=18$")
    started:stop()
    assert.equal(('{"changed":0,"kind":"segment","name":"%s","size":64}\n'):format(name),
      (tool.prints("watch", "-n1", "--json", name):gsub(',"time":%d+', "")))
  end)

  it("shows the bytes of any object, and of an empty one that grows", function()
    local name = made("queue", { capacity = 100 })
    assert.truthy(look(name, "-b"):find "queue size=%d+ changed=0\n$")
    name = scratch.name()
    write_file(name, "")
    local started = watching(name)
    line_with(started, "segment size=0 changed=0$")
    write_file(name, "text")
    line_with(started, "size=4 ")
    started:stop()
  end)

  it("takes no memory to look at a hole", function()
    local name = scratch.name()
    shell.run("truncate -s 1M " .. scratch.objects .. name)
    look(name, "--count=1M")
    assert.equal(0, shmseg.stat(name).allocated)
  end)

  it("goes on when the object is cut, goes and comes again, and says so", function()
    local options = { capacity = 100000 }
    local name, queue = made("queue", options)
    local started = watching(name)
    line_with(started, "queue messages=0")
    shell.run(("truncate -s 0 %s%s"):format(scratch.objects, name))
    line_with(started, "queue %(.*has shrunk the segment%)")
    line_with(started, "segment size=0 ")
    shmseg.unlink(name)
    line_with(started, "its name was removed")
    line_with(started, "it is not there")
    local again = assert(shmseg.cell.open(name, "x", { capacity = 10 }))
    line_with(started, "cell %(it is there again%) version=0")
    again:set "value"
    line_with(started, "value=value")
    -- At once, so that no look falls between.
    local other = assert(shmseg.event.open(nil, "x"))
    local path = scratch.objects .. other:segment():name()
    os.rename(path, scratch.objects .. name)
    line_with(started, "event %(it was removed and made anew%) set=false")
    ends_at_ctrl_c(started)
    queue:close()
  end)

  it("fails in a line when nothing is there at the start", function()
    assert.truthy(tool.fails(1, "watch", scratch.name()):find "No such file")
    assert.truthy(tool.fails(2, "watch", "-n0", "name"):find "from 1 on")
  end)

  it("says what is wrong with an object that is spoiled", function()
    local name, queue = made("queue", { capacity = 1000 })
    queue:segment():fill(128, 128, 255)
    assert.truthy(look(name):find "queue %(.*the object is damaged%)")
  end)

  -- The output of a look on a terminal of 80 columns.
  local function on_terminal(environment, ...)
    local line = environment .. " TERM=xterm " .. tool.line(...)
    return (shell.run(("script -qec %s /dev/null </dev/null"):format(
      shell.quote("stty cols 80 rows 24; " .. line))))
  end

  it("stays in its place on a terminal, and leaves it as it was", function()
    if not shell.has "script" then
      return
    end
    local name, queue = made("queue", { capacity = 1000 })
    queue:push(("x"):rep(400))
    local shown = on_terminal("NO_COLOR=1 LC_ALL=C.UTF-8", "watch", "-n2", "-i0", name)
    local _, frames = shown:gsub("\27%[%?25l.-\27%[%?25h", "")
    assert.equal(2, frames)
    assert.truthy(shown:find "\27%[%d+A\r") -- the second over the first
    assert.truthy(shown:find "bytes +408 +▄▄")
    assert.truthy(shown:find "\27%[%?25h[\r\n]*$")
    assert.is_nil(shown:find "\27%[%d+m")
    assert.truthy(on_terminal("LC_ALL=C", "watch", "-n1", name):find "bytes +408 +\27%[36m=\27%[0m")
  end)

  it("charts rates, which are no whole numbers", function()
    if not shell.has "script" then
      return
    end
    local name, cell = made("cell", { capacity = 1000 })
    local line = ("stty cols 80 rows 24; NO_COLOR=1 LC_ALL=C TERM=xterm %s"):format(
      tool.line("watch", "-i0.3", name))
    local started = process.start { "script", "-qefc", line, "/dev/null" }
    line_with(started, "sets/s +%-")
    cell:set "value"
    line_with(started, "sets/s +[%d.]*[1-9][%d.]* +@ ")
    line_with(started, "sets/s +0 +@  ")
    started:stop()
  end)

  it("marks changed bytes with stars where there are no colours", function()
    if not shell.has "script" then
      return
    end
    local name = scratch.name()
    write_file(name, "text")
    local line = ("stty cols 80 rows 24; NO_COLOR=1 TERM=xterm %s"):format(
      tool.line("watch", "-i0.01", name))
    local started = process.start { "script", "-qefc", line, "/dev/null" }
    line_with(started, "74 65 78 74 .*|text|")
    local segment = assert(shmseg.open(name))
    segment:write(0, "n")
    line_with(started, "6e%*65 78 74 .*|next|")
    started:stop()
  end)
end)
