-- busted's own command line, on the Lua that runs this file (Debian's busted is bound to one).
require "busted.runner"({ standalone = false })
