-- SPDX-License-Identifier: MIT
-- The command line tool: inside this process, which is quick, or as a process of its own.

local cli = require "shmseg.cli"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local shell = require "spec.support.shell"

local tool = {}

local function text_of(file)
  file:seek "set"
  local text = file:read "*a"
  file:close()
  return text
end

--- Runs the tool inside this process; `input` is what its stdin has.
-- Returns the exit code, and what it wrote to stdout and stderr.
function tool.feed(input, ...)
  local streams = { out = io.tmpfile(), err = io.tmpfile(), input = io.tmpfile() }
  streams.input:write(input)
  streams.input:seek "set"
  local code = cli.main({ ... }, streams)
  streams.input:close()
  return code, text_of(streams.out), text_of(streams.err)
end

--- The same with nothing on stdin.
function tool.run(...)
  return tool.feed("", ...)
end

--- What a run prints that has to be in order.
function tool.prints(...)
  local code, out, err = tool.run(...)
  if code ~= 0 or err ~= "" then
    error(("exit code %s, and on stderr: %s"):format(tostring(code), err), 2)
  end
  return out
end

--- A run that has to fail: with this exit code, nothing on stdout, and one line on stderr, which is
-- returned.
function tool.fails(code, ...)
  local actual, out, err = tool.run(...)
  if actual ~= code or out ~= "" or not err:find "^shmseg: [^\n]+\n$" then
    error(("exit code %s, %q and on stderr %q"):format(tostring(actual), out, err), 2)
  end
  return err
end

--- The words that start the tool as a process.
function tool.words(...)
  local words = peer.command()
  words[#words + 1] = "bin/shmseg"
  for _, word in ipairs { ... } do
    words[#words + 1] = word
  end
  return words
end

--- The same for a shell's command line.
function tool.line(...)
  return shell.quote((table.unpack or unpack)(tool.words(...)))
end

--- Starts the tool as a process.
function tool.start(...)
  return process.start(tool.words(...))
end

return tool
