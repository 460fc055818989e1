-- SPDX-License-Identifier: MIT
-- The programs in README and the manual: the blocks between ``` in lua, c, python or sh.
--
-- A block is a whole program. What it prints stands in it, in comments that begin with `-->`: each
-- is a line of output, in order; "..." is anything, and spaces may differ. A block whose first line
-- is a comment with a file name (`-- reader.lua`) runs together with the other such blocks of its
-- section, as one would start them: one after the other, in terminals of their own.

local manual = {}

--- README, all pages of the manual, and the examples' README.
function manual.pages()
  local pages = {}
  local pipe = assert(io.popen("ls README.md doc/*.md examples/README.md"))
  for page in pipe:lines() do
    pages[#pages + 1] = page
  end
  pipe:close()
  return pages
end

function manual.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- The output that the comments of a program promise.
local function promised(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    local promise = line:match("%-%->%s*(.*)$")
    if promise then
      lines[#lines + 1] = (promise:gsub("%s*%*/%s*$", ""):gsub("%s+$", ""))
    end
  end
  return lines
end

local languages = {
  lua = { extension = "lua", file = "^%-%- ([%w_-]+%.lua)\n" },
  python = { extension = "py", file = "^# ([%w_-]+%.py)\n" },
  c = { extension = "c", file = "^/%* ([%w_-]+%.c) %*/\n" },
  sh = { extension = "sh", file = "^# ([%w_-]+%.sh)\n" },
}

-- What is only to be read. Nothing else is: a language of another spelling would never run.
local to_read = { text = true, yaml = true }

local function block_of(page, line, language, text)
  local rule = languages[language]
  if not rule then
    assert(to_read[language], ("%s, line %d: there is no language '%s'"):format(
      page, line, language))
    return nil
  end
  local file = text:match(rule.file)
  return {
    page = page,
    line = line,
    language = language,
    text = text,
    named = file ~= nil,
    file = file or "program." .. rule.extension,
    promised = promised(text),
  }
end

--- The groups of blocks that run together, in order. A group is a list of blocks; its `title` says
-- where it is.
function manual.groups(page)
  local groups, section = {}, nil
  local number, fence, lines = 0, nil, nil
  for line in (manual.read(page) .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    local mark = line:match("^%s*```(.*)$")
    if mark and not fence then
      fence, lines = { language = mark, line = number }, {}
    elseif mark then
      local block = block_of(page, fence.line, fence.language, table.concat(lines, "\n") .. "\n")
      if block and block.named and section then
        section[#section + 1] = block
      elseif block then
        local group = { block, title = ("%s, line %d"):format(page, fence.line) }
        groups[#groups + 1] = group
        section = block.named and group or section
      end
      fence = nil
    elseif fence then
      lines[#lines + 1] = line
    elseif line:find("^#") then
      section = nil
    end
  end
  assert(not fence, page .. ": a block has no end")
  return groups
end

-- Where a program says what a piece of shared memory is called.
local leaf = "([%w._\128-\255-]+)" -- in UTF-8 with letters of every alphabet
local spellings = {
  "open%(%s*[\"']/?" .. leaf .. "[\"']", -- Lua
  "[%.:]unlink%(%s*[\"']/?" .. leaf .. "[\"']",
  "SharedMemory%(%s*[\"']/?" .. leaf .. "[\"']", -- Python
  "name=[\"']/?" .. leaf .. "[\"']",
  "&segment,%s*\"" .. leaf .. "\"", -- C
  "SHMSEG_NAME,%s*\"" .. leaf .. "\"",
  "/dev/shm/" .. leaf,
}

-- A shell's program uses the command line tool, and removes what it has made.
local function add_removed(names, text)
  for words in text:gmatch("shmseg rm ([%w._ -]+)\n") do
    for name in words:gmatch(leaf) do
      names[name] = true
    end
  end
end

--- The names of shared memory that the programs of a group use: a set.
function manual.names(group)
  local names = {}
  for _, block in ipairs(group) do
    if block.language == "sh" then
      add_removed(names, block.text)
    end
    for _, spelling in ipairs(spellings) do
      for name in block.text:gmatch(spelling) do
        names[name] = true
      end
    end
  end
  return names
end

--- The pattern that finds this very text.
function manual.escaped(text)
  return (text:gsub("%p", "%%%0"))
end

--- The text of a program with the names that `renamed` has for those of the manual.
function manual.rename(block, renamed)
  local text = block.text
  for name, other in pairs(renamed) do
    local pattern, word = manual.escaped(name), other:gsub("%%", "%%%%")
    if block.language == "sh" then
      text = text:gsub("%f[%w._-]" .. pattern .. "%f[^%w._-]", word)
    end
    text = text:gsub("([\"']/?)" .. pattern .. "([\"'])", "%1" .. word .. "%2")
    text = text:gsub("(/dev/shm/)" .. pattern .. "%f[^%w._-]", "%1" .. word)
  end
  return text
end

local function normal(line)
  return (line:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

--- Does a printed line agree with a promised one?
function manual.agrees(promise, line)
  local pattern = manual.escaped(normal(promise)):gsub("%%%.%%%.%%%.", ".*")
  return normal(line):find("^" .. pattern .. "$") ~= nil
end

--- The modules that a program needs besides shmseg and what its language brings.
function manual.modules(block)
  local modules = {}
  local function add(pattern)
    for name in ("\n" .. block.text):gmatch(pattern) do
      modules[#modules + 1] = not name:find("^shmseg") and name or nil
    end
  end
  if block.language == "lua" then
    add("require%s*%(?%s*[\"']([%w._]+)[\"']")
  elseif block.language == "python" then
    add("\n%s*import ([%w_.]+)")
    add("\n%s*from ([%w_.]+) import")
  end
  return modules
end

--- The files that a page leads to, without those of other hosts: a list of paths and anchors.
function manual.links(page)
  local links = {}
  local folder = page:match("^(.*/)") or ""
  local text = manual.read(page):gsub("```.-\n```", "")
  for target in text:gmatch("%]%(([^)%s]+)%)") do
    if not target:find("^%a+:") then
      local path, anchor = target:match("^([^#]*)#?(.*)$")
      path = path == "" and page or folder .. path
      repeat
        local shorter, count = path:gsub("[^/]+/%.%./", "", 1)
        path = shorter
      until count == 0
      links[#links + 1] = { target = target, path = path, anchor = anchor ~= "" and anchor or nil }
    end
  end
  return links
end

--- The anchors of a page's headings, as the usual renderers make them: a set.
function manual.anchors(page)
  local anchors = {}
  local text = ("\n" .. manual.read(page)):gsub("\n```.-\n```", "")
  for heading in text:gmatch("\n#+ ([^\n]+)") do
    local words = heading:gsub("%[(.-)%]%(.-%)", "%1"):lower():gsub("[^%w%s_-]", "")
    anchors[(words:gsub("%s", "-"))] = true
  end
  return anchors
end

return manual
