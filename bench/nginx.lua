-- SPDX-License-Identifier: MIT
-- A dict beside OpenResty's, both in one worker of nginx: LuaJIT compiles the calls of both.

local openresty = require "bench.openresty"

local LAPS = 5
local KEYS = 100000
local HOT = 1000

local nginx = {}

--- The commands that measure both, and ours without its front.
function nginx.prepare(bench, found)
  local command = jit and openresty.command(bench.root, "dict_beside.lua", 1,
    ("%d, %d, %d, %q"):format(LAPS, KEYS, HOT, bench.prefix .. "nginx"))
  if not command then
    found:add(jit and "note\tnginx and its Lua module: not installed here, skipped"
      or "note\tnginx runs LuaJIT: make bench LUA=luajit")
    return {}, bench.close
  end
  return { command, "env SHMSEG_FFI=0 " .. command }, bench.close
end

local function run(_, suite)
  for _, operation in ipairs { "get", "set", "incr" } do
    for _, keys in ipairs { KEYS, HOT } do
      local function who(name)
        return (name .. ", %d keys"):format(operation, keys)
      end
      suite:target(who "d:%s()", who "ngx.shared, %s",
        operation ~= "incr" and { least = 1.2 } or {})
      suite:target(who "d:%s(), SHMSEG_FFI=0", who "d:%s()", {})
    end
  end
end

return setmetatable(nginx, { __call = run })
