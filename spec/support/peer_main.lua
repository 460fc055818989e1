-- SPDX-License-Identifier: MIT
-- The main program of a peer (peer.lua): a request is a line, and so is each answer.

local wire = require "spec.support.wire"

shmseg = require "shmseg"

local compile = loadstring or load
local running = true

local function answer(kind, ...)
  io.write(kind, " ", wire.encode(...), "\n")
  io.flush()
end

local function conclude(ok, ...)
  answer(ok and "return" or "error", ...)
end

function report(...)
  answer("report", ...)
end

function quit()
  running = false
end

local function run(chunk, ...)
  local f, message = compile(chunk, "=request")
  if not f then
    return answer("error", message)
  end
  conclude(pcall(f, ...))
end

-- The next request, or nil at the end; a signal that a handler takes is not the end.
local function request()
  local line, code, _
  repeat
    line, _, code = io.read("*l")
  until line or not code
  return line
end

while running do
  local line = request()
  if not line then
    break
  end
  run(wire.decode(line))
end
