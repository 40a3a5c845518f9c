"""Composing: error messages for configs that Hydra can't compose, and for settings that its plugins refuse."""

from __future__ import annotations

import re
import shlex
import traceback

from hydra.errors import MissingConfigException

from bench.config import CONF
from bench.errors import REFUSALS, InputError

# choices of Hydra's plugins -> the extra that installs them
EXTRAS = {
    "hydra/launcher/ray": "ray",
    "hydra/launcher/submitit_local": "submitit",
    "hydra/launcher/submitit_slurm": "submitit",
    "hydra/sweeper/optuna": "optuna",
}


def explain_hydra(error: BaseException) -> BaseException:
    """Return an error that states what is allowed, in place of an error of Hydra that does not.

    The new error for a choice that does not exist names the group and its choices, also for a choice inside a list. An
    error of a launcher or a sweeper about its settings becomes an InputError. Any other error is returned as it is.
    """
    if isinstance(error, REFUSALS) and not isinstance(error, InputError) and plugin_of(error):
        return InputError(f"{plugin_of(error)}: refuses its settings ({type(error).__name__}: {error}); correct them")
    if type(error) is ValueError and str(error).startswith("Config group override must be"):
        return InputError(f"{error}, wanted a choice such as model=unet or estimator=[renyi]")
    if not isinstance(error, MissingConfigException):
        return error
    group, _, choice = str(error.missing_cfg_file or "").rpartition("/")
    if extra := EXTRAS.get(f"{group}/{choice}"):
        return InputError(f"{group}: got {choice!r}, which is not installed; pip install 'infoflow-bench[{extra}]'")
    if not group or not (CONF / group).is_dir():
        return error
    choices = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    return InputError(f"{group}: got {choice!r}, wanted one of {', '.join(choices)}")


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
