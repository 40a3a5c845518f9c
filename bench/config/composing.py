"""Composing: what is said where Hydra can't compose a config, or can't work with its own settings."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

from hydra.errors import MissingConfigException

from bench.errors import REFUSALS, InputError

PACKAGE = Path(__file__).parents[1]
# a wheel has the folder inside the package, a checkout has it beside the package
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
# choices of Hydra's plugins -> the extra that brings them
EXTRAS = {
    "hydra/launcher/ray": "ray",
    "hydra/launcher/submitit_local": "submitit",
    "hydra/launcher/submitit_slurm": "submitit",
    "hydra/sweeper/optuna": "optuna",
}


def clearer(error: BaseException) -> BaseException:
    """For an error of Hydra that says too little, one that says what is allowed.

    A choice that does not exist comes with its group and the choices, also inside a list; what a launcher or a sweeper
    refuses comes as bad input.
    """
    if isinstance(error, REFUSALS) and not isinstance(error, InputError) and plugin_of(error):
        return InputError(f"{plugin_of(error)}: refuses its settings ({type(error).__name__}: {error}); correct them")
    if type(error) is ValueError and str(error).startswith("Config group override must be"):
        return InputError(f"{error}, wanted such as model=unet or estimator=[renyi]")
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
    """Any text as a quoted value of an override, which Hydra reads back as it is.

    >>> quoted("o'brien")
    "'o\\\\'brien'"
    """
    text = re.sub(r"(\\*)(\$\{)", r"\1\1\\\2", text)  # no interpolation
    text = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + found[2].replace("'", r"\'"), text)
    return f"'{text}'"


def plugin_of(error: BaseException) -> str | None:
    """The launcher or the sweeper of Hydra in which an error was raised, by its option on the command line."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    plugin = next((name for name in reversed(modules) if name.startswith("hydra_plugins.")), None)
    if plugin is None or any(name.startswith("bench.") and name != "bench.__main__" for name in modules):
        return None
    return "hydra/sweeper" if "sweeper" in plugin else "hydra/launcher"
