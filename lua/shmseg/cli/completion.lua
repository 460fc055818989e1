--- shmseg completion: what makes a shell complete the tool's command lines.
-- @module shmseg.cli.completion

local scripts = {}

-- Bash splits words at "=" and ":", too; they are put together again here, and of what is to be
-- inserted the part that is there already is taken away.
scripts.bash = [==[
_shmseg() {
  local words=() rest=$COMP_LINE i word line also= piece=${COMP_WORDS[COMP_CWORD]}
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $i -gt 0 && -n $word && $rest == "$word"* ]]; then
      words[${#words[@]} - 1]+=$word
    else
      words+=("$word")
      rest=${rest#"${rest%%[![:space:]]*}"}
    fi
    rest=${rest#"$word"}
  done
  local current=${words[${#words[@]} - 1]}
  [[ $piece != [=:] ]] || piece=
  local before=${current%"$piece"} tool=${words[0]/#~\//${HOME-}/}
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ -z $also ]]; then
      also=$line
    else
      word=${line%%$'\t'*}
      COMPREPLY+=("${word#"$before"}")
    fi
  done < <("$tool" --complete bash "${words[@]:1}" 2>/dev/null)
  case $also in
    files) compopt -o filenames 2>/dev/null ;;
    commands) ;;
    *) return ;;
  esac
  while IFS= read -r line; do
    COMPREPLY+=("$line")
  done < <(compgen -A "${also%s}" -- "$piece")
}
complete -F _shmseg shmseg
]==]

scripts.zsh = [==[
#compdef shmseg
_shmseg() {
  local -a lines values shown
  local line also
  lines=("${(@f)$("${(Q)words[1]}" --complete zsh "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  also=$lines[1]
  for line in "${(@)lines[2,-1]}"; do
    values+=("${line%%$'\t'*}")
    shown+=("${line%%$'\t'*}  ${line#*$'\t'}")
  done
  (( $#values )) && compadd -l -d shown -a -- values
  case $also in
    files) compset -P '*='; _files ;;
    commands) _command_names -e ;;
  esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _shmseg "$@"; else compdef _shmseg shmseg; fi
]==]

scripts.fish = [==[
function __shmseg_complete
  set -l current (commandline -ct | string unescape)
  set -l words (commandline -opc) "$current"
  set -l lines ($words[1] --complete fish $words[2..] 2>/dev/null)
  switch "$lines[1]"
    case files
      set -l option (string match -r -- '^--[^=]*=' "$current")
      set -l path (string replace -- "$option" '' "$current")
      __fish_complete_path "$path" | string replace -r '^' -- "$option"
    case commands
      __fish_complete_command
  end
  printf '%s\n' $lines[2..]
end
complete -c shmseg -f -a '(__shmseg_complete)'
]==]

return {
  summary = "prints what makes a shell complete the command lines of shmseg",
  usage = "bash|zsh|fish",
  operands = { "one:bash,zsh,fish" },
  detail = [[
Commands, options, and names of shared memory are completed, names by the kind
that the command works with.

  bash   eval "$(shmseg completion bash)" in ~/.bashrc
  zsh    eval "$(shmseg completion zsh)" in ~/.zshrc, behind compinit
  fish   shmseg completion fish > ~/.config/fish/completions/shmseg.fish]],
  run = function(self, _, operands)
    local script = scripts[operands[1]]
    if not script then
      self:misuse(("there is no shell %q: bash, zsh or fish"):format(operands[1]))
    end
    self:write(script)
  end,
}
