"""Budget of retraining: the minutes and runs that it may take, what it took, and how long it is expected to take."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from math import ceil
from statistics import median

import pandas as pd

from bench.datasets.progress import duration
from bench.sweeps.watching import at_once
from bench.tracking.store import Store


class Budget:
    """The limits of retraining, over all of its sweeps together.

    Args:
        minutes: Limit of the time of all sweeps. None has no limit.
        runs: Limit of the number of trainings. None has no limit.

    Attributes:
        spent: Seconds that all sweeps took.
        trainings: The trainings so far, as (design, seed).
    """

    def __init__(self, minutes: float | None, runs: int | None):
        self.minutes = minutes
        self.runs = runs
        self.spent = 0.0
        self.trainings: set[tuple[str, int]] = set()

    def affordable(self, designs: Collection[str], seeds: Sequence[int]) -> list[int]:
        """Return the first of these seeds from which all designs can be trained within the limits."""
        if self.left == 0:
            return []
        if self.runs is None:
            return list(seeds)
        return [seed for i, seed in enumerate(seeds, 1) if len(self._with(designs, seeds[:i])) <= self.runs]

    def add(self, designs: Collection[str], seeds: Sequence[int]) -> None:
        """Add trainings to those so far. A training that is asked for again is counted once."""
        self.trainings = self._with(designs, seeds)

    @property
    def left(self) -> float | None:
        """Seconds that are left, or None without a limit."""
        return None if self.minutes is None else max(0.0, 60 * self.minutes - self.spent)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the time within this context to the seconds that were spent."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.spent += time.monotonic() - began

    def report(self, states: Sequence[str]) -> str:
        """Describe what was spent in a line.

        Args:
            states: State of each training.

        Examples:
            >>> Budget(10, None).report(["finished", "finished", "failed"])
            'retraining took 0.0 of 10 minutes and 3 runs (2 finished, 1 failed)'
        """
        counts = pd.Series(states, dtype=str).value_counts()
        found = ", ".join(f"{count} {state}" for state, count in counts.items())
        minutes, runs = (f" of {most:g}" if most is not None else "" for most in (self.minutes, self.runs))
        return f"retraining took {self.spent / 60:.1f}{minutes} minutes and {len(states)}{runs} runs ({found})"

    def expectation(self, trainings: int, ended: int, seconds: float, parallel: int) -> str:
        """Describe how long the trainings are expected to take.

        Args:
            trainings: Largest number of trainings.
            ended: Number of trainings that have ended before.
            seconds: Duration of a training of the base.
            parallel: Number of trainings at once.

        Examples:
            >>> Budget(None, 20).expectation(40, 1, 60, 2)
            'retraining: at most 19 trainings (limit: 20 runs), 2 at once: 10 min if each takes 60 s, as the base did'
            >>> Budget(3, None).expectation(40, 0, 60, 2)
            'retraining: at most 40 trainings (limit: 3 minutes), 2 at once: 3 min'
        """
        most = trainings if self.runs is None else min(trainings, self.runs)
        whole, limits = seconds * ceil((most - ended) / parallel), []
        takes = f"{duration(whole)} if each takes {duration(seconds)}, as the base did"
        if most < trainings:
            limits.append(f"{self.runs} runs")
        if self.left is not None and self.left < whole:
            takes, limits = duration(self.left), [*limits, f"{self.minutes:g} minutes"]
        limit = f" (limit: {' and '.join(limits)})" if limits else ""
        many = f"{parallel} at once" if parallel > 1 else "one at a time"
        return f"retraining: at most {most - ended} trainings{limit}, {many}: {takes}"

    def _with(self, designs: Collection[str], seeds: Sequence[int]) -> set[tuple[str, int]]:
        """Return the trainings so far together with these."""
        return self.trainings | {(name, seed) for name in designs for seed in seeds}


def seconds_of_training(store: Store, run: str, epochs: int) -> float:
    """Return the duration of a training like that of a tracked run.

    The time to measure layers and to evaluate the network is not part of it.

    Args:
        store: The tracking store.
        run: Id of the tracked run.
        epochs: Number of epochs of the training.

    Returns:
        Seconds: the time from the start of the run to epoch 0, and the median time of an epoch for each epoch. The
        whole duration of the run if the store does not have its epochs.
    """
    times = [point.timestamp / 1000 for point in store.client.get_metric_history(run, "val/score")]
    info = store.client.get_run(run).info
    times, began = sorted(times) or [info.end_time / 1000], info.start_time / 1000
    each = median([later - earlier for earlier, later in pairwise(times)] or [0.0])
    return times[0] - began + epochs * each


def trainings_at_once(overrides: Sequence[str]) -> int:
    """Return the number of trainings that a sweep with these overrides runs at once on this machine.

    Examples:
        >>> trainings_at_once([]), trainings_at_once(["hydra/launcher=joblib", "hydra.launcher.n_jobs=3"])
        (1, 3)
    """
    given = dict(override.split("=", 1) for override in overrides)
    return at_once(int(given.get("hydra.launcher.n_jobs", -1))) if given.get("hydra/launcher") == "joblib" else 1
