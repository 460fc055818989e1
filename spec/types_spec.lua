-- SPDX-License-Identifier: MIT
-- The declarations for editors say what the library has, and what the manual says.

local core = require "shmseg.core"
local shmseg = require "shmseg"
local types = require "spec.support.types"

local unpack = table.unpack or unpack

local function set(list)
  local names = {}
  for _, name in ipairs(list) do
    names[name] = true
  end
  return names
end

local function keys(map, keep)
  local names = {}
  for name, value in pairs(map) do
    if not keep or keep(value) then
      names[name] = true
    end
  end
  return names
end

-- The words between quotes behind what is in a text; or those of a list without quotes.
local function quoted(text)
  local names = {}
  for name in text:gmatch '"([^"]+)"' do
    names[name] = true
  end
  return names
end

local function listed(text, before)
  local names = {}
  for name in assert(text:match(before .. "([^)]*)"), text):gmatch "[%w_]+" do
    names[name] = true
  end
  return names
end

-- What an error says when a call is given what it does not know.
local function refused(fn, ...)
  local ok, message = pcall(fn, ...)
  assert.False(ok)
  return message
end

-- How the library says what an option of a type takes.
local function in_words(type)
  if type == "shmseg.evict" then
    return '"lru" or "none"'
  elseif type == "shmseg.Codec" then
    return "table with functions encode and decode"
  end
  return (type:gsub("^integer$", "number"):gsub("^fun%(.*", "function"):gsub("|", " or "))
end

local function capitalised(kind)
  return "shmseg." .. kind:sub(1, 1):upper() .. kind:sub(2)
end

-- A handle of each class.
local function handles(segment)
  local all = {
    ["shmseg.Segment"] = segment, ["shmseg.Slice"] = segment:slice(0),
    ["shmseg.Array"] = segment:array(0, "i32"), ["shmseg.Atomic"] = segment:atomic(0, "u32"),
    ["shmseg.Struct"] = shmseg.struct("Point", { { "x", "i32" } }),
    ["shmseg.Stop"] = shmseg.signals("USR1"),
  }
  for i, kind in ipairs(core.kinds) do
    local object = assert(shmseg[kind].open(segment:slice(i * 16384, 16384), "c"))
    all[capitalised(kind)] = object
  end
  all["shmseg.Guard"] = all["shmseg.Mutex"]:lock()
  all["shmseg.Subscription"] = all["shmseg.Broadcast"]:subscribe()
  all["shmseg.Claim"] = all["shmseg.Dict"]:claim "key"
  all["shmseg.Watch"] = all["shmseg.Event"]:watch()
  return all
end

-- The methods that a handle has. On Lua 5.1 those of an array, whose __index is in C, are seen by
-- their declared names alone.
local function methods_of(handle, names)
  local metatable = getmetatable(handle)
  local index, methods = metatable.__index, {}
  if type(index) == "function" then
    local _, behind = debug.getupvalue(index, 1)
    index = behind or {}
    for name in pairs(behind and {} or names) do
      index[name] = handle[name]
    end
  end
  for name, value in pairs(index) do
    methods[name] = type(value) == "function" and name:sub(1, 2) ~= "__" or nil
  end
  for name, value in pairs(type(handle) == "table" and handle or {}) do
    methods[name] = type(value) == "function" or nil
  end
  return methods
end

describe("the types for editors", function()
  local classes, aliases = types.declarations()
  local segment, all

  setup(function()
    segment = assert(shmseg.anonymous(2 ^ 19))
    all = handles(segment)
  end)

  teardown(function()
    all["shmseg.Stop"]:close()
    segment:close()
  end)

  -- What a class and those above it have of a sort: fields, methods or operators.
  local function declared(name, sort)
    local found = {}
    while name do
      local class = assert(classes[name], name .. " is not declared")
      for key, value in pairs(class[sort]) do
        found[key] = value
      end
      name = class.parent
    end
    return found
  end

  it("have the functions of the module and of each kind's module, and no others", function()
    local function is_function(value)
      return type(value) == "function"
    end
    local function is_value(value)
      return type(value) ~= "function"
    end
    assert.same(keys(shmseg, is_function), keys(declared("shmseg", "methods")))
    assert.same(keys(shmseg, is_value), keys(declared("shmseg", "fields")))
    for _, kind in ipairs(core.kinds) do
      assert.same(keys(shmseg[kind]), keys(declared("shmseg." .. kind, "methods")))
    end
  end)

  it("have the methods of each handle, and no others", function()
    for name, handle in pairs(all) do
      local methods = declared(name, "methods")
      local colons = {}
      for key, method in pairs(methods) do
        colons[key] = method.colon
      end
      assert.same({ name, methods_of(handle, methods) }, { name, keys(methods) })
      local plain = name == "shmseg.Struct" and { encode = true, decode = true } or {}
      for key, colon in pairs(colons) do
        assert(colon ~= (plain[key] or false), name .. "." .. key .. ": a colon or a dot?")
      end
      local has_length = getmetatable(handle).__len ~= nil
      assert.same({ name, has_length }, { name, declared(name, "operators").len or false })
    end
  end)

  it("declare a class for each handle, for options and for what calls return, and no others",
    function()
      local used = set {
        "shmseg", "shmseg.Object", "shmseg.SizedObject", "shmseg.Record", "shmseg.Codec",
      }
      for name in pairs(all) do
        used[name] = true
      end
      for _, kind in ipairs(core.kinds) do
        used["shmseg." .. kind] = true
      end
      for name in pairs(classes) do
        local other = name:find "Options$" or name:find "Stats?$" or name == "shmseg.Features"
        assert(used[name] or other, name .. " is of no use")
      end
    end)

  it("name no type that is not declared", function()
    for name in types.read(types.path):gmatch "%f[%w_.]shmseg%.[%w_.]*[%w_]" do
      local known = classes[name] or aliases[name] or classes.shmseg.methods[name:sub(8)]
      assert(known or name:find "^shmseg%.%a+%.lua$", name .. " is not declared")
    end
  end)

  it("have the options of each call, and no others", function()
    local function assert_options(class, fn, ...)
      local message = refused(fn, ...)
      local fields = declared(class, "fields")
      assert.same({ class, listed(message, "there are ") }, { class, keys(fields) })
      local arguments, count = { ... }, select("#", ...)
      for name, type in pairs(fields) do
        arguments[count] = { [name] = coroutine.create(function() end) } -- no option takes it
        message = refused(fn, unpack(arguments, 1, count))
        assert.same({ name, message:match ": (.-) expected" }, { name, in_words(type) })
      end
    end
    assert_options("shmseg.OpenOptions", shmseg.open, "a", "r", nil, { [""] = 1 })
    assert_options("shmseg.MapOptions", shmseg.map, "a", "r", nil, { [""] = 1 })
    assert_options("shmseg.AnonymousOptions", shmseg.anonymous, 8, { [""] = 1 })
    assert_options("shmseg.StructOptions", shmseg.struct, "A", {}, { [""] = 1 })
    local dict = all["shmseg.Dict"]
    assert_options("shmseg.FetchOptions", dict.fetch, dict, "key", print, { [""] = 1 })
    for _, kind in ipairs(core.kinds) do
      assert_options(capitalised(kind) .. "Options", shmseg[kind].open, "a", "r", { [""] = 1 })
    end
  end)

  it("have the fields of each table that a call returns, and no others", function()
    local tables = { ["shmseg.Stat"] = segment:stat(), ["shmseg.Features"] = shmseg.features() }
    for _, kind in ipairs(core.kinds) do
      local object = all[capitalised(kind)]
      tables[capitalised(kind) .. "Stats"] = object.stats and object:stats()
    end
    for name in pairs(classes) do
      if name:find "Stats?$" then
        assert(tables[name], "nothing returns a " .. name)
      end
    end
    for name, returned in pairs(tables) do
      assert.same({ name, keys(returned) }, { name, keys(declared(name, "fields")) })
    end
    local struct = all["shmseg.Struct"]
    local plain = keys(struct, function(value) return type(value) ~= "function" end)
    plain.encode, plain.decode = true, true -- a codec's
    assert.same(plain, keys(declared("shmseg.Struct", "fields")))
  end)

  it("have the modes, types, hints and signals that calls take, and no others", function()
    local message = refused(shmseg.open, "a", "")
    assert.same(quoted(message:match "^(.-) expected"), aliases["shmseg.mode"])
    assert.same(set(core.kinds), aliases["shmseg.kind"])
    message = refused(segment.array, segment, 0, "")
    assert.same(listed(message, "not one of "), aliases["shmseg.type"])
    message = refused(segment.atomic, segment, 0, "")
    assert.same(listed(message, "not one of "), aliases["shmseg.atomic_type"])
    message = refused(segment.advise, segment, "")
    assert.same(listed(message, "not one of "), aliases["shmseg.hint"])
    message = refused(shmseg.dict.open, "a", "r", { evict = "" })
    assert.same(quoted(message:match ": (.-) expected"), aliases["shmseg.evict"])
    local source = types.read "src/os/signals.c"
    assert.same(quoted(source:match "signals%[%] = (%b{})"), aliases["shmseg.signal"])
  end)

  it("have the codes of failures, and no others", function()
    local source = types.read "src/binding/lua.c"
    assert.same(quoted(source:match "codes%[%] = (%b{})"), aliases["shmseg.code"])
    local page = types.read "doc/dict.md"
    local table_of_words = page:match "| word | when |\n(.-)\n\n"
    for row in table_of_words:gmatch "[^\n]+" do
      for word in pairs(quoted(row:match "^|([^|]*)|")) do
        assert(aliases["shmseg.dict_word"][word], word .. " is not declared")
      end
    end
    for word in pairs(aliases["shmseg.dict_word"]) do
      assert(page:find('"' .. word .. '"', 1, true), word .. " is not in doc/dict.md")
    end
  end)

  -- What the manual calls the handles, where it is not the name of the class.
  local callers = {
    a = "shmseg.Array", Point = "shmseg.Struct", n = "shmseg.Atomic", lock = "shmseg.Rwlock",
    object = "shmseg.SizedObject", shmseg = "shmseg",
  }

  local function is_as(parameters, call)
    for i = 1, math.max(#parameters, #call) do
      local mine, manual = parameters[i], call[i]
      if not mine or not manual or mine.optional ~= manual.optional
        or manual.name and mine.name ~= manual.name then
        return false
      end
    end
    return true
  end

  -- Whether a call is as one of the declarations. In the manual "..." alone is "as that one".
  local function agrees(method, call)
    if #call == 1 and call[1].name == "..." or is_as(method.parameters, call) then
      return true
    end
    for _, parameters in ipairs(method.overloads) do
      if is_as(parameters, call) then
        return true
      end
    end
    return false
  end

  it("have the parameters that the manual writes", function()
    for _, call in ipairs(types.calls()) do
      local class = callers[call.object] or call.object:gsub("KIND", "queue")
      class = class:find "^shmseg" and class or capitalised(class)
      local method = declared(class, "methods")[call.name]
      assert(method, call.text .. " is not declared")
      assert(agrees(method, call.parameters), call.text .. ": the declaration is another one")
    end
  end)

  it("have no function that is not on the page of all calls", function()
    local called = {}
    for _, call in ipairs(types.calls()) do
      if call.text:find "^doc/api%.md" then
        local class = callers[call.object] or call.object
        class = class:find "^shmseg" and class or capitalised(class)
        called[class .. " " .. call.name] = true
      end
    end
    for name, class in pairs(classes) do
      for method in pairs(class.methods) do
        local kind = name == "shmseg.Object" and callers.object
          or name:gsub("^shmseg%.%l%w*$", "shmseg.queue")
        local i32 = method:gsub("^([gs]et)_[biuf]%w+$", "%1_i32")
        assert(called[kind .. " " .. method] or called[kind .. " " .. i32],
          name .. " " .. method .. " is not on the page of all calls")
      end
    end
  end)

  it("are a file that does no harm where it is loaded", function()
    local loaded = assert(loadfile(types.path))()
    assert.not_equal(shmseg, loaded)
    assert.equal(shmseg, require "shmseg")
    assert.same(keys(shmseg, function(value) return type(value) == "function" end), keys(loaded))
  end)
end)
