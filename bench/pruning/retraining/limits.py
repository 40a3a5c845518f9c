"""Limits: what retraining needs at least, checked before the work that it would waste."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np
import pandas as pd

from bench.datasets.data import Data
from bench.datasets.progress import duration
from bench.datasets.storage import loaded
from bench.errors import InputError
from bench.pruning.judging import judge
from bench.pruning.judging.results import Retrained
from bench.pruning.retraining.budget import seconds_of_training
from bench.pruning.retraining.training import Retraining
from bench.pruning.search.base import Base
from bench.pruning.search.proposals import Proposal
from bench.sweeps import jobs
from bench.tracking.store import Store
from bench.training.collapse import REMEDY, SHORT

SEEDS = 2  # the least for a verdict
ONE_SIDED = 1.645  # 95 % of the standard normal distribution
COMPARISON = "base and one proposal"  # the smallest set of designs that can be judged


def require_runs(retraining: Retraining, designs: int = 2, what: str = COMPARISON) -> None:
    """Check that `retrain.runs` allows these designs from 2 seeds each.

    Raises:
        InputError: It does not.
    """
    folds = len(retraining.folds)
    least, runs = SEEDS * designs * max(1, folds), retraining.budget.runs
    if runs is not None and runs < least:
        on = f" on {folds} folds" if folds else ""
        raise InputError(f"retrain.runs: got {runs}, wanted at least {least}: {what} from {SEEDS} seeds each{on}")


def require_minutes(retraining: Retraining) -> None:
    """Check that `retrain.minutes` allows two trainings of the base, by the duration of its own training.

    Proposals train faster than the base, by how much is not known. The check is a lower limit.

    Raises:
        InputError: It does not.
    """
    left, run = retraining.budget.left, retraining.base.run
    assert run is not None  # the base is trained before
    if left is None:
        return
    store, tracked = retraining.tracked.store, retraining.tracked
    each = seconds_of_training(store, run, retraining.epochs)
    whole = SEEDS * max(1, len(retraining.folds))
    ended = jobs.count_ended(store, tracked.id)
    base, both = (ceil(max(1, count - ended) / retraining.at_once) * each for count in (whole, 2 * whole))
    if left < base:
        minutes = retraining.budget.minutes
        raise InputError(
            f"retrain.minutes: got {minutes:g}, and {duration(left)} are left; {COMPARISON} from {SEEDS} seeds "
            f"each take about {duration(both)} ({duration(each)} a training, as the base); wanted at least "
            f"{ceil((both + retraining.budget.spent) / 60)}, or fewer retrain.epochs"
        )


def require_trained_base(base: Base, store: Store) -> None:
    """Check that the training of the base has taught the network something.

    A training of fewer than 3 epochs may be at its beginning, as in a first trial of a command. It is not checked.

    Raises:
        InputError: Its training collapsed, or its balanced accuracy on validation data is not above chance.
    """
    assert base.run is not None  # the base is trained before
    metrics = store.client.get_run(base.run).data.metrics
    score, found = metrics.get("summary/val_score", float("nan")), f"run: got the base {base.run}"
    if base.config.train.epochs < SHORT:
        return
    if metrics.get("summary/collapsed") == 1:
        raise InputError(
            f"{found}, whose training taught the network nothing (validation score {score:.3f}); wanted a base that "
            f"learns: {REMEDY}"
        )
    if base.data.task == "classification" and not score > (least := chance(base.data)):
        raise InputError(
            f"{found}, whose balanced accuracy on validation data is {score:.3f}, as by chance; wanted more than "
            f"{least:.3f} for {len(base.data.val.targets)} images of {len(base.data.classes)} classes: {REMEDY}"
        )


def chance(data: Data) -> float:
    """Return the balanced accuracy on validation data that guessing exceeds in 5 % of cases.

    It is the limit of a normal distribution, for guesses that are independent of the classes. Only classes that occur
    in the validation data count.
    """
    counts = np.unique(loaded(data.val.targets), return_counts=True)[1]
    share = 1 / len(data.classes)
    error = sqrt(share * (1 - share) * (1 / counts).sum()) / len(counts)
    return share + ONE_SIDED * error


def require_learned(runs: pd.DataFrame, proposals: Sequence[Proposal], base: Base, epochs: int) -> None:
    """Check that a training of a proposal has taught the network something, if it had 3 epochs or more.

    Args:
        runs: Rows with design and collapsed, of base and proposals.
        proposals: The proposals.
        base: The base.
        epochs: Number of epochs of each training.

    Raises:
        InputError: All proposals failed to train.
    """
    learned, names = judge.learned(runs), {proposal.name for proposal in proposals}
    tried = runs[runs["design"].isin(names)]
    if epochs < SHORT or tried.empty or learned[tried["design"].unique()].any():
        return
    of_base = runs[runs["design"] == "base"]["collapsed"]
    known = [proposal for proposal in proposals if proposal.name in set(tried["design"])]
    widest = max(known, key=lambda proposal: proposal.costs.params)
    shares = base.pricing.shares(widest.design, base.design)
    raise InputError(
        f"retrain: all {tried['design'].nunique()} proposals failed to train (base: {int(of_base.sum())} of "
        f"{len(of_base)} runs); the widest, {widest.name}, has {shares} of the base; wanted a higher target.params or "
        "target.flops, or more epochs (retrain.epochs)"
    )


def require_compared(results: Retrained, retraining: Retraining) -> None:
    """Check that base and finalists were all trained from 2 seeds before `retrain.minutes` was spent.

    Raises:
        InputError: They were not.
    """
    minutes, seeds = retraining.budget.minutes, len(results.seeds)
    if minutes is None or retraining.budget.left or seeds >= SEEDS:
        return
    whole = ceil(retraining.planned / retraining.at_once) * retraining.seconds
    raise InputError(
        f"retrain.minutes: got {minutes:g}, which were spent when base and finalists had all been trained from {seeds} "
        f"of the {SEEDS} seeds that a comparison needs; all {retraining.planned} trainings take about "
        f"{duration(whole)} if each takes as long as the base; repeat the command with more minutes to continue, or "
        "with fewer retrain.epochs"
    )
