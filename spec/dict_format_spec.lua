-- SPDX-License-Identifier: MIT
-- spec/support/dict_reader.py reads a dict by what doc/format.md says alone.

local shmseg = require "shmseg"
local expect = require "spec.support.expect"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"

local READER = "spec/support/dict_reader.py"

local function hex(bytes)
  return (bytes:gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end))
end

-- What Python prints of long bytes.
local function sum(bytes)
  local total = 0
  for i = 1, #bytes do
    total = total + (i - 1) * bytes:byte(i)
  end
  return ("%d bytes, %d"):format(#bytes, total)
end

local function shown(value)
  return type(value) == "string" and '"' .. hex(value) .. '"' or tostring(value)
end

describe("the format of a dict", function()
  after_each(scratch.clean)

  local function needs_python()
    if not shell.has "python3" then
      pending "there is no python3 here"
    end
  end

  local function dict(options)
    local name = scratch.name()
    return expect.success(shmseg.dict.open(name, "x", options)), name
  end

  -- What Python finds under each of these keys, and the flags (of a list, the number of its
  -- elements); then all that it finds, sorted; and how the items lie.
  local function read(name, keys)
    local lines, all = {}, {}
    for i, key in ipairs(keys) do
      lines[i] = hex(key) .. "\n"
    end
    local input = scratch.file(table.concat(lines))
    lines = process.start({ "python3", "-B", READER, name }, { input = input }):ends_well()
    local forms = {}
    for count, form in table.remove(lines, 1):gmatch "(%d+) ([%l ]+)" do
      forms[form] = tonumber(count)
    end
    while #lines > #keys do
      table.insert(all, 1, table.remove(lines))
    end
    return lines, all, forms
  end

  it("is enough to read values of all types, with their flags", function()
    needs_python()
    local d, name = dict { capacity = 2 ^ 20 }
    d:set("yes", true, 0, 5)
    d:set("no", false)
    d:set("whole", -12)
    d:set("half", 0.5, 100)
    d:set("zero", -1 / math.huge)
    d:set("empty", "")
    d:set("binary", "\0\255\n", 0, -1)
    d:set(("k"):rep(65535), "of a long key")
    d:set("gone", 1)
    d:delete "gone"
    d:set("old", 1, 0.001)
    shmseg.sleep(0.01)
    assert.same({
      "true 5", "false 0", "-12 0", "float 3fe0000000000000 0", "float 8000000000000000 0", '"" 0',
      '"00ff0a" 4294967295', shown "of a long key" .. " 0", "nil ", "nil ", "nil ",
    }, (read(name, {
      "yes", "no", "whole", "half", "zero", "empty", "binary", ("k"):rep(65535),
      "gone", "old", "none",
    })))
    d:flush_all()
    d:set("new", 1)
    local values, all = read(name, { "yes", "new" })
    assert.same({ "nil ", "1 0" }, values)
    assert.same({ shown "new" .. " 1" }, all)
  end)

  it("is enough to read values that lie in many runs of cells", function()
    needs_python()
    local d, name = dict { capacity = 2 ^ 20, evict = "none" }
    local count = 0
    for size = 50, 500, 50 do -- fill it, and leave holes everywhere, also where there was room
      local first = count
      while d:set("small " .. count, ("x"):rep(size)) do
        count = count + 1
      end
      for i = first, count - 1, 2 do
        d:delete("small " .. i)
      end
    end
    for i = 1, count do -- now there is room for a large value, in many places
      if i % 3 == 0 then
        d:delete("small " .. i)
      end
    end
    local large = {}
    for i = 0, 40000 do
      large[i + 1] = ("%06d"):format(i)
    end
    large = table.concat(large)
    assert.True(d:set("large", large))
    assert.True(d:set("middle", large:sub(1, 1000)))
    assert.equal(large, (d:get "large"))
    local values, _, forms = read(name, { "large", "middle", "small 1" })
    assert.same({
      sum(large) .. " 0", sum(large:sub(1, 1000)) .. " 0", shown(("x"):rep(50)) .. " 0",
    }, values)
    assert.True(forms.runs > 100, forms.runs)
  end)

  it("is enough to read numbers that were made hot", function()
    needs_python()
    local d, name = dict { capacity = 65536 }
    local e = expect.success(shmseg.dict.open(name))
    for _ = 1, 200 do
      d:incr("hits", 1, 0)
      e:incr("hits", 1)
      d:incr("half", 0.5, 1)
      e:incr("half", 0.5)
    end
    local values, all, forms = read(name, { "hits", "half" })
    assert.same({ "400 0", "float 4069200000000000 0" }, values)
    assert.equal(2, #all)
    assert.True(forms.hot >= 1)
  end)

  it("is enough to read chains, and all keys of the dict", function()
    needs_python()
    for capacity, chained in pairs { [2 ^ 16] = 100, [2 ^ 22] = 0 } do -- one stripe, and 64
      local d, name = dict { capacity = capacity, items = 1 }
      local expected, some = {}, {}
      for i = 1, 400 do
        local key = "key " .. i
        d:set(key, i)
        if i % 3 == 0 then
          d:delete(key)
        else
          expected[#expected + 1] = ("%s %d"):format(shown(key), i)
        end
        some[#some + 1] = i > 380 and key or nil
      end
      table.sort(expected)
      local values, all, forms = read(name, some)
      assert.same(expected, all)
      assert.True(forms["in chains"] >= chained)
      for i, line in ipairs(values) do
        assert.equal((380 + i) % 3 == 0 and "nil " or 380 + i .. " 0", line)
      end
    end
  end)

  it("is enough to read lists", function()
    needs_python()
    local d, name = dict { capacity = 2 ^ 20 }
    d:rpush("list", "b")
    d:lpush("list", 1)
    d:rpush("list", 0.5)
    d:rpush("list", ("long"):rep(300))
    d:rpush("list", "gone")
    d:rpop "list"
    d:rpush("empty", "gone")
    d:lpop "empty"
    for _ = 1, 3 do
      d:lpush("empty", "")
    end
    assert.same({
      '[1, "62", float 3fe0000000000000, ' .. sum(("long"):rep(300)) .. "] 4", '["", "", ""] 3',
    }, (read(name, { "list", "empty" })))
  end)

  it("is enough to read beside a writer", function()
    needs_python()
    local d, name = dict { capacity = 65536, items = 1 }
    local reader = process.start { "python3", "-B", READER, name, "check", "0.5" }
    repeat
      for i = 1, 500 do
        local digit = ("%d"):format(math.random(0, 9))
        d:set(("%d:%s"):format(i % 40, digit), digit:rep(math.random(0, 3000)))
        d:delete(("%d:%s"):format(math.random(0, 39), digit))
      end
    until not reader:lives()
    assert.same({ "ok" }, reader:ends_well())
  end)
end)
