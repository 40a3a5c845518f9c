"""Screening: train many proposals briefly and few to their end, and ask the best retrained ones again."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil, inf, nan

from omegaconf import DictConfig

from bench.errors import InputError
from bench.pruning.designs import Design
from bench.pruning.designs.costs import costs_of, limits_of
from bench.pruning.judging.results import first_run
from bench.pruning.retraining.limits import SEEDS, require_runs
from bench.pruning.retraining.protocol import (
    FINALISTS,
    MOVES,
    TWICE,
    WHOLE,
    by_cost,
    first_by_information,
    rounds_of,
)
from bench.pruning.retraining.study import Study
from bench.pruning.retraining.training import Retraining
from bench.pruning.search.base import Base
from bench.pruning.search.importance import Importance
from bench.pruning.search.loss import Loss
from bench.pruning.search.moves import moves
from bench.pruning.search.proposals import Proposal
from bench.pruning.search.search import Step

log = logging.getLogger(__name__)

SHARE = 1 / 3  # of the epochs, in brief trainings
UNKNOWN = Loss(nan, nan, nan, False)


class Screening:
    """Select the proposals to train from all seeds, by their validation scores alone.

    Args:
        study: The base, the settings and the trainer.
        proposals: The proposals.

    Attributes:
        proposals: All proposals, together with those that asking again has added.
        missing: Descriptions of the trainings that were not run.
        brief: The brief trainings on each fold, as a number of whole trainings.
    """

    def __init__(self, study: Study, proposals: Sequence[Proposal]):
        self.study = study
        self.proposals = list(proposals)
        self.missing: list[str] = []
        self.brief = 0.0

    def finalists(self) -> Sequence[Proposal]:
        """Train proposals, more of them briefly than to their end, and return those to train from all seeds.

        nnU-Net trains one proposal, which is selected by its information alone.
        """
        config, epochs = self.study.config, self.study.retraining.epochs
        if config.retrain.by == "nnunet":
            return [first_by_information(self.proposals)]
        if not is_screened(config, self.proposals):
            return self.proposals
        best = self.proposals
        if brief_epochs(epochs) < epochs:
            best = self._best(best, 1, brief_epochs(epochs))[:WHOLE]
        best, asked = self._best(best[:WHOLE], 1), None
        for number in range(1, rounds_of(config) + 1):
            if best[0] is asked:  # its moves were not better
                break
            asked = best[0]
            added = self._asked_again(asked, number)
            if not added:
                break
            self.proposals += added
            best = self._best([*best, *added], 1)
        base = {"base": self.study.base.design}  # needed from these seeds next; alone, it would leave a core idle
        return self._best(best[:TWICE], SEEDS, beside=base)[:FINALISTS]

    def _best(
        self,
        proposals: Sequence[Proposal],
        seeds: int,
        epochs: int | None = None,
        beside: Mapping[str, Design] | None = None,
    ) -> list[Proposal]:
        """Train proposals from the first seeds, and order them by falling validation score.

        Proposals whose training failed or was not run come last.

        Args:
            proposals: The proposals.
            seeds: Number of seeds.
            epochs: Number of epochs of brief trainings. None trains for all epochs.
            beside: Further designs to train at the same time, by name.
        """
        retraining = self.study.retraining
        named = {_named(each, epochs): each for each in proposals}
        designs = {name: each.design for name, each in named.items()}
        overrides = [] if epochs is None else [f"train.epochs={epochs}"]
        trained = dict(beside or {}) | designs
        self.missing += retraining(trained, "screen proposals", retraining.seeds[:seeds], overrides)
        runs = retraining.read(designs, test=False).runs
        if epochs is not None:
            self.brief += len(runs) / max(1, len(retraining.folds)) * epochs / retraining.epochs
        means = runs.groupby("design")["val_score"].mean()
        return [named[name] for name in sorted(named, key=lambda name: -means.get(name, -inf))]

    def _asked_again(self, proposal: Proposal, number: int) -> list[Proposal]:
        """Measure a retrained proposal, and move channels between its slots.

        Returns:
            New proposals; none if no training of the proposal finished, or if no layer of it has information.
        """
        runs = self.study.retraining.read([proposal.name], test=False).runs
        if runs.empty:
            return []
        known = {each.design for each in self.proposals}
        found = self._moves(proposal.name, first_run(runs, proposal.name))
        steps = [step for step in found if step.design not in known]
        words = f"{proposal.name}, retrained and asked again"
        return [
            Proposal(
                f"again_{number}_{rank}",
                step.design,
                [*proposal.steps, replace(step, part=f"again {number}", change=f"{words}: {step.change}")],
                self.study.base.pricing(step.design),
                UNKNOWN,
                UNKNOWN,
                proposal.swap,
            )
            for rank, step in enumerate(steps, 1)
        ]

    def _moves(self, name: str, run: str) -> list[Step]:
        """Return the moves of channels in the network of a run, by the measure that `ask.importance` names."""
        study, config = self.study, self.study.config
        lean = Base.of_run(study.tracked.store, run, study.base.trust)
        whole = study.base.pricing(study.base.design)
        target = costs_of(config.target, whole)
        with study.asker(lean, f"asked_{name}.csv") as asker:
            try:
                search = study.search(asker)
            except InputError as error:  # what was trained before is worth more than this round
                log.warning("%s is not asked again: %s", name, error)
                return []
            by_gradients = config.ask.importance == "gradients"
            lost = Importance(lean, config.seed).lost_between if by_gradients else search.lost_between
            return moves(search, target, limits_of(target, whole), MOVES, lost)


def is_screened(config: DictConfig, proposals: Sequence[Proposal]) -> bool:
    """Whether proposals are selected by their validation score from the first seeds."""
    return by_cost(config) and len(proposals) > FINALISTS


def count_screening(config: DictConfig, proposals: int, epochs: int) -> int:
    """Return the largest number of trainings to screen this number of proposals."""
    return count_brief(proposals, epochs) + count_whole(config, proposals)


def count_brief(proposals: int, epochs: int) -> int:
    """Return the number of brief trainings of this number of proposals."""
    return proposals if brief_epochs(epochs) < epochs else 0


def count_whole(config: DictConfig, proposals: int) -> int:
    """Return the largest number of trainings of all epochs in the screening of this number of proposals."""
    whole = min(WHOLE, proposals) + MOVES * rounds_of(config)
    return whole + min(TWICE, whole)


def require_runs_of_screening(config: DictConfig, proposals: Sequence[Proposal], retraining: Retraining) -> None:
    """Check that `retrain.runs` allows the screening and 2 seeds of the base. Without screening, 2 seeds of all.

    Raises:
        InputError: It does not.
    """
    if config.retrain.by == "nnunet":  # which trains one proposal
        return
    if not is_screened(config, proposals):
        return require_runs(retraining, 1 + len(proposals), f"base and {len(proposals)} proposals")
    least = (count_screening(config, len(proposals), retraining.epochs) + SEEDS) * max(1, len(retraining.folds))
    if retraining.budget.runs is not None and retraining.budget.runs < least:
        raise InputError(
            f"retrain.runs: got {retraining.budget.runs}, wanted at least {least}: the screening of {len(proposals)} "
            f"proposals and the base from {SEEDS} seeds; raise it, or set ask.rounds=0 and "
            "fewer ask.widths and ask.swaps"
        )


def brief_epochs(epochs: int) -> int:
    """Return the number of epochs of a brief training.

    Examples:
        >>> brief_epochs(30), brief_epochs(1)
        (10, 1)
    """
    return ceil(SHARE * epochs)


def _named(proposal: Proposal, epochs: int | None) -> str:
    """Return the name of a design, or of its training with fewer epochs."""
    return proposal.name if epochs is None else f"{proposal.name}_{epochs}_epochs"
