-- SPDX-License-Identifier: MIT
-- The command that runs a script in an nginx of our own, where OpenResty's shared dict is.

local context = require "bench.context"
local installed = require "bench.installed"

local MODULES = "/usr/lib/nginx/modules/"
local CONFIGURATION = [[
load_module %s;
load_module %s;
user %s;
daemon off;
worker_processes %d;
pid %s/pid;
error_log stderr error;
env SHMSEG_FFI;
events {
  worker_connections 16;
}
http {
  access_log off;
  client_body_temp_path %s/body;
  proxy_temp_path %s/proxy;
  fastcgi_temp_path %s/fastcgi;
  uwsgi_temp_path %s/uwsgi;
  scgi_temp_path %s/scgi;
  lua_package_path "%s/?.lua;%s/share/lua/5.1/?.lua;%s/share/lua/5.1/?/init.lua;;";
  lua_package_cpath "%s/lib/lua/5.1/?.so;;";
  lua_shared_dict bench 64m;
  lua_shared_dict written 64m;
  lua_shared_dict few 1m;
  lua_shared_dict few_written 1m;
  lua_shared_dict sync 64k;
  init_worker_by_lua_block {
    assert(loadfile("%s/bench/peers/%s"))(%s)
  }
}
]]

local openresty = {}

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

--- The command; nil where nginx or its Lua module is not there.
-- @tparam string script of bench/peers, which the workers run when they start
-- @tparam string arguments for it, as they are written in Lua
function openresty.command(root, script, workers, arguments)
  root = context.output_of(("cd '%s' && pwd"):format(root))
  local nginx = installed.program(root, "nginx")
  local kit = installed.file(root, MODULES .. "ndk_http_module.so")
  local lua = installed.file(root, MODULES .. "ngx_http_lua_module.so")
  local core = installed.file(root, "/usr/share/lua/5.1/resty/core.lua")
  if not (nginx and kit and lua and core) then
    return nil
  end
  local folder = ("%s/build/bench/%s-%d"):format(root, script, workers)
  local tree = root .. "/build/luajit"
  os.execute(("mkdir -p '%s'"):format(folder))
  write(folder .. "/conf", CONFIGURATION:format(
    kit, lua, context.output_of "id -un", workers, folder, folder, folder, folder, folder, folder,
    core:match "^(.*)/resty/", tree, tree, tree, root, script, arguments))
  return ("timeout 60 %s -p '%s' -c '%s/conf'"):format(table.concat(nginx, " "), folder, folder)
end

return openresty
