-- SPDX-License-Identifier: MIT
-- Names and files of a spec's own, and the undoing of what it began: `after_each(scratch.clean)`.

local shell = require "spec.support.shell"

local scratch = { objects = "/dev/shm/" }

local prefix = "shmseg-spec-" .. shell.pid() .. "-"
local serial = 0
local directory
local undo = {}
local cleaned = 0

--- Runs `action` when the spec is over, in reverse order, also if it failed.
function scratch.defer(action)
  undo[#undo + 1] = action
end

--- A name for an object that nobody else uses; the object is removed afterwards.
function scratch.name()
  serial = serial + 1
  local name = prefix .. serial
  scratch.defer(function()
    os.remove(scratch.objects .. name)
  end)
  return name
end

--- A name that objects' names may begin with; all of these are removed afterwards.
function scratch.family()
  local name = scratch.name()
  scratch.defer(function()
    shell.run("rm -f " .. scratch.objects .. name .. "*")
  end)
  return name
end

--- A path in a directory of the spec's own; it goes with all that is in it.
function scratch.path(leaf)
  if not directory then
    directory = shell.run("mktemp -d"):gsub("\n$", "")
    scratch.defer(function()
      shell.run("rm -rf " .. shell.quote(directory))
      directory = nil
    end)
  end
  serial = serial + 1
  return directory .. "/" .. serial .. "-" .. (leaf or "file")
end

--- A file that holds `text`.
function scratch.file(text, leaf)
  local path = scratch.path(leaf)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

--- The bytes of an object as the file system shows them, or nil if there is none.
function scratch.bytes(name)
  local file = io.open(scratch.objects .. name, "rb")
  if not file then
    return nil
  end
  local bytes = file:read("*a")
  file:close()
  return bytes
end

function scratch.clean()
  while #undo > 0 do
    pcall(table.remove(undo))
  end
  cleaned = cleaned + 1
  if cleaned % 16 == 0 then -- for forgotten handles: collecting takes longer than most specs
    collectgarbage()
  end
end

return scratch
