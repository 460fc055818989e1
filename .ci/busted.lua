-- busted's own command line, on whatever Lua runs this file (Debian's /usr/bin/busted is bound to one).
require "busted.runner"({ standalone = false })
