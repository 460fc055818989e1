-- SPDX-License-Identifier: MIT
-- What busted does once in a run.

local busted = require "busted"
local build = require "spec.support.build"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

busted.subscribe({ "suite", "end" }, function()
  shell.run("rm -rf " .. build.folder)
  return nil, true -- others hear of the end, too
end)

-- Ctrl-C: Lua raises it inside a test, where it would be that test's failure. Here it ends the run.
busted.subscribe({ "error" }, function(_, _, message)
  if tostring(message):find("interrupted!$") then
    scratch.clean()
    shell.run("rm -rf " .. build.folder)
    io.stderr:write("\ninterrupted\n")
    os.exit(130)
  end
  return nil, true
end)

-- A misspelt name or filter is a failure, as it is with the C tests.
local count = 0
busted.subscribe({ "test", "start" }, function()
  count = count + 1
  return nil, true
end)
busted.subscribe({ "exit" }, function()
  local is_list = (" " .. table.concat(arg or {}, " ") .. " "):find("%s%-%-list%s")
  if count == 0 and not is_list then
    io.stderr:write("no test has such a name\n")
    os.exit(1)
  end
  return nil, true
end)
