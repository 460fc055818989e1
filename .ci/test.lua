-- Run by `luarocks test`: the specs on the Lua that LuaRocks works for. Its arguments are busted's.

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local arguments = {}
for i, argument in ipairs(arg) do
  arguments[i] = quote(argument)
end
local lua = rawget(_G, "jit") and "luajit" or _VERSION:match("%d+%.%d+")
local specs = table.concat(arguments, " "):gsub("%$", "$$") -- make halves it
local ok = os.execute("make test LUA=" .. lua .. " ARGS=" .. quote(specs))
os.exit((ok == true or ok == 0) and 0 or 1)
