"""Limits of retraining: budgets, bases and proposals that can't lead to a verdict are refused in one line."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from bench.datasets.phantoms import phantoms
from bench.errors import InputError
from bench.pruning.designs import UNetDesign
from bench.pruning.designs.costs import Costs
from bench.pruning.retraining import limits
from bench.pruning.retraining.budget import Budget
from bench.pruning.retraining.limits import (
    chance,
    require_compared,
    require_learned,
    require_minutes,
    require_runs,
    require_trained_base,
)
from bench.pruning.search.asker import Loss
from bench.pruning.search.proposals import Proposal

DATA = phantoms(n=(20, 40, 20), size=16, task="classification")


def retraining(minutes=None, runs=None, folds=(), at_once=1, ended=0):
    return SimpleNamespace(
        budget=Budget(minutes, runs), folds=folds, at_once=at_once, epochs=10, base=SimpleNamespace(run="b"),
        tracked=SimpleNamespace(store=None, id="p"), ended=ended,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "designs", "least"),
    [({"runs": 3}, 2, 4), ({"runs": 0}, 2, 4), ({"runs": 11, "folds": [0, 1, 2]}, 2, 12), ({"runs": 9}, 5, 10)],
)
def test_fewer_runs_than_two_seeds_need_are_refused(given, designs, least):
    with pytest.raises(InputError, match=rf"^retrain.runs: got {given['runs']}, wanted at least {least}: base and one"):
        require_runs(retraining(**given), designs)
    require_runs(retraining(**given | {"runs": least}), designs)
    require_runs(retraining(), designs)


@pytest.mark.parametrize(
    ("given", "needed", "wanted"),
    [({}, 2, 4), ({"folds": [0, 1, 2]}, 6, 12), ({"at_once": 2}, 1, 2), ({"ended": 1}, 1, 3)],
)
def test_minutes_too_short_for_two_trainings_of_the_base_are_refused(monkeypatch, given, needed, wanted):
    """A training takes one minute."""
    monkeypatch.setattr(limits, "seconds_of_training", lambda store, run, epochs: 60.0)
    monkeypatch.setattr(limits.jobs, "count_ended", lambda store, run: given.get("ended", 0))
    message = rf"^retrain.minutes: got {needed - 0.1:g}, .*60 s a training, .* wanted at least {wanted}, or fewer"
    with pytest.raises(InputError, match=message):
        require_minutes(retraining(minutes=needed - 0.1, **given))
    require_minutes(retraining(minutes=needed, **given))
    require_minutes(retraining(**given))


def base_with(data=DATA, epochs=10, **metrics):
    run = SimpleNamespace(data=SimpleNamespace(metrics={f"summary/{key}": value for key, value in metrics.items()}))
    config = OmegaConf.create({"train": {"epochs": epochs}})
    store = SimpleNamespace(client=SimpleNamespace(get_run=lambda _: run))
    return SimpleNamespace(run="b", data=data, config=config), store


def test_a_base_that_collapsed_is_refused():
    with pytest.raises(InputError, match=r"^run: got the base b, whose .* nothing \(validation score 0.000\); wanted"):
        require_trained_base(*base_with(phantoms(n=(4, 4, 4), size=16), collapsed=1.0, val_score=0.0))
    require_trained_base(*base_with(phantoms(n=(4, 4, 4), size=16), collapsed=0.0, val_score=0.3))
    require_trained_base(*base_with(phantoms(n=(4, 4, 4), size=16), val_score=0.3))  # of `measure`
    require_trained_base(*base_with(phantoms(n=(4, 4, 4), size=16), epochs=2, collapsed=1.0, val_score=0.0))


def test_a_base_at_chance_is_refused():
    limit = chance(DATA)
    assert 1 / len(DATA.classes) < limit < 1
    with pytest.raises(InputError, match="as by chance; wanted more than"):
        require_trained_base(*base_with(collapsed=0.0, val_score=limit - 0.001))
    require_trained_base(*base_with(collapsed=0.0, val_score=limit + 0.001))


def test_guesses_exceed_chance_once_in_twenty():
    rng, times = np.random.default_rng(0), 4000
    targets, classes = DATA.val.targets.numpy(), len(DATA.classes)
    guesses = rng.integers(classes, size=(times, len(targets)))
    recalls = [(guesses[:, targets == target] == target).mean(axis=1) for target in np.unique(targets)]
    assert (np.mean(recalls, axis=0) > chance(DATA)).mean() == pytest.approx(0.05, abs=0.02)


def proposals():
    return [
        Proposal(f"lean_{n}", UNetDesign((4,), (), ()), (), Costs(100 * n, 10 * n), *2 * [Loss(0, 0, 0, True)])
        for n in (1, 2, 3)
    ]


def test_proposals_that_all_collapsed_are_refused():
    base = SimpleNamespace(
        design=None, pricing=SimpleNamespace(shares=lambda design, base: "0.2 of the parameters and 0.2")
    )
    rows = {"design": ["base", "base", "lean_1", "lean_1", "lean_2"], "collapsed": [0.0, 1.0, 1.0, 1.0, 1.0]}
    runs = pd.DataFrame(rows)
    message = (
        r"all 2 proposals failed to train \(base: 1 of 2 runs\); the widest, lean_2, has 0.2 of the parameters and"
    )
    with pytest.raises(InputError, match=message):
        require_learned(runs, proposals(), base, epochs=10)
    one = pd.DataFrame({"design": ["lean_2"], "collapsed": [0.0]})
    require_learned(pd.concat([runs, one]), proposals(), base, epochs=10)
    require_learned(runs.assign(collapsed=np.nan), proposals(), base, epochs=10)  # not known
    require_learned(runs, proposals(), base, epochs=2)


@pytest.mark.parametrize(
    ("minutes", "left", "seeds", "refused"),
    [(3.0, 0, 1, True), (3.0, 1, 1, False), (3.0, 0, 2, False), (None, None, 1, False)],
)
def test_minutes_that_were_spent_before_two_seeds_are_told_with_those_that_all_trainings_take(
    minutes, left, seeds, refused
):
    short = retraining(minutes=minutes, at_once=2)
    short.planned, short.seconds = 21, 120.0
    if minutes is not None:
        short.budget.spent = 60 * (minutes - left)
    results = SimpleNamespace(seeds=list(range(seeds)))
    if not refused:
        assert require_compared(results, short) is None
        return
    message = (
        r"^retrain.minutes: got 3, .* from 1 of the 2 seeds that a comparison needs; "
        r"all 21 trainings take about 22 min if"
    )
    with pytest.raises(InputError, match=message):
        require_compared(results, short)
