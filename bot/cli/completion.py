"""Completion for bash, zsh and fish, made from the same table of verbs that everything else is made from.

Verbs, options and keys are in the script itself; ids of runbooks and runs and a runbook's parameters are asked for with
`runbook list`, `runs` and `show`, which say nothing where no token is set.
"""

from __future__ import annotations

from bot.cli.options import NAMES
from bot.grammar import ALIASES, VERBS, Verb

SHELLS = ("bash", "zsh", "fish")
_RUNS = 'runbook runs open --json 2>/dev/null | sed -n \'s/.*"id": "\\(R-[^"]*\\)".*/\\1/p\''
_BOOKS = 'runbook list --json 2>/dev/null | sed -n \'s/^    "id": "\\([^"]*\\)".*/\\1/p\''
_PARAMETERS = "runbook show \"$1\" 2>/dev/null | sed -n 's/^  \\([A-Za-z_][A-Za-z0-9_.-]*=\\).*/\\1/p'"


def script(shell: str, operators: tuple[str, ...]) -> str:
    """What the shell has to read, as in `source <(runbook completion bash)`."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](operators)


def _first_words(operators: tuple[str, ...]) -> list[str]:
    names = [verb.name.partition(" ")[0] for verb in VERBS]
    return sorted({*names, *operators, *(name for name in ALIASES if name.isalpha())})


def _families() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for verb in VERBS:
        family, _, second = verb.name.partition(" ")
        if second:
            found.setdefault(family, []).append(second)
    return found


def _about(verb: Verb) -> str:
    """What the verb's first word is: a runbook (for `run` with its parameters behind it), a run, or neither."""
    if verb.name == "run":
        return "parameters"
    first = verb.usage.removeprefix(verb.name).strip().removeprefix("[")
    return "books" if first.startswith("ID") else "runs" if first.startswith("RUN") else ""


def _keys(verb: Verb) -> str:
    return " ".join(f"{key}=" for key in sorted(verb.options or ({"reason"} if verb.name == "run" else ())))


def _cases() -> str:
    """One branch of a shell's `case` for each verb: its keys, and what to look up."""
    lines = []
    for verb in VERBS:
        names = [verb.name, *(alias for alias, meant in ALIASES.items() if meant == verb.name and alias.isalpha())]
        pattern = "|".join(f'"{name}"' for name in names)
        lines.append(f'    {pattern}) keys="{_keys(verb)}"; look="{_about(verb)}";;')
    return "\n".join(lines)


def _bash(operators: tuple[str, ...]) -> str:
    families = "\n".join(f'    {name}) words="{" ".join(seconds)}";;' for name, seconds in _families().items())
    return f"""\
# runbook completion for bash: source <(runbook completion bash)
_runbook_lookup() {{
  case "$1" in
    books) {_BOOKS};;
    runs) {_RUNS};;
  esac
}}
_runbook_parameters() {{
  {_PARAMETERS}
}}
_runbook() {{
  local line cur verb keys look words at
  line="${{COMP_LINE:0:COMP_POINT}}"
  read -ra at <<< "$line"
  [[ "$line" == *[[:space:]] ]] && at+=("")
  cur="${{at[-1]}}"
  COMPREPLY=()
  if [[ "$cur" == -* ]]; then
    COMPREPLY=($(compgen -W "{" ".join(NAMES)}" -- "$cur")); return
  fi
  if (( ${{#at[@]}} <= 2 )); then
    COMPREPLY=($(compgen -W "{" ".join(_first_words(operators))}" -- "$cur")); return
  fi
  verb="${{at[1]}}"
  case "$verb" in
    check) COMPREPLY=($(compgen -f -- "$cur")); return;;
    completion) COMPREPLY=($(compgen -W "{" ".join(SHELLS)}" -- "$cur")); return;;
    help) COMPREPLY=($(compgen -W "{" ".join(_first_words(operators))}" -- "$cur")); return;;
{families}
  esac
  if [[ -n "$words" ]]; then
    if (( ${{#at[@]}} == 3 )); then COMPREPLY=($(compgen -W "$words" -- "$cur")); return; fi
    verb="$verb ${{at[2]}}"
  fi
  case "$verb" in
{_cases()}
  esac
  words="$keys"
  if [[ "$look" == parameters ]]; then
    look=books
    (( ${{#at[@]}} > 3 )) && look="" && words="$words $(_runbook_parameters "${{at[2]}}")"
  fi
  [[ -n "$look" && "$cur" != *=* ]] && words="$words $(_runbook_lookup "$look")"
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [[ "${{COMPREPLY[0]}}" == *= ]] && compopt -o nospace
}}
complete -F _runbook runbook"""


def _zsh(operators: tuple[str, ...]) -> str:
    families = "\n".join(f'    {name}) seconds="{" ".join(seconds)}";;' for name, seconds in _families().items())
    return f"""\
#compdef runbook
# runbook completion for zsh: source <(runbook completion zsh)
_runbook_parameters() {{
  {_PARAMETERS}
}}
_runbook() {{
  local verb keys look seconds
  local -a found
  if [[ "$PREFIX" == -* ]]; then found=({" ".join(NAMES)}); compadd -- $found; return; fi
  if (( CURRENT == 2 )); then found=({" ".join(_first_words(operators))}); compadd -- $found; return; fi
  verb="$words[2]"
  case "$verb" in
    check) _files; return;;
    completion) compadd -- {" ".join(SHELLS)}; return;;
    help) found=({" ".join(_first_words(operators))}); compadd -- $found; return;;
{families}
  esac
  if [[ -n "$seconds" ]]; then
    if (( CURRENT == 3 )); then compadd -- ${{=seconds}}; return; fi
    verb="$verb $words[3]"
  fi
  case "$verb" in
{_cases()}
  esac
  compadd -S '' -- ${{=keys}}
  if [[ "$look" == parameters ]]; then
    look=books
    (( CURRENT > 3 )) && look="" && compadd -S '' -- ${{(f)"$(_runbook_parameters "$words[3]")"}}
  fi
  case "$look" in
    books) compadd -- ${{(f)"$({_BOOKS})"}};;
    runs) compadd -- ${{(f)"$({_RUNS})"}};;
  esac
}}
compdef _runbook runbook"""


def _fish(operators: tuple[str, ...]) -> str:
    lines = ["# runbook completion for fish: runbook completion fish | source", "complete -c runbook -f"]
    helps = {verb.name: verb.help for verb in VERBS}
    first = "test (count (commandline -opc)) -eq 1"
    for name in _first_words(operators):
        words = helps.get(ALIASES.get(name, name), "").replace("'", "’")
        lines.append(f"complete -c runbook -n '{first}' -a {name}" + (f" -d '{words}'" if words else ""))
    for family, seconds in _families().items():
        second = f"__fish_seen_subcommand_from {family}; and test (count (commandline -opc)) -eq 2"
        lines.append(f"complete -c runbook -n '{second}' -a '{' '.join(seconds)}'")
    for verb in VERBS:
        seen = f"__fish_seen_subcommand_from {verb.name.partition(' ')[0]}"
        if " " in verb.name:
            seen += f"; and __fish_seen_subcommand_from {verb.name.partition(' ')[2]}"
        look = {"books": f" ({_BOOKS})", "parameters": f" ({_BOOKS})", "runs": f" ({_RUNS})"}.get(_about(verb), "")
        if _keys(verb) or look:
            lines.append(f'complete -c runbook -n "{seen}" -a "{_keys(verb)}{look}"')
    given = "__fish_seen_subcommand_from run start execute; and test (count (commandline -opc)) -gt 2"
    lines.append("function __runbook_parameters; set -l words (commandline -opc); set -l argv $words[3]")
    lines.append(f"  {_PARAMETERS.replace('$1', '$argv[1]')}")
    lines.append("end")
    lines.append(f'complete -c runbook -n "{given}" -a "(__runbook_parameters)"')
    lines += [f"complete -c runbook -l {name.lstrip('-')}" for name in NAMES if name.startswith("--")]
    lines.append("complete -c runbook -n '__fish_seen_subcommand_from check' -F")
    lines.append(f"complete -c runbook -n '__fish_seen_subcommand_from completion' -a '{' '.join(SHELLS)}'")
    return "\n".join(lines)
