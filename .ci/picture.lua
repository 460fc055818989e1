-- SPDX-License-Identifier: MIT
-- Draws the picture of README, doc/two-terminals.svg, from a run of the writer and the reader:
--   make picture

local writer = "lua5.4 examples/writer.lua --interval 0.5 --count 5"
local reader = "lua5.4 examples/reader.lua --interval 0.5 --count 4"

-- What both print when the reader comes a moment after the writer.
local function run()
  local interpreter = os.getenv("SHMSEG_LUA")
  local function real(command)
    return (command:gsub("^lua5%.4", function()
      return interpreter
    end))
  end
  local first = assert(io.popen(real(writer), "r"))
  local lines = { { "$ " .. writer }, { "$ " .. reader } }
  for _ = 1, 3 do -- the first line of letters is there
    table.insert(lines[1], assert(first:read("*l")))
  end
  require("shmseg").sleep(0.2) -- read in the middle between two writes
  for i, pipe in ipairs { first, (assert(io.popen(real(reader), "r"))) } do
    for line in pipe:lines() do
      table.insert(lines[i], line)
    end
    assert(pipe:close())
  end
  return lines
end

local character, height, columns, rows = 6.63, 17, 54, 10 -- pixels, of a letter of 11 pixels
local width = math.ceil(columns * character) + 16

local function escape(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

local function draw(out, x, title, lines)
  out(('<rect x="%.0f" y="0" width="%.0f" height="%d" rx="6" fill="#1c2128"/>'):format(
    x, width, rows * height + 30))
  out(('<text x="%.0f" y="17" fill="#768390" text-anchor="middle">%s</text>'):format(
    x + width / 2, title))
  for i, line in ipairs(lines) do
    out(('<text x="%.0f" y="%d" fill="%s">%s</text>'):format(
      x + 8, 22 + i * height, i == 1 and "#57ab5a" or "#cdd9e5", escape(line)))
  end
end

local function picture(lines)
  local text = {}
  local function out(line)
    text[#text + 1] = line
  end
  local whole = 2 * width + 12
  out(('<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" viewBox="0 0 %.0f %d"'
    .. ' font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace"'
    .. ' font-size="11" xml:space="preserve">'):format(
    whole, rows * height + 30, whole, rows * height + 30))
  out('<title>The writer and the reader, run side by side</title>')
  draw(out, 0, "terminal 1", lines[1])
  draw(out, width + 12, "terminal 2", lines[2])
  out("</svg>")
  return table.concat(text, "\n") .. "\n"
end

local file = assert(io.open("doc/two-terminals.svg", "w"))
file:write(picture(run()))
file:close()
