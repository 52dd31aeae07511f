"""Completion of commands, options and choices for bash, zsh and fish, written from the parser itself.

The scripts are static: pressing Tab starts no Python. They are made anew by `equipoise completion SHELL`.
"""

import argparse
import shlex
from dataclasses import dataclass

NO_VALUE = (0, "?", "*")


@dataclass(frozen=True)
class Option:
    """One option of a command: its spellings, what it does, whether a value follows, and the values allowed."""

    spellings: tuple[str, ...]
    text: str
    takes_value: bool
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """One command: what it does, its options, and the values of its first argument where they are known."""

    name: str
    text: str
    options: tuple[Option, ...]
    choices: tuple[str, ...]


def commands_of(parser: argparse.ArgumentParser) -> list[Command]:
    """Return every command of a parser with subcommands."""
    group = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    helps = {action.dest: action.help or "" for action in group._choices_actions}
    return [
        Command(name, _plain(helps.get(name, "")), _options(sub), _first_choices(sub))
        for name, sub in group.choices.items()
    ]


def _options(sub: argparse.ArgumentParser) -> tuple[Option, ...]:
    return tuple(
        Option(
            tuple(action.option_strings),
            _plain((action.help or "").replace("%(default)s", str(action.default))),
            action.nargs not in NO_VALUE and not isinstance(action, argparse._HelpAction),
            tuple(str(one) for one in action.choices or ()),
        )
        for action in sub._actions
        if action.option_strings
    )


def _first_choices(sub: argparse.ArgumentParser) -> tuple[str, ...]:
    first = next((action for action in sub._actions if not action.option_strings), None)
    return () if first is None else tuple(str(one) for one in first.choices or ())


def _plain(text: str) -> str:
    """Return a help text without what shells would read as their own."""
    return " ".join(text.replace("%%", "%").split())


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the completion for a shell: "bash", "zsh" or "fish"."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](parser.prog, commands_of(parser))


def _bash(prog: str, commands: list[Command]) -> str:
    names = " ".join(one.name for one in commands)
    cases = []
    for one in commands:
        flags = " ".join(spelling for option in one.options for spelling in option.spellings)
        values = [
            f"        {'|'.join(option.spellings)}) words={shlex.quote(' '.join(option.choices))};;"
            if option.choices
            else f"        {'|'.join(option.spellings)}) files=1;;"
            for option in one.options
            if option.takes_value
        ]
        cases += [
            f"    {one.name})",
            '      case "$previous" in',
            *values,
            f"        *) if [[ $current == -* ]]; then words={shlex.quote(flags)};",
            f"           elif (( COMP_CWORD == 2 )) && [[ -n {shlex.quote(' '.join(one.choices))} ]]; then",
            f"             words={shlex.quote(' '.join(one.choices))}; else files=1; fi;;",
            "      esac;;",
        ]
    return "\n".join(
        [
            f"# bash completion of {prog}",
            f"_{prog}() {{",
            '  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" words="" files=""',
            "  COMPREPLY=()",
            "  if (( COMP_CWORD == 1 )); then",
            f'    COMPREPLY=($(compgen -W {shlex.quote(names + " --help --version")} -- "$current")); return',
            "  fi",
            '  case "${COMP_WORDS[1]}" in',
            *cases,
            "  esac",
            '  [[ -n $words ]] && COMPREPLY=($(compgen -W "$words" -- "$current"))',
            "  if [[ -n $files ]]; then compopt -o filenames 2>/dev/null",
            '    mapfile -t COMPREPLY < <(compgen -f -- "$current"); fi',
            "  return 0",
            "}",
            f"complete -F _{prog} {prog}",
            "",
        ]
    )


def _zsh(prog: str, commands: list[Command]) -> str:
    listed = [f"    {shlex.quote(_colons(one.name) + ':' + one.text)}" for one in commands]
    cases = []
    for one in commands:
        lines = [f"        {shlex.quote(spec)} \\" for option in one.options for spec in _zsh_specs(option)]
        first = f"1:value:({' '.join(one.choices)})" if one.choices else "*:file:_files"
        rest = ["        '*:file:_files'"] if one.choices else []
        more = " \\" if rest else ""
        cases += [f"    {one.name}) _arguments \\", *lines, f"        {shlex.quote(first)}{more}", *rest]
        cases.append("      ;;")
    return "\n".join(
        [
            f"#compdef {prog}",
            f"_{prog}() {{",
            "  local -a commands",
            "  commands=(",
            *listed,
            "  )",
            f"  if (( CURRENT == 2 )); then _describe {prog} commands; return; fi",
            "  local name=$words[2]",
            "  shift words; (( CURRENT-- ))",
            "  case $name in",
            *cases,
            "  esac",
            "}",
            f'if [ "$funcstack[1]" = _{prog} ]; then _{prog} "$@"; else compdef _{prog} {prog}; fi',
            "",
        ]
    )


def _zsh_specs(option: Option) -> list[str]:
    about = option.text.replace("[", "(").replace("]", ")").replace(":", " ")
    value = (
        "" if not option.takes_value else f":value:({' '.join(option.choices)})" if option.choices else ":file:_files"
    )
    return [f"{spelling}[{about}]{value}" for spelling in option.spellings]


def _colons(text: str) -> str:
    return text.replace(":", "\\:")


def _fish(prog: str, commands: list[Command]) -> str:
    lines = [f"# fish completion of {prog}", f"complete -c {prog} -f -n __fish_use_subcommand -l help -l version"]
    for one in commands:
        seen = shlex.quote(f"__fish_seen_subcommand_from {one.name}")
        lines.append(f"complete -c {prog} -f -n __fish_use_subcommand -a {one.name} -d {_fish_text(one.text)}")
        if one.choices:
            lines.append(f"complete -c {prog} -f -n {seen} -a {_fish_text(' '.join(one.choices))}")
        for option in one.options:
            spelled = " ".join(
                f"-l {one.removeprefix('--')}" if one.startswith("--") else f"-s {one[1:]}" for one in option.spellings
            )
            value = "" if not option.takes_value else " -r"
            value += f" -f -a {_fish_text(' '.join(option.choices))}" if option.choices else ""
            lines.append(f"complete -c {prog} -n {seen} {spelled}{value} -d {_fish_text(option.text)}")
    return "\n".join([*lines, ""])


def _fish_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
