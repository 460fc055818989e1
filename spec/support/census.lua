-- SPDX-License-Identifier: MIT
-- Counts what a process has from the kernel, for specs that ask whether something was lost.

local census = {}

--- Mappings of shared memory of this process.
function census.mappings()
  local file = assert(io.open("/proc/self/maps"))
  local text = file:read("*a")
  file:close()
  return select(2, text:gsub("%S%-?%S%S%Ss ", ""))
end

--- Its descriptors. They are counted when the pipe is closed, at both ends.
function census.descriptors()
  local path = os.tmpname()
  local pipe = assert(io.popen("cat; ls /proc/$PPID/fd >" .. path, "w"))
  pipe:close()
  local count = 0
  for _ in io.lines(path) do
    count = count + 1
  end
  os.remove(path)
  return count
end

return census
