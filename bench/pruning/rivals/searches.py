"""Searches without information: designs that are trained from the first seed, and the best one by validation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import numpy as np

from bench.layers.selection import named_rng
from bench.pruning.designs import Design
from bench.pruning.designs.space import Space
from bench.pruning.retraining.training import Retraining
from bench.pruning.rivals.tpe import search_by_tpe

log = logging.getLogger(__name__)

SEARCHES = {"random": "random designs", "flat": "flat designs", "tpe": "designs by TPE"}
SUGGESTED: Mapping[str, Callable[[Space, int, np.random.Generator], list[Design]]] = {
    "random": Space.random_designs,
    "flat": Space.flat_designs,
}


class FirstSeed:
    """Trains designs from the first seed, and reads their validation scores. Equal designs are trained once.

    Args:
        retraining: Trains designs.
        trained: Designs that were trained before, by name.

    Attributes:
        missing: Descriptions of the trainings that were not run.
        scores: Validation score of each design whose training finished: the mean over the folds, if there are folds.
    """

    def __init__(self, retraining: Retraining, trained: Mapping[str, Design]):
        self.retraining = retraining
        self.missing: list[str] = []
        self.scores: dict[Design, float] = {}
        self._read(trained)

    def __call__(self, designs: Mapping[str, Design]) -> dict[str, float]:
        """Train designs by name, and return the validation scores of those whose training finished."""
        new = {name: design for name, design in designs.items() if design not in self.scores}
        self.missing += self.retraining(new, "train rivals", self.retraining.seeds[:1])
        self._read(new)
        return {name: self.scores[design] for name, design in designs.items() if design in self.scores}

    def _read(self, designs: Mapping[str, Design]) -> None:
        """Read the scores of designs that were trained from the first seed, on all folds if there are folds."""
        if not designs:
            return
        runs = self.retraining.read(list(designs), test=False).runs
        of_first = runs[runs["seed"] == self.retraining.seeds[0]].groupby("design")["val_score"]
        for name, scores in of_first:
            if len(scores) >= max(1, len(self.retraining.folds)):
                self.scores.setdefault(designs[name], float(scores.mean()))


def best_of(search: str, space: Space, trainings: int, seed: int, train: FirstSeed) -> tuple[int, Design | None]:
    """Train designs of a search from the first seed.

    Args:
        search: random, flat or tpe.
        space: The designs.
        trainings: Number of designs to train.
        seed: Seed of the search.
        train: Trains designs.

    Returns:
        Number of designs with a validation score, and the design with the best one; None if there is none.
    """
    rng = named_rng(seed, "rival", search)
    if search == "tpe":
        designs = search_by_tpe(space, trainings, train.retraining.at_once, train, int(rng.integers(2**31)))
    else:
        designs = SUGGESTED[search](space, trainings, rng)
        train({f"{search}_{number}_of_{trainings}": design for number, design in enumerate(designs, 1)})
    scored = [design for design in designs if design in train.scores]
    if len(scored) < trainings:
        message = "retrain.rivals: %s has a score of %d designs, wanted %d; %d different designs were found"
        log.warning(message, search, len(scored), trainings, len(designs))
    return len(scored), max(scored, key=lambda design: train.scores[design], default=None)
