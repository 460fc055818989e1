-- SPDX-License-Identifier: MIT
-- Redis and memcached, each a server of our own behind a Unix socket, and how to ask them for many
-- keys at once. The requests are made beforehand: what a client must do each time is timed.

local installed = require "bench.installed"

local servers = {}

local TRIES = 200
local NAP = 10000000 -- nanoseconds between them

--- Starts a server that dies with this process, and connects: a descriptor; nil if it is not there.
local function start(bench, group, name, arguments)
  local program = installed.program(bench.root, name)
  if not (program and bench.channel) then
    return nil
  end
  local native = bench.channel
  local socket = ("/tmp/%s%s"):format(bench.prefix, name)
  for _, word in ipairs(arguments(socket)) do
    table.insert(program, word)
  end
  group:start(function()
    native.exec((table.unpack or unpack)(program))
  end)
  for _ = 1, TRIES do
    local fd = native.connect(socket)
    if fd then
      os.remove(socket)
      return fd
    end
    native.nap(NAP)
  end
end

-- Writes a request, and reads the reply, whose size is known. Gives the reply.
local function asks(bench, fd)
  local read, write = bench.channel.read, bench.channel.write
  return function(request, size)
    write(fd, request)
    return read(fd, size)
  end
end

-- Lists of requests, each for `many` of the keys in their order.
local function batches(order, many, request)
  local list = {}
  for first = 1, #order - many + 1, many do
    local words = {}
    for i = first, first + many - 1 do
      table.insert(words, request(order[i], i))
    end
    table.insert(list, words)
  end
  return list
end

local function joined(list, before, between, after)
  for i, words in ipairs(list) do
    list[i] = before .. table.concat(words, between) .. after
  end
  return list
end

-- The values of a reply; what is before the first one, and between each two, has fixed sizes.
local function values_of(reply, many, before, size, between)
  local values, at = {}, before + 1
  for i = 1, many do
    values[i] = reply:sub(at, at + size - 1)
    at = at + size + between
  end
  return values
end

-- What is timed: the requests, and their replies. reply: how many bytes stand before a value, how
-- many it has, what stands behind all values, and the answer to one that is stored.
local function contestant(ask, requests, many, reply)
  local gets, sets = requests[1], requests[2]
  local before, size = reply[1], reply[2]
  local values, stored = many * (before + size + 2) + #reply[3], many * #reply[4]
  return {
    get = function(n)
      for i = 1, n do
        values_of(ask(gets[i], values), many, before, size, before + 2)
      end
    end,
    set = function(n)
      for i = 1, n do
        ask(sets[i], stored)
      end
    end,
  }
end

--- Functions get(n), set(n), each for n turns of `many` keys; nil where Redis is not installed.
function servers.redis(bench, group, order, values, many)
  local fd = start(bench, group, "redis-server", function(socket)
    return { "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no" }
  end)
  if not fd then
    return nil
  end
  local ask = asks(bench, fd)
  local gets = joined(batches(order, many, function(key)
    return ("*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n"):format(#key, key)
  end), "", "", "")
  local sets = joined(batches(order, many, function(key, i)
    local value = values[i % #values + 1]
    return ("*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n"):format(#key, key, #value, value)
  end), "", "", "")
  local size = #values[1]
  local before = #("$%d\r\n"):format(size)
  return contestant(ask, { gets, sets }, many, { before, size, "", "+OK\r\n" })
end

--- The same of memcached.
function servers.memcached(bench, group, order, values, many)
  local fd = start(bench, group, "memcached", function(socket)
    return { "-s", socket, "-m", "128", "-t", "1", "-u", "root", "-R", "1000" }
  end)
  if not fd then
    return nil
  end
  local ask = asks(bench, fd)
  local gets = joined(batches(order, many, function(key)
    return key
  end), "get ", " ", "\r\n")
  local sets = joined(batches(order, many, function(key, i)
    local value = values[i % #values + 1]
    return ("set %s 0 0 %d\r\n%s\r\n"):format(key, #value, value)
  end), "", "", "")
  local size = #values[1]
  local before = #("VALUE %s 0 %d\r\n"):format(order[1], size)
  return contestant(ask, { gets, sets }, many, { before, size, "END\r\n", "STORED\r\n" })
end

return servers
