-- SPDX-License-Identifier: MIT
-- Plain values as one line of text, and back.

local wire = {}

local compile = loadstring or load

local function literal(value)
  if type(value) == "string" then
    return (("%q"):format(value):gsub("\\\n", "\\n"):gsub("\r", "\\r"):gsub("%z", "\\0"))
  elseif type(value) == "number" then
    if value ~= value then
      return "0/0"
    elseif value == math.floor(value) and value > -2 ^ 53 and value < 2 ^ 53 then
      return ("%d"):format(value)
    end
    return ("%.17g"):format(value):gsub("%-?inf", { inf = "1/0", ["-inf"] = "-1/0" })
  elseif type(value) == "table" then
    local fields = {}
    for key, field in pairs(value) do
      fields[#fields + 1] = "[" .. literal(key) .. "]=" .. literal(field)
    end
    return "{" .. table.concat(fields, ",") .. "}"
  elseif value == nil or type(value) == "boolean" then
    return tostring(value)
  end
  return literal(tostring(value))
end

function wire.encode(...)
  local words = {}
  for i = 1, select("#", ...) do
    words[i] = literal((select(i, ...)))
  end
  return "return " .. table.concat(words, ",")
end

function wire.decode(line)
  return assert(compile(line, "=wire"))()
end

return wire
