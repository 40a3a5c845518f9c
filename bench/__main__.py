"""`python -m bench [COMMAND] [OVERRIDES]`: read the command line, and leave its overrides to Hydra."""

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
from bench.config.command_line import Line, add_folds, add_overrides, read_line
from bench.config.completion import complete_shell
from bench.config.composing import explain_hydra
from bench.config.folders import refuse_folder
from bench.config.help import help_text
from bench.config.settings import register
from bench.errors import exit_with
from bench.signals import handle_stop_signals
from bench.sweeps.callback import end_sweep
from bench.tracking.addresses import refuse_secrets


def main() -> None:
    """Run a command; a known fault is one line and exit code 2 (bad input), 1 (failed) or 130 (Ctrl-C).

    HYDRA_FULL_ERROR=1 in the environment shows the traceback instead.
    """
    handle_stop_signals()
    line = Line()
    try:
        refuse_secrets(sys.argv[1:])  # before a message or Hydra's .hydra/ repeats them
        if (answer := complete_shell(sys.argv[1:])) is not None:
            return print(answer)
        line = read_line(sys.argv[1:])
        if {"--help", "-h"} & set(line.flags):
            return print(help_text(line), end="")
        refuse_folder(Path.cwd())
        line = add_folds(add_overrides(line))
        refuse_secrets(line.overrides)
        sys.argv[1:] = [*line.flags, *line.overrides]
        name = line.command

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
        fault = end_sweep(explain_hydra(error, line))
        if isinstance(error, SystemExit):
            raise
        exit_with(fault)


def run_command(name: str, config: DictConfig):
    """Check a command's config, and run the command; what it imports takes seconds, so it is imported last."""
    CHECKS[name](config)
    return getattr(import_module(f"bench.commands.{name}"), name)(config)


if __name__ == "__main__":
    main()
