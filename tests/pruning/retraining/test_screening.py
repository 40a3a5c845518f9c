"""Screening: which proposals are trained briefly, to their end, and from which seeds, by validation scores alone."""

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from omegaconf import OmegaConf

from bench.errors import InputError
from bench.pruning.designs import UNetDesign
from bench.pruning.designs.costs import Costs
from bench.pruning.judging.results import Retrained
from bench.pruning.retraining import screening
from bench.pruning.retraining.screening import Screening, brief_epochs, count_screening
from bench.pruning.search.loss import Loss
from bench.pruning.search.proposals import Proposal
from bench.pruning.search.search import Step


def proposal(number):
    design = UNetDesign((4, number), (4,), ("cat",))
    return Proposal(f"lean_{number}", design, (), Costs(1000 // number, 100), *2 * [Loss(number, 0, 0, True)])


BASE = proposal(64).design
PROPOSALS = [proposal(number) for number in range(1, 11)]


class KnownRetraining:
    """Replacement for a Retraining, in which the validation score grows with the number of the design.

    Args:
        brief: Scores of brief trainings that differ from those of whole ones, by design.
    """

    seeds = (0, 1, 2, 3, 4)
    epochs = 30
    folds = ()

    def __init__(self, brief=None):
        self.brief, self.calls, self.trained = brief or {}, [], {}

    def __call__(self, designs, step, seeds=None, overrides=()):
        self.calls.append((sorted(designs), list(seeds), list(overrides)))
        for name, design in designs.items():
            score = design.widths[1] / 100
            self.trained[name] = (list(seeds), self.brief.get(name, score))
        return []

    def read(self, names, test):
        assert not test
        rows = [
            {"design": name, "seed": seed, "val_score": self.trained[name][1], "run": name}
            for name in names
            if name in self.trained
            for seed in self.trained[name][0]
        ]
        return Retrained(pd.DataFrame(rows, columns=["design", "seed", "val_score", "run"]), pd.DataFrame())


def study(retraining, params=0.5, rounds=0, by="bench", importance="information"):
    config = OmegaConf.create(
        {
            "target": {"params": params, "flops": None, "loss": 0.01},
            "seed": 0,
            "ask": {"rule": "search", "rounds": rounds, "importance": importance},
            "retrain": {"by": by},
        }
    )
    base = SimpleNamespace(design=BASE, trust=(), pricing=lambda design: Costs(1000, 100))
    return SimpleNamespace(config=config, retraining=retraining, base=base)


def known_search(asker):
    return SimpleNamespace(lost_between="bits")


def names(proposals):
    return [each.name for each in proposals]


def test_many_are_trained_briefly_and_few_from_two_seeds():
    training = KnownRetraining(brief={"lean_10_10_epochs": 0.0})
    assert names(Screening(study(training), PROPOSALS).finalists()) == ["lean_9", "lean_8"]
    brief, whole, twice = training.calls
    assert brief == (sorted(f"lean_{number}_10_epochs" for number in range(1, 11)), [0], ["train.epochs=10"])
    assert whole == ([f"lean_{number}" for number in range(4, 10)], [0], [])  # the score of 10 epochs excludes lean_10
    assert twice == (["base", "lean_7", "lean_8", "lean_9"], [0, 1], [])
    proposed = sum(len(named) for named, *_ in training.calls) - 1
    assert proposed == count_screening(study(training).config, 10, epochs=30)


def test_a_training_of_one_epoch_has_no_brief_form():
    training = KnownRetraining()
    training.epochs = 1
    Screening(study(training), PROPOSALS).finalists()
    assert [overrides for *_, overrides in training.calls] == [[], []]
    assert len(training.calls[0][0]) == 6


@pytest.mark.parametrize(("params", "count"), [(None, 10), (0.5, 2)])
def test_there_is_no_screening_without_a_target_of_cost_or_with_few_proposals(params, count):
    training = KnownRetraining()
    assert Screening(study(training, params), PROPOSALS[:count]).finalists() == PROPOSALS[:count]
    assert not training.calls


def test_nnunet_trains_the_proposal_with_the_lowest_rank_score():
    training = KnownRetraining()
    assert names(Screening(study(training, by="nnunet"), PROPOSALS[::-1]).finalists()) == ["lean_1"]
    assert not training.calls


def test_a_design_that_was_not_trained_comes_last():
    training = KnownRetraining()
    train = training.__call__

    class OutOfTime(KnownRetraining):
        def __call__(self, designs, *args):
            return train({name: design for name, design in designs.items() if "lean_9" not in name}, *args)

    stopped = OutOfTime()
    stopped.trained = training.trained
    assert names(Screening(study(stopped), PROPOSALS).finalists()) == ["lean_10", "lean_8"]


def test_the_best_network_is_measured_again_and_its_moves_compete(monkeypatch):
    """Each round moves channels of the best design so far; a move that is known already is not trained again."""
    training = KnownRetraining()
    asked = []

    def base_of(store, run, trust):
        asked.append(run)
        return run

    def moves(search, target, limits, most, lost):
        assert lost == "bits"
        assert target == {"params": 500}
        assert limits == {"params": 500, "flops": 100}
        wider = 10 + 5 * len(asked)
        steps = [Step("decoder 1", "moved", proposal(width).design, Loss(0, 0, 0, True), True) for width in (wider, 3)]
        return steps[:most]

    @contextmanager
    def asker(lean, file):
        assert file == f"asked_{lean}.csv"
        yield None

    monkeypatch.setattr(screening, "Base", SimpleNamespace(of_run=base_of))
    monkeypatch.setattr(screening, "moves", moves)
    studied = study(training, rounds=2)
    studied.tracked, studied.asker, studied.search = SimpleNamespace(store=None), asker, known_search
    screened = Screening(studied, PROPOSALS)
    assert names(screened.finalists()) == ["again_2_1", "again_1_1"]
    assert asked == ["lean_10", "again_1_1"]
    assert names(screened.proposals) == [*names(PROPOSALS), "again_1_1", "again_2_1"]
    last = screened.proposals[-1]
    assert [step.part for step in last.steps] == ["again 1", "again 2"]
    assert last.reasons().startswith("lean_10, retrained and asked again: moved")


def test_a_swap_that_is_asked_again_remains_a_swap(monkeypatch):
    moved = Step("decoder 1", "moved", proposal(30).design, Loss(0, 0, 0, True), True)
    monkeypatch.setattr(screening, "Base", SimpleNamespace(of_run=lambda store, run, trust: run))
    monkeypatch.setattr(screening, "moves", lambda *_: [moved])
    studied = study(KnownRetraining(), rounds=1)
    studied.tracked, studied.search = SimpleNamespace(store=None), known_search
    studied.asker = lambda lean, file: nullcontext()
    screened = Screening(studied, [replace(each, swap="interpolation") for each in PROPOSALS])
    screened.finalists()
    again = screened.proposals[-1]
    assert (again.name, again.swap, again.within_margin) == ("again_1_1", "interpolation", False)


def test_a_network_whose_moves_are_not_better_is_measured_once(monkeypatch):
    asked = []
    worse = Step("decoder 1", "moved", UNetDesign((5, 2), (4,), ("cat",)), Loss(0, 0, 0, True), True)
    monkeypatch.setattr(screening, "Base", SimpleNamespace(of_run=lambda store, run, trust: asked.append(run)))
    monkeypatch.setattr(screening, "moves", lambda *_: [worse])
    studied = study(KnownRetraining(), rounds=3)
    studied.tracked, studied.search = SimpleNamespace(store=None), known_search
    studied.asker = lambda lean, file: nullcontext()
    assert names(Screening(studied, PROPOSALS).finalists()) == ["lean_10", "lean_9"]
    assert asked == ["lean_10"]


@pytest.mark.parametrize(("importance", "wanted"), [("information", "bits"), ("gradients", "gradients of lean_10, 0")])
def test_the_setting_selects_the_measure_of_importance(monkeypatch, importance, wanted):
    used = []
    monkeypatch.setattr(screening, "Base", SimpleNamespace(of_run=lambda store, run, trust: run))
    monkeypatch.setattr(screening, "moves", lambda *arguments: used.append(arguments[-1]) or [])
    monkeypatch.setattr(
        screening,
        "Importance",
        lambda lean, seed: SimpleNamespace(lost_between=f"gradients of {lean}, {seed}"),
    )
    studied = study(KnownRetraining(), rounds=1, importance=importance)
    studied.tracked, studied.search = SimpleNamespace(store=None), known_search
    studied.asker = lambda lean, file: nullcontext()
    Screening(studied, PROPOSALS).finalists()
    assert used == [wanted]


def test_a_network_without_information_is_not_asked_again_and_the_command_goes_on(monkeypatch, caplog):
    @contextmanager
    def asker(lean, file):
        yield None

    def search(asker):
        raise InputError("estimator: probe finds no information about the label in any layer")

    monkeypatch.setattr(screening, "Base", SimpleNamespace(of_run=lambda store, run, trust: run))
    studied = study(KnownRetraining(), rounds=2)
    studied.tracked, studied.asker, studied.search = SimpleNamespace(store=None), asker, search
    screened = Screening(studied, PROPOSALS)
    assert names(screened.finalists()) == ["lean_10", "lean_9"]
    assert screened.proposals == PROPOSALS
    assert "lean_10 is not asked again: estimator: probe finds no information" in caplog.text


def test_a_brief_training_has_a_third_of_the_epochs():
    assert [brief_epochs(epochs) for epochs in (30, 31, 2, 1)] == [10, 11, 1, 1]
