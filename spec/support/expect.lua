-- SPDX-License-Identifier: MIT
-- Assertions in the words of the manual: misuse raises, the world's failures return.

local expect = {}

--- `f(...)` raises a message that has each of the patterns (a string or a list): the message.
function expect.misuse(patterns, f, ...)
  local ok, message = pcall(f, ...)
  if ok then
    error("no error was raised where one should be", 2)
  elseif type(message) ~= "string" then
    error("the error is not a string but " .. tostring(message), 2)
  end
  for _, pattern in ipairs(type(patterns) == "table" and patterns or { patterns }) do
    if not message:find(pattern) then
      error(("the error %q lacks %q"):format(message, pattern), 2)
    end
  end
  return message
end

--- The values are those of a failure with this code: nil, message, code. Returns the message.
function expect.failure(code, ...)
  local value, message, actual = ...
  if value ~= nil or actual ~= code then
    local found = ("%s, %s, %s"):format(tostring(value), tostring(message), tostring(actual))
    error(("expected nil, a message, %q and not %s"):format(code, found), 2)
  elseif type(message) ~= "string" or message == "" then
    error("the failure has no message", 2)
  end
  return message
end

--- The values are not those of a failure; returns them.
function expect.success(...)
  local value, message, code = ...
  if value == nil then
    error(("failed: %s (%s)"):format(tostring(message), tostring(code)), 2)
  end
  return ...
end

return expect
