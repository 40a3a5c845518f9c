"""`python -m bench [verb] [overrides]`: takes the verb, hands the rest to Hydra."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig

from bench.errors import InputError, leave
from bench.settings import register

CONF = Path(__file__).parents[1] / "conf"
# verb, which is also its module and function -> its config
VERBS = {"run": "config"} | {
    verb: verb for verb in ("calibrate", "propose", "validity", "compare", "taps", "status", "resend")
}
# what Hydra's plugins raise for settings that they can't work with
REFUSALS = (ValueError, TypeError, AttributeError, AssertionError, LookupError, NotImplementedError)
# choices of Hydra's plugins -> the extra that brings them
EXTRAS = {
    "hydra/launcher/ray": "ray",
    "hydra/launcher/submitit_local": "submitit",
    "hydra/launcher/submitit_slurm": "submitit",
    "hydra/sweeper/optuna": "optuna",
}


def main() -> None:
    """Run a verb; a known fault is one line and exit code 2 (bad input), 1 (failed) or 130 (Ctrl-C).

    HYDRA_FULL_ERROR=1 in the environment shows the traceback instead.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cluster's stop is a Ctrl-C
    try:
        verb = take_verb(sys.argv)

        def job(config: DictConfig):
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # in a launcher's process too
            of_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
            try:
                result = getattr(importlib.import_module(f"bench.{verb}"), verb)(config)
            except Exception as error:
                if not of_sweep:
                    leave(error)
                importlib.import_module("bench.sweeps.parent").done(config, error)
                return None  # so that the other jobs are done; the sweep fails at its end
            if of_sweep:
                importlib.import_module("bench.sweeps.parent").done(config)
            return result

        os.environ.setdefault("BENCH_TRACEBACK", os.environ.get("HYDRA_FULL_ERROR", "0"))
        os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, where it would print and exit with its own code
        register()
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=VERBS[verb])(job)()
    except (Exception, KeyboardInterrupt) as error:
        fault = clearer(error)
        if "bench.sweeps.parent" in sys.modules:  # Hydra leaves a sweep at its first failed job without calling back
            sys.modules["bench.sweeps.parent"].close(fault)
        leave(fault)


def take_verb(arguments: list[str]) -> str:
    """Remove the verb from the command line, and from the line that a shell wants completed; `run` where none is."""
    line = os.environ.get("COMP_LINE", "").split(" ")
    if len(line) > 2 and line[1] in VERBS:
        os.environ["COMP_LINE"] = " ".join([line[0], *line[2:]])
    if len(arguments) < 2 or not arguments[1].isidentifier():
        return "run"
    verb = arguments.pop(1)
    if verb not in VERBS:
        raise InputError(f"verb: got {verb!r}, wanted one of {', '.join(VERBS)}; overrides look like name=value")
    return verb


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


def plugin_of(error: BaseException) -> str | None:
    """The launcher or the sweeper of Hydra in which an error was raised, by its option on the command line."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    plugin = next((name for name in reversed(modules) if name.startswith("hydra_plugins.")), None)
    if plugin is None or any(name.startswith("bench.") and name != "bench.__main__" for name in modules):
        return None
    return "hydra/sweeper" if "sweeper" in plugin else "hydra/launcher"


if __name__ == "__main__":
    main()
