-- SPDX-License-Identifier: MIT
-- What busted prints: its own report, but the tests that are pending are listed by reason.

local term = require "term"

-- The reasons, in the order of their first tests, and the places of each, { file, line, tests }.
local function by_reason(pendings)
  local reasons, places = {}, {}
  for _, test in ipairs(pendings) do
    local reason = tostring(test.message or test.name):gsub("^[^:]*:%d+: ", "")
    if not places[reason] then
      reasons[#reasons + 1] = reason
      places[reason] = {}
    end
    local list = places[reason]
    local last = list[#list]
    local file = test.trace.short_src:match("([^/]*)%.lua$") or test.trace.short_src
    local line = test.trace.currentline
    if last and last.file == file and last.line == line then
      last.tests = last.tests + 1
    else
      list[#list + 1] = { file = file, line = line, tests = 1 }
    end
  end
  return reasons, places
end

-- "array_spec 216, cdata_spec 51 80, limits_spec 24 (7 tests)"
local function in_words(list)
  local words = {}
  for i, place in ipairs(list) do
    local again = i > 1 and list[i - 1].file == place.file
    words[#words + 1] = (again and " " or i > 1 and ", " or "")
      .. (again and "" or place.file .. " ") .. place.line
      .. (place.tests > 1 and " (" .. place.tests .. " tests)" or "")
  end
  return table.concat(words)
end

return function(options)
  local name = term.isatty(io.stdout) and "utfTerminal" or "plainTerminal"
  local handler = require("busted.outputHandlers." .. name)(options)
  local ended = handler.baseSuiteEnd -- runs before the report is written

  function handler.baseSuiteEnd(...)
    local reasons, places = by_reason(handler.pendings)
    if #reasons > 0 then
      io.write("\n\nPending, by reason:\n")
    end
    for _, reason in ipairs(reasons) do
      io.write("  ", reason, ": ", in_words(places[reason]), "\n")
    end
    handler.pendings = {}
    return ended(...)
  end

  return handler
end
