--- What mutex, rwlock, semaphore, event and the other objects have in common: how they are opened.
-- @module shmseg.object

local core = require "shmseg.core"
local segment = require "shmseg.segment"

local object = {}

-- Options of shmseg.open that an object with a segment of its own may be given.
local segment_options = {
  max = true, perm = true, pin = true, populate = true, reserve = true, temporary = true,
}

-- What is wrong with a capacity, or nil.
local function capacity_error(class, value)
  if type(value) ~= "number" then
    return ("option %q: number expected, got %s"):format(class.capacity, type(value))
  elseif value ~= math.floor(value) or value < 1 or value >= 2 ^ 53
    or not class.core.size_for(value) then
    return ("option %q: out of range: %s"):format(class.capacity, tostring(value))
  end
end

-- What is wrong with a codec, or nil.
local function codec_error(class, options)
  local codec = type(options) == "table" and options.codec
  if not codec then
    return nil
  elseif not class.has_codec then
    return "unknown option \"codec\""
  elseif type(codec) ~= "table" or type(codec.encode) ~= "function"
    or type(codec.decode) ~= "function" then
    return "option \"codec\": table with functions encode and decode expected"
  end
end

-- Splits the options into those of the segment and the object's own capacity; or nil and what is
-- wrong with them.
local function split(class, options)
  local wrong = codec_error(class, options)
  if wrong then
    return nil, wrong
  elseif options ~= nil and type(options) ~= "table" then
    return nil, ("options: table expected, got %s"):format(type(options))
  end
  local own, capacity = {}, nil
  for name, value in pairs(options or {}) do
    if name == class.capacity then
      wrong = capacity_error(class, value)
      if wrong then
        return nil, wrong
      end
      capacity = value
    elseif segment_options[name] then
      own[name] = value
    elseif name ~= "codec" then
      return nil, ("unknown option %q"):format(tostring(name))
    end
  end
  return own, capacity
end

-- How often a name is tried that peers give to other objects and take away.
local ROUNDS = 100

-- Opens the segment of an object on a name; a new one has the object in it before anyone sees it.
local function try_segment(class, name, mode, own, capacity, temporary)
  local size, failure
  if mode == "c" or mode == "x" then
    if class.capacity and not capacity then
      error(("option %q: needed to create"):format(class.capacity), 0)
    end
    size = class.core.size_for(capacity or 1)
    function own.init(new)
      local built, message, code = class.core.open(new, "x", capacity)
      if built then
        built:close()
      end
      if built and temporary then
        built, message, code = core.make_temporary(new)
      end
      if not built then
        failure = { message, code }
        error(message, 0)
      end
    end
  end
  local ok, opened, created, code = pcall(segment.open, name, mode, size, own)
  if failure then
    return nil, failure[1], failure[2]
  elseif not ok then
    error(opened, 0)
  elseif code == "too small" then -- for the object that was asked for; there may be another one
    own.init = nil
    return segment.open(name, "rw", nil, own)
  end
  return opened, created, code
end

-- The same; in mode "c" what is gone between two looks is no failure.
local function open_segment(class, name, mode, ...)
  for _ = 1, ROUNDS do
    local opened, created, code = try_segment(class, name, mode, ...)
    if opened or mode ~= "c" or code ~= "ENOENT" then
      return opened, created, code
    end
  end
  return nil, "EAGAIN: others make and remove the object all the time", "EAGAIN"
end

-- Opens on a name: the object lies in a segment of its own. Raises misuse without a position. A
-- segment that was there is made temporary when the object in it is open, and not before: what is
-- no such object must not be unlinked.
local function open_named(class, name, mode, own, capacity, codec)
  local temporary = own.temporary == true
  own.temporary = not temporary and own.temporary or nil
  local opened, created, code = open_segment(class, name, mode, own, capacity, temporary)
  if not opened then
    return nil, created, code
  end
  local how = mode == "c" and "c" or opened:mode()
  local result, built, why =
    class.core.open(opened, how, capacity, true, codec.encode, codec.decode)
  if not result then
    opened:close()
    return nil, built, why
  end
  if temporary then
    local done, message, reason = core.make_temporary(opened)
    if not done then
      result:close()
      return nil, message, reason
    end
  end
  return result, created or built
end

-- Opens on a name, or on a segment or slice. Raises misuse without a position.
local function open(class, where, mode, options)
  local own, capacity = split(class, options)
  local codec = own and options and options.codec or {}
  if not own then
    error(capacity, 0)
  elseif type(where) ~= "userdata" then
    return open_named(class, where, mode or "rw", own, capacity, codec)
  elseif next(own) then
    error(("option %q: the segment is there already"):format(next(own)), 0)
  end
  return class.core.open(where, mode, capacity, false, codec.encode, codec.decode)
end

-- An error without the place in this library that it came from.
local function without_position(message)
  if type(message) ~= "string" then
    return message
  end
  return (message:gsub("^[^:]*shmseg/%w+%.lua:%d+: ", "", 1))
end

-- The results of a pcall; what it caught is the misuse of the public function's caller, who is two
-- levels up: so no tail calls on the way.
local function results(ok, ...)
  if not ok then
    error(without_position((...)), 3)
  end
  return ...
end

--- An iterator from a function that waits for the next value, and gives nil, message, code when
-- there is none. It ends at "shutdown" and "interrupted", as io.lines does at the end of a file;
-- all other failures raise.
function object.iterator(wait)
  return function()
    local ok, value, message, code = pcall(wait)
    if not ok then
      error(without_position(value), 2)
    elseif value == nil and code ~= "shutdown" and code ~= "interrupted" then
      error(message, 2)
    end
    return value, message, code
  end
end

--- The public table of a kind of object: open and size_for; and the methods of its handles.
-- @tparam string noun
-- @tparam[opt] string capacity the name of the option that sizes it
function object.module(noun, capacity)
  local class = { core = core[noun], capacity = capacity, has_codec = capacity == "capacity" }
  local module = {}

  --- Opens the object.
  -- @param where a name, a segment or a slice
  -- @tparam[opt] string mode as for shmseg.open; on a segment, by default the segment's
  -- @tparam[opt] table options
  -- @return the object, or nil
  -- @return whether it was created, or the message
  -- @return the error code
  function module.open(where, mode, options)
    local opened, created, code = results(pcall(open, class, where, mode, options))
    return opened, created, code
  end

  --- The bytes that an object takes.
  -- @tparam table options
  -- @treturn integer
  function module.size_for(options)
    local _, value = split(class, options)
    local wrong = type(value) == "string" and value
      or capacity and not value and ("option %q: needed"):format(capacity)
    if wrong then
      error(wrong, 2)
    end
    return class.core.size_for(value)
  end

  --- Removes the name of the object's segment, as segment:unlink does.
  function class.core.methods.unlink(self)
    local function unlink()
      return class.core.methods.segment(self):unlink()
    end
    local done, message, code = results(pcall(unlink))
    return done, message, code
  end

  return module, class.core.methods
end

return object
