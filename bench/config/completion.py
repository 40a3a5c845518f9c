"""Completion: what a shell offers at the Tab key. Hydra's own completion knows no commands and no `python -m bench`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

from bench.config import COMMANDS
from bench.config.chosen import choices_in, keys_in
from bench.config.described import (
    Setting,
    choices_of,
    component_settings,
    describe,
    group_names,
    shared_settings,
)

FLAGS = ("-m", "--multirun", "--help", "--cfg", "--config-dir")
# bash replaces only the part of a word that follows the last = or :
SCRIPT = r"""_bench_completion() {
    local line="${COMP_LINE:0:$COMP_POINT}" word IFS=$' \t\n'
    [[ "$line" =~ ^([^[:space:]]*python[0-9.]*[[:space:]]+-m[[:space:]]+bench)[[:space:]] ||
       "$line" =~ ^([^[:space:]]*bench)[[:space:]] ]] || return
    local -a start=(${BASH_REMATCH[1]})
    start[0]="${start[0]/#\~/$HOME}"
    word="${line##* }"
    IFS=$'\n'
    COMPREPLY=($(COMP_LINE="$line" "${start[@]}" -sc query=bash 2>/dev/null))
    [[ "$COMP_WORDBREAKS" != *=* ]] || COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*[=:]}"}"}")
}
complete -o nospace -o default -F _bench_completion """


def complete_shell(arguments: Sequence[str]) -> str | None:
    """Return the answer to `-sc install=bash` or `-sc query=bash`; None for any other command line."""
    if "-sc" not in arguments and "--shell-completion" not in arguments:
        return None
    if "install=bash" in arguments:
        return SCRIPT + ("bench python python3" if sys.argv[0].endswith(".py") else "bench")
    if "query=bash" in arguments:
        return "\n".join(completions(os.environ.get("COMP_LINE", "")))
    return None


def completions(line: str) -> list[str]:
    """List the words that can stand in place of the last word of a line.

    Examples:
        >>> completions("python -m bench prop")
        ['propose ']
        >>> completions("bench propose retrain.ep"), completions("bench estimator=[kde,ksg_")
        (['retrain.epochs='], ['estimator=[kde,ksg_mixture'])
    """
    words = line.split(" ")
    start = words.index("bench") + 1 if words[1:3] == ["-m", "bench"] else 1
    *before, word = words[start:] or [""]
    command = next((each for each in before if each in COMMANDS), None)
    overrides = [each for each in before if "=" in each]
    if word.startswith("-"):
        return [f"{flag} " for flag in FLAGS if flag.startswith(word)]
    if "=" in word:
        return _values(word, command or "run", overrides)
    commands = [] if command or overrides else [f"{name} " for name in COMMANDS if name.startswith(word)]
    return commands + _keys(word, command or "run", overrides)


def _keys(word: str, command: str, overrides: Sequence[str]) -> list[str]:
    """List the keys that begin with a word, up to their next dot."""
    prefix = word[: len(word) - len(word.lstrip("+~"))]
    begun = word.removeprefix(prefix)
    groups = [*choices_in(command, overrides), *(["experiment"] if prefix else [])]
    found = {f"{name}=" for name in groups if name.startswith(begun)}
    for key in keys_in(command, overrides):
        if key.startswith(begun) and key not in groups:
            dot = key.find(".", len(begun))
            found.add(f"{key}=" if dot < 0 else key[: dot + 1])
    return sorted(f"{prefix}{each}" for each in found)


def _values(word: str, command: str, overrides: Sequence[str]) -> list[str]:
    """List the values that begin with the value of a word; in a list or a sweep, its last value."""
    given, value = word.split("=", 1)
    key = given.lstrip("+")
    begun = re.split(r"[\[,]", value)[-1]
    if key in group_names():
        options = choices_of(key)
    else:
        chosen = choices_in(command, overrides)
        inside = [each for group, names in chosen.items() for name in names for each in component_settings(group, name)]
        known = {each.key: each for each in (*inside, *shared_settings(), *describe(command).settings)}
        options = _options(known[key]) if key in known else []
    return [word.removesuffix(begun) + option for option in options if option.startswith(begun)]


def _options(setting: Setting) -> list[str]:
    """List the values of a setting if they are words, else its default value."""
    if re.fullmatch(r"(one of )?\w+((, | or )\w+)+", setting.allowed):
        return re.split(r", | or ", setting.allowed.removeprefix("one of "))
    if found := re.match(r"\w+( \| \w+)+(?! \w)", setting.comment):
        return found[0].split(" | ")
    return [] if setting.default in ("", "null", "???") else [setting.default]
