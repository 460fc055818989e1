-- SPDX-License-Identifier: MIT
-- What .ci/doc makes around lowdown: which pages there are, their frame, their links, and what the
-- tool says of its commands.

local folder = arg[1]
local tool = "doc/tool.md"

-- --- files -----------------------------------------------------------------------------------

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a") -- nil: a folder
  if file then
    file:close()
  end
  return text
end

local function quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function write(path, text)
  assert(os.execute("mkdir -p " .. quote(path:match("^(.*)/"))))
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local common = "--parse-no-super --parse-no-metadata --out-no-smarty "

-- What lowdown makes of a Markdown text.
local function lowdown(markdown, options)
  local name = os.tmpname()
  write(name, markdown)
  local pipe = assert(io.popen("lowdown " .. common .. options .. " " .. quote(name)))
  local made = pipe:read("*a")
  assert(pipe:close(), "lowdown has failed")
  os.remove(name)
  return made
end

-- --- the commands of the tool ------------------------------------------------------------------

local cli = require "shmseg.cli"
local commands = require("shmseg.cli.help").describe(cli).commands

local function plain(text)
  return (text:gsub("[\\`*_<>%[%]|#]", "\\%0"))
end

-- Paragraphs of a help text. One that has columns, or begins with spaces, stays as it is.
local function paragraphs(text)
  local parts = {}
  for part in (text .. "\n\n"):gmatch("(.-)\n\n+") do
    local is_table = part:find("%S  +%S") or part:find("^ ") or part:find("\n ")
    parts[#parts + 1] = is_table and "    " .. part:gsub("\n", "\n    ") or plain(part)
  end
  return table.concat(parts, "\n\n") .. "\n\n"
end

local function option_text(option)
  local short = option.short and "**" .. option.short .. "**, " or ""
  local argument = option.argument and " *" .. plain(option.argument) .. "*" or ""
  return ("%s**%s**%s\n: %s\n\n"):format(short, option.long, argument, plain(option.text))
end

-- All commands and their options as Markdown, below headings of a level.
local function reference(level)
  local texts = {}
  for _, command in ipairs(commands) do
    local usage = command.usage ~= "" and " " .. command.usage or ""
    texts[#texts + 1] = ("%s %s\n\n`shmseg %s [OPTION]...%s`\n\n%s.\n\n"):format(
      ("#"):rep(level), command.name, command.name, usage,
      plain(command.summary:gsub("^%l", string.upper)))
    for _, option in ipairs(command.options) do
      texts[#texts + 1] = option_text(option)
    end
    texts[#texts + 1] = command.detail and paragraphs(command.detail) or ""
  end
  return table.concat(texts)
end

-- --- HTML ------------------------------------------------------------------------------------

-- The path of a link from a page, without "..".
local function resolved(page, target)
  local path = (page:match("^(.*/)") or "") .. target
  local count
  repeat
    path, count = path:gsub("[^/]+/%.%./", "", 1)
  until count == 0
  local inside = path:gsub("/$", "") .. "/README.md" -- of a folder
  return read(inside) and inside or path
end

local function html_name(path)
  return (path:gsub("README%.md$", "index.html"):gsub("%.md$", ".html"))
end

-- Headings get the anchors that the usual renderers of Markdown give them, which the links mean.
local function with_anchors(html)
  local seen = {}
  return (html:gsub("<h(%d)>(.-)</h%1>", function(level, text)
    local words = text:gsub("<[^>]*>", ""):gsub("&#%d+;", ""):gsub("&%a+;", ""):lower()
    local anchor = words:gsub("[^%w%s_\128-\255-]", ""):gsub("%s", "-")
    seen[anchor] = (seen[anchor] or -1) + 1
    anchor = seen[anchor] > 0 and anchor .. "-" .. seen[anchor] or anchor
    return ('<h%s id="%s">%s</h%s>'):format(level, anchor, text, level)
  end))
end

-- In a table's code a bar is written with a backslash.
local function with_bars(html)
  return (html:gsub("<code>.-</code>", function(code)
    return (code:gsub("\\|", "|"))
  end))
end

-- The address of a link or an image.
local link = '(<[ai][^>]- %l%l%l%l?=)"([^"]*)"'

local frame = [[
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s</title>
<link rel="stylesheet" href="%sstyle.css">
</head>
<body>
<nav><a href="%sindex.html">shmseg</a> <a href="%sdoc/index.html">manual</a>
<a href="%sdoc/api.html">all calls</a> <a href="%sdoc/tool.html">tool</a></nav>
%s</body>
</html>
]]

-- Writes a page, and returns the paths that its links lead to.
local function make_page(page)
  local markdown = assert(read(page), page .. " is not there")
  local title = markdown:match("^# ([^\n]+)"):gsub("[`*]", "")
  if page == tool then
    markdown = markdown .. "\n## Commands and options\n\n" .. reference(3)
  end
  local body, paths = lowdown(markdown, "--html-no-head-ids -thtml"), {}
  local up = ("../"):rep(select(2, page:gsub("/", "")))
  body = with_bars(with_anchors(body)):gsub(link, function(before, target)
    local path, anchor = target:match("^([^#]*)(.*)$")
    if target:find("^%a+:") or path == "" then
      return nil
    end
    local there = resolved(page, path)
    paths[#paths + 1] = there
    return ('%s"%s%s%s"'):format(before, up, html_name(there), anchor)
  end)
  write(folder .. "/html/" .. html_name(page), frame:format(title, up, up, up, up, up, body))
  return paths
end

-- Makes the pages that a reader can come to, and copies the other files that they lead to.
local function make_html()
  local made, waiting = {}, { "README.md" }
  while #waiting > 0 do
    local path = table.remove(waiting)
    if not made[path] then
      made[path] = true
      if path:find("%.md$") then
        for _, next_path in ipairs(make_page(path)) do
          waiting[#waiting + 1] = next_path
        end
      else
        write(folder .. "/html/" .. path, assert(read(path), "a link leads to " .. path))
      end
    end
  end
  write(folder .. "/html/style.css", read(".ci/doc.css"))
  return made
end

-- Looks at what was written. Returns how many links lead nowhere.
local function count_dead_links(made)
  local dead = 0
  for path in pairs(made) do
    local name = html_name(path)
    local html = name:find("%.html$") and read(folder .. "/html/" .. name) or ""
    for _, target in html:gmatch(link) do
      local file, anchor = target:match("^([^#]*)#?(.*)$")
      if not target:find("^%a+:") then
        local other = file == "" and html or read(folder .. "/html/" .. resolved(name, file))
        if not other or anchor ~= "" and not other:find(('id="%s"'):format(anchor), 1, true) then
          io.stderr:write(("%s: a link leads to %s, which is not there\n"):format(path, target))
          dead = dead + 1
        end
      end
    end
  end
  return dead
end

-- --- the man page ------------------------------------------------------------------------------

-- What is to be typed is bold, and has the hyphens of a keyboard.
local function typed(text)
  return (text:gsub("%-", "\\-"):gsub("\\\\%-", "\\-"))
end

local function make_man()
  local text = assert(read(tool)):gsub("^#[^\n]*\n", "")
  local source = "# NAME\n\nshmseg - looks at shared memory, and works with what lies in it\n\n"
    .. "# SYNOPSIS\n\n`shmseg COMMAND [OPTION]... [OPERAND]...`\n\n# DESCRIPTION\n\n" .. text
    .. "\n# COMMANDS\n\n" .. reference(2)
    .. "# EXIT STATUS\n\n0\n: done\n\n1\n: failed, or the answer is no\n\n"
    .. "2\n: misuse of the command line\n\n130\n: Ctrl-C\n"
  local date = read("CHANGELOG.md"):match("\n## %S+ %- (%d%d%d%d%-%d%d%-%d%d)\n") or ""
  source = source:gsub("…", "...") -- not every terminal has it
  local page = lowdown(source, ("-s --nroff-nolinks -tman -M title=SHMSEG -M section=1 "
    .. "-M date=%s -M source=%s"):format(date, quote(require("shmseg")._VERSION)))
  page = page:gsub("\\f%(CR", "\\fB"):gsub("\\fC", "\\fB") -- lowdown 3, and those before
  page = page:gsub("\\fB.-\\fR", typed):gsub("\n%.EX\n.-\n%.EE\n", typed)
  page = page:gsub("(\n%.S[HS])\n", "%1 "):gsub("(\n%.S[HS] [^\n]*\n)%.[LP]P\n", "%1")
  page = page:gsub("\\\\|", "|")
  page = page:gsub("\n%.EX\n", "\n.RS 4\n.EX\n"):gsub("\n%.EE\n", "\n.EE\n.RE\n")
  page = page:gsub("\n%.TH [^\n]*\n", "%0.ad l\n.nh\n", 1) -- narrow columns hold nothing else
  write(folder .. "/man/man1/shmseg.1", page)
end

make_man()
os.exit(count_dead_links(make_html()) == 0 and 0 or 1)
