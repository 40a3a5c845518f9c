"""Selection of the proposals to retrain with all seeds, and of the one to judge, by validation scores only."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from omegaconf import OmegaConf

from bench.errors import InputError
from bench.pruning.designs import UNetDesign
from bench.pruning.designs.baselines import Baseline, BaselineKind
from bench.pruning.designs.costs import Costs
from bench.pruning.judging.results import Retrained
from bench.pruning.report.closing import closing
from bench.pruning.retraining.protocol import protocol, rank_by_validation
from bench.pruning.retraining.training import Retraining
from bench.pruning.search.loss import Loss
from bench.pruning.search.proposals import Proposal
from bench.pruning.verify import Verified, choose, count_trainings

KINDS = ["uniform", "flat", "magnitude", "random"]
PROPOSALS = [
    Proposal(f"lean_{n}", UNetDesign((4, 2 * n), (4,), ("cat",)), (), Costs(1000 // n, 100), *2 * [Loss(n, n, n, True)])
    for n in (1, 2, 3, 4)
]


def retrained(scores, seeds=(0, 1, 2)):
    rows = [{"design": name, "seed": seed, "val_score": score} for name, score in scores.items() for seed in seeds]
    return Retrained(pd.DataFrame(rows, columns=["design", "seed", "val_score"]), pd.DataFrame())


def chosen(wanted, proposals, scores):
    return rank_by_validation(wanted, proposals, retrained(scores))[0]


def target(params=None, flops=None, loss=0.01):
    return OmegaConf.create(
        {
            "target": {"params": params, "flops": flops, "loss": loss},
            "ask": {"rule": "search", "rounds": 2, "importance": "information"},
            "retrain": {"by": "bench"},
        }
    )


def test_with_a_target_of_cost_the_best_validation_score_decides():
    scores = {"base": 0.9, "lean_1": 0.95, "lean_2": 0.892, "lean_3": 0.895, "lean_4": 0.91}
    assert chosen(target(params=0.99), PROPOSALS[1:], scores) == (PROPOSALS[3], pytest.approx(-0.01))
    assert chosen(target(params=0.99, loss=None), PROPOSALS[1:], scores)[0] == PROPOSALS[3]


def test_the_best_proposal_is_chosen_if_none_meets_the_target_loss():
    scores = {"base": 0.9, "lean_2": 0.7, "lean_3": 0.8}
    assert chosen(target(params=0.5), PROPOSALS[1:3], scores) == (PROPOSALS[2], pytest.approx(0.1))


def test_without_a_target_of_cost_the_leanest_proposal_within_the_loss_is_chosen():
    scores = {"base": 0.9, "lean_1": 0.91, "lean_2": 0.895, "lean_3": 0.885, "lean_4": 0.7}
    assert chosen(target(), PROPOSALS, scores)[0] == PROPOSALS[1]
    assert chosen(target(loss=0.02), PROPOSALS, scores)[0] == PROPOSALS[2]


def test_without_a_target_of_cost_the_nearest_proposal_is_chosen_if_none_meets_the_loss():
    scores = {"base": 0.9, "lean_2": 0.895, "lean_3": 0.885, "lean_4": 0.7}
    assert chosen(target(loss=0.001), PROPOSALS[1:], scores) == (PROPOSALS[1], pytest.approx(0.005))


def test_one_seed_is_refused():
    with pytest.raises(InputError, match=r"got 1 as the number of seeds .* wanted 2 or more"):
        rank_by_validation(target(), PROPOSALS, retrained({"base": 0.9, "lean_1": 0.9}, seeds=(0,)))


@pytest.mark.parametrize(("requested", "epochs"), [(None, 30), (10, 10)])
def test_the_protocol_names_seeds_epochs_target_and_margin(requested, epochs):
    base = SimpleNamespace(
        config=OmegaConf.create({"train": {"epochs": 30}}), data=SimpleNamespace(task="segmentation")
    )
    settings = {"by": "bench", "seeds": 2, "epochs": requested, "margin": 0.02, "minutes": None, "runs": None}
    retrain = OmegaConf.create({"retrain": settings})
    text = protocol(
        OmegaConf.merge(target(params=0.1), retrain), Retraining(retrain.retrain, base, None, Path("designs"), seed=3)
    )
    assert f"seeds 3, 4; {epochs} epochs each" in text
    assert "The chosen proposal is the proposal with the best mean validation score." in text
    assert "2 networks are measured at most" in text
    assert "No worse: above -0.02." in text
    assert "test data: Dice," in text


@pytest.mark.parametrize(
    ("wanted", "count", "baselines", "rivals", "trainings"),
    [
        (target(), 3, KINDS, [], 4 * 5 + 8 * 5),  # base and proposals, then 8 baseline designs
        (target(params=0.5), 2, KINDS, [], 3 * 5 + 8 * 5),
        # brief, whole, moved, second seed, then base and two finalists
        (target(params=0.5), 4, KINDS, [], 4 + 4 + 2 * 2 + 3 + 5 + 2 * 3 + 8 * 5),
        # a search trains as long as all proposals: 4 / 3 + 4 + 4 + 3 + 6 whole trainings
        (target(params=0.5), 4, ["flat"], ["random", "tpe"], 4 + 4 + 2 * 2 + 3 + 5 + 2 * 3 + 2 * 18 + 2 * 5),
    ],
)
def test_the_number_of_trainings_is_counted_before_the_first(wanted, count, baselines, rivals, trainings):
    config = OmegaConf.merge(wanted, {"retrain": {"by": "bench", "baselines": baselines, "rivals": rivals}})
    retraining = SimpleNamespace(seeds=[0, 1, 2, 3, 4], epochs=30)
    assert count_trainings(config, PROPOSALS[:count], retraining) == trainings


BASELINES = [Baseline(BaselineKind.FLAT, "flops", None), Baseline(BaselineKind.RANDOM, "params", None)]
BASE_ROW = ("base", -0.007, -0.012, -0.002, "no worse", 91.04, 3.42)
FLAT_ROW = ("flat_at_flops", 0.004, -0.001, 0.009, "undecided", 0.5, 1.0)
RANDOM_ROW = ("random_at_params", 0.1, 0.08, 0.12, "better", 1.0, 2.0)
SAME_ROW = ("flat_at_flops", 0.0, 0.0, 0.0, "same design", 1.0, 1.0)
AGAINST_BASE = (
    "lean_1 has 91 times fewer parameters and 3.4 times fewer FLOPs compared with the base; its Dice is 0.007 lower "
    "(-0.012 to -0.002; verdict: no worse). "
)


def not_run(name):
    return (name, *3 * [float("nan")], "not run", *2 * [float("nan")])


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [BASE_ROW, FLAT_ROW, RANDOM_ROW],
            AGAINST_BASE + "Against the best baseline design, flat at equal FLOPs, its Dice is 0.004 higher "
            "(-0.001 to 0.009; verdict: undecided).",
        ),
        (
            [BASE_ROW, not_run("flat_at_flops"), RANDOM_ROW],
            AGAINST_BASE + "Against the best baseline design of the 1 of 2 that were retrained, random at equal "
            "parameters, its Dice is 0.100 higher (0.080 to 0.120; verdict: better).",
        ),
        (
            [BASE_ROW, SAME_ROW, RANDOM_ROW],
            AGAINST_BASE + "The best baseline design, flat at equal FLOPs, is the same design.",
        ),
        (
            [BASE_ROW, not_run("flat_at_flops"), not_run("random_at_params")],
            AGAINST_BASE + "No baseline design was retrained from 2 seeds or more, so there is no verdict against one.",
        ),
        (
            [("base", 0.0003, -0.02, 0.02, "undecided", 0.5, 1.01), FLAT_ROW],
            "lean_1 has 2.0 times more parameters and about as many FLOPs compared with the base; its Dice is equal "
            "(-0.020 to 0.020; verdict: undecided). Against the best baseline design, flat at equal FLOPs, its Dice is "
            "0.004 higher (-0.001 to 0.009; verdict: undecided).",
        ),
        (
            [not_run("base"), ("flat_at_flops", -0.2, *2 * [float("nan")], "undecided", 1.0, 1.0)],
            "lean_1 has no verdict against the base, which was not retrained from 2 seeds or more. Against the best "
            "baseline design, flat at equal FLOPs, its Dice is 0.200 lower (no interval; verdict: undecided).",
        ),
    ],
)
def test_the_closing_sentences_say_what_was_won_and_lost(rows, sentence):
    columns = ["baseline", "gain", "low", "high", "verdict", "params_ratio", "flops_ratio"]
    compared = pd.DataFrame(rows, columns=columns)
    verified = Verified(PROPOSALS[0], PROPOSALS, pd.DataFrame(), compared, pd.DataFrame(), BASELINES)
    assert closing(verified, "Dice") == sentence


def test_for_nnunet_no_score_of_a_retrained_design_chooses():
    wanted = OmegaConf.merge(target(params=0.99), {"retrain": {"by": "nnunet"}})
    assert choose(wanted, PROPOSALS[::-1], retrained({"lean_1": 0.1, "lean_2": 0.9})).name == "lean_1"
