-- SPDX-License-Identifier: MIT
-- The module itself.

local shmseg = require "shmseg"
local peer = require "spec.support.peer"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

describe("the module", function()
  after_each(scratch.clean)

  it("is one table that require gives again", function()
    assert.equal("table", type(shmseg))
    assert.equal(shmseg, require "shmseg")
  end)

  it("has the functions of the manual", function()
    for _, name in ipairs {
      "open",
      "anonymous",
      "map",
      "from_fd",
      "unlink",
      "stat",
      "list",
      "now",
      "sleep",
      "signals",
      "features",
    } do
      assert.equal("function", type(shmseg[name]), name)
    end
  end)

  it("tells its version", function()
    assert.equal("string", type(shmseg._VERSION))
    assert.truthy(shmseg._VERSION:find("shmseg"))
  end)

  it("knows the size of a page", function()
    assert.equal(shell.run("getconf PAGESIZE"), ("%d\n"):format(shmseg.pagesize))
  end)

  it("tells what the platform has", function()
    local features = shmseg.features()
    assert.equal("string", type(features.platform))
    local count = 0
    for name, value in pairs(features) do
      if name ~= "platform" then
        assert.equal("boolean", type(value), name)
        count = count + 1
      end
    end
    assert.truthy(count > 0)
    for _, name in ipairs { "futex", "memfd", "fault_guard" } do
      assert.equal("boolean", type(features[name]), name)
    end
    features.platform = nil
    assert.equal("string", type(shmseg.features().platform))
  end)

  it("makes no global variable and changes no library", function()
    local other = peer.start()
    local before, after = other:call [[
      package.loaded["shmseg"], package.loaded["shmseg.core"] = nil
      local function census()
        local names = {}
        for name, value in pairs(_G) do
          if name ~= "shmseg" then names[#names + 1] = name end
          if type(value) == "table" and value ~= _G and name ~= "package" and name ~= "shmseg" then
            for field in pairs(value) do names[#names + 1] = name .. "." .. tostring(field) end
          end
        end
        for key in pairs(getmetatable("")) do names[#names + 1] = "metatable " .. tostring(key) end
        table.sort(names)
        return table.concat(names, "\n")
      end
      local before = census()
      require "shmseg"
      return before, census()]]
    assert.equal(before, after)
  end)

  it("loads in a coroutine, more than once, and after the state's collector has run", function()
    local other = peer.start()
    assert.equal(
      "text",
      other:call [[
      local seg = assert(shmseg.anonymous(64))
      for _ = 1, 3 do
        package.loaded["shmseg"], package.loaded["shmseg.core"] = nil
        collectgarbage()
        shmseg = coroutine.wrap(function() return require "shmseg" end)()
      end
      seg:write(0, "text")
      local copy = assert(shmseg.anonymous(64))
      copy:copy(0, seg)
      seg:close()
      return copy:read(0, 4)]]
    )
  end)

  it("ends with its state in silence", function()
    local other = peer.start()
    other:call "seg = shmseg.anonymous(64) stop = shmseg.signals()"
    assert.equal(0, other:quit())
    assert.equal("", other:stderr())
  end)
end)
