-- SPDX-License-Identifier: MIT
-- LuaJIT's FFI over the same object: compiled, without any check of bounds.

local folder = arg[0]:match("^(.*)/[^/]*$")
package.path = folder .. "/?.lua;" .. package.path
local peer = require "peer"
local ffi = require "ffi"
local bit = require "bit"

ffi.cdef [[
  struct bench_time { int64_t seconds, nanoseconds; };
  int clock_gettime(int clock, struct bench_time *time);
  int open(const char *path, int flags, ...);
  void *mmap(void *at, size_t size, int protection, int flags, int fd, int64_t offset);
]]

local SIZE = 64 * 1024 * 1024
local READ_WRITE, SHARED, O_RDWR, MONOTONIC = 3, 1, 2, 1
local fd = ffi.C.open(peer.path, O_RDWR)
local memory = ffi.cast("char *", ffi.C.mmap(nil, SIZE, READ_WRITE, SHARED, fd, 0))
assert(fd >= 0 and memory ~= ffi.cast("char *", -1), "cannot map " .. peer.path)
local words = ffi.cast("int32_t *", memory)
local bytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
local whole = ffi.string(memory, SIZE)

local time = ffi.new("struct bench_time")
local function now()
  ffi.C.clock_gettime(MONOTONIC, time)
  return tonumber(time.seconds) * 1e9 + tonumber(time.nanoseconds)
end

-- The index moves: a load from a fixed place would be hoisted out of the compiled loop.
local function measure(operation, run, once)
  peer.measure(now, operation, "LuaJIT FFI", run, once)
end

measure("read 32 bytes", function(n)
  local length = 0
  for i = 1, n do
    length = length + #ffi.string(memory + bit.band(i, 7), 32)
  end
  return length
end)
measure("write 32 bytes", function(n)
  for i = 1, n do
    ffi.copy(memory + bit.band(i, 7), bytes, 32)
  end
end)
measure("get i32", function(n)
  local sum = 0
  for i = 1, n do
    sum = sum + words[bit.band(i, 7)]
  end
  return sum
end)
measure("set i32", function(n)
  for i = 1, n do
    words[bit.band(i, 7)] = i
  end
end)
measure("read 64 MiB", function()
  return ffi.string(memory, SIZE)
end, true)
measure("write 64 MiB", function()
  ffi.copy(memory, whole, SIZE)
end, true)
