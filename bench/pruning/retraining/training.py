"""Retraining: designs as model yaml files, trained as the base was trained, within a budget."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from omegaconf import DictConfig

from bench import tracking
from bench.config.build import folds_from
from bench.config.composing import quoted
from bench.datasets.folds import assign_folds
from bench.datasets.progress import say
from bench.errors import InputError
from bench.pruning.designs import Design
from bench.pruning.judging.results import Retrained, retrained
from bench.pruning.retraining.budget import Budget, seconds_of_training, trainings_at_once
from bench.pruning.retraining.files import write_designs
from bench.pruning.retraining.processes import retrain
from bench.pruning.search.base import Base
from bench.sweeps import jobs
from bench.sweeps.watching import watched

log = logging.getLogger(__name__)


class Retraining:
    """Train designs as the base was trained, as children of one run, within a budget of minutes and runs.

    Args:
        config: seeds, folds, epochs, minutes, runs and overrides.
        base: The base.
        tracked: The parent run.
        folder: Folder of the yaml files of the designs.
        seed: The first seed.

    Attributes:
        folds: Numbers of the folds. A design is trained on each with each seed. Empty for the split of the base.
        planned: Largest number of trainings. `plan` sets it.
        seconds: Expected duration of a training; 0 if it is unknown. `plan` sets it.
    """

    def __init__(self, config: DictConfig, base: Base, tracked: tracking.Run, folder: Path, seed: int):
        self.config = config
        self.base = base
        self.tracked = tracked
        self.folder = folder
        self.seeds = list(range(seed, seed + config.seeds))
        self.folds = folds_of(config.get("folds"), base)
        check_teacher(config, base)
        self.budget = Budget(config.minutes, config.runs)
        self.planned = 0
        self.seconds = 0.0

    @property
    def epochs(self) -> int:
        """Number of epochs of each training; by default that of the base."""
        return self.base.config.train.epochs if self.config.epochs is None else self.config.epochs

    def train_base(self) -> None:
        """Train a base that has no run yet, from the first seed."""
        self.write({"base": self.base.design})
        say(f"training the base for {self.epochs} epochs")
        with self.budget.timed():
            retrain(self.folder, ["base"], self.seeds[:1], self.tracked, self._launcher_overrides([]))
        runs = retrained(self.tracked, ["base"], test=False).runs
        if runs.empty:
            raise InputError("run: the training of the base failed; its run in MLflow shows the error")
        self.base = Base.of_run(self.tracked.store, runs["run"].iloc[0], self.base.trust)

    @property
    def at_once(self) -> int:
        """Number of trainings at once."""
        return trainings_at_once(self.config.overrides)

    def plan(self, trainings: int) -> str:
        """Set the largest number of trainings of all calls together. With folds, each is repeated on each fold.

        Returns:
            The expected duration, in a line.
        """
        store, run = self.tracked.store, self.base.run
        assert run is not None  # the base is trained before
        trainings *= max(1, len(self.folds))
        self.planned = trainings if self.budget.runs is None else min(trainings, self.budget.runs)
        self.seconds = seconds_of_training(store, run, self.epochs)
        ended = jobs.count_ended(store, self.tracked.id)
        return self.budget.expectation(trainings, ended, self.seconds, self.at_once)

    def __call__(
        self,
        designs: Mapping[str, Design],
        step: str,
        seeds: Sequence[int] | None = None,
        overrides: Sequence[str] = (),
    ) -> list[str]:
        """Train designs until the budget is spent.

        Args:
            designs: Designs by name.
            step: Name of this step of retraining, to show the progress.
            seeds: Seeds of each design. None takes all seeds.
            overrides: Further overrides of these trainings, such as train.start=ID.

        Returns:
            Descriptions of the trainings that were not run.
        """
        if not designs:
            return []
        self.write(designs)
        wanted = list(self.seeds if seeds is None else seeds)
        each = [f"{name} fold {fold}" for name in designs for fold in self.folds] or list(designs)
        seeds = self.budget.affordable(each, wanted)
        self.budget.add(each, seeds)
        if not self._done(designs) >= {(name, seed) for name in each for seed in seeds}:
            with self._shown(step):
                self.train(list(designs), seeds, overrides)
        done = self._done(designs)
        missing = [f"{name} seed {seed}" for seed in wanted for name in each if (name, seed) not in done]
        if missing:
            log.warning("not run because of the budget or a failure: %s", ", ".join(missing))
        return missing

    def _done(self, designs: Collection[str]) -> set[tuple[str, int]]:
        """Return the trainings of these designs that have ended, as (design and fold, seed)."""
        return {
            (f"{row.design} fold {row.fold}" if self.folds else row.design, row.seed)
            for row in self.read(designs, test=False).runs.itertuples()
        }

    def train(self, names: Sequence[str], seeds: Sequence[int], overrides: Sequence[str] = ()) -> None:
        """Train designs that `write` has written, until the time is spent."""
        overrides = [*self._launcher_overrides(self.config.overrides), *overrides]
        if self.folds:
            folds = self.config.folds
            given = folds if isinstance(folds, int) else quoted(folds)
            overrides += [f"folds={given}", f"fold={','.join(map(str, self.folds))}"]
        for some, taught in self._by_teacher(names):
            with self.budget.timed():
                retrain(self.folder, some, seeds, self.tracked, [*overrides, *taught], self.budget.left)

    def _by_teacher(self, names: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
        """Yield designs that are trained alike, with the overrides that set their teacher.

        With `retrain.teacher`, all designs but the base learn from the base.
        """
        taught = [name for name in names if name != "base"] if self.config.get("teacher") else []
        if taught:
            yield taught, [f"train.teacher={self.base.run}"]
        if plain := [name for name in names if name not in taught]:
            yield plain, []

    def _launcher_overrides(self, overrides: Sequence[str]) -> list[str]:
        """Return overrides of a child that permit what this call permits. The config of a teacher needs them."""
        return [*([f"trust=[{','.join(self.base.trust)}]"] if self.base.trust else []), *overrides]

    def _shown(self, step: str) -> AbstractContextManager[None]:
        """Show the progress of all trainings, whose number `plan` has set, until the context ends."""
        each = self.seconds / self.at_once or None  # None if the duration is unknown
        return watched(self.tracked.store, self.tracked.id, step, "trainings", self.planned, each)

    def report(self) -> str:
        """Describe in a line what retraining took of its budget."""
        store = self.tracked.store
        states = jobs.table(store, store.client.get_run(self.tracked.id))["state"]
        return self.budget.report(list(states))

    def read(self, names: Collection[str], test: bool) -> Retrained:
        """Read the results of these designs."""
        return retrained(self.tracked, names, test, self.folds)

    def write(self, designs: Mapping[str, Design]) -> None:
        """Write the yaml files of these designs."""
        config = self.base.config.copy()
        config.train.epochs = self.epochs
        write_designs(self.folder, designs, self.base.pricing, config)


def folds_of(folds: int | str | None, base: Base) -> list[int]:
    """Return the numbers of the folds on which designs are retrained, or an empty list for the split of the base.

    Raises:
        InputError: The folds do not fit the data of the base.
    """
    if folds is None:
        return []
    try:
        return sorted(set(assign_folds(base.data, folds, **folds_from(base.config.dataset)).tolist()))
    except InputError as error:
        raise InputError(f"retrain.{error}" if str(error).startswith("folds") else str(error)) from error


def check_teacher(config: DictConfig, base: Base) -> None:
    """Check that the base can teach the designs.

    Raises:
        InputError: With folds, the base has learned from images that test the designs. nnU-Net has no teacher.
    """
    if not config.get("teacher"):
        return
    if config.get("folds") is not None or base.config.get("folds") is not None:
        raise InputError(
            "retrain.teacher: got true with folds, where the base has learned from test images of other folds; leave "
            "out retrain.folds, or set retrain.teacher=false"
        )
    if config.get("by") == "nnunet":
        raise InputError("retrain.teacher: got true with retrain.by=nnunet, which has no teacher; set retrain.by=bench")
