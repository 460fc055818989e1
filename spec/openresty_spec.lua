-- SPDX-License-Identifier: MIT
-- examples/openresty: nginx's workers and programs outside share a dict and a queue. It runs on
-- LuaJIT, as nginx does, where there is an nginx with its Lua module: examples/openresty/README.md
-- says how.

local shmseg = require "shmseg"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

-- The words that start nginx, and what it needs in the environment; nil where there is none.
local function nginx_of(folder)
  local path, status = shell.run(("cd %s && pwd"):format(shell.quote(folder)))
  local root = status == 0 and path:match "^(.-)/*\n" or folder
  local modules = root .. "/usr/lib/nginx/modules/"
  local load = ""
  for _, leaf in ipairs { "ndk_http_module.so", "ngx_http_lua_module.so" } do
    if not shell.succeeds("test -e " .. shell.quote(modules .. leaf)) then
      return nil
    end
    load = load .. ("load_module %s%s; "):format(modules, leaf)
  end
  local list = "cd %s && ls -d $PWD/usr/lib/*-linux-gnu* $PWD/lib/*-linux-gnu*"
  local folders = shell.run(list:format(shell.quote(folder)))
  return {
    words = { root .. "/usr/sbin/nginx", "-g", load },
    libraries = root ~= "" and folders:gsub("%s+$", ""):gsub("%s+", ":") or "",
    path = ";" .. root .. "/usr/share/lua/5.1/?.lua",
  }
end

local function find_nginx()
  local root = os.getenv "SHMSEG_NGINX"
  if root and root ~= "" then
    return assert(nginx_of(root), "SHMSEG_NGINX has no nginx with a Lua module")
  elseif shell.has "openresty" then
    return { words = { "openresty" }, libraries = "", path = "" }
  end
  return nginx_of "/" or nginx_of "build/peers" -- where the benchmarks have it
end

local function needs_nginx()
  if not rawget(_G, "jit") then
    pending "nginx runs LuaJIT alone"
  elseif not shell.has "curl" then
    pending "there is no curl here"
  end
  return find_nginx() or pending "there is no nginx with its Lua module here"
end

-- Changes a file: each text, a plain one, by what stands beside it.
local function change(path, changes)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  for from, to in pairs(changes) do
    local first = assert(text:find(from, 1, true), path .. " has no " .. from)
    repeat
      text = text:sub(1, first - 1) .. to .. text:sub(first + #from)
      first = text:find(from, first + #to, true)
    until not first
  end
  file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local Site = {}
Site.__index = Site

-- A copy of the example in a folder of its own, which listens on a socket; its objects' names begin
-- with this one. changes: of nginx.conf.
local function copy(name, changes)
  local folder = scratch.path "nginx"
  assert(shell.succeeds(("cp -r examples/openresty %s && mkdir %s/temp"):format(
    shell.quote(folder), shell.quote(folder))))
  if shell.run("id -u") == "0\n" then
    change(folder .. "/nginx.conf", { ["daemon off;"] = "daemon off; user root root;" })
  end
  change(folder .. "/nginx.conf", {
    ["127.0.0.1:8088"] = "unix:" .. folder .. "/socket",
    ["error_log stderr"] = "error_log " .. folder .. "/log",
  })
  change(folder .. "/nginx.conf", changes or {})
  local rename = "cd %s && sed -i s/shmseg-site/%s/ *.*"
  assert(shell.succeeds(rename:format(shell.quote(folder), name)))
  return folder
end

-- nginx with the example; ends with the spec. changes: of nginx.conf; environment: "NAME=value".
local function serve(nginx, changes, environment)
  local name = scratch.family()
  local self = setmetatable({ name = name, folder = copy(name, changes) }, Site)
  local words = {
    "env", "-u", "SHMSEG_FFI", "LD_LIBRARY_PATH=" .. nginx.libraries,
    "LUA_PATH=" .. package.path .. nginx.path, "LUA_CPATH=" .. package.cpath, environment,
  }
  for _, word in ipairs(nginx.words) do
    words[#words + 1] = word
  end
  for _, word in ipairs { "-p", self.folder .. "/", "-c", "nginx.conf", "-e", self:log() } do
    words[#words + 1] = word
  end
  self.master = process.start(words)
  scratch.defer(function() -- a master that is killed leaves its workers
    if not self.master.status then
      shell.run("kill -TERM " .. self.master.pid .. "; sleep 0.5")
    end
  end)
  self:await()
  return self
end

function Site:log()
  return self.folder .. "/log"
end

function Site:said()
  return (shell.run("cat " .. shell.quote(self:log())))
end

-- The answer, a space, and its status.
function Site:ask(path)
  local ask = "curl -s -m 30 -o - -w ' %%{http_code}' --unix-socket %s http://here%s"
  return (shell.run(ask:format(shell.quote(self.folder .. "/socket"), path)))
end

-- The answer, which has to be a good one.
function Site:told(path)
  local answer, status = self:ask(path):match "^(.-)\n? (%d+)$"
  assert.equal("200", status, self:said())
  return answer
end

function Site:await()
  local answer
  for _ = 1, 200 do
    answer = self:ask "/front"
    if answer:find " 200$" then
      return
    end
    assert.True(self.master:lives(), self:said())
    shmseg.sleep(0.05)
  end
  error(answer .. self:said())
end

function Site:outside_words(...)
  return {
    shell.lua(), "-e", ("package.path=%q package.cpath=%q"):format(package.path, package.cpath),
    self.folder .. "/outside.lua", ...,
  }
end

function Site:outside(...)
  local text, status = shell.run(shell.quote((table.unpack or unpack)(self:outside_words(...))))
  assert.equal(0, status, text)
  return text
end

-- nginx ends in order, and has complained of nothing.
function Site:stop()
  self.master:signal "QUIT"
  assert.same({}, self.master:ends_well())
  local said = self:said()
  assert.falsy(said:find("[error]", 1, true) or said:find("[alert]", 1, true), said)
end

describe("the dict in nginx", function()
  after_each(scratch.clean)

  it("is the same for two workers and for a program outside", function()
    local site = serve(needs_nginx())
    local workers, asked = {}, 0
    repeat -- both workers answer, sooner or later
      local text = site:told "/cats"
      asked = asked + 1
      local worker, ours, theirs =
        text:match "^worker (%d): /cats was seen (%d+) times; nginx alone counts (%d+)$"
      assert.truthy(worker, text)
      assert.same({ asked, asked }, { tonumber(ours), tonumber(theirs) })
      workers[worker] = true
    until workers["0"] and workers["1"] or asked == 300
    assert.truthy(workers["0"] or workers["1"])

    site:outside("visit", "/cats")
    asked = asked + 2
    local promise = ("seen %d times; nginx alone counts %d"):format(asked, asked - 1)
    assert.truthy(site:told("/cats"):find(promise, 1, true))
    assert.truthy(site:outside():find(("/cats\t%d\n"):format(asked), 1, true))

    site:outside("block", "unix:")
    assert.equal(" 403", site:ask("/cats"):match " %d+$")
    site:outside("admit", "unix:")
    site:told "/cats"

    site:stop()
    assert.truthy(scratch.bytes(site.name)) -- it outlives nginx
  end)
end)

describe("the queue in nginx", function()
  after_each(scratch.clean)

  it("brings a question to a program outside, whose answer a request awaits", function()
    local site = serve(needs_nginx())
    local worker = process.start(site:outside_words("work", "2"))
    assert.equal("168", site:told "/primes/1000")
    assert.equal("168", site:told "/primes/1000") -- which the dict has kept
    assert.equal("25", site:told "/primes/100")
    assert.same({}, worker:ends_well())
    site:stop()
  end)
end)

-- Light threads and a timer at work by turns, each with a key of its own; another light thread
-- takes what all of them push.
local LIGHT = [[
  location = /light {
    content_by_lua_block {
      local shmseg = require "shmseg"
      local dict = assert(shmseg.dict.open("shmseg-site", "rw"))
      local queue = assert(shmseg.queue.open("shmseg-site-questions"))
      local function work(_, me)
        local wrong = 0
        for i = 1, 200 do
          assert(dict:set(me, me .. i))
          if i % 20 == 0 then
            ngx.sleep(0)
          end
          wrong = wrong + (dict:get(me) == me .. i and 0 or 1)
          assert(queue:push(me, 0))
        end
        assert(queue:push("wrong " .. wrong, 0))
      end
      ngx.thread.spawn(work, false, "one")
      ngx.thread.spawn(work, false, "two")
      assert(ngx.timer.at(0, work, "three"))
      local taken, ended = {}, 0
      while ended < 3 do
        local message = queue:pop(0)
        if not message then
          ngx.sleep(0.001)
        else
          taken[message] = (taken[message] or 0) + 1
          ended = ended + (message:find "^wrong" and 1 or 0)
        end
      end
      ngx.say(("%d %d %d %d"):format(taken.one, taken.two, taken.three, taken["wrong 0"]))
    }
  }
  location / {]]

-- How the traces end that LuaJIT makes of a loop: "loop", if it compiles all that is in it.
local TRACE = [[
  location = /trace {
    content_by_lua_block {
      local segment = assert(require("shmseg").anonymous(64))
      local sum = 0
      jit.flush()
      for i = 1, 1000 do
        segment:set_i32(0, i)
        sum = sum + segment:get_i32(0)
      end
      local info = require("jit.util").traceinfo(1)
      ngx.say(sum, " ", info and info.linktype)
    }
  }
  location / {]]

describe("the library in nginx", function()
  after_each(scratch.clean)

  it("is at work in light threads and timers, without waiting", function()
    local site = serve(needs_nginx(), { ["location / {"] = LIGHT })
    assert.equal("200 200 200 3", site:told "/light")
    site:stop()
  end)

  it("has LuaJIT compile its calls, unless it is told not to", function()
    local site = serve(needs_nginx(), { ["location / {"] = TRACE })
    assert.equal("compiled", site:told "/front")
    assert.equal("500500 loop", site:told "/trace")
    site:stop()
    site = serve(needs_nginx(), { ["location / {"] = TRACE }, "SHMSEG_FFI=0")
    assert.equal("interpreted", site:told "/front")
    assert.equal("500500 stitch", site:told "/trace")
    assert.truthy(site:told("/cows"):find("seen 1 times", 1, true))
    site:stop()
  end)

  it("may be loaded, and its objects opened, before the workers are forked", function()
    local site = serve(needs_nginx(), { ["init_worker_by_lua_block"] = "init_by_lua_block" })
    assert.equal("compiled", site:told "/front")
    for i = 1, 20 do
      assert.truthy(site:told("/dogs"):find(("seen %d times"):format(i), 1, true))
      if i == 10 then
        site.master:signal "HUP" -- forks new workers
      end
    end
    site:stop()
  end)

  it("does without the cache of code: each request loads it anew", function()
    local site = serve(needs_nginx(), {
      ["lua_shared_dict"] = "lua_code_cache off; lua_shared_dict",
    })
    assert.equal("compiled", site:told "/front")
    for i = 1, 20 do
      assert.truthy(site:told("/mice"):find(("seen %d times"):format(i), 1, true))
    end
    local handles = shmseg.users(site.name) -- each worker has one, and the last request perhaps
    assert.True(handles <= 3, handles)
    site.master:signal "QUIT"
    assert.equal(0, (site.master:finish()))
  end)
end)

-- A request that waits for a message in a thread of nginx's pool.
local WAITING = [[
  location = /waiting {
    content_by_lua_block {
      ngx.say(ngx.run_worker_thread("waiting", "wait", "pop", "shmseg-site-questions", 60))
    }
  }
  location / {]]

-- The module wait.lua, as the manual prints it.
local function printed_module()
  local file = assert(io.open "doc/event-loops.md")
  local text = file:read("*a"):match "\n```text\n(%-%- wait%.lua.-)```\n"
  file:close()
  return text
end

describe("a call that waits in nginx", function()
  after_each(scratch.clean)

  it("holds up a thread of nginx's pool alone", function()
    local site = serve(needs_nginx(), {
      ["worker_processes 2;"] = "worker_processes 1; thread_pool waiting threads=1;",
      ["location / {"] = WAITING,
    })
    local file = assert(io.open(site.folder .. "/wait.lua", "w"))
    file:write((printed_module()))
    file:close()
    local waiting = process.start { "curl", "-s", "--unix-socket", site.folder .. "/socket",
      "http://here/waiting" }
    repeat -- the worker has one handle, the thread opens another one
      assert.True(site.master:lives(), site:said())
    until shmseg.users(site.name .. "-questions") == 2
    for i = 1, 20 do
      assert.truthy(site:told("/birds"):find(("seen %d times"):format(i), 1, true))
    end
    local questions = assert(shmseg.queue.open(site.name .. "-questions"))
    assert(questions:push "who?")
    assert.equal("truewho?", waiting:line())
    waiting:ends_well()
    site:stop()
  end)
end)
