-- SPDX-License-Identifier: MIT
-- A pool of processes that share one configuration: each change reaches all of them, whole.

local shmseg = require "shmseg"
local example = dofile((arg[0]:match("^.*/") or "") .. "example.lua")
local check, needs = example.check, example.needs

local Config = shmseg.struct("Config", {
  { "greeting", "char", 16 },
  { "repeats", "u32" },
  { "running", "bool" },
})

local function follow(options)               -- a member of the pool
  local cell = needs("pool.lua", shmseg.cell.open(options.name, "r", { codec = Config }))
  for config, version in cell:changes() do
    if not config.running then
      break
    end
    print(version, (config.greeting .. " "):rep(config.repeats))
  end
end

local function lead(options)
  local here = check(shmseg.open(nil, "x", 1, { temporary = true }))   -- for a name nobody else has
  local name = here:name() .. "-config"
  local settings = { capacity = Config.size, codec = Config, temporary = true }
  local cell = check(shmseg.cell.open(name, "x", settings))

  local config = { greeting = "hello", repeats = 1, running = true }
  check(cell:set(config))
  local pool = {}
  for i = 1, options.members do
    pool[i] = example.start("member", "--name", name)
  end
  local function show()
    for i, member in ipairs(pool) do
      print("member " .. i, member:line())
    end
  end

  show()
  config.greeting, config.repeats = "goodbye", 3
  check(cell:set(config))                    -- both fields or none
  show()
  config.running = false
  check(cell:set(config))
  for _, member in ipairs(pool) do
    member:close()
  end
end

example.run([[
Starts a few processes that read one configuration, a struct in a cell; changes two fields of it at
once, and shows what each process has seen.

Usage: lua pool.lua [options]
  --members NUMBER  so many processes (3)
  --help            show this text

There is nothing to start first. The processes that it starts run "member" with
  --name NAME       the shared memory object

For example:
  lua pool.lua
]], { lead, member = follow })
