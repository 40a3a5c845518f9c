"""Composing: error messages for configs that Hydra can't compose, and for settings that its plugins refuse."""

from __future__ import annotations

import re
import shlex
import traceback

from hydra.errors import HydraException, MissingConfigException, OverrideParseException

from bench.config.chosen import did_you_mean, split_override
from bench.config.command_line import START, Line, unknown_key
from bench.config.described import choices_of
from bench.errors import REFUSALS, InputError

# choices of Hydra's plugins -> the extra that installs them
EXTRAS = {
    "hydra/launcher/ray": "ray",
    "hydra/launcher/submitit_local": "submitit",
    "hydra/launcher/submitit_slurm": "submitit",
    "hydra/sweeper/optuna": "optuna",
}


def explain_hydra(error: BaseException, line: Line | None = None) -> BaseException:
    """Return an error that states what is allowed, in place of an error of Hydra that does not.

    The new error for a choice that does not exist names the group and its choices, also for a choice inside a list. An
    error about an override shows the right form of this override. An error of a launcher or a sweeper about its
    settings becomes an InputError. Any other error is returned as it is.

    Args:
        error: Any error.
        line: The command line, for errors about its overrides.
    """
    if isinstance(error, REFUSALS) and not isinstance(error, InputError) and plugin_of(error):
        return InputError(f"{plugin_of(error)}: refuses its settings ({type(error).__name__}: {error}); correct them")
    if type(error) is ValueError and str(error).startswith("Config group override must be"):
        return InputError(f"{error}, wanted a choice such as model=unet or estimator=[renyi]")
    if type(error) is ValueError and str(error).startswith("Only one of --run"):
        return InputError(
            "got several of -m, --cfg and --info, wanted one of them; --cfg job shows a config without -m"
        )
    if isinstance(error, MissingConfigException):
        return _explain_choice(error)
    return _explain_override(error, line or Line()) if isinstance(error, HydraException) else error


def _explain_choice(error: MissingConfigException) -> BaseException:
    """Explain a choice that does not exist."""
    group, _, choice = str(error.missing_cfg_file or "").rpartition("/")
    if extra := EXTRAS.get(f"{group}/{choice}"):
        return InputError(f"{group}: got {choice!r}, which is not installed; pip install 'infoflow-bench[{extra}]'")
    if choices := list(error.options or choices_of(group)):
        return InputError(f"{group}: got {choice!r}, wanted one of {', '.join(choices)}{did_you_mean(choice, choices)}")
    return error


def _explain_override(error: HydraException, line: Line) -> BaseException:
    """Explain an override of a key that does not exist, or with a value of another form than its key has."""
    text = str(error)
    values = dict(split_override(override) for override in line.overrides)
    if isinstance(error, OverrideParseException):
        why = error.message.splitlines()[0] if error.message else text
        fix = "put a value with special characters in two pairs of quotes, such as 'name=\"a=b\"'"
        return InputError(f"got the override {error.override!r}, which can't be read ({why}); {fix}")
    if found := re.match(r"Could not (?:override|delete from config.) '([^']+)'", text):
        return InputError(unknown_key(found[1], values.get(found[1], "VALUE"), line))
    if found := re.match(r"Ambiguous value for argument '([^=]+)=(.*)'", text):
        key, value = found.groups()
        sweep = f"{START} -m {key}={value}"
        return InputError(
            f"{key}: got {value}, wanted a list: {key}=[{value}], or a sweep over several values: {sweep}"
        )
    found = re.match(r"Error merging override ([^=]+)=(.*)", text)
    if found and "is not a ListConfig" in str(error.__cause__):
        return InputError(f"{found[1]}: got {found[2]}, wanted a list; write {found[1]}=[{found[2]}]")
    return error


def quoted(text: str) -> str:
    """Quote a text as the value of an override, so that Hydra reads the same text.

    Examples:
        >>> quoted("o'brien")
        "'o\\\\'brien'"
    """
    text = re.sub(r"(\\*)(\$\{)", r"\1\1\\\2", text)  # prevents interpolation
    text = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + found[2].replace("'", r"\'"), text)
    return f"'{text}'"


def as_argument(key: str, text: str) -> str:
    """Return an override as a word of a shell, from which Hydra reads the same text.

    Examples:
        >>> print(as_argument("sweep", "unet-widths-4f2a"), as_argument("sweep", "my sweep"))
        sweep=unet-widths-4f2a "sweep='my sweep'"
    """
    plain = re.fullmatch(r"(?!(null|true|false|nan|inf)$)[A-Za-z_][\w:/.+-]*", text, re.IGNORECASE)
    if plain:
        return f"{key}={text}"
    override = f"{key}={quoted(text)}"
    return shlex.quote(override) if re.search(r'["$`!\\]', override) else f'"{override}"'


def plugin_of(error: BaseException) -> str | None:
    """Return hydra/launcher or hydra/sweeper if an error was raised in such a plugin, else None."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    plugin = next((name for name in reversed(modules) if name.startswith("hydra_plugins.")), None)
    if plugin is None or any(name.startswith("bench.") and name != "bench.__main__" for name in modules):
        return None
    return "hydra/sweeper" if "sweeper" in plugin else "hydra/launcher"
