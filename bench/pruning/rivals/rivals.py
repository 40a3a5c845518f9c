"""Rivals: what a user would try instead of `propose`: searches of equal training time, and pruning of the base."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from omegaconf import DictConfig

from bench.errors import InputError
from bench.pruning.designs import Design
from bench.pruning.designs.baselines import Baseline
from bench.pruning.designs.costs import costs_of, limits_of
from bench.pruning.designs.space import Space
from bench.pruning.retraining.training import Retraining
from bench.pruning.rivals.pruned import (
    CRITERIA,
    check_prunable,
    log_pruned,
    pruned_to,
    require_torch_pruning,
)
from bench.pruning.rivals.pruned import WORDS as PRUNED
from bench.pruning.rivals.searches import SEARCHES, FirstSeed, best_of
from bench.pruning.rivals.tpe import require_optuna
from bench.pruning.search.base import Base
from bench.pruning.search.proposals import Proposal

log = logging.getLogger(__name__)

PROTOCOL = """\
Rivals ({kinds}): each trains designs of the target's cost from seed {seed}, without any information. With all trainings
of its best design, a rival trains as often as all proposals together. The design with the best validation score is
judged as a baseline design.
"""
PROTOCOL_OF_PRUNING = """\
Pruned rivals ({kinds}): channels of the trained base are removed until its costs are those of the target. The network
is then fine-tuned from each seed, for as many epochs as each design is trained.
"""


@dataclass(frozen=True)
class Rival:
    """A design that a rival found, to be judged as a baseline design.

    Attributes:
        name: Such as `best_of_12_random`.
        words: Such as `best of 12 random designs`.
        design: The design.
        start: Id of the run from whose weights it is trained; None for random weights.
        kind: Kind in the table of designs.
        cost: The cost that it shares with the proposals.
    """

    name: str
    words: str
    design: Design
    start: str | None = None
    kind: str = "rival"
    cost: str = "target"


def find_rivals(
    config: DictConfig, chosen: Proposal, trained: Mapping[str, Design], trainings: int, retraining: Retraining
) -> tuple[list[Rival], list[str]]:
    """Return the designs of `retrain.rivals`. Test data are not read.

    Args:
        config: The config of `propose`.
        chosen: The chosen proposal.
        trained: The designs that were trained before, by name.
        trainings: Number of designs that a search trains from the first seed.
        retraining: Trains designs.

    Returns:
        The rivals, and descriptions of the trainings of searches that were not run.
    """
    if not config.retrain.rivals:
        return [], []
    train = FirstSeed(retraining, trained)
    limits = limits_of_rivals(config, chosen, retraining)
    space = Space(retraining.base.design, retraining.base.pricing, limits, config.ask.swaps)
    rivals = []
    for rival in config.retrain.rivals:
        if rival in CRITERIA:
            rivals += pruned_rivals(rival, limits, config.seed, retraining)
        else:
            tried, design = best_of(rival, space, trainings, config.seed, train)
            if design is not None:
                words = f"best of {tried} {SEARCHES[rival]}"
                rivals.append(Rival(f"best_of_{tried}_{rival}", words, design))
    return rivals, train.missing


def pruned_rivals(rival: str, limits: Mapping[str, int], seed: int, retraining: Retraining) -> list[Rival]:
    """Prune the trained base by each criterion of a rival, and log the networks whose weights are fine-tuned."""
    rivals = []
    for criterion in CRITERIA[rival]:
        pruned = pruned_to(retraining.base, criterion, limits, seed)
        if pruned is None:
            message = "retrain.rivals: %s can't reach the target by %s, because parts would have to be removed"
            log.warning(message, rival, criterion)
            continue
        design, network = pruned
        run = log_pruned(retraining.base, design, network, retraining.tracked.store, criterion)
        rivals.append(Rival(f"pruned_by_{criterion}", PRUNED[criterion], design, run))
    return rivals


def train_baselines(retraining: Retraining, baselines: Sequence[Baseline | Rival]) -> list[str]:
    """Train baseline designs and rivals from random weights, and pruned rivals from theirs.

    Returns:
        Descriptions of the trainings that were not run.
    """
    from_random = {each.name: each.design for each in baselines if each.start is None}
    missing = retraining(from_random, "retrain baseline designs")
    for each in baselines:
        if each.start is not None:
            missing += retraining({each.name: each.design}, "fine-tune", overrides=[f"train.start={each.start}"])
    return missing


def limits_of_rivals(config: DictConfig, chosen: Proposal, retraining: Retraining) -> dict[str, int]:
    """Return the largest costs of a rival: as for proposals with a target of cost, else those of the chosen proposal.

    A limit is that of the chosen proposal also if the proposal exceeds the target.
    """
    whole = retraining.base.pricing(retraining.base.design)
    wanted = costs_of(config.target, whole)
    limits = limits_of(wanted, whole) if wanted else dict.fromkeys(("params", "flops"), 0)
    return {kind: max(limit, chosen.costs[kind]) for kind, limit in limits.items()}


def equal_trainings(proposals: Collection[str], retraining: Retraining, brief: float = 0.0) -> int:
    """Return the number of designs that a rival trains from the first seed.

    The trainings of its best design from the other seeds come later. All together are as long as those of all proposals
    up to now, on each fold if there are folds.

    Args:
        proposals: Names of the proposals.
        retraining: Has trained them.
        brief: The brief trainings of proposals, as a number of whole trainings.
    """
    trained = brief + len(retraining.read(proposals, test=False).runs) / max(1, len(retraining.folds))
    return max(1, round(trained) - (len(retraining.seeds) - 1))


def count_rivals(rivals: Sequence[str], of_proposals: int, seeds: int) -> int:
    """Return the largest number of trainings of rivals.

    Args:
        rivals: Names of the rivals.
        of_proposals: Number of trainings of all proposals together.
        seeds: Number of seeds.
    """
    return sum(len(CRITERIA[rival]) * seeds if rival in CRITERIA else of_proposals for rival in rivals)


def require_rivals(rivals: Collection[str]) -> None:
    """Check that the packages of the rivals are installed.

    Raises:
        InputError: A package is missing.
    """
    if "tpe" in rivals:
        require_optuna("retrain.rivals")
    if CRITERIA.keys() & set(rivals):
        require_torch_pruning("retrain.rivals")


def check_rivals(config: DictConfig, base: Base) -> None:
    """Check that the rivals fit the base and the folds.

    Args:
        config: Section `retrain` of the config.
        base: The base.

    Raises:
        InputError: The base can't be pruned, or its training images are test images of the folds.
    """
    pruning = [rival for rival in config.rivals if rival in CRITERIA]
    if pruning and config.folds is not None:
        raise InputError(
            f"retrain.rivals: got {pruning[0]} with retrain.folds, where test images of a fold have trained the "
            "weights that it keeps; leave one of them out"
        )
    if pruning:
        check_prunable(pruning, base)


def protocol_of_rivals(config: DictConfig, retraining: Retraining) -> str:
    """Describe the rules of the rivals in words; an empty text without rivals."""
    searches = [rival for rival in config.retrain.rivals if rival in SEARCHES]
    pruning = [rival for rival in config.retrain.rivals if rival in CRITERIA]
    text = PROTOCOL.format(kinds=", ".join(searches), seed=retraining.seeds[0]) if searches else ""
    return text + (PROTOCOL_OF_PRUNING.format(kinds=", ".join(pruning)) if pruning else "")
