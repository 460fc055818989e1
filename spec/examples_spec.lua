-- SPDX-License-Identifier: MIT
-- The programs in examples/. demo_spec.lua has more about the writer and the reader.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local process = require "spec.support.process"
local sandbox = require "spec.support.sandbox"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

-- Each way to start one: its words, what an example that needs another one says to start first, and
-- whether it is told a name. What is large enough is a segment, whatever is in there (`untyped`).
local PROGRAMS = {
  { "writer", named = true, untyped = true },
  { "reader", named = true, untyped = true, needs = "writer.lua" },
  { "copas", "serve", named = true },
  { "copas", "publish", named = true, needs = "copas.lua serve" },
  { "counter" },
  { "cqueues", "serve", named = true },
  { "cqueues", "send", named = true, needs = "cqueues.lua serve" },
  { "frames", "camera", named = true },
  { "frames", "view", named = true, needs = "frames.lua camera" },
  { "frames", "glance", named = true, suffix = "-latest", needs = "frames.lua camera" },
  { "jobs" },
  { "latest", "write", named = true },
  { "latest", "read", named = true, needs = "latest.lua write" },
  { "limiter" },
  { "luv", "serve", named = true, suffix = "-orders" },
  { "luv", "send", named = true, suffix = "-orders", needs = "luv.lua serve" },
  { "mutex", named = true },
  { "pages" },
  { "points" },
  { "pool" },
  { "tables", "produce", named = true, suffix = "-struct" },
  { "tables", "consume", named = true, suffix = "-struct", needs = "tables.lua produce" },
  { "ticker", "publish", named = true },
  { "ticker", "watch", named = true, needs = "ticker.lua publish" },
  { "workers" },
}

local function path_of(program)
  return "examples/" .. program[1] .. ".lua"
end

-- Words to stand before a command, which then sees this mounted.
local function mounted(mount, what)
  local words = { "unshare", "-m", "sh", "-c", "mount -t tmpfs " .. mount .. ' && exec "$@"', "sh" }
  if not shell.succeeds(shell.quote((table.unpack or unpack)(words)) .. " true") then
    pending(what .. " of one's own cannot be had here")
  end
  return words
end

-- A folder with a module cjson of the spec's own, so that what is installed makes no difference.
local function with_cjson(source)
  local folder = scratch.path "modules"
  expect.success(shell.succeeds("mkdir " .. shell.quote(folder)))
  local file = assert(io.open(folder .. "/cjson.lua", "w"))
  file:write(source)
  file:close()
  return { path = folder .. "/?.lua;" }
end

-- Starts an example: a list of words, the first one its name or a path. `options.prefix` are words
-- before the interpreter, `options.path` is where modules are looked for first.
local function start(words, options)
  options = options or {}
  local all = {}
  for _, word in ipairs(options.prefix or {}) do
    all[#all + 1] = word
  end
  all[#all + 1] = shell.lua()
  all[#all + 1] = "-e"
  all[#all + 1] = ("package.path=%q package.cpath=%q"):format(
    (options.path or "") .. package.path, package.cpath)
  if not options.path then -- without lua-cjson
    all[#all] = all[#all] .. " package.preload.cjson=error"
  end
  for i, word in ipairs(words) do
    all[#all + 1] = i == 1 and not word:find "/" and "examples/" .. word .. ".lua" or word
  end
  return process.start(all)
end

-- The words of a program of the list above, and more.
local function words_of(program, ...)
  local words = { program[1], program[2] }
  for _, word in ipairs { ... } do
    words[#words + 1] = word
  end
  return words
end

local function title(program)
  return table.concat(program, " ")
end

-- The second process opens what the first one has made: it waits until that is there.
local function await(first, name)
  repeat
    assert.True(first:lives(), first:stderr())
    local file = io.open(scratch.objects .. name)
  until file and file:close()
end

-- The two numbers of the first mutex.lua, once it has the lock and is half way.
local function await_half_way(first, name)
  await(first, name)
  local sums = expect.success(shmseg.open(name, "r"))
  repeat
    assert.True(first:lives(), first:stderr())
  until sums:get_u64(0) == 1
  return sums
end

local function stop(started, signal)
  started:signal(signal or "INT")
  return started:ends_well()
end

local function cut(name)
  assert(io.open(scratch.objects .. name, "w")):close()
end

-- The objects whose names were drawn, other processes' too, by name.
local function objects()
  local there = {}
  for _, name in ipairs(shmseg.list "^shmseg%-%x+") do
    there[name] = true
  end
  return there
end

-- None is there that was not there before. Others' come and go meanwhile.
local function assert_no_more_than(before)
  local left = objects()
  for _ = 1, 200 do
    local now = objects()
    for name in pairs(left) do
      left[name] = now[name] and not before[name] or nil
    end
    if not next(left) then
      return
    end
    shmseg.sleep(0.05)
  end
  assert.same({}, left)
end

-- The processes that one has started.
local function children(of)
  local file = io.open(("/proc/%d/task/%d/children"):format(of.pid, of.pid))
  if not file then
    return nil
  end
  local list = {}
  for pid in file:read("*a"):gmatch "%d+" do
    list[#list + 1] = pid
  end
  file:close()
  return list
end

local function assert_all_gone(pids)
  for _, pid in ipairs(pids or {}) do
    assert.is_nil(io.open("/proc/" .. pid .. "/stat"))
  end
end

describe("each example", function()
  after_each(scratch.clean)

  for _, program in ipairs(PROGRAMS) do
    it("explains itself: " .. title(program), function()
      for _, words in ipairs { { program[1], "--help" }, words_of(program, "--help") } do
        local text = table.concat(start(words):ends_well(), "\n")
        assert.truthy(text:find "^%u[^\n]+", text)
        local command = shell.lua() .. " " .. path_of(program)
        assert.truthy(text:find("\nUsage: " .. command, 1, true), text)
        assert.truthy(text:find("\n  " .. command, 1, true), text) -- an example to copy
        assert.truthy(text:find("\n  --help ", 1, true), text)
        assert.truthy(text:find("start", 1, true) or text:find("Start", 1, true), text)
      end
    end)

    it("refuses unknown arguments with status 2: " .. title(program), function()
      for _, wrong in ipairs { "--colour", "stray", "--count=0", "--interval=soon", "-h", "" } do
        local started = start(words_of(program, wrong))
        local status, lines = started:finish()
        assert.equal(2, status, wrong)
        assert.same({}, lines)
        local message = started:stderr()
        assert.truthy(message:find("^" .. program[1] .. "%.lua: [^\n]+\n"), message)
        assert.truthy(message:find(wrong:match "^%-*%l*", 1, true), message)
        assert.truthy(message:find("\nUsage: ", 1, true), message)
        assert.is_nil(message:find("traceback", 1, true))
      end
    end)

    it("says in a line that there is no /dev/shm: " .. title(program), function()
      local bare = mounted("none /dev", "a /dev")
      local started = start(words_of(program), { prefix = bare })
      if program[1] == "points" then -- needs no name
        assert.truthy(#started:ends_well() > 0)
      else
        local message = started:fails_in_a_line()
        assert.truthy(message:find("/dev/shm is not there", 1, true), message)
      end
    end)

    if program.needs then
      it("says what to start first: " .. title(program), function()
        local name = scratch.name()
        local message = start(words_of(program, "--name", name)):fails_in_a_line()
        assert.truthy(message:find('"' .. name .. (program.suffix or "") .. '"', 1, true), message)
        local command = ("%s examples/%s\n"):format(shell.lua(), program.needs)
        assert.truthy(message:find("start this first: " .. command, 1, true), message)
      end)
    elseif program[1] ~= "points" then
      it("says in a line that it may create nothing: " .. title(program), function()
        local as_user, reason = sandbox.user()
        if not as_user then
          pending(reason)
        end
        for _, mode in ipairs { "ro", "mode=755" } do
          local prefix = mounted(("-o %s none /dev/shm"):format(mode), "a /dev/shm")
          for _, word in ipairs(as_user) do
            prefix[#prefix + 1] = word
          end
          local message = start(words_of(program), { prefix = prefix }):fails_in_a_line()
          assert.truthy(message:find("nothing in /dev/shm", 1, true), message)
        end
      end)

      it("says in a line that there is no room: " .. title(program), function()
        local mount = "-o size=4k none /dev/shm && echo >/dev/shm/full"
        local full = mounted(mount, "a /dev/shm")
        local message = start(words_of(program), { prefix = full }):fails_in_a_line()
        assert.truthy(message:find("/dev/shm is full", 1, true), message)
      end)
    end

    if program.named then
      it("says in a line that a name is another user's: " .. title(program), function()
        local as_user, reason = sandbox.user()
        if not as_user then
          pending(reason)
        end
        local name = scratch.name()
        local leaf = name .. (program.suffix or "")
        scratch.defer(function()
          os.remove(scratch.objects .. leaf)
        end)
        expect.success(shmseg.open(leaf, "x", 300000, { perm = "600" }))
        local user = start(words_of(program, "--name", name), { prefix = as_user })
        local message = user:fails_in_a_line()
        assert.truthy(message:find("take another --name", 1, true)
          or message:find("File exists", 1, true), message)
      end)

      it("leaves alone what is something else, and says so: " .. title(program), function()
        local name = scratch.name()
        local leaf = name .. (program.suffix or "")
        scratch.defer(function()
          os.remove(scratch.objects .. leaf)
        end)
        for _, size in ipairs { 20, 300000 } do
          if size == 20 or not program.untyped then
            local bytes = ("x"):rep(size)
            local file = assert(io.open(scratch.objects .. leaf, "w"))
            file:write(bytes)
            file:close()
            local message = start(words_of(program, "--name", name)):fails_in_a_line()
            assert.truthy(message:find(name, 1, true), message)
            assert.True(bytes == scratch.bytes(leaf), "it has changed")
          end
        end
      end)
    end
  end

  it("is in the table of README, with commands that it takes", function()
    local file = assert(io.open "examples/README.md")
    local text = file:read "*a"
    file:close()
    local listed = { example = true } -- no example
    for _, program in ipairs(PROGRAMS) do
      listed[program[1]] = true
    end
    for leaf in shell.run("ls examples"):gmatch "[^\n]+" do
      local name = leaf:match "^(.*)%.lua$"
      assert.True(name == nil or listed[name], leaf .. " is not among PROGRAMS here")
      if leaf ~= "README.md" and leaf ~= "__pycache__" then
        assert.truthy(text:find(("[%s](%s)"):format(leaf, leaf), 1, true), leaf)
      end
    end
    local commands = 0
    for name, rest in text:gmatch "`lua5%.%d examples/(%l+)%.lua([^`]*)`" do
      local words = { name }
      for word in rest:gmatch "%S+" do
        words[#words + 1] = word
      end
      words[#words + 1] = "--help"
      start(words):ends_well()
      commands = commands + 1
    end
    assert.True(commands >= #PROGRAMS, commands)
  end)

  it("lists its roles when none was named", function()
    for name, roles in pairs {
      frames = "camera or glance or view", latest = "read or write", ticker = "publish or watch",
    } do
      local started = start { name }
      assert.equal(2, (started:finish()))
      assert.truthy(started:stderr():find("say " .. roles, 1, true), started:stderr())
    end
    local started = start { "jobs", "worker" }
    assert.equal(2, (started:finish()))
    assert.truthy(started:stderr():find("'worker' needs --n", 1, true), started:stderr())
  end)
end)

describe("the example", function()
  after_each(scratch.clean)

  it("counter.lua loses no addition to the atomic, and leaves nothing", function()
    local before = objects()
    local lines = start({ "counter", "--processes", "3", "--adds", "300000" }):ends_well()
    assert.equal("the atomic word: 900000", lines[2])
    local plain = tonumber(lines[3]:match "^the plain word:  (%d+)$")
    assert.True(plain > 0 and plain <= 900000)
    assert_no_more_than(before)
  end)

  it("counter.lua ends in order at a signal, and its processes with it", function()
    local before = objects()
    for _, signal in ipairs { "INT", "TERM", "HUP" } do
      local counter = start { "counter", "--adds", "1000000000" }
      repeat
        local started = children(counter)
      until not started or #started == 2
      local started = children(counter)
      counter:await_sleep()
      stop(counter, signal)
      assert_all_gone(started)
    end
    assert_no_more_than(before)
  end)

  it("points.lua prints its struct in C and its records", function()
    local text = table.concat(start({ "points" }):ends_well(), "\n")
    local parts = {
      "} Point;", "96\t24", "second\t2.5\t7", "1\t101\tfirst", "2\t102\tsecond", "96\tninth",
    }
    for _, part in ipairs(parts) do
      assert.truthy(text:find(part, 1, true), part)
    end
  end)

  it("mutex.lua mends what one has left that was killed half way", function()
    local name = scratch.name()
    local killed = start { "mutex", "--name", name, "--interval", "600" }
    assert.equal(0, await_half_way(killed, name):get_u64(8))
    local heir = start { "mutex", "--name", name, "--interval", "0.001", "--count", "3" }
    killed:signal "KILL"
    killed:finish()
    local lines = heir:ends_well()
    assert.truthy(lines[1]:find "^somebody has died here", lines[1])
    table.remove(lines, 1)
    assert.same({
      "2\t1\thalf way", "2\t2", "3\t2\thalf way", "3\t3", "4\t3\thalf way", "4\t4",
    }, lines)
    assert.is_nil(scratch.bytes(name))
  end)

  it("mutex.lua ends in order at a signal, in the lock and before it", function()
    local name = scratch.name()
    local owner = start { "mutex", "--name", name, "--interval", "600" }
    await_half_way(owner, name)
    local waiting = start { "mutex", "--name", name }
    waiting:await_sleep()
    assert.same({}, stop(waiting))
    assert.same({ "1\t0\thalf way", "1\t1" }, stop(owner))
    assert.is_nil(scratch.bytes(name))
  end)

  it("latest.lua gives whole lines, the latest ones, and ends in order", function()
    local name = scratch.name()
    local writer = start {
      "latest", "write", "--name", name, "--interval", "0.01", "--count", "100000",
    } -- slow enough not to fill the pipe that nobody reads
    await(writer, name)
    local reader = start { "latest", "read", "--name", name }
    local last = 0
    for _ = 1, 50 do
      local line = assert(reader:line(), reader:stderr())
      local version, letter, rest = line:match "^(%d+)\t(%u)(%u*)$"
      assert.truthy(version, line)
      assert.equal("", (rest:gsub(letter, "")))
      assert.True(tonumber(version) > last)
      last = tonumber(version)
    end
    stop(reader)
    local few = start { "latest", "read", "--name", name, "--count", "3" }
    assert.equal(3, #few:ends_well())
    local last_one = start { "latest", "read", "--name", name, "--count", "1000000" }
    last_one:line()
    stop(writer, "TERM")
    last_one:ends_well() -- with the writer
    assert.is_nil(scratch.bytes(name))
  end)

  it("ticker.lua tells a slow watcher what it has missed", function()
    local name = scratch.name()
    local publisher = start {
      "ticker", "publish", "--name", name, "--interval", "0.002", "--count", "1000000",
    }
    await(publisher, name)
    local watcher = start { "ticker", "watch", "--name", name, "--busy", "0.03" }
    local last, missed, told
    repeat
      local line = assert(watcher:line(), watcher:stderr())
      local lost = line:match "^(%d+) prices missed$"
      if lost then
        missed = tonumber(lost)
      else
        local number = tonumber((line:match "^(%d+)\tACME %d+%.%d%d$"))
        assert.truthy(number, line)
        if last then
          assert.equal(last + (missed or 0) + 1, number)
          told = told or missed
        end
        last, missed = number, nil
      end
    until told
    assert.True(told > 0)
    local prices, fast = 0, start { "ticker", "watch", "--name", name, "--count", "5" }
    for _, line in ipairs(fast:ends_well()) do
      prices = prices + (line:find "ACME" and 1 or 0) -- it may have missed some, too
    end
    assert.equal(5, prices)
    stop(publisher)
    watcher:ends_well() -- at the shutdown
    assert.is_nil(scratch.bytes(name))
  end)

  -- The number of the frame of a line; its picture is the one that the camera draws.
  local function frame_shown(line)
    local number, light, inverted = line:match(
      "^frame (%d+): 160 by 120, gray, light (%S+), inverted (%S+), %S+ ms after it was taken$")
    assert.truthy(number, line)
    local drawn = (119 * (number % 100) + 255) / 120
    assert.equal(("%.1f %.1f"):format(drawn, 255 - drawn), light .. " " .. inverted, line)
    return tonumber(number)
  end

  it("frames.lua gives each frame to one viewer, and the latest one to a glance", function()
    local name = scratch.family()
    local camera = start {
      "frames", "camera", "--name", name, "--interval", "0.01", "--count", "1000000",
    }
    await(camera, name .. "-latest")
    local viewers, seen, last = {}, 0, {}
    local function see(i, line)
      local number = frame_shown(line)
      assert.True(number > (last[i] or 0), line)
      assert.is_nil(last[-number], line)
      last[i], last[-number] = number, i
      seen = seen + 1
    end
    for i = 1, 2 do
      viewers[i] = start { "frames", "view", "--name", name }
    end
    for i = 1, 2 do -- both take part
      see(i, assert(viewers[i]:line(), viewers[i]:stderr()))
    end
    local glance = start({ "frames", "glance", "--name", name }):ends_well()
    assert.equal(1, #glance)
    frame_shown(glance[1])
    local words = stop(camera)
    for i = 1, 2 do
      for _, line in ipairs(viewers[i]:ends_well()) do -- at the shutdown
        see(i, line)
      end
    end
    local taken, dropped = words[#words]:match "^frames: (%d+), dropped: (%d+)$"
    assert.equal(taken - dropped, seen)
    assert.is_nil(scratch.bytes(name))
    assert.is_nil(scratch.bytes(name .. "-latest"))
  end)

  it("frames.lua ends in order at a signal, whoever waits", function()
    local name = scratch.family()
    local camera = start { "frames", "camera", "--name", name, "--interval", "600" }
    await(camera, name .. "-latest")
    local viewer = start { "frames", "view", "--name", name }
    assert.equal(1, frame_shown(assert(viewer:line(), viewer:stderr())))
    viewer:await_sleep()
    assert.same({}, stop(viewer))
    assert.equal("frames: 1, dropped: 0", stop(camera, "HUP")[2])
    assert.is_nil(scratch.bytes(name))
  end)

  it("goes on with what a killed one has left, and leaves nothing, whichever it is", function()
    for _, words in ipairs { { "latest", "write" }, { "ticker", "publish" }, { "mutex" } } do
      local name = scratch.name()
      words[#words + 1] = "--name"
      words[#words + 1] = name
      local killed = start(words)
      assert.truthy(killed:line(), killed:stderr())
      killed:signal "KILL"
      killed:finish()
      assert.truthy(scratch.bytes(name))
      words[#words + 1] = "--count=2"
      words[#words + 1] = "--interval=0.001"
      for _ = 1, 2 do
        start(words):ends_well()
        assert.is_nil(scratch.bytes(name))
      end
    end
  end)

  it("ticker.lua says in a line that another one has ended its broadcast", function()
    local name = scratch.name()
    local first = start { "ticker", "publish", "--name", name }
    await(first, name)
    local second = start {
      "ticker", "publish", "--name", name, "--interval=0.001", "--count=1000000",
    }
    second:line()
    stop(first)
    assert.truthy(second:fails_in_a_line():find("another process has ended it", 1, true))
  end)

  it("jobs.lua does all jobs, although a worker is killed", function()
    local before = objects()
    local lines = start({ "jobs" }):ends_well()
    local done, died = {}, 0
    for _, line in ipairs(lines) do
      local job = line:match "^worker [13] did job (%d+)$"
      if job then
        assert.is_nil(done[job])
        done[job] = true
      else
        died = died + (line == "worker 2 died" and 1 or 0)
      end
    end
    for job = 1, 12 do
      assert.True(done[tostring(job)])
    end
    assert.equal("all jobs are done", lines[#lines])
    assert.True(died <= 1) -- none, if it was so late that there was nothing left for it
    assert_no_more_than(before)
  end)

  it("jobs.lua ends in order at a signal, and its workers with it", function()
    local before = objects()
    local jobs = start { "jobs", "--jobs", "100000" }
    assert.truthy(jobs:line(), jobs:stderr())
    local workers = children(jobs)
    jobs:signal "TERM"
    for _, line in ipairs(jobs:ends_well()) do
      assert.truthy(line:find "^worker ", line)
    end
    assert_all_gone(workers)
    assert_no_more_than(before)
  end)

  it("pool.lua shows each change to all of the pool", function()
    local before = objects()
    local lines = start({ "pool" }):ends_well()
    assert.equal(6, #lines)
    for i = 1, 3 do
      assert.equal(("member %d\t1\thello "):format(i), lines[i])
      assert.equal(("member %d\t2\tgoodbye goodbye goodbye "):format(i), lines[i + 3])
    end
    assert_no_more_than(before)
  end)

  it("limiter.lua admits no more than the limit in a window, whoever asks", function()
    local before = objects()
    local done, windows, last = 0, {}, {}
    for _, line in ipairs(start({ "limiter", "--limit", "5", "--window", "0.1" }):ends_well()) do
      local client, request, number, refused = line:match(
        "^client (%d), request (%d+): number (%d+) of its window, refused (%d+) times$")
      assert.truthy(client, line)
      assert.equal((last[client] or 0) + 1, tonumber(request))
      assert.True(tonumber(number) <= 5, line)
      windows[number] = (windows[number] or 0) + 1
      last[client], done = tonumber(request), done + 1
      assert.truthy(refused)
    end
    assert.equal(3 * 8, done)
    assert.True(windows["1"] >= 5, windows["1"]) -- so many windows it takes
    assert_no_more_than(before)
  end)

  it("pages.lua makes a page once, and gives the old one while it makes a new one", function()
    local before = objects()
    local rounds = {}
    for _, line in ipairs(start({ "pages" }):ends_well()) do
      local how, by = line:match "^  server %d, (%l+): /home, by server (%d); made %d+ here$"
      local round = rounds[#rounds]
      if how then
        round[how] = (round[how] or 0) + 1
        round.by[by] = true
      else
        rounds[#rounds + 1] = { by = {} }
      end
    end
    assert.equal(4, #rounds)
    for i, round in ipairs(rounds) do
      assert.equal(i == 2 and 0 or 1, round.computed or 0)
      assert.equal(3, (round.computed or 0) + (round.hit or 0) + (i == 3 and round.stale or 0))
      assert.truthy(i == 3 or not next(round.by, next(round.by)))
    end
    assert_no_more_than(before)
  end)

  it("workers.lua forgets a worker that was killed", function()
    local before = objects()
    local lines = start({ "workers" }):ends_well()
    local alive = {}
    for i = 1, #lines - 1 do
      local id, what = lines[i]:match "^worker (%d) is (%l+)"
      assert.truthy(what == (alive[id] and "gone" or "alive"), lines[i])
      alive[id] = not alive[id]
    end
    assert.False(alive["2"])
    assert.equal("workers that are registered now: 0", lines[#lines])
    assert_no_more_than(before)
  end)

  it("those of the dict end in order at a signal, and their processes with them", function()
    local before = objects()
    for _, words in ipairs {
      -- two of three clients can have 16 requests before the first one has any
      { "limiter", "--limit", "17", "--window", "600" },
      { "pages", "--work", "600" }, { "workers", "--interval", "600" },
    } do
      local started = start(words)
      if words[1] ~= "workers" then
        assert.truthy(started:line(), started:stderr())
      else
        repeat
          assert.True(started:lives(), started:stderr())
        until #(children(started) or { 1, 2, 3 }) == 3
      end
      started:await_sleep()
      local processes = children(started)
      stop(started, "TERM")
      assert_all_gone(processes)
    end
    assert_no_more_than(before)
  end)

  it("a program of several processes ends at a signal between two of their lines", function()
    local program = scratch.file([[
      local example = dofile "examples/example.lua"
      example.run("\n  --beats NUMBER  unused (1)\n", {
        function()
          local child = example.start("child")
          print(child:line())
          os.execute "kill -TERM $PPID" -- the shell's parent: this process
          print(child:line())
        end,
        child = function()
          print "once"
          require("shmseg").sleep(600)
        end,
      })
    ]], "program.lua")
    assert.same({ "once" }, start({ program }):ends_well())
  end)

  local JSON = [[
    return {
      encode = function(order)
        return ('{"number":%d,"what":"%s","size":{"width":%d,"height":%d}}'):format(
          order.number, order.what, order.size.width, order.size.height)
      end,
      decode = function(text)
        local number, what, width, height = text:match(
          '^{"number":(%d+),"what":"(%l+)","size":{"width":(%d+),"height":(%d+)}}$')
        return { number = number, what = what, size = { width = width, height = height } }
      end,
    }]]

  for codec, source in pairs { struct = "error 'none'", json = JSON } do
    it("tables.lua gives each table to one consumer: " .. codec, function()
      local name = scratch.family()
      local modules = with_cjson(source)
      local producer = start({
        "tables", "produce", "--name", name, "--interval", "0.01", "--count", "1000000",
      }, modules) -- slow enough not to fill the pipe that nobody reads yet
      assert.equal("orders go as " .. codec, producer:line())
      local seen = {}
      local function see(line)
        local number = line:match "^order (%d+): a %l+ of %d by %d$"
        assert.truthy(number, line)
        assert.is_nil(seen[number])
        seen[number] = true
      end
      local consumers = {}
      for i = 1, 2 do
        consumers[i] = start({ "tables", "consume", "--name", name }, modules)
      end
      for _, consumer in ipairs(consumers) do -- both take part
        see(assert(consumer:line(), consumer:stderr()))
      end
      local made = stop(producer)
      for _, consumer in ipairs(consumers) do
        for _, line in ipairs(consumer:ends_well()) do
          see(line)
        end
      end
      for number = 1, #made do
        assert.True(seen[tostring(number)], number)
        seen[tostring(number)] = nil
      end
      assert.same({}, seen)
      assert.equal(("order %d is in the queue"):format(#made), made[#made])
      assert.is_nil(scratch.bytes(name .. "-" .. codec))
    end)
  end

  for codec, sent in pairs {
    struct = { 5, "square\0" },
    json = { 1, '{"number":1,"what":"square",' },
  } do
    it("tables.lua sends what the codec makes: " .. codec, function()
      local name = scratch.family()
      local modules = with_cjson(codec == "json" and JSON or "error 'none'")
      local producer = start({ "tables", "produce", "--name", name, "--count", "1" }, modules)
      repeat
        local line = assert(producer:line(), producer:stderr())
      until line == "orders that wait for a consumer: 1"
      local queue = expect.success(shmseg.queue.open(name .. "-" .. codec))
      local bytes = queue:pop(0)
      assert.equal(sent[1], bytes:find(sent[2], 1, true), bytes)
      producer:ends_well()
    end)
  end

  it("tables.lua waits for a consumer, and ends in order at a signal", function()
    local name = scratch.family()
    local producer = start {
      "tables", "produce", "--name", name, "--interval", "0", "--count", "2",
    }
    repeat
      local line = assert(producer:line(), producer:stderr())
    until line == "orders that wait for a consumer: 2"
    assert.equal(2, #start({ "tables", "consume", "--name", name }):ends_well())
    producer:ends_well()
    producer = start { "tables", "produce", "--name", name, "--interval", "600" }
    assert.equal("orders go as struct", producer:line())
    assert.equal("order 1 is in the queue", producer:line())
    local consumer = start { "tables", "consume", "--name", name }
    assert.truthy(consumer:line())
    consumer:await_sleep()
    assert.same({}, stop(consumer))
    assert.same({}, stop(producer, "HUP"))
    assert.is_nil(scratch.bytes(name .. "-struct"))
  end)

  it("tables.lua ends at a signal also while there are more orders", function()
    local name = scratch.family() .. "-struct"
    scratch.defer(function()
      os.remove(scratch.objects .. name)
    end)
    local orders = expect.success(shmseg.queue.open(name, "x", { capacity = 2 ^ 22 }))
    for _ = 1, 2 ^ 15 do -- more lines than a pipe takes
      orders:push(("\0"):rep(28), 0)
    end
    local consumer = start { "tables", "consume", "--name", (name:gsub("%-struct$", "")) }
    assert.equal("order 0: a  of 0 by 0", consumer:line(), consumer:stderr())
    stop(consumer)
    assert.True(#orders > 0)
  end)

  it("says in a line that somebody has cut its object, whichever it is", function()
    for _, words in ipairs {
      { "latest", "write", "--interval", "0.001" },
      { "mutex", "--interval", "0.001", "--count", "1000000" },
      { "ticker", "publish", "--interval", "0.001" },
      { "tables", "produce", "--interval", "0.001", suffix = "-struct" },
      { "frames", "camera", "--interval", "0.001" },
    } do
      local name = scratch.family()
      words[#words + 1] = "--name"
      words[#words + 1] = name
      local started = start(words)
      assert.truthy(started:line(), started:stderr())
      cut(name .. (words.suffix or ""))
      local message = started:fails_in_a_line()
      assert.truthy(message:find("another process has shrunk the segment", 1, true), message)
      assert.is_nil(scratch.bytes(name .. (words.suffix or "")))
    end
    for _, pair in ipairs { { "latest", "write", "read" }, { "ticker", "publish", "watch" } } do
      local name = scratch.family()
      local first = start { pair[1], pair[2], "--name", name, "--interval", "0.1" }
      await(first, name)
      local second = start { pair[1], pair[3], "--name", name }
      assert.truthy(second:line(), second:stderr())
      cut(name)
      local message = second:fails_in_a_line()
      assert.truthy(message:find("another process has shrunk the segment", 1, true), message)
      first:fails_in_a_line()
    end
  end)

  it("demo explains itself, and says what is wrong", function()
    local function demo(lua, ...)
      return process.start { "env", "SHMSEG_LUA=" .. lua, "examples/demo", ... }
    end
    assert.truthy(demo(shell.lua(), "--help"):ends_well()[4]:find("Usage: examples/demo", 1, true))
    local wrong = demo(shell.lua(), "--colour")
    assert.equal(2, (wrong:finish()))
    assert.truthy(wrong:stderr():find "^demo: unknown argument '%-%-colour'\n", wrong:stderr())
    local message = demo("no-such-lua"):fails_in_a_line()
    assert.truthy(message:find("there is no no-such-lua; SHMSEG_LUA", 1, true), message)
  end)

  it("demo says in a line that it may create nothing", function()
    local words = mounted("-o ro none /dev/shm", "a /dev/shm")
    for _, word in ipairs { "env", "SHMSEG_LUA=" .. shell.lua(), "examples/demo" } do
      words[#words + 1] = word
    end
    local message = process.start(words):fails_in_a_line()
    assert.truthy(message:find("nothing in /dev/shm", 1, true), message)
  end)
end)
