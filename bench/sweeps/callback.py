"""Callback that Hydra calls before a run, and before and after a sweep.

Every command loads this module, so it imports light packages only. MLflow loads when a sweep begins.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict, read_write

from bench.config import COMMANDS
from bench.config.checks import check_sweep
from bench.config.command_line import Line
from bench.config.composing import explain_hydra
from bench.config.folders import check_folder
from bench.errors import JobsFailed, exit_with
from bench.sweeps.planned import asked, count, samples
from bench.tracking.addresses import refuse_secrets

if TYPE_CHECKING:
    from bench.sweeps.parent import Sweep

opened: list[Sweep] = []  # not an attribute of the callback, because the callback is pickled for the jobs' processes


class SweepParent(Callback):
    """Hydra callback that creates the store, the experiment and the parent run, and summarises the jobs at the end.

    All three exist before any job starts. Hydra turns an exception of a callback into a warning and continues. A sweep
    without a parent must not continue, so the callback ends the process.
    """

    def on_run_start(self, config: DictConfig, **_) -> None:
        try:
            refuse_secrets([f"tracking.uri={config.tracking.uri}"])  # the address may come from a file or a variable
            if config.get("run"):  # its store must exist, and Hydra writes no files before this check
                from bench.tracking.store import refuse_missing

                refuse_missing(config.tracking.uri)
            if config.hydra.output_subdir is not None:  # otherwise Hydra writes nothing there
                check_folder("hydra.run.dir", config.hydra.run.dir)
                check_folder("hydra.output_subdir", str(Path(config.hydra.run.dir) / config.hydra.output_subdir))
        except Exception as error:
            exit_with(explain_hydra(error))

    def on_multirun_start(self, config: DictConfig, **given: Any) -> None:
        try:
            refuse_secrets([f"tracking.uri={config.tracking.uri}"])
            overrides = asked(config)
            count(config, [override for override in overrides if override.is_sweep_override()])
            check_sweep(config, given["config_name"], samples(overrides))
            name_from_overrides(config)
            from bench.sweeps import parent, workers

            workers.register()
            if not config.tracking.parent:  # otherwise another command owns the parent
                opened.append(parent.start(config))
        except Exception as error:
            name = next(command for command, its in COMMANDS.items() if its == given["config_name"])
            exit_with(explain_hydra(error, Line(name, (), tuple(config.hydra.overrides.task))))

    def on_multirun_end(self, config: DictConfig, **_) -> None:
        try:
            _close()
        except Exception as error:
            exit_with(error)


def name_from_overrides(config: DictConfig) -> None:
    """Remove the overrides that all jobs share from the names that Hydra gives the jobs."""
    overrides = asked(config)
    swept = {override.key_or_group for override in overrides if override.is_sweep_override()}
    fixed = {override.key_or_group for override in overrides} - swept
    not_in_names = [*config.hydra.job.config.override_dirname.exclude_keys, *sorted(fixed)]
    with read_write(config), open_dict(config):
        config.hydra.overrides.hydra.append(
            f"hydra.job.config.override_dirname.exclude_keys=[{','.join(not_in_names)}]"
        )


def end_sweep(fault: BaseException) -> BaseException:
    """End the sweep that is still open after a fault, because Hydra does not call the callback then.

    Returns:
        The error to report: JobsFailed if jobs failed, else the fault itself.
    """
    try:
        _close(fault)
    except JobsFailed as failed:
        return failed
    return fault


def _close(fault: BaseException | None = None) -> None:
    """Close the sweeps that are open."""
    while opened:
        from bench.sweeps.parent import close

        close(opened.pop(), fault)
