-- SPDX-License-Identifier: MIT
-- What a release says of itself: its version in all places, its formats, what it installs.

local installed = require "spec.support.installed"
local manual = require "spec.support.manual"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"
local core = require "shmseg.core"
local recording = require "shmseg.cli.recording"
local shmseg = require "shmseg"

local read = manual.read

-- The version by the numbers of the header, from which all else comes.
local function version()
  local header = read "src/shmseg/base.h"
  local function number(part)
    return header:match("#define SHMSEG_VERSION_" .. part .. " (%d+)\n")
  end
  return ("%s.%s.%s"):format(number "MAJOR", number "MINOR", number "PATCH")
end

local room = { capacity = 4096 }
local sizes = {
  semaphore = { permits = 1 },
  cell = room,
  queue = room,
  broadcast = room,
  dict = room,
}

local function install(goal, folder)
  return installed.run(("flock build/library.lock make -s %s PREFIX=/usr DESTDIR=%s"):format(
    goal, shell.quote(folder)))
end

describe("a release #once", function()
  after_each(scratch.clean)

  it("has one version: of the header, the module, the changelog and a rockspec", function()
    assert.equal(version(), read("src/shmseg/base.h"):match('#define SHMSEG_VERSION "(.-)"\n'))
    assert.equal("shmseg " .. version(), shmseg._VERSION)
    assert.equal(version(), read("CHANGELOG.md"):match("\n## (%d%S*) %- %d%d%d%d%-%d%d%-%d%d\n"))
    local rockspec = read("shmseg-" .. version() .. "-1.rockspec")
    assert.equal(version() .. "-1", rockspec:match('\nversion = "(.-)"\n'))
    assert.equal("v" .. version(), rockspec:match('\n  tag = "(.-)",\n'))
    assert.truthy(read("doc/versions.md"):find('"shmseg ' .. version() .. '"', 1, true))
  end)

  it("has a soname for each version that may break programs", function()
    local major, minor = version():match("^(%d+)%.(%d+)")
    local soname = "libshmseg.so." .. (major == "0" and "0." .. minor or major)
    assert.truthy(installed.run("make -s -n -B library"):find("-soname," .. soname .. " ", 1, true))
    assert.truthy(read("doc/c.md"):find("`" .. soname .. "`", 1, true))
  end)

  it("makes objects of the formats that the manual's table of versions says", function()
    local page = read "doc/versions.md"
    for _, kind in ipairs(core.kinds) do
      local segment = assert(shmseg.anonymous(1048576))
      assert(shmseg[kind].open(segment, "c", sizes[kind]))
      local number, format = page:match("\n| " .. kind .. " | (%d+) | (%d+) | [%d, ]+ |\n")
      assert(number, kind .. " is not in doc/versions.md")
      assert.same({ segment:get_u32(4), segment:get_u32(8) },
        { tonumber(number), tonumber(format) }, kind)
      segment:close()
    end
    assert.equal(recording.head(1, 1):match("^shmseg recording (%d+)\n"),
      page:match("\n| a %[recording%][^|]+|[^|]+| (%d+) | [%d, ]+ |\n"))
  end)

  it("installs pages whose links lead to files, and removes all that it has installed", function()
    local reason = installed.missing "flock"
    if reason then
      pending(reason)
    end
    local folder = scratch.path "root"
    install("install", folder)
    installed.run(shell.quote(shell.lua(), ".ci/links.lua", folder .. "/usr/share/doc/shmseg"))
    install("uninstall", folder)
    assert.equal("", installed.run("find " .. shell.quote(folder) .. " ! -type d"))
    assert.equal("", installed.run("find " .. shell.quote(folder) .. " -name '*shmseg*'"))
  end)
end)
