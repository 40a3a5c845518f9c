"""Processes that train: a sweep of `python -m bench` over designs, and any program with a limit of time."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import tracking
from bench.config.composing import quoted
from bench.errors import InputError

log = logging.getLogger(__name__)

GRACE = 60  # seconds for stopped jobs to log their results


def retrain(
    folder: Path,
    names: Sequence[str],
    seeds: Sequence[int],
    parent: tracking.Run,
    launcher: Sequence[str] = (),
    seconds: float | None = None,
) -> None:
    """Train designs of a folder from these seeds, as children of a run.

    One sweep of `python -m bench` runs in its own process, because Hydra can't be entered twice. All designs of one
    seed come before those of the next seed. A limit of time, after which the sweep is stopped, therefore leaves
    complete seeds. Trainings that the experiment already holds are not repeated.

    Args:
        folder: Folder of the yaml files.
        names: Names of the designs.
        seeds: Seeds of each design.
        parent: The parent run.
        launcher: Further overrides, such as hydra/launcher=joblib.
        seconds: The limit of time. None has no limit.

    Raises:
        InputError: The child refuses its input.
    """
    store = parent.store
    experiment = store.client.get_experiment(store.experiment_id).name
    command = [
        *("--config-dir", str(folder.absolute())),
        *("-m", "+experiment=retrain", f"seed={','.join(map(str, seeds))}", f"model={','.join(names)}"),
        *(f"tracking.uri={quoted(store.uri)}", f"tracking.experiment={quoted(experiment)}"),
        f"tracking.parent={parent.id}",
        *launcher,
    ]
    if finish([sys.executable, "-m", "bench", *command], seconds, stdout=subprocess.DEVNULL) == 2:
        raise InputError("retrain: the sweep refused its input; see its error above")


def finish(command: Sequence[str], seconds: float | None, **settings: Any) -> int | None:
    """Run a program that trains.

    Args:
        command: The program and its arguments.
        seconds: The limit of time, after which the program is stopped. None has no limit.
        settings: Further arguments of `subprocess.Popen`.

    Returns:
        The exit code of the program, or None if its time was spent.
    """
    child = subprocess.Popen(command, start_new_session=True, **settings)
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        _stop(child)
        log.warning("retraining stopped: retrain.minutes is spent")
        return None
    except BaseException:
        _stop(child)
        raise


def _stop(child: subprocess.Popen) -> None:
    """Stop a child and its jobs. They log their results so far."""
    os.killpg(child.pid, signal.SIGTERM)  # background processes of a shell ignore SIGINT
    try:
        child.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
