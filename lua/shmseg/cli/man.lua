--- shmseg man: shows the man page, wherever LuaRocks has installed it.
-- @module shmseg.cli.man

local text = require "shmseg.cli.text"

-- Folders below which man1/shmseg.1 may be, as patterns of the shell, seen from this very file: the
-- installed rock's, whose folder has its version in its name; and what `make doc` has made.
local function folders()
  local path = debug.getinfo(1, "S").source:match "^@(.*)shmseg/cli/man%.lua$"
  local tree, version = (path or ""):match "^(.*)share/lua/([%d.]+)/$"
  if tree then
    local build = tree:match "^(.*/build/)[^/]+/$"
    return { text.quote { tree .. "lib/luarocks/rocks-" .. version .. "/shmseg/" } .. "*/doc/man",
      text.quote { tree .. "share/man" }, build and text.quote { build .. "doc/man" } }
  end
  local checkout = (path or ""):match "^(.*)lua/$"
  return { checkout and text.quote { checkout .. "build/doc/man" } }
end

-- The folder that has the page, or nil.
local function find()
  for _, pattern in ipairs(folders()) do
    local pipe = io.popen(("for folder in %s; do test -e \"$folder/man1/shmseg.1\" && "
      .. "printf %%s \"$folder\" && break; done"):format(pattern))
    local folder = pipe and pipe:read "*a" or ""
    if pipe then
      pipe:close()
    end
    if folder ~= "" then
      return folder
    end
  end
end

return {
  summary = "shows the man page of shmseg",
  usage = "",
  options = { { "-p", "--path", nil, "prints the folder that MANPATH needs for it" } },
  detail = [[
LuaRocks has no folder in which man looks. After this, man shmseg works, too:

  export MANPATH="$(shmseg man --path):"]],
  run = function(self, options)
    local folder = find()
    if not folder then
      self:fail "the man page is not there: it comes with a release, or `make doc` makes it"
    elseif options.path then
      return self:out("%s\n", folder)
    end
    self:flush()
    local done = os.execute("exec man " .. text.quote { folder .. "/man1/shmseg.1" })
    return (done == true or done == 0) and 0 or 1
  end,
}
