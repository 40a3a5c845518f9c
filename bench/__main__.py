"""`python -m bench [COMMAND] [OVERRIDES]`: read the command, and leave the rest of the line to Hydra."""

from __future__ import annotations

import os
import sys
from functools import partial
from importlib import import_module
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from bench.config import COMMANDS, CONF
from bench.config.checks import CHECKS
from bench.config.composing import explain_hydra
from bench.config.folders import refuse_folder
from bench.config.settings import register
from bench.errors import InputError, exit_with
from bench.signals import handle_stop_signals
from bench.sweeps.callback import end_sweep
from bench.tracking.addresses import refuse_secrets


def main() -> None:
    """Run a command; a known fault is one line and exit code 2 (bad input), 1 (failed) or 130 (Ctrl-C).

    HYDRA_FULL_ERROR=1 in the environment shows the traceback instead.
    """
    handle_stop_signals()
    try:
        refuse_secrets(sys.argv[1:])  # before Hydra writes them to .hydra/
        refuse_folder(Path.cwd())
        name = take_command(sys.argv)

        def job(config: DictConfig):
            handle_stop_signals()  # in a launcher's process too
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                from bench.sweeps.parent import run_job  # here, because MLflow takes seconds to load

                return run_job(partial(run_command, name), config)
            try:
                return run_command(name, config)
            except Exception as error:
                exit_with(error)

        os.environ.setdefault("BENCH_TRACEBACK", os.environ.get("HYDRA_FULL_ERROR", "0"))
        os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, where it would print and exit with its own code
        register()
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=COMMANDS[name])(job)()
    except BaseException as error:  # SystemExit too, which components of others may raise within a job
        fault = end_sweep(explain_hydra(error))
        if isinstance(error, SystemExit):
            raise
        exit_with(fault)


def run_command(name: str, config: DictConfig):
    """Check a command's config, and run the command; what it imports takes seconds, so it is imported last."""
    CHECKS[name](config)
    return getattr(import_module(f"bench.commands.{name}"), name)(config)


def take_command(arguments: list[str]) -> str:
    """Remove the command from the command line, and from a line that a shell completes; `run` if there is none."""
    line = os.environ.get("COMP_LINE", "").split(" ")
    if len(line) > 2 and line[1] in COMMANDS:
        os.environ["COMP_LINE"] = " ".join([line[0], *line[2:]])
    if len(arguments) < 2 or not arguments[1].isidentifier():
        return "run"
    name = arguments.pop(1)
    if name not in COMMANDS:
        raise InputError(f"command: got {name!r}, wanted one of {', '.join(COMMANDS)}; overrides look like name=value")
    return name


if __name__ == "__main__":
    main()
