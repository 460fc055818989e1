-- SPDX-License-Identifier: MIT
-- The commands that measure OpenResty's shared dict, in an nginx of our own.

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
  lua_package_path "%s/?.lua;;";
  lua_shared_dict bench 64m;
  lua_shared_dict written 64m;
  lua_shared_dict sync 64k;
  init_worker_by_lua_block {
    assert(loadfile("%s/bench/peers/dict_openresty.lua"))(%d, %d, %d)
  }
}
]]

local openresty = {}

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

--- A command for each number of workers; nil where nginx or its Lua module is not there.
function openresty.commands(root, laps, keys)
  root = context.output_of(("cd '%s' && pwd"):format(root))
  local nginx = installed.program(root, "nginx")
  local kit = installed.file(root, MODULES .. "ndk_http_module.so")
  local lua = installed.file(root, MODULES .. "ngx_http_lua_module.so")
  local core = installed.file(root, "/usr/share/lua/5.1/resty/core.lua")
  if not (nginx and kit and lua and core) then
    return nil
  end
  local user, commands = context.output_of("id -un"), {}
  for workers = 1, 2 do
    local folder = ("%s/build/bench/nginx-%d"):format(root, workers)
    os.execute(("mkdir -p '%s'"):format(folder))
    write(folder .. "/conf", CONFIGURATION:format(
      kit, lua, user, workers, folder, folder, folder, folder, folder, folder,
      core:match("^(.*)/resty/"), root, workers, laps, keys))
    table.insert(commands, ("timeout 60 %s -p '%s' -c '%s/conf'"):format(
      table.concat(nginx, " "), folder, folder))
  end
  return commands
end

return openresty
