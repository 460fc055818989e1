-- SPDX-License-Identifier: MIT
-- Neovim runs this at its start, and loads the rest when one of the commands is used.

vim.api.nvim_create_user_command("YankShare", function(command)
  local name = command.args ~= "" and command.args or nil
  require("shmseg_yank").start { name = name }
end, { nargs = "?", desc = "Share what is yanked with all Neovims that do the same" })

vim.api.nvim_create_user_command("YankKeep", function()
  require("shmseg_yank").stop()
end, { desc = "Share no longer what is yanked" })
