-- SPDX-License-Identifier: MIT
-- Finds peers that are installed here, or unpacked in a folder (README.md).

local context = require "bench.context"

local installed = {}

local function is_there(path)
  local file = io.open(path)
  if file then
    file:close()
  end
  return file ~= nil
end

--- Where packages are unpacked: SHMSEG_BENCH_PEERS, or build/peers.
function installed.folder(root)
  return os.getenv("SHMSEG_BENCH_PEERS") or root .. "/build/peers"
end

--- A file of a package: in the folder, or in the system. Nil if it is in neither.
function installed.file(root, path)
  local unpacked = installed.folder(root) .. path
  return is_there(unpacked) and unpacked or is_there(path) and path or nil
end

--- The folders of the unpacked packages' libraries, with a colon between.
function installed.libraries(root)
  local folder = installed.folder(root)
  local machine = context.output_of("uname -m") .. "-linux-gnu"
  return ("%s/usr/lib/%s:%s/lib/%s"):format(folder, machine, folder, machine)
end

--- The words that start a program: a list. Nil if it is not there.
function installed.program(root, name)
  for _, place in ipairs { "/usr/sbin/", "/usr/bin/", "/usr/local/bin/" } do
    local path = installed.file(root, place .. name)
    if path then
      return { "env", "LD_LIBRARY_PATH=" .. installed.libraries(root), path }
    end
  end
end

return installed
