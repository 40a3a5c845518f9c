"""`python -m bench` for tests: in this process, small, in a folder of its own."""

import io
import os
import signal
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pandas as pd
import torch
from mlflow import MlflowClient
from mlflow.entities import Run

from bench.__main__ import main

TINY = (
    "dataset.size=16",
    "dataset.n=[16,16,8]",
    "model.widths=[4,8]",
    "estimator=[kde]",
    "diagnostic=[u_plot]",
    "train.epochs=1",
    "probe.untrained_seeds=0",
    "device=cpu",
)
QUIET = ("hydra/job_logging=disabled", "hydra/hydra_logging=disabled")


class Ended(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


def command(folder: Path, *arguments: str) -> Ended:
    """`python -m bench ARGUMENTS` in this process and in a folder."""
    out, err = io.StringIO(), io.StringIO()
    stop = signal.getsignal(signal.SIGTERM)
    with (
        chdir(folder),
        patch.dict(os.environ),
        patch.object(sys, "argv", ["bench", *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            code = 0
        except SystemExit as ending:
            code = ending.code
        finally:
            signal.signal(signal.SIGTERM, stop)
            torch.use_deterministic_algorithms(False)
    return Ended(code, out.getvalue(), err.getvalue())


def tiny(folder: Path, *overrides: str) -> Ended:
    """A run of seconds; later overrides win."""
    flags = [override for override in overrides if override.startswith("-")]
    overrides = [override for override in overrides if not override.startswith("-")]
    return command(folder, *flags, *QUIET, *TINY, *overrides)


def store(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")


def runs(folder: Path, experiment: str = "bench") -> list[Run]:
    """Every run of an experiment, oldest first."""
    client = store(folder)
    known = client.get_experiment_by_name(experiment)
    return client.search_runs([known.experiment_id], order_by=["attributes.start_time"]) if known else []


def artifact(folder: Path, run: Run, path: str) -> Path:
    return Path(store(folder).download_artifacts(run.info.run_id, path))


def layers(folder: Path, run: Run) -> pd.DataFrame:
    return pd.read_csv(artifact(folder, run, "layers.csv"))
