-- SPDX-License-Identifier: MIT
-- What busted does once in a run.

local busted = require "busted"
local build = require "spec.support.build"
local shell = require "spec.support.shell"

busted.subscribe({ "suite", "end" }, function()
  shell.run("rm -rf " .. build.folder)
  return nil, true -- others hear of the end, too
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
