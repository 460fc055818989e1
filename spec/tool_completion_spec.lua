-- SPDX-License-Identifier: MIT
-- The shells complete the tool's command lines: what they ask the tool, and the shells themselves.

local cli = require "shmseg.cli"
local options = require "shmseg.cli.options"
local scratch = require "spec.support.scratch"
local shell = require "spec.support.shell"
local shmseg = require "shmseg"
local tool = require "spec.support.tool"

-- What the tool answers: what else there may be, a list of the words, and what is told of each.
local function answer(...)
  local also, words, told = nil, {}, {}
  for line in tool.prints("--complete", ...):gmatch "[^\n]+" do
    local word, text = line:match "^([^\t]*)\t(.*)$"
    if not also then
      also = line
    else
      words[#words + 1], told[word] = word, text
    end
  end
  return also, words, told
end

local function words_of(...)
  local also, words = answer(...)
  assert.equal("words", also)
  table.sort(words)
  return words
end

-- The same from a shell that has read the completion: a list of words for each list of words that
-- stands on the command line. The script prints "> " before each list.
local function completed(command, script, ...)
  local folder = scratch.path "bin"
  assert(shell.succeeds("mkdir " .. shell.quote(folder)))
  local program = assert(io.open(folder .. "/shmseg", "w"))
  program:write("#!/bin/sh\nexec ", tool.line(), ' "$@"\n')
  program:close()
  assert(shell.succeeds("chmod +x " .. shell.quote(folder .. "/shmseg")))
  local path = scratch.file(script)
  local printed, status = shell.run(("PATH=%s:\"$PATH\" LC_ALL=C %s %s %s"):format(
    shell.quote(folder), command, shell.quote(path), shell.quote(...)))
  assert.equal(0, status, printed)
  local lists = {}
  for line in printed:gmatch "[^\n]+" do
    if line:sub(1, 1) == ">" then
      lists[#lists + 1] = {}
    else
      table.insert(lists[#lists], line)
    end
  end
  for _, list in ipairs(lists) do
    table.sort(list)
  end
  return lists
end

describe("completion", function()
  after_each(scratch.clean)

  it("offers all commands, and tells what they do", function()
    local also, words, told = answer("zsh", "")
    assert.equal("words", also)
    for i, name in ipairs(cli.commands) do
      assert.equal(name, words[i])
      assert.equal(cli.command(name).summary, told[name])
    end
    assert.same({ "read", "record", "replay" }, words_of("zsh", "re"))
    assert.same({ "lock", "ls" }, words_of("zsh", "help", "l"))
    assert.same({ "bash", "fish", "zsh" }, words_of("zsh", "completion", ""))
    assert.same({}, words_of("zsh", "nothing", ""))
  end)

  it("offers the options of each command, and no others", function()
    for _, name in ipairs(cli.commands) do
      local expected = {}
      for _, option in ipairs(options.all(cli.command(name))) do
        expected[#expected + 1] = option[2]
        expected[#expected + 1] = option[1]
      end
      table.sort(expected)
      assert.same(expected, words_of("zsh", name, "-"))
    end
    assert.is_nil(select(3, answer("zsh", "rm", "--", "-"))["--force"])
  end)

  it("offers names by the kind that a command works with", function()
    local family = scratch.family()
    for _, kind in ipairs { "queue", "dict", "cell" } do
      assert(shmseg[kind].open(family .. kind, "c", { capacity = 256 })):close()
    end
    assert(shmseg.open(family .. "plain", "c", 64)):close()
    local function kinds(...)
      local found = {}
      for i, word in ipairs(words_of("zsh", ...)) do
        found[i] = word:sub(#family + 1)
      end
      return found
    end
    assert.same({ "cell", "dict", "plain", "queue" }, kinds("dump", family))
    assert.same({ "queue" }, kinds("push", family))
    assert.same({ "cell", "dict" }, kinds("get", family))
    assert.same({}, kinds("get", family .. "cell", family))
    assert.same({ "plain" }, kinds("rm", "-f", "a", "--", family .. "p"))
    assert.same({ "dict" }, kinds("dump", "--count", "5", "-o", "7", family .. "d"))
  end)

  it("leaves files and commands to the shell", function()
    assert.equal("files", (answer("zsh", "dump", "-s", "")))
    assert.equal("files", (answer("zsh", "dump", "--struct=")))
    assert.equal("words", (answer("zsh", "dump", "--count=")))
    assert.equal("files", (answer("zsh", "replay", "")))
    assert.equal("commands", (answer("zsh", "lock", "-t", "5", "a", "--", "")))
    assert.equal("files", (answer("zsh", "lock", "a", "--", "ls", "")))
  end)

  it("offers no name with characters that a line cannot have", function()
    local family = scratch.family()
    assert(shmseg.open(family .. "\n\27", "c", 64)):close()
    assert(shmseg.open(family .. "a b", "c", 64)):close()
    assert.same({ family .. "a b" }, words_of("zsh", "info", family))
    assert.same({ family .. "a\\ b" }, words_of("bash", "info", family))
    assert.same({ family .. "a b" }, words_of("bash", "info", '"' .. family .. "a "))
  end)

  it("works in bash, also where bash takes a word apart", function()
    if not shell.has "bash" then
      pending "there is no bash here"
    end
    local family = scratch.family()
    for _, ending in ipairs { "a b", "c:d", "e=f", "it's" } do
      assert(shmseg.open(family .. ending, "c", 64)):close()
    end
    local file = scratch.file "return {}"
    local lists = completed("bash", [[
      eval "$(shmseg completion bash)" || exit
      try() { # the words as bash has them
        COMP_LINE=$1 COMP_WORDS=(shmseg "${@:2}") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        _shmseg
        printf '%s\n' '>' "${COMPREPLY[@]}"
      }
      try "shmseg l" l
      try "shmseg info $1" info "$1"
      try "shmseg info $1c:" info "$1c" :
      try "shmseg info $1e=" info "$1e" =
      try "shmseg info $1a\\ " info "$1a\\ "
      try "shmseg info '$1it" info "'$1it"
      try "shmseg dump --struct=$2" dump --struct = "$2"
      try "shmseg rm x $1it" rm x "$1it"]], family, file:sub(1, -2))
    assert.same({
      { "lock", "ls" },
      { family .. "a\\ b", family .. "c:d", family .. "e=f", family .. "it\\'s" },
      { "d" }, { "f" }, { family .. "a\\ b" }, { family .. "it's" }, { file },
      { family .. "it\\'s" },
    }, lists)
  end)

  it("works in zsh", function()
    if not shell.has "zsh" then
      pending "there is no zsh here"
    end
    local family = scratch.family()
    assert(shmseg.open(family .. "a b", "c", 64)):close()
    local lists = completed("zsh -f", [[
      compdef() { : }
      compadd() { print -rl -- "${values[@]}" }
      compset() { : }
      _files() { print files }
      _command_names() { print commands }
      eval "$(shmseg completion zsh)" || exit
      try() { words=(shmseg "$@"); CURRENT=$#words; print '>'; _shmseg; true }
      try l
      try info "$1"
      try info "$1a\\ "
      try replay ''
      try lock a -- '']], family)
    assert.same({ { "lock", "ls" }, { family .. "a b" }, { family .. "a b" }, { "files" },
      { "commands" } }, lists)
  end)

  it("works in fish", function()
    if not shell.has "fish" then
      pending "there is no fish here"
    end
    local family, file = scratch.family(), scratch.file "return {}"
    assert(shmseg.open(family .. "a b", "c", 64)):close()
    local lists = completed("env HOME=/nonexistent fish --no-config", [[
      shmseg completion fish | source
      set -l info "shmseg info $argv[1]"
      for line in "shmseg l" $info $info"a\\ " "shmseg dump --struct=$argv[2]"
        echo '>'
        complete -C $line | string replace -r '\t.*' ''
      end
      true]], family, file:sub(1, -2))
    assert.same({ { "lock", "ls" }, { family .. "a b" }, { family .. "a b" },
      { "--struct=" .. file } }, lists)
  end)

  it("knows three shells", function()
    assert.truthy(tool.fails(2, "completion", "csh"):find "bash, zsh or fish")
  end)
end)
