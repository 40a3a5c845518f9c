"""Rivals: searches without information that train as many designs as `propose`, and select one by validation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from omegaconf import DictConfig

from bench.layers.selection import named_rng
from bench.pruning.designs import Design
from bench.pruning.designs.space import Space
from bench.pruning.retraining.tpe import require_optuna, search_by_tpe
from bench.pruning.retraining.training import Retraining
from bench.pruning.search.proposals import Proposal

log = logging.getLogger(__name__)

PROTOCOL = """\
Rivals ({kinds}): each trains designs of the target's cost from seed {seed}, without any information. With all trainings
of its best design, a rival trains as often as all proposals together. The design with the best validation score is
judged as a baseline design.
"""
WORDS = {"random": "random designs", "flat": "flat designs", "tpe": "designs by TPE"}
SUGGESTED: Mapping[str, Callable[[Space, int, np.random.Generator], list[Design]]] = {
    "random": Space.random_designs,
    "flat": Space.flat_designs,
}


@dataclass(frozen=True)
class Rival:
    """The best design of a search without information.

    Attributes:
        search: random, flat or tpe.
        tried: Number of designs with a validation score.
        design: The design with the best one.
        kind: Kind in the table of designs.
        cost: The cost that it shares with the proposals.

    Examples:
        >>> rival = Rival("flat", 12, None)
        >>> rival.name, rival.words
        ('best_of_12_flat', 'best of 12 flat designs')
    """

    search: str
    tried: int
    design: Design
    kind: str = "rival"
    cost: str = "target"

    @property
    def name(self) -> str:
        return f"best_of_{self.tried}_{self.search}"

    @property
    def words(self) -> str:
        """Description of the search, such as `best of 12 random designs`."""
        return f"best of {self.tried} {WORDS[self.search]}"


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


def best_rivals(
    config: DictConfig, chosen: Proposal, trained: Mapping[str, Design], trainings: int, retraining: Retraining
) -> tuple[list[Rival], list[str]]:
    """Run the searches of `retrain.rivals`, each with the same number of trainings. Test data are not read.

    Args:
        config: The config of `propose`.
        chosen: The chosen proposal.
        trained: The designs that were trained before, by name.
        trainings: Number of designs that a search trains from the first seed.
        retraining: Trains designs.

    Returns:
        The best design of each search, and descriptions of the trainings that were not run.
    """
    if not config.retrain.rivals:
        return [], []
    base = retraining.base
    space = Space(base.design, base.pricing, limits_of(config, chosen, retraining))
    train = FirstSeed(retraining, trained)
    rivals = []
    for search in config.retrain.rivals:
        rng = named_rng(config.seed, "rival", search)
        if search == "tpe":
            designs = search_by_tpe(space, trainings, retraining.at_once, train, int(rng.integers(2**31)))
        else:
            designs = SUGGESTED[search](space, trainings, rng)
            train({f"{search}_{number}_of_{trainings}": design for number, design in enumerate(designs, 1)})
        scored = [design for design in designs if design in train.scores]
        if len(scored) < trainings:
            message = "retrain.rivals: %s has a score of %d designs, wanted %d; %d different designs were found"
            log.warning(message, search, len(scored), trainings, len(designs))
        if scored:
            rivals.append(Rival(search, len(scored), max(scored, key=lambda design: train.scores[design])))
    return rivals, train.missing


def limits_of(config: DictConfig, chosen: Proposal, retraining: Retraining) -> dict[str, int]:
    """Return the largest costs of a rival: those of the target, else those of the chosen proposal.

    A limit is that of the chosen proposal also if the proposal exceeds the target.
    """
    whole = retraining.base.pricing(retraining.base.design)
    shares = {kind: config.target[kind] for kind in ("params", "flops") if config.target[kind] is not None}
    wanted = {kind: int(share * whole[kind]) for kind, share in shares.items()} or dict.fromkeys(("params", "flops"), 0)
    return {kind: max(limit, chosen.costs[kind]) for kind, limit in wanted.items()}


def equal_trainings(proposals: Collection[str], retraining: Retraining) -> int:
    """Return the number of designs that a rival trains from the first seed.

    The trainings of its best design from the other seeds come later. All together are as many as those of all proposals
    up to now, on each fold if there are folds.
    """
    trained = len(retraining.read(proposals, test=False).runs) // max(1, len(retraining.folds))
    return max(1, trained - (len(retraining.seeds) - 1))


def require_rivals(rivals: Collection[str]) -> None:
    """Check that the packages of the rivals are installed.

    Raises:
        InputError: A package is missing.
    """
    if "tpe" in rivals:
        require_optuna("retrain.rivals")


def protocol_of_rivals(config: DictConfig, retraining: Retraining) -> str:
    """Describe the rules of the rivals in words; an empty text without rivals."""
    kinds = ", ".join(config.retrain.rivals)
    return PROTOCOL.format(kinds=kinds, seed=retraining.seeds[0]) if kinds else ""
