-- SPDX-License-Identifier: MIT
-- A pool of processes that share one configuration: each change reaches all of them, whole.
--   lua pool.lua

local shmseg = require "shmseg"

local Config = shmseg.struct("Config", {
  { "greeting", "char", 16 },
  { "repeats", "u32" },
  { "running", "bool" },
})

if arg[1] then                               -- a member of the pool
  local cell = assert(shmseg.cell.open(arg[1], "r", { codec = Config }))
  io.stdout:setvbuf("line")
  for config, version in cell:changes() do
    if not config.running then
      break
    end
    print(version, (config.greeting .. " "):rep(config.repeats))
  end
  return
end

-- The command that started this program, to start the members with.
local command = {}
for i = 0, -20, -1 do
  if arg[i] then
    table.insert(command, 1, "'" .. arg[i]:gsub("'", "'\\''") .. "'")
  end
end

local here = assert(shmseg.open(nil, "x", 1, { temporary = true }))   -- for a name nobody else has
local name = here:name() .. "-config"
local options = { capacity = Config.size, codec = Config, temporary = true }
local cell = assert(shmseg.cell.open(name, "x", options))

cell:set { greeting = "hello", repeats = 1, running = true }
local pool = {}
for i = 1, 3 do
  pool[i] = assert(io.popen("exec " .. table.concat(command, " ") .. " " .. name))
end

local function show()
  for i, member in ipairs(pool) do
    print("member " .. i, (member:read("*l")))
  end
end

show()
local config = cell:get()
config.greeting, config.repeats = "goodbye", 3
cell:set(config)                             -- both fields or none
show()
config.running = false
cell:set(config)
for _, member in ipairs(pool) do
  member:close()
end
