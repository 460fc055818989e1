-- SPDX-License-Identifier: MIT
-- Every program in README and the manual runs as it is printed, prints what it says, and leaves
-- nothing.

local installed = require "spec.support.installed"
local manual = require "spec.support.manual"
local peer = require "spec.support.peer"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"
local shmseg = require "shmseg"

local run_of = {} -- by language: the words that run the file, or nil and why not

function run_of.lua(block, path)
  if _VERSION < "Lua 5.4" and block.text:find("<close>", 1, true) then
    return nil, "to-be-closed variables came with Lua 5.4"
  elseif block.text:find('require "ffi"', 1, true) and not rawget(_G, "jit") then
    return nil, "only LuaJIT has ffi"
  end
  for _, name in ipairs(manual.modules(block)) do
    if not pcall(require, name) then
      return nil, "there is no module " .. name .. " here"
    end
  end
  local words = peer.command()
  words[#words + 1] = path
  return words
end

function run_of.python(block, path)
  local imports = table.concat(manual.modules(block), ", ")
  local probe, wanted = "import sys", "Python"
  if block.text:find("track=False", 1, true) then
    probe, wanted = probe .. "; assert sys.version_info >= (3, 13)", "Python 3.13"
  end
  if imports ~= "" then
    probe, wanted = probe .. "; import " .. imports, wanted .. " with " .. imports
  end
  for _, python in ipairs { "python3", "/usr/bin/python3" } do
    if shell.succeeds(shell.quote(python, "-c", probe)) then
      return { python, path }
    end
  end
  return nil, "there is no " .. wanted .. " here"
end

function run_of.c(_, path)
  local reason = installed.missing()
  if reason then
    return nil, reason
  end
  return { "env", installed.path(), installed.compile("cc -std=c11", shell.quote(path)) }
end

-- The tool is that of this tree, on this Lua.
function run_of.sh(_, path)
  local words = peer.command()
  words[#words + 1] = (shell.run "pwd"):gsub("\n$", "") .. "/bin/shmseg"
  local tool = ("shmseg() {\n%s \"$@\"\n}\n"):format(
    shell.quote((table.unpack or unpack)(words)))
  return { "sh", "-euc", tool .. ". \"$0\"", path }
end

-- The second program comes when the first has made its objects and waits, or has ended.
local function await(started, pattern)
  repeat
    local asleep = started:sleeps_or_has_ended()
  until asleep == "ended" or asleep and #shmseg.list(pattern) > 0
end

local function where(block)
  return ("%s, line %d: %s"):format(block.page, block.line, block.file)
end

local function assert_printed(block, lines, back)
  local text = table.concat(lines, "\n")
  for i = 1, math.max(#lines, #block.promised) do
    local line, promise = lines[i] and back(lines[i]), block.promised[i]
    if not (line and promise and manual.agrees(promise, line)) then
      error(("%s promises\n  %s\nand prints\n  %s\nin\n%s"):format(where(block),
        promise or "(nothing more)", line or "(nothing more)", text), 0)
    end
  end
end

-- Writes the programs into a folder of their own: the command of each; or nil and why not.
local function prepare(group, renamed)
  local folder = scratch.path("programs")
  assert(shell.succeeds("mkdir " .. shell.quote(folder)))
  shell.run("cp examples/*.py " .. shell.quote(folder)) -- what a Python program imports from there
  local commands = {}
  for i, block in ipairs(group) do
    local path = folder .. "/" .. block.file
    local file = assert(io.open(path, "w"))
    file:write((manual.rename(block, renamed)))
    file:close()
    local words, reason = run_of[block.language](block, path)
    if not words then
      return nil, reason
    end
    commands[i] = { "sh", "-c", 'cd "$0" && exec "$@"', folder, (table.unpack or unpack)(words) }
  end
  return commands
end

-- The objects that are there under a name that a string of the programs could be, renamed or not.
local function named_in(group)
  local there = {}
  for _, block in ipairs(group) do
    for name in block.text:gmatch("[\"']/?([^\"'/%c]+)%f[\"']") do
      if scratch.bytes(name) then
        there[name] = true
      end
    end
  end
  return there
end

local function play(group)
  local family = scratch.family()
  local pattern = "^" .. manual.escaped(family) .. "%-"
  local renamed = {}
  for name in pairs(manual.names(group)) do
    renamed[name] = family .. "-" .. name
  end
  local commands, reason = prepare(group, renamed)
  if not commands then
    pending(reason)
  end
  local before = named_in(group)
  local started = {}
  for i, command in ipairs(commands) do
    started[i] = process.start(command)
    if i < #commands then
      await(started[i], pattern)
    end
  end
  for i, block in ipairs(group) do
    local status, lines = started[i]:finish()
    local errors = started[i]:stderr()
    assert(status == 0 and errors == "",
      ("%s ends with status %d, and says: %s"):format(where(block), status, errors))
    assert_printed(block, lines, function(line)
      return (line:gsub(pattern:sub(2), ""))
    end)
  end
  assert.same({}, shmseg.list(pattern))
  for name in pairs(named_in(group)) do -- one that manual.names has not seen
    assert(before[name], ("%s leaves /dev/shm/%s"):format(where(group[1]), name))
  end
end

describe("the manual", function()
  after_each(scratch.clean)

  for _, page in ipairs(manual.pages()) do
    for _, group in ipairs(manual.groups(page)) do
      it("has programs that do what they say: " .. group.title, function()
        play(group)
      end)
    end
  end

  it("uses a name of shared memory in one place only", function()
    local places = {}
    for _, page in ipairs(manual.pages()) do
      for _, group in ipairs(manual.groups(page)) do
        for name in pairs(manual.names(group)) do
          if places[name] then
            error(("%s is a name in %s and in %s"):format(name, places[name], group.title))
          end
          places[name] = group.title
        end
      end
    end
    assert.truthy(next(places))
  end)

  it("leads to pages and headings that are there", function()
    for _, page in ipairs(manual.pages()) do
      for _, link in ipairs(manual.links(page)) do
        assert(shell.succeeds("test -e " .. shell.quote(link.path)),
          ("%s leads to %s, which is not there"):format(page, link.target))
        assert(not link.anchor or manual.anchors(link.path)[link.anchor],
          ("%s leads to %s: there is no such heading"):format(page, link.target))
      end
    end
  end)

  it("says at the top of each page what the page is for, what not, and what that costs", function()
    local nouns = { segment = true, array = true, struct = true, atomic = true }
    for _, kind in ipairs(require("shmseg.core").kinds) do
      nouns[kind] = true
    end
    for _, page in ipairs(manual.pages()) do
      local noun = page:match("^doc/([%w-]+)%.md$")
      if noun and noun ~= "README" then
        local top = manual.read(page):match("^(.-)\n#+ ") or manual.read(page)
        assert(top:find("^# [^\n]+\n\n%w"), page .. " does not say what it is for")
        assert(top:find("**Not for**", 1, true), page .. " does not say what it is not for")
        assert(not nouns[noun] or top:find("**Costs**", 1, true), page .. " has no costs")
      end
    end
  end)

  it("has C programs that look at every code", function()
    for _, page in ipairs(manual.pages()) do
      for _, group in ipairs(manual.groups(page)) do
        for _, block in ipairs(group) do
          local text = block.language == "c" and block.text or ""
          for call in text:gmatch("[;{})]%s*(shmseg_[%w_]+)%(") do
            local silent = call:find("_close$") or call:find("_init$") or call:find("_cancel$")
            assert(silent, ("%s, line %d: the result of %s is not looked at"):format(
              page, block.line, call))
          end
        end
      end
    end
  end)

  it("has every page in its table of contents", function()
    local listed = {}
    for _, link in ipairs(manual.links("doc/README.md")) do
      listed[link.path] = true
    end
    for _, page in ipairs(manual.pages()) do
      if page:find("^doc/") and page ~= "doc/README.md" then
        assert(listed[page], page .. " is not in doc/README.md")
      end
    end
  end)
end)
