-- SPDX-License-Identifier: MIT
-- The tool finds its man page beside itself, where LuaRocks has put the rock.

local context = require "shmseg.cli.context"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

-- The command as it is in a tree of LuaRocks: its module there, and what it prints with --path; or
-- the message of its failure.
local function folder_in(tree)
  local module = package.searchpath and package.searchpath("shmseg.cli.man", package.path)
    or "lua/shmseg/cli/man.lua" -- on 5.1
  local folder = tree .. "/share/lua/5.4/shmseg/cli"
  assert(shell.succeeds("mkdir -p " .. shell.quote(folder)))
  assert(shell.succeeds(shell.quote("cp", module, folder)))
  local out = io.tmpfile()
  local self = context.new { out = out, err = io.tmpfile(), input = io.tmpfile() }
  local command = assert(loadfile(folder .. "/man.lua"))()
  local ok, failure = pcall(command.run, self, { path = true }, {})
  out:seek "set"
  return ok and out:read "*a" or nil, not ok and failure.message
end

local function make_page(folder)
  assert(shell.succeeds("mkdir -p " .. shell.quote(folder .. "/man1")))
  assert(shell.succeeds("touch " .. shell.quote(folder .. "/man1/shmseg.1")))
end

describe("shmseg man", function()
  after_each(scratch.clean)

  it("finds the page of the rock that it came with, whatever its version", function()
    local tree = scratch.path "it's a tree"
    local page = tree .. "/lib/luarocks/rocks-5.4/shmseg/1.2.3-4/doc/man"
    make_page(page)
    assert.equal(page .. "\n", (folder_in(tree)))
  end)

  it("finds the page that the tree has for all", function()
    local tree = scratch.path "tree"
    make_page(tree .. "/share/man")
    assert.equal(tree .. "/share/man\n", (folder_in(tree)))
  end)

  it("finds what `make doc` has made beside the tree of a checkout's build", function()
    local build = scratch.path "checkout" .. "/build"
    make_page(build .. "/doc/man")
    assert.equal(build .. "/doc/man\n", (folder_in(build .. "/5.4")))
  end)

  it("says what makes the page when it is not there", function()
    local found, message = folder_in(scratch.path "tree")
    assert.is_nil(found)
    assert.truthy(message:find("make doc", 1, true), message)
  end)
end)
