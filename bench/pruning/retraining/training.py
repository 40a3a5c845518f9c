"""Retraining: designs as model yamls, and one sweep of `python -m bench` over them as a child process."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from bench import tracking
from bench.config.composing import quoted
from bench.errors import InputError
from bench.pruning.designs import Design
from bench.pruning.designs.costs import Pricing
from bench.pruning.retraining.results import Retrained, retrained
from bench.pruning.search.base import Base

log = logging.getLogger(__name__)

GRACE = 60  # seconds for stopped jobs to log what they have
HEADER = "# @package _global_\n# The data and the training of the base; nothing is measured but accuracy and cost.\n"
SILENT = {
    "calibration": False,
    "probe": {"epochs": [], "untrained_seeds": 0},
}


class Retraining:
    """Trains designs as the base was trained, as children of one run and within a budget of minutes and runs.

    config: seeds, epochs, minutes, runs, overrides. folder: of the designs' yamls. seed: the first.
    """

    def __init__(self, config: DictConfig, base: Base, tracked: tracking.Run, folder: Path, seed: int):
        self.config = config
        self.base = base
        self.tracked = tracked
        self.folder = folder
        self.seeds = list(range(seed, seed + config.seeds))
        self.started = time.monotonic()
        self.spent: set[tuple[str, int]] = set()

    @property
    def epochs(self) -> int:
        """Of every training, the base's where none are asked for."""
        return self.base.config.train.epochs if self.config.epochs is None else self.config.epochs

    def train_base(self) -> None:
        """Train a base that has no run yet, from the first seed."""
        self.write({"base": self.base.design})
        retrain(self.folder, ["base"], self.seeds[:1], self.tracked, self._launching([]))
        runs = retrained(self.tracked, ["base"], test=False).runs
        if runs.empty:
            raise InputError("run: the fresh base could not be trained; its run in MLflow says why")
        self.base = Base.of_run(self.tracked.store, runs["run"].iloc[0], self.base.trust)

    def __call__(self, designs: Mapping[str, Design], seeds: Sequence[int] | None = None) -> list[str]:
        """Train designs from these seeds, all by default, or as many as the budget allows; returns what was not run."""
        if not designs:
            return []
        self.write(designs)
        wanted = list(self.seeds if seeds is None else seeds)
        seeds, minutes = wanted, None
        if self.config.runs is not None:
            seeds = [
                seed for i, seed in enumerate(wanted, 1) if len(self._spent(designs, wanted[:i])) <= self.config.runs
            ]
        if self.config.minutes is not None:
            minutes = max(0.0, self.config.minutes - (time.monotonic() - self.started) / 60)
        self.spent = self._spent(designs, seeds)
        if seeds:
            retrain(self.folder, list(designs), seeds, self.tracked, self._launching(self.config.overrides), minutes)
        done = set(self.read(designs, test=False).runs.groupby(["design", "seed"]).groups)
        missing = [f"{name} seed {seed}" for seed in wanted for name in designs if (name, seed) not in done]
        if missing:
            log.warning("not run, for the budget or a failure: %s", ", ".join(missing))
        return missing

    def _launching(self, overrides: Sequence[str]) -> list[str]:
        """Overrides of a child that permits what this call permits, for the config of a teacher."""
        return [*([f"trust=[{','.join(self.base.trust)}]"] if self.base.trust else []), *overrides]

    def _spent(self, designs: Collection[str], seeds: Sequence[int]) -> set[tuple[str, int]]:
        """The runs so far and these."""
        return self.spent | {(name, seed) for name in designs for seed in seeds}

    def read(self, names: Collection[str], test: bool) -> Retrained:
        return retrained(self.tracked, names, test)

    def write(self, designs: Mapping[str, Design]) -> None:
        config = self.base.config.copy()
        config.train.epochs = self.epochs
        write_designs(self.folder, designs, self.base.pricing, config)


def write_designs(folder: Path, designs: Mapping[str, Design], pricing: Pricing, base: DictConfig) -> None:
    """A folder that Hydra takes as `--config-dir`: a model yaml for each design, and the base's data and training.

    `python -m bench --config-dir FOLDER +experiment=retrain model=NAME` then trains a design as the base was.
    """
    for name, design in designs.items():
        config = pricing.config(design)
        with_line = f"# {name}: {', '.join(f'{key} {value}' for key, value in design.arguments().items())}\n"
        _write(folder / "model" / f"{name}.yaml", with_line + OmegaConf.to_yaml(config))
    _write(folder / "dataset" / "of_base.yaml", "# The base's data.\n" + OmegaConf.to_yaml(base.dataset))
    retrain = {
        "defaults": [
            {"override /dataset": "of_base"},
            {"override /estimator": []},
            {"override /diagnostic": []},
            "_self_",
        ],
        "device": base.device,
        "threads": base.get("threads", 1),
        "train": OmegaConf.to_container(base.train, resolve=True),
        **SILENT,
    }
    _write(folder / "experiment" / "retrain.yaml", HEADER + OmegaConf.to_yaml(OmegaConf.create(retrain)))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def retrain(
    folder: Path,
    names: Sequence[str],
    seeds: Sequence[int],
    parent: tracking.Run,
    launcher: Sequence[str] = (),
    minutes: float | None = None,
) -> None:
    """Train designs of a folder from these seeds, as children of a run.

    One sweep of `python -m bench` in a process of its own, since Hydra can't be entered twice; all designs of one seed
    before those of the next, so that a budget of minutes, after which it is stopped, leaves whole seeds. What has been
    trained before in the experiment is not trained again. launcher: further overrides, such as hydra/launcher=joblib.
    Raises InputError where the child refuses its input.
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
    child = subprocess.Popen(
        [sys.executable, "-m", "bench", *command], start_new_session=True, stdout=subprocess.DEVNULL
    )
    try:
        code = child.wait(None if minutes is None else 60 * minutes)
    except subprocess.TimeoutExpired:
        _stop(child)
        log.warning("stopped retraining after %.3g minutes, the budget", minutes)
        code = 0
    except BaseException:
        _stop(child)
        raise
    if code == 2:
        raise InputError("retrain: the sweep refused its input, as said above")


def _stop(child: subprocess.Popen) -> None:
    """End a child and the jobs that it started; they log what they have."""
    os.killpg(child.pid, signal.SIGTERM)  # a process in the background of a shell would not heed SIGINT
    try:
        child.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
