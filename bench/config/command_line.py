"""Command line: the command, the flags and the overrides. One line refuses what Hydra would misread."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from hydra._internal.utils import get_args_parser

from bench.config import COMMANDS
from bench.config.chosen import choices_in, choices_with, did_you_mean, keys_in, nearest_keys, split_override
from bench.config.described import choices_of, component_settings, describe, group_names, shared_settings
from bench.errors import InputError

FILE = "BENCH_OVERRIDES"  # environment variable with the path of a file of overrides
START = "python -m bench"
SHOWING = ("-c", "--cfg", "-i", "--info", "-h", "--help", "--hydra-help", "--version")  # flags that run nothing


class Line(NamedTuple):
    """A command line.

    Attributes:
        command: Name of the command; `run` if the line has none.
        flags: Flags of Hydra with their values.
        overrides: Overrides such as name=value.
        is_named: Whether the line names the command.
    """

    command: str = "run"
    flags: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    is_named: bool = False


def read_line(arguments: Sequence[str]) -> Line:
    """Read a command line, in which flags, overrides and the command can stand in any order.

    Raises:
        InputError: If a word is no flag, no override and no command. The message shows the right form.
    """
    words = [expand_home(word) for word in arguments]
    _refuse_spaces(words)
    parser = get_args_parser()
    # Else argparse ends the process with its own message. mypy refuses every assignment to a method.
    parser.error = lambda message: _refuse(f"{message}; {START} --hydra-help lists the flags")  # type: ignore[method-assign]
    parsed, unknown = parser.parse_known_intermixed_args(words)
    bare = [word for word in parsed.overrides if "=" not in word and not word.startswith("~")]
    command = bare[0] if bare and bare[0] in COMMANDS else "run"
    if flag := next((word for word in unknown if word.startswith("-")), None):
        _refuse_flag(flag, words, command, list(parser._option_string_actions))
    if bare and bare[0] not in COMMANDS and bare[0] == words[0]:
        near = did_you_mean(bare[0], COMMANDS)
        wanted = f"wanted one of {', '.join(COMMANDS)}; overrides look like name=value{near}"
        raise InputError(f"command: got {bare[0]!r}, {wanted}")
    if wrong := [word for word in bare[:2] if word not in COMMANDS] or bare[1:]:
        raise InputError(
            f"got {wrong[0]!r}, wanted one command and overrides such as name=value; quote an override whose value has "
            "spaces, such as 'dataset.root=my data'"
        )
    flags = list(words)
    for word in parsed.overrides:
        flags.remove(word)
    overrides = tuple(word for word in parsed.overrides if word not in bare)
    return Line(command, tuple(flags), overrides, bool(bare))


def expand_home(word: str) -> str:
    """Replace ~ at the beginning of the value of an override, or of a path in an address, by the home folder.

    A shell does so only at the beginning of a word, and Hydra refuses ~ in values without quotes.

    Examples:
        >>> expand_home("dataset.root=~/data") == "dataset.root=" + str(Path.home()) + "/data"
        True
        >>> expand_home("~diagnostic.u_plot"), expand_home("a=b~/c")
        ('~diagnostic.u_plot', 'a=b~/c')
    """
    home = re.sub(r"([\\()\[\]{}:=, \t])", r"\\\1", str(Path.home()))  # a backslash quotes in the grammar of Hydra
    key, equals, value = word.partition("=")
    value = re.sub(r"(^|[,\[])~(?=/|$|,|\])", lambda found: found[1] + home, value)
    value = re.sub(r"""(['"])~(?=/|\1)""", lambda found: found[1] + str(Path.home()), value)
    return key + equals + re.sub(r":///~(?=/)", lambda _: f":///{home}", value)


def add_overrides(line: Line) -> Line:
    """Put the overrides of the file that BENCH_OVERRIDES names before those of the line, which win.

    The file has one override in a line, and comments after #. A setting that the config of this line does not have is
    left out, so one file serves several commands. The variable is removed, because child processes get their settings
    from their parent.

    Raises:
        InputError: If the file can't be read, or if no command and no component has one of its settings.
    """
    name = os.environ.pop(FILE, "")
    if not name:
        return line
    try:
        text = Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise InputError(f"{FILE}: got {name}, which can't be read ({error}); name a file of overrides") from error
    given = {split_override(override)[0] for override in line.overrides}
    known, anywhere = set(keys_in(line.command, line.overrides)), _all_keys()
    if line.command == "measure" and "run" in given:  # a run has data and a network of its own
        known = {key for key in known if key.partition(".")[0] not in ("dataset", "model")}
    added = []
    for row in text.splitlines():
        override = expand_home(row.partition("#")[0].strip())
        key = split_override(override)[0]
        if override and not ("=" in override and key in anywhere):
            raise InputError(f"{FILE}: got {override!r} in {name}, wanted name=value with a setting of a command")
        if override and key in known and key not in given:
            added.append(override)
    if added:
        sys.stderr.write(f"bench: {FILE} adds {' '.join(added)}\n")
    return line._replace(overrides=(*added, *line.overrides))


def add_folds(line: Line) -> Line:
    """Make a sweep over all folds of a line with folds=NUMBER and without a fold.

    A line that only shows a config or help does not change.

    Examples:
        >>> add_folds(Line(overrides=("folds=3", "seed=0,1")))
        Line(command='run', flags=('-m',), overrides=('folds=3', 'seed=0,1', 'fold=0,1,2'), is_named=False)
    """
    given = dict(split_override(override) for override in line.overrides)
    folds = given.get("folds", "")
    shows = any(flag.startswith(SHOWING) for flag in line.flags)
    if line.command != "run" or "fold" in given or not re.fullmatch(r"\d{1,3}", folds) or shows:
        return line
    added = f"fold={','.join(map(str, range(int(folds))))}"
    flags = () if {"-m", "--multirun"} & set(line.flags) else ("-m",)
    sys.stderr.write(f"bench: folds={folds} without fold adds {' '.join((*flags, added))}\n")
    return line._replace(flags=(*line.flags, *flags), overrides=(*line.overrides, added))


def unknown_key(key: str, value: str, line: Line) -> str:
    """Return a message about a key that the config of this line does not have."""
    known = keys_in(line.command, line.overrides)
    groups = choices_in(line.command, line.overrides)
    group = key.partition(".")[0]
    if key == "experiment":
        return f"experiment: no default has this name, so it is added; write +experiment={value}"
    if any(each.startswith(f"{key}.") for each in known):
        return f"{key}: got a setting that it does not have; add it as +{key}.NAME=VALUE, or several as +{key}={{...}}"
    if group in groups and (having := choices_with(key)):
        return f"{key}: not a setting of {group}={','.join(groups[group])}, wanted one of {', '.join(having)} for it"
    if near := nearest_keys(key, known):
        return f"{key}: no setting of {line.command} has this name; did you mean {' or '.join(near)}?"
    top = list(dict.fromkeys(each.partition(".")[0] for each in known))
    if "." in key and group in top:
        return f"{key}: no setting has this name; if its component takes it, add it as +{key}={value}"
    return f"{key}: no setting of {line.command} has this name, wanted one of {', '.join(top)}"


def _all_keys() -> set[str]:
    """Return the keys of all groups, commands and choices."""
    inside = {
        each.key for group in group_names() for name in choices_of(group) for each in component_settings(group, name)
    }
    own = {each.key for command in COMMANDS for each in describe(command).settings}
    return {*group_names(), *inside, *own, *(each.key for each in shared_settings())}


def _refuse(message: str) -> NoReturn:
    raise InputError(message)


def _refuse_spaces(words: Sequence[str]) -> None:
    """Refuse a list that the shell has split at its spaces, and spaces around =."""
    for i, word in enumerate(words):
        joined = word
        for later in words[i + 1 :]:
            if "=" not in word or not _is_open(joined):
                break
            joined += f" {later}"
        if joined != word and not _is_open(joined):
            whole = joined.replace(", ", ",")
            raise InputError(f"got {joined!r} in several words, because a shell splits at spaces; write '{whole}'")
        if word == "=" and 0 < i < len(words) - 1:
            raise InputError(f"got spaces around =, wanted none; write {words[i - 1]}={words[i + 1]}")


def _is_open(text: str) -> bool:
    """Return whether a text has a bracket that does not close."""
    return any(text.count(left) > text.count(right) for left, right in ("[]", "{}", "()"))


def _refuse_flag(flag: str, words: Sequence[str], command: str, flags: Sequence[str]) -> NoReturn:
    """Refuse a flag that does not exist, and show the override that has its name."""
    name, equals, value = flag.lstrip("-").partition("=")
    after = words[words.index(flag) + 1 :]
    value = value if equals else after[0] if after and "=" not in after[0] and not after[0].startswith("-") else "VALUE"
    known = keys_in(command, words)
    key = name.replace("-", "_")
    near = [key] if key in known else nearest_keys(key, known)
    if near:
        raise InputError(f"{flag}: settings have no dashes; write {' or '.join(f'{each}={value}' for each in near)}")
    raise InputError(f"{flag}: no such flag{did_you_mean(flag, flags)}; settings are written as name=value")
