-- SPDX-License-Identifier: MIT
-- examples/openresty: nginx's workers and programs outside share a dict. It runs on LuaJIT, as
-- nginx does, where there is an nginx with its Lua module: examples/openresty/README.md says how.

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

-- A copy of the example in a folder of its own, which listens on a socket; its dict has this name.
local function copy(name)
  local folder = scratch.path "nginx"
  assert(shell.succeeds(("cp -r examples/openresty %s && mkdir %s/temp"):format(
    shell.quote(folder), shell.quote(folder))))
  for leaf, changes in pairs {
    ["nginx.conf"] = {
      ["127%.0%.0%.1:8088"] = "unix:" .. folder .. "/socket",
      ["error_log stderr"] = "error_log " .. folder .. "/log",
      ["daemon off;"] = shell.run("id -u") == "0\n" and "daemon off; user root root;" or nil,
    },
    ["site.lua"] = { ["shmseg%-site"] = name },
    ["outside.lua"] = { ["shmseg%-site"] = name },
  } do
    local file = assert(io.open(folder .. "/" .. leaf))
    local text = file:read "*a"
    file:close()
    for from, to in pairs(changes) do
      local count
      text, count = text:gsub(from, (to:gsub("%%", "%%%%")))
      assert(count > 0, leaf .. " has no " .. from)
    end
    file = assert(io.open(folder .. "/" .. leaf, "w"))
    file:write(text)
    file:close()
  end
  return folder
end

local function start(nginx, folder)
  local words = {
    "env", "LD_LIBRARY_PATH=" .. nginx.libraries,
    "LUA_PATH=" .. package.path .. nginx.path, "LUA_CPATH=" .. package.cpath,
  }
  for _, word in ipairs(nginx.words) do
    words[#words + 1] = word
  end
  for _, word in ipairs { "-p", folder .. "/", "-c", "nginx.conf", "-e", folder .. "/log" } do
    words[#words + 1] = word
  end
  local master = process.start(words)
  scratch.defer(function() -- a master that is killed leaves its workers
    if not master.status then
      shell.run("kill -TERM " .. master.pid .. "; sleep 0.5")
    end
  end)
  return master
end

describe("the dict in nginx", function()
  after_each(scratch.clean)

  it("is the same for two workers and for a program outside", function()
    local nginx = needs_nginx()
    local name = scratch.name()
    local folder = copy(name)
    local master = start(nginx, folder)

    local function ask(path)
      return (shell.run(("curl -s -o - -w ' %%{http_code}' --unix-socket %s http://here%s"):format(
        shell.quote(folder .. "/socket"), path)))
    end
    local function outside(...)
      local text, status = shell.run(shell.quote(shell.lua(), "-e",
        ("package.path=%q package.cpath=%q"):format(package.path, package.cpath),
        folder .. "/outside.lua", ...))
      assert.equal(0, status, text)
      return text
    end
    local answer
    for _ = 1, 200 do
      answer = ask "/start"
      if answer:find " 200$" then
        break
      end
      assert.True(master:lives(), shell.run("cat " .. shell.quote(folder .. "/log")))
      shmseg.sleep(0.05)
    end
    assert.equal(" 200", answer:match " %d+$", shell.run("cat " .. shell.quote(folder .. "/log")))

    local workers, asked = {}, 0
    repeat -- both workers answer, sooner or later
      local text = ask "/cats"
      asked = asked + 1
      local worker, ours, theirs =
        text:match "^worker (%d): /cats was seen (%d+) times; nginx alone counts (%d+)\n 200$"
      assert.truthy(worker, text)
      assert.same({ asked, asked }, { tonumber(ours), tonumber(theirs) })
      workers[worker] = true
    until workers["0"] and workers["1"] or asked == 300
    assert.truthy(workers["0"] or workers["1"])

    outside("visit", "/cats")
    asked = asked + 2
    local text = ask "/cats"
    local promise = ("seen %d times; nginx alone counts %d\n"):format(asked, asked - 1)
    assert.truthy(text:find(promise, 1, true), text)
    assert.truthy(outside():find(("/cats\t%d\n"):format(asked), 1, true))

    outside("block", "unix:")
    assert.equal(" 403", ask("/cats"):match " %d+$")
    outside("admit", "unix:")
    assert.equal(" 200", ask("/cats"):match " %d+$")

    master:signal "QUIT"
    assert.same({}, master:ends_well())
    assert.truthy(scratch.bytes(name)) -- it outlives nginx
    assert(shmseg.unlink(name))
  end)
end)
