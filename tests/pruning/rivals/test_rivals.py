"""Rivals: equal numbers of trainings, selection by validation of the first seed, no test data, no training twice."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from bench.errors import InputError
from bench.pruning.designs import UNetDesign
from bench.pruning.designs.baselines import Baseline
from bench.pruning.designs.costs import Costs
from bench.pruning.judging.results import Retrained
from bench.pruning.rivals.rivals import (
    Rival,
    check_rivals,
    count_rivals,
    equal_trainings,
    find_rivals,
    limits_of_rivals,
    protocol_of_rivals,
    require_rivals,
    train_baselines,
)
from bench.pruning.rivals.searches import FirstSeed
from bench.pruning.rivals.tpe import require_optuna, search_by_tpe
from bench.pruning.search.loss import Loss
from bench.pruning.search.proposals import Proposal
from models import UNet

BASE = UNetDesign((8, 16, 32), (8, 16), ("cat", "cat"))
LEAN = BASE.with_widths([4, 4, 4, 4, 4])
SEARCHES = ["random", "flat", "tpe"]


class Sums:
    """Replacement for a Pricing: parameters are the sum of all widths, FLOPs the widths of the first level."""

    def __call__(self, design):
        return Costs(sum(design.widths) + sum(design.decoder_widths), design.widths[0] + design.decoder_widths[0])

    def find_widest(self, limits, make, most):
        grid = [make(most * step / 400) for step in range(400, -1, -1)]
        return next((found for found in grid if self.is_within(found, limits)), grid[-1])

    def is_within(self, design, limits):
        return all(self(design)[kind] <= most for kind, most in limits.items())


class KnownRetraining:
    """Replacement for a Retraining: a design scores by its depth and its first width. Some trainings can fail."""

    seeds, at_once = (3, 4, 5), 2

    def __init__(self, folds=(), failing=(), trained=()):
        self.base = SimpleNamespace(design=BASE, pricing=Sums())
        self.folds, self.failing = list(folds), failing
        self.designs, self.batches = {}, []
        for name, design, seeds in trained:
            self.designs[name] = (design, seeds)

    def __call__(self, designs, step, seeds=None):
        assert not set(designs) & set(self.designs), "trained twice"
        self.batches.append(list(designs))
        self.designs |= {name: (design, seeds) for name, design in designs.items() if name not in self.failing}
        return [f"{name} seed {seed}" for name in designs if name in self.failing for seed in seeds]

    def read(self, names, test):
        assert not test
        rows = [
            {"design": name, "seed": seed, "fold": fold, "val_score": score_of(self.designs[name][0]) + (fold or 0)}
            for name in names
            if name in self.designs
            for seed in self.designs[name][1]
            for fold in self.folds or [None]
        ]
        return Retrained(pd.DataFrame(rows, columns=["design", "seed", "fold", "val_score"]), pd.DataFrame())


def score_of(design):
    return design.depth + 0.001 * design.widths[0] - 0.1 * design.skips.count("off")


def config(rivals, params=0.25, flops=None, seed=0):
    return OmegaConf.create(
        {"seed": seed, "target": {"params": params, "flops": flops, "loss": 0.01}, "retrain": {"rivals": rivals}}
    )


def chosen(design=LEAN):
    return Proposal("lean_1", design, (), Sums()(design), *2 * [Loss(1, 1, 1, True)])


def run(rivals, trainings, retraining, trained=None, **settings):
    return find_rivals(config(rivals, **settings), chosen(), trained or {}, trainings, retraining)


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_trains_as_many_designs_as_it_may_from_the_first_seed_alone(search):
    retraining = KnownRetraining()
    (best,), missing = run([search], 6, retraining)
    assert len(retraining.designs) == 6
    assert {seeds for _, seeds in retraining.designs.values()} == {(3,)}
    assert missing == []
    assert best.name == f"best_of_6_{search}"
    assert best.kind == "rival"
    tried = [design for design, _ in retraining.designs.values()]
    assert score_of(best.design) == max(map(score_of, tried))
    assert len(set(tried)) == 6


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("costs", [{"params": 0.25}, {"params": None, "flops": 0.3}, {"params": 0.25, "flops": 0.3}])
def test_every_design_has_the_costs_of_the_target_at_most(search, costs):
    retraining = KnownRetraining()
    run([search], 6, retraining, **costs)
    limits = limits_of_rivals(config([search], **costs), chosen(), retraining)
    whole, least = {"params": 80, "flops": 16}, {"params": 20, "flops": 8}  # of the base and of the chosen proposal
    assert limits == {kind: max(least[kind], int((costs.get(kind) or 1) * whole[kind])) for kind in whole}
    for design, _ in retraining.designs.values():
        assert all(Sums()(design)[kind] <= limit for kind, limit in limits.items())


def test_limits_are_shares_of_the_base_or_the_costs_of_the_proposal():
    retraining = KnownRetraining()  # the base costs 80 and 16, the proposal 20 and 8
    assert limits_of_rivals(config([], 0.5, 0.75), chosen(), retraining) == {"params": 40, "flops": 12}
    assert limits_of_rivals(config([], None, None), chosen(), retraining) == {"params": 20, "flops": 8}
    above = limits_of_rivals(config([], 0.1, None), chosen(), retraining)  # the proposal exceeds 8 parameters
    assert above == {"params": 20, "flops": 16}


def test_searches_depend_on_the_seed_of_the_command_alone():
    first, again, other = KnownRetraining(), KnownRetraining(), KnownRetraining()
    for retraining, seed in ((first, 0), (again, 0), (other, 1)):
        run(SEARCHES, 5, retraining, seed=seed)
    assert first.designs == again.designs
    assert first.designs != other.designs


def test_tpe_learns_from_the_scores_in_batches():
    before, after = [], []
    for seed in range(4):
        retraining = KnownRetraining()
        run(["tpe"], 20, retraining, seed=seed)
        assert {len(batch) for batch in retraining.batches} == {2}
        scores = [score_of(design) for design, _ in retraining.designs.values()]
        before, after = before + scores[:10], after + scores[10:]  # the first 10 are random
    assert np.mean(after) > np.mean(before) + 0.2


def test_a_design_that_was_trained_before_has_its_score_and_is_not_trained_again():
    first = KnownRetraining()
    run(["flat"], 4, first)
    known = {"lean_1": first.designs["flat_1_of_4"][0]}
    retraining = KnownRetraining(trained=[("lean_1", known["lean_1"], (3, 4))])
    (best,), _ = run(["flat"], 4, retraining, trained=known)
    assert retraining.batches == [["flat_2_of_4", "flat_3_of_4", "flat_4_of_4"]]
    assert best.name == "best_of_4_flat"


def test_equal_designs_of_two_searches_are_trained_once():
    retraining = KnownRetraining()
    train = FirstSeed(retraining, {})
    assert train({"random_1_of_1": LEAN}) == {"random_1_of_1": score_of(LEAN)}
    assert train({"tpe_1_of_1": LEAN}) == {"tpe_1_of_1": score_of(LEAN)}
    assert retraining.batches == [["random_1_of_1"], []]


def test_the_score_is_the_mean_over_all_folds():
    retraining = KnownRetraining(folds=(0, 1, 2))
    assert FirstSeed(retraining, {})({"a": LEAN}) == {"a": pytest.approx(score_of(LEAN) + 1)}


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_failed_trainings_are_listed_and_not_counted(search, caplog):
    retraining = KnownRetraining(failing=[f"{search}_2_of_6"])
    (best,), missing = run([search], 6, retraining)
    assert best.name == f"best_of_5_{search}"
    assert missing == [f"{search}_2_of_6 seed 3"]
    assert f"{search} has a score of 5 designs, wanted 6; 6 different designs were found" in caplog.text


def test_a_search_ends_if_the_budget_is_spent():
    names = [f"tpe_{number}_of_6" for number in range(1, 7)]
    retraining = KnownRetraining(failing=names)
    rivals, missing = run(["tpe"], 6, retraining)
    assert rivals == []
    assert missing == ["tpe_1_of_6 seed 3", "tpe_2_of_6 seed 3"]


def test_tpe_stops_where_the_space_has_no_further_design():
    one_design = SimpleNamespace(versions={"base": BASE}, uniform=lambda design: LEAN)
    found = search_by_tpe(one_design, 2, 1, lambda named: dict.fromkeys(named, 0.5), seed=0)
    assert found == [LEAN]


@pytest.mark.parametrize(("folds", "seeds"), [((), 2), ((0, 1), 2), ((), 3)])
def test_a_rival_trains_as_often_as_all_proposals_together(folds, seeds):
    """Four proposals; with its best design from the other two seeds, the rival trains as often as they did."""
    trained = [(f"lean_{number}", LEAN, (3, 4, 5)[:seeds]) for number in range(1, 5)]
    retraining = KnownRetraining(folds, trained=trained)
    assert equal_trainings([name for name, _, _ in trained], retraining) + 2 == 4 * seeds


def test_without_rivals_nothing_is_trained_and_the_protocol_is_unchanged():
    retraining = KnownRetraining()
    assert run([], 6, retraining) == ([], [])
    assert retraining.batches == []
    assert protocol_of_rivals(config([]), retraining) == ""
    assert protocol_of_rivals(config(["random", "tpe"]), retraining).startswith("Rivals (random, tpe): each trains ")


@pytest.mark.parametrize(
    ("network", "task", "rivals", "message"),
    [
        (UNet(1, 1, (2, 4), skips="add"), "segmentation", ["torch_pruning"], "that adds its skips, wanted skips that"),
        (
            UNet(1, 1, (2, 4), separable=True),
            "segmentation",
            ["torch_pruning"],
            "separable convolutions, wanted a base",
        ),
        (UNet(1, 1, (2, 4), norm="instance"), "segmentation", ["torch_pruning"], "wanted norm=batch or norm=none"),
        (UNet(1, 1, (2, 4)), "segmentation", ["cmi"], "got cmi for segmentation by UNet, wanted a CNN"),
        (torch.nn.Linear(1, 1), "classification", ["torch_pruning"], "for a base of Linear, wanted one of models.UNet"),
    ],
)
def test_a_base_that_cannot_be_pruned_is_refused(network, task, rivals, message):
    base = SimpleNamespace(network=network, data=SimpleNamespace(task=task))
    settings = OmegaConf.create({"rivals": ["flat", *rivals], "folds": None})
    with pytest.raises(InputError, match=message):
        check_rivals(settings, base)
    check_rivals(OmegaConf.merge(settings, {"rivals": ["flat", "tpe"]}), base)


def test_pruned_weights_are_refused_with_folds():
    with pytest.raises(InputError, match=r"got torch_pruning with retrain.folds, where test images of a fold"):
        check_rivals(OmegaConf.create({"rivals": ["torch_pruning"], "folds": 5}), None)


def test_pruned_rivals_are_trained_from_their_weights_and_others_from_random_weights():
    calls = []

    def retraining(designs, step, overrides=()):
        calls.append((list(designs), overrides))
        return [f"{name} seed 0" for name in designs]

    pruned = Rival("pruned_by_l1", "", LEAN, start="0123")
    missing = train_baselines(retraining, [Baseline("flat", "params", LEAN), pruned, Rival("best_of_2_tpe", "", BASE)])
    assert calls == [(["flat_at_params", "best_of_2_tpe"], ()), (["pruned_by_l1"], ["train.start=0123"])]
    assert missing == ["flat_at_params seed 0", "best_of_2_tpe seed 0", "pruned_by_l1 seed 0"]


def test_the_trainings_of_rivals_are_counted():
    assert count_rivals(["random", "torch_pruning", "cmi"], of_proposals=14, seeds=5) == 14 + 2 * 5 + 5


def test_without_optuna_the_error_names_the_extra(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "optuna"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"retrain.rivals: needs optuna, .*infoflow-bench\[optuna\]"):
        require_rivals(["flat", "tpe"])
    require_rivals(["flat", "random"])


def test_optuna_is_quiet(caplog):
    require_optuna("retrain.rivals")
    run(["tpe"], 4, KnownRetraining())
    assert "trial" not in caplog.text.lower()
