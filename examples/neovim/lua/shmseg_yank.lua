-- SPDX-License-Identifier: MIT
-- What is yanked in one Neovim can be put in all of this user: a cell has the latest text.

local uv = vim.uv or vim.loop   -- before Neovim 0.10

local yank = {}

local CAPACITY = 2 ^ 20         -- of the largest text, as JSON
local own = vim.fn.getpid()
local shared                    -- what is open, while yanks are shared

-- The loop's callbacks may not call vim.fn: vim.schedule has it done a moment later.
local function take(text)
  local good, value = pcall(vim.json.decode, text)
  if not good or type(value) ~= "table" or value.from == own then
    return
  end
  vim.schedule(function()
    pcall(vim.fn.setreg, '"', value.lines, value.kind)
  end)
end

local look

local function turn()
  local text, version = shared.cell:get()
  if text and version ~= shared.seen then
    shared.seen = version
    take(text)
  end
  assert(shared.watch:rearm(shared.seen))   -- readable at once if there is a newer one
  shared.timer:start(math.ceil(1000 * shared.watch:timeout()), 0, look)
end

-- Runs when the descriptor is readable, and after watch:timeout(), since a Neovim that dies between
-- a value and its wake does not tell. After a failure it stays readable, so that is the end.
function look()
  local good, problem = pcall(turn)
  if not good then
    shared.poll:stop()
    vim.schedule(function()
      yank.stop()
      vim.notify("yanks are shared no longer: " .. problem, vim.log.levels.ERROR)
    end)
  end
end

-- Puts what was yanked just now into the cell. Deleted text stays here.
local function give()
  local event = vim.v.event
  if event.operator ~= "y" then
    return
  end
  local text = vim.json.encode { from = own, lines = event.regcontents, kind = event.regtype }
  if #text <= CAPACITY then
    assert(shared.cell:set(text))
  end
end

--- Shares yanks with each Neovim that does the same.
-- options.name: of the shared memory (default: one for each user)
function yank.start(options)
  yank.stop()
  local shmseg = require "shmseg"
  local name = options and options.name or "nvim-yank-" .. uv.getuid()
  local cell = assert(shmseg.cell.open(name, "c", {
    capacity = CAPACITY, temporary = "last",   -- the last Neovim removes it
  }))
  local text, version = cell:get()
  local seen = text and version or 0           -- what was yanked before stays where it was
  local watch = assert(cell:watch(seen))
  shared = {
    cell = cell, seen = seen, watch = watch,
    poll = uv.new_poll(watch:fd()), timer = uv.new_timer(),
  }
  shared.poll:start("r", look)
  look()
  local group = vim.api.nvim_create_augroup("shmseg_yank", {})
  vim.api.nvim_create_autocmd("TextYankPost", { group = group, callback = give })
  vim.api.nvim_create_autocmd("VimLeavePre", { group = group, callback = yank.stop })
end

--- Ends that.
function yank.stop()
  if shared then
    vim.api.nvim_del_augroup_by_name "shmseg_yank"
    shared.poll:close()                        -- the loop forgets the descriptor first
    shared.timer:close()
    shared.watch:close()
    shared.cell:close()
    shared = nil
  end
end

return yank
