"""Helpers for tests: run `python -m bench` in a folder, with small settings, and read the runs that it tracked."""

import io
import logging
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest.mock import patch
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pandas as pd
import torch
from hydra import compose, initialize_config_dir
from mlflow import MlflowClient
from mlflow.entities import Run
from omegaconf import DictConfig
from PIL import Image

from bench.__main__ import CONF, main
from bench.config.settings import register
from bench.datasets import progress
from bench.signals import STOPS
from bench.tracking.sqlite import default_uri

TINY = (
    "dataset.size=16",
    "dataset.n=[16,16,8]",
    "model.widths=[4,8]",
    "estimator=[kde]",
    "diagnostic=[]",
    "train.epochs=1",
    "probe.untrained_seeds=0",
    "probe.views=[image,pixel]",
    "probe.pixels=64",
    "device=cpu",
)
QUIET = ("hydra/job_logging=disabled", "hydra/hydra_logging=disabled")
QUICK_SEARCH = (
    *QUIET,
    "device=cpu",
    "train.epochs=1",
    "estimator=[probe]",
    "ask.permutations=2",
    "retrain.overrides=[]",
)


class Ended(NamedTuple):
    """Exit code, standard output and standard error of a command."""

    code: int
    out: str
    err: str


@contextmanager
def logging_restored() -> Iterator[None]:
    """Restore logging after Hydra: QUIET disables every logger, and each job replaces the handlers of the root."""
    level, handlers = logging.root.level, logging.root.handlers[:]
    try:
        yield
    finally:
        logging.root.setLevel(level)
        logging.root.handlers[:] = handlers
        for logger in logging.root.manager.loggerDict.values():
            logger.disabled = False


def command(folder: Path, *arguments: str) -> Ended:
    """Run `python -m bench ARGUMENTS` in this process and in a folder, without the lines of progress.

    These lines begin when a process has waited for half a minute, over all of its commands. In a process of many tests,
    they could begin in any command.
    """
    out, err = io.StringIO(), io.StringIO()
    stops, threads = {sent: signal.getsignal(sent) for sent in STOPS}, torch.get_num_threads()
    torch.set_num_threads(1)  # for such small images, more threads are slower
    with (
        chdir(folder),
        logging_restored(),
        patch.dict(os.environ),
        patch.object(sys, "argv", ["bench", *arguments]),
        patch.object(progress, "SECONDS", math.inf),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            code = 0
        except SystemExit as ending:
            code = ending.code
        finally:
            for sent, handler in stops.items():
                signal.signal(sent, handler)
            torch.use_deterministic_algorithms(False)
            torch.set_num_threads(threads)
    return Ended(code, out.getvalue(), err.getvalue())


def process(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen:
    """Start `python -m bench ARGUMENTS` as a new process, which handles signals even if the tests ignore them."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: [signal.signal(sent, signal.SIG_DFL) for sent in STOPS],
    )


def tiny(folder: Path, *overrides: str) -> Ended:
    """Run the command, or with -m a sweep, with the settings TINY and these overrides."""
    keys = {override.partition("=")[0] for override in overrides}
    rest = [small for small in TINY if not {small.partition("=")[0], small.partition(".")[0]} & keys]
    with_store(folder)
    return command(folder, *(["-m"] if "-m" in overrides else []), *QUIET, *rest, *(o for o in overrides if o != "-m"))


def with_store(folder: Path) -> Path:
    """Copy an empty store into the folder, because creating one takes seconds; return the folder."""
    database = folder / "mlflow.db"
    if not database.exists():
        database.write_bytes(_empty_store())
    return folder


@cache
def _empty_store() -> bytes:
    with TemporaryDirectory() as folder:
        MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()
        return (Path(folder) / "mlflow.db").read_bytes()


def store(folder: Path) -> MlflowClient:
    return MlflowClient(uri(folder))


def uri(folder: Path) -> str:
    with chdir(folder):
        return default_uri()


def runs(folder: Path, experiment: str = "bench") -> list[Run]:
    """Return every run of an experiment, oldest first."""
    known = store(folder).get_experiment_by_name(experiment)
    return store(folder).search_runs([known.experiment_id], order_by=["attributes.start_time"]) if known else []


def parents(folder: Path) -> list[Run]:
    """Return the parents of sweeps, oldest first."""
    return [run for run in runs(folder) if run.data.tags.get("sweep") == "parent"]


def children(folder: Path, parent: Run, experiment: str = "bench") -> list[Run]:
    return [run for run in runs(folder, experiment) if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]


def artifact(folder: Path, run: Run, path: str) -> Path:
    """Download a file of a run to a place outside the folder; return its path."""
    beside = folder.parent / "read" / run.info.run_id
    beside.mkdir(parents=True, exist_ok=True)
    return Path(store(folder).download_artifacts(run.info.run_id, path, str(beside)))


def stored_file(run: Run, path: str) -> Path:
    """Return the path of a file of a run within the store, so that a test can change it."""
    return Path(url2pathname(urlsplit(run.info.artifact_uri).path)) / path


def artifacts(folder: Path, run: Run) -> set[str]:
    return {found.path for found in store(folder).list_artifacts(run.info.run_id)}


def layers(folder: Path, run: Run) -> pd.DataFrame:
    return pd.read_csv(artifact(folder, run, "layers.csv"), float_precision="round_trip")


def points(folder: Path, run: Run, key: str) -> dict[int, float]:
    """Return the values of a metric by step."""
    return {point.step: point.value for point in store(folder).get_metric_history(run.info.run_id, key)}


def names(group: str) -> list[str]:
    """Return the names of the yamls of a config group."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def composed(*overrides: str) -> DictConfig:
    """Compose the config of `python -m bench` with these overrides."""
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


def is_drawing(path: Path) -> bool:
    """Return whether an image can be opened and has more than its background."""
    pixels = np.asarray(Image.open(path).convert("L"))
    return min(pixels.shape) > 100 and (pixels != np.median(pixels)).mean() > 0.01


def assert_refused(ended, *parts: str):
    """Assert that the command ended with exit code 2 and one line that contains these parts."""
    assert ended.code == 2, ended
    assert ended.out == ""
    assert ended.err.startswith("bench: ")
    assert ended.err.count("\n") == 1
    assert ended.err.endswith("\n")
    for part in parts:
        assert part in ended.err
