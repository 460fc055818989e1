-- SPDX-License-Identifier: MIT
-- What busted does once in a run.

local busted = require "busted"
local build = require "spec.support.build"
local shell = require "spec.support.shell"

busted.subscribe({ "suite", "end" }, function()
  shell.run("rm -rf " .. build.folder)
  return nil, true -- others hear of the end, too
end)
