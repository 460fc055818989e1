-- SPDX-License-Identifier: MIT
-- Looks whether the links of all pages in a folder lead to files that are in it, too:
--   lua5.4 .ci/links.lua FOLDER        from the checkout; exit status 1 when one does not

local manual = require "spec.support.manual"
local shell = require "spec.support.shell"

local folder = shell.quote(arg[1])
local pages, dead = 0, 0
for page in shell.run("find " .. folder .. " -name '*.md'"):gmatch("[^\n]+") do
  pages = pages + 1
  for _, link in ipairs(manual.links(page)) do
    local inside = link.path:sub(1, #arg[1] + 1) == arg[1] .. "/"
    if not inside or not shell.succeeds("test -e " .. shell.quote(link.path)) then
      dead = dead + 1
      print(("%s leads to %s, which is not there"):format(page, link.target))
    end
  end
end
if pages == 0 then
  print("there is no page in " .. arg[1])
end
os.exit(pages > 0 and dead == 0 and 0 or 1)
