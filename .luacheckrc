-- What Lua 5.1 to 5.5 and LuaJIT have in common; specs and benchmarks may look at the rest.
std = "min"
max_line_length = 100
exclude_files = { "build", "lua_modules" }

files["spec"] = { std = "max+busted" }
files["lua/shmseg/types.lua"] = { unused = false }   -- declarations alone
files["lua/shmseg/front"] = { std = "luajit" }
files["lua/shmseg/front.lua"] = { std = "luajit" }
files["bench"] = { std = "max" }
files["spec/support/peer_main.lua"] = { globals = { "shmseg", "report", "quit" } }   -- what its chunks see
files["examples/openresty/site.lua"] = { read_globals = { "ngx" } }
files["examples/neovim"] = { read_globals = { "vim" } }
