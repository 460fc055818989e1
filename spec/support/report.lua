-- SPDX-License-Identifier: MIT
-- What busted prints: its own report, but the tests that are pending are listed by reason.

local term = require "term"

-- The reasons, in the order of their first tests, and the places of each: "file line, file line".
local function by_reason(pendings)
  local reasons, places = {}, {}
  for _, test in ipairs(pendings) do
    local reason = tostring(test.message or test.name):gsub("^[^:]*:%d+: ", "")
    local file = test.trace.short_src:match("([^/]*)%.lua$") or test.trace.short_src
    local place = places[reason]
    if not place then
      place = { text = "" }
      places[reason] = place
      reasons[#reasons + 1] = reason
    end
    if place.file ~= file then
      place.text = place.text .. (place.file and ", " or "") .. file
      place.file = file
    end
    place.text = place.text .. " " .. test.trace.currentline
  end
  return reasons, places
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
      io.write("  ", reason, ": ", places[reason].text, "\n")
    end
    handler.pendings = {}
    return ended(...)
  end

  return handler
end
