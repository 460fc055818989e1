-- SPDX-License-Identifier: MIT
-- luaposix has no mmap: it reads and writes the object as a file, two system calls for each access.

local folder = arg[0]:match("^(.*)/[^/]*$")
package.path = folder .. "/?.lua;" .. package.path
local peer = require "peer"
local fcntl, unistd, clock = require "posix.fcntl", require "posix.unistd", require "posix.time"

local fd = assert(fcntl.open(peer.path, fcntl.O_RDWR))
local bytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
local lseek, read, write, SEEK_SET = unistd.lseek, unistd.read, unistd.write, unistd.SEEK_SET

local function now()
  local time = clock.clock_gettime(clock.CLOCK_MONOTONIC)
  return time.tv_sec * 1e9 + time.tv_nsec
end

peer.measure(now, "read 32 bytes", "luaposix lseek+read", function(n)
  for _ = 1, n do
    lseek(fd, 4, SEEK_SET)
    read(fd, 32)
  end
end)
peer.measure(now, "write 32 bytes", "luaposix lseek+write", function(n)
  for _ = 1, n do
    lseek(fd, 4, SEEK_SET)
    write(fd, bytes)
  end
end)
