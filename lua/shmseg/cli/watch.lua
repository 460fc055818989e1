return { summary = "shows", usage = "NAME", operands = { "name" }, run = function() end }
