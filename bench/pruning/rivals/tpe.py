"""TPE: Optuna's search of parts and widths by validation scores, as a rival of the search by information."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from bench.errors import optional
from bench.pruning.designs.base import LEAST_SHARE, Design, PartKind
from bench.pruning.designs.space import DRAWS, Space, depths_of

if TYPE_CHECKING:
    import optuna

STARTUP = 10  # trials at random before TPE, as by Optuna's default; at most half of all trials

Train = Callable[[Mapping[str, Design]], Mapping[str, float]]


def require_optuna(section: str) -> None:
    """Check that Optuna is installed.

    Raises:
        InputError: It is missing. The message starts with this section.
    """
    with optional(section):
        import_module("optuna")
    logging.getLogger("optuna").setLevel(logging.WARNING)


def search_by_tpe(space: Space, trainings: int, at_once: int, train: Train, seed: int) -> list[Design]:
    """Search the design of highest validation score by the tree-structured Parzen estimator of Optuna.

    A trial chooses the version, the number of levels, the skips and the share of each width. The design is then scaled
    to the limits of the space, so that each trial is feasible. A design that comes again has its known score and costs
    no training.

    Args:
        space: The designs.
        trainings: Number of designs to train.
        at_once: Number of designs that are trained together, before the search has their scores.
        train: Trains designs by name, and returns the validation scores of those whose training finished.
        seed: Seed of the sampler.

    Returns:
        The designs in the order of their trials. There are fewer if the space does not seem to have more, or if no
        training of a batch finished.

    References:
        Bergstra et al., NeurIPS 2011; Akiba et al., KDD 2019, arXiv 1907.10902.
    """
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # a constant liar gives trials that are still training a bad score, so that a batch has different designs
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=min(STARTUP, trainings // 2), constant_liar=True
        )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    known: dict[Design, float | None] = {}  # None: the training failed
    while batch := _ask(study, space, known, min(at_once, trainings - len(known))):
        named = {f"tpe_{number}_of_{trainings}": design for number, design in enumerate(batch, len(known) + 1)}
        scores = train(named)
        for name, design in named.items():
            known[design] = scores.get(name)
            _tell(study, batch[design], known[design])
        if not scores:
            break
    return list(known)


def _ask(
    study: optuna.Study, space: Space, known: Mapping[Design, float | None], count: int
) -> dict[Design, optuna.Trial]:
    """Ask for new designs.

    A known design is trained no more: its trial gets the known score. A design that the batch has already is left out.
    """
    batch: dict[Design, optuna.Trial] = {}
    for _ in range(DRAWS * count):
        if len(batch) == count:
            break
        trial = study.ask()
        design = space.uniform(suggested(trial, space))
        if design is None or design in batch:
            _tell(study, trial, None)
        elif design in known:
            _tell(study, trial, known[design])
        else:
            batch[design] = trial
    return batch


def _tell(study: optuna.Study, trial: optuna.Trial, score: float | None) -> None:
    """Give a trial its score, or mark it as failed."""
    from optuna.trial import TrialState

    study.tell(trial, score, TrialState.FAIL if score is None else TrialState.COMPLETE)


def suggested(trial: optuna.Trial, space: Space) -> Design:
    """Return the design that a trial chooses, before it is scaled to the limits.

    Version, number of levels and skips are chosen with equal probability at first, and shares of widths log-uniformly
    between an eighth and one, as in random designs.
    """
    version = str(trial.suggest_categorical("version", list(space.versions)))
    depths = depths_of(space.versions[version])
    design = depths[trial.suggest_int("levels_removed", 0, len(depths) - 1)]
    for part in [part for part in design.removals() if part.kind == PartKind.SKIP]:
        if not trial.suggest_categorical(str(part), [True, False]):
            design = design.removals()[part]
    shares = [trial.suggest_float(f"share of {slot.name}", LEAST_SHARE, 1.0, log=True) for slot in design.slots()]
    widths = [max(1, round(share * slot.width)) for share, slot in zip(shares, design.slots(), strict=True)]
    return design.with_widths(widths)
