"""Rivals: equal numbers of trainings, networks that cannot be pruned, and weights to start from."""

import sys
from types import SimpleNamespace

import pytest
import torch
from known_retraining import BASE, LEAN, KnownRetraining, config, run_rivals
from omegaconf import OmegaConf

from bench.errors import InputError
from bench.pruning.designs.baselines import Baseline
from bench.pruning.rivals.rivals import (
    Rival,
    check_rivals,
    count_rivals,
    equal_trainings,
    protocol_of_rivals,
    require_rivals,
    train_baselines,
)
from models import UNet


@pytest.mark.parametrize(("folds", "seeds"), [((), 2), ((0, 1), 2), ((), 3)])
def test_a_rival_trains_as_often_as_all_proposals_together(folds, seeds):
    """Four proposals; with its best design from the other two seeds, the rival trains as often as they did."""
    trained = [(f"lean_{number}", LEAN, (3, 4, 5)[:seeds]) for number in range(1, 5)]
    retraining = KnownRetraining(folds, trained=trained)
    assert equal_trainings([name for name, _, _ in trained], retraining) + 2 == 4 * seeds


def test_without_rivals_nothing_is_trained_and_the_protocol_is_unchanged():
    retraining = KnownRetraining()
    assert run_rivals([], 6, retraining) == ([], [])
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
