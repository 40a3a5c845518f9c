"""Selection of the proposals to retrain with all seeds, and of the one to judge, by validation scores only."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from omegaconf import OmegaConf

from bench.errors import InputError
from bench.pruning.designs import UNetDesign
from bench.pruning.designs.costs import Costs
from bench.pruning.retraining.protocol import protocol, rank_by_validation
from bench.pruning.retraining.results import Retrained
from bench.pruning.retraining.training import Retraining
from bench.pruning.retraining.verify import comparisons, screen_proposals
from bench.pruning.search.asker import Loss
from bench.pruning.search.proposals import Proposal

PROPOSALS = [
    Proposal(f"lean_{n}", UNetDesign((4, 2 * n), (4,), ("cat",)), (), Costs(1000 // n, 100), *2 * [Loss(n, n, n, True)])
    for n in (1, 2, 3, 4)
]


def retrained(scores, seeds=(0, 1, 2)):
    rows = [{"design": name, "seed": seed, "val_score": score} for name, score in scores.items() for seed in seeds]
    return Retrained(pd.DataFrame(rows, columns=["design", "seed", "val_score"]), pd.DataFrame())


def chosen(wanted, proposals, scores):
    return rank_by_validation(wanted, proposals, retrained(scores))[0]


class KnownRetraining:
    """Replacement for a Retraining, in which every design reaches a known validation score."""

    seeds = (0, 1, 2, 3, 4)

    def __init__(self, scores):
        self.scores, self.calls = scores, []

    def __call__(self, designs, seeds=None):
        self.calls.append((list(designs), list(seeds or self.seeds)))
        return []

    def read(self, names, test):
        assert not test
        return retrained({name: self.scores[name] for name in names if name in self.scores})


class KnownBase:
    """Replacement for a base; screening needs only its design."""

    design = None


def target(params=None, flops=None, loss=0.01):
    return OmegaConf.create({"target": {"params": params, "flops": flops, "loss": loss}})


def test_two_seeds_screen_many_proposals():
    """Proposals that lose too much are removed; the rank score orders the others."""
    training = KnownRetraining({"base": 0.9, "lean_1": 0.7, "lean_2": 0.892, "lean_3": 0.899, "lean_4": 0.91})
    finalists, _ = screen_proposals(target(params=0.99), KnownBase, PROPOSALS[1:], training)
    assert [proposal.name for proposal in finalists] == ["lean_2", "lean_3"]
    assert training.calls == [(["base", "lean_2", "lean_3", "lean_4"], [0, 1])]


@pytest.mark.parametrize(("wanted", "count"), [(target(), 4), (target(params=0.5), 2)])
def test_there_is_no_screening_without_a_target_of_cost_or_with_few_proposals(wanted, count):
    training = KnownRetraining({})
    assert screen_proposals(wanted, KnownBase, PROPOSALS[:count], training) == (PROPOSALS[:count], [])
    assert not training.calls


def test_the_rank_score_decides_among_proposals_within_the_target_loss():
    scores = {"base": 0.9, "lean_1": 0.95, "lean_2": 0.892, "lean_3": 0.895, "lean_4": 0.91}
    assert chosen(target(params=0.99), PROPOSALS[1:], scores) == (PROPOSALS[1], pytest.approx(0.008))
    assert chosen(target(params=0.99, loss=0.001), PROPOSALS[1:], scores)[0] == PROPOSALS[3]


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
    with pytest.raises(InputError, match=r"got 1 seeds .* wanted 2 or more"):
        rank_by_validation(target(), PROPOSALS, retrained({"base": 0.9, "lean_1": 0.9}, seeds=(0,)))


def test_a_baseline_equal_to_the_proposal_is_marked_as_the_same_design():
    images = pd.DataFrame(
        [("lean_1", seed, name, name, 0.9, 0.5) for seed in (0, 1) for name in "ab"]
        + [("flat", seed, name, name, 0.8, 0.5) for seed in (0, 1) for name in "ab"],
        columns=["design", "seed", "name", "group", "score", "weight"],
    )
    runs = images[["design", "seed"]].drop_duplicates().assign(params=1000, flops=100)
    baselines = {"uniform_at_params": "lean_1", "flat_at_params": "flat"}
    wanted = OmegaConf.create({"retrain": {"margin": 0.01}})
    compared = comparisons(Retrained(runs, images), PROPOSALS[0], baselines, wanted).set_index("baseline")
    assert compared["verdict"].to_dict() == {"uniform_at_params": "same design", "flat_at_params": "better"}
    assert compared["gain"].to_dict() == pytest.approx({"uniform_at_params": 0, "flat_at_params": 0.1})


@pytest.mark.parametrize(("requested", "epochs"), [(None, 30), (10, 10)])
def test_the_protocol_names_seeds_epochs_target_and_margin(requested, epochs):
    base = SimpleNamespace(
        config=OmegaConf.create({"train": {"epochs": 30}}), data=SimpleNamespace(task="segmentation")
    )
    retrain = OmegaConf.create({"retrain": {"seeds": 2, "epochs": requested, "margin": 0.02}})
    text = protocol(
        OmegaConf.merge(target(params=0.1), retrain), Retraining(retrain.retrain, base, None, Path("designs"), seed=3)
    )
    assert f"seeds 3, 4; {epochs} epochs each" in text
    assert "the target's cost with the lowest rank score whose mean validation score is at most 0.01 below" in text
    assert "No worse: above -0.02." in text
    assert "test data: Dice," in text
