"""Which proposals are retrained from all seeds, and which is judged: by validation alone."""

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from bench.asking.asker import Loss
from bench.asking.proposals import Proposal
from bench.designs import UNetDesign
from bench.designs.costs import Costs
from bench.errors import InputError
from bench.retraining.results import Retrained
from bench.retraining.verify import choose, screened

PROPOSALS = [
    Proposal(f"lean_{n}", UNetDesign((4, 2 * n), (4,), ("cat",)), (), Costs(1000 // n, 100), *2 * [Loss(n, n, n, True)])
    for n in (1, 2, 3, 4)
]


def retrained(scores, seeds=(0, 1, 2)):
    rows = [{"design": name, "seed": seed, "val_score": score} for name, score in scores.items() for seed in seeds]
    return Retrained(pd.DataFrame(rows, columns=["design", "seed", "val_score"]), pd.DataFrame())


def on_val(scores, noise=0.001):
    rng = np.random.default_rng(0)
    rows = [
        {
            "design": name,
            "seed": seed,
            "name": i,
            "group": i,
            "score": score + noise * rng.normal(),
            "weight": 0.1,
        }
        for name, score in scores.items()
        for seed in (0, 1, 2)
        for i in range(10)
    ]
    return pd.DataFrame(rows)


def chosen(wanted, proposals, scores, noise=0.001):
    return choose(wanted, Priced, proposals, retrained(scores), on_val(scores, noise))


class Trains:
    """Stands for a Retraining in which every design reaches a known validation score."""

    seeds = (0, 1, 2, 3, 4)

    def __init__(self, scores):
        self.scores, self.calls = scores, []

    def __call__(self, designs, seeds=None):
        self.calls.append((list(designs), list(seeds or self.seeds)))
        return []

    def read(self, names, test):
        assert not test
        return retrained({name: self.scores[name] for name in names if name in self.scores})


class Priced:
    """Stands for a base of 1,000 parameters and 100 FLOPs."""

    design = None

    @staticmethod
    def pricing(_):
        return Costs(1000, 100)


def target(params=None, flops=None, loss=0.01):
    return OmegaConf.create({"target": {"params": params, "flops": flops, "loss": loss}})


def test_two_seeds_screen_many_proposals():
    training = Trains({"lean_1": 0.7, "lean_2": 0.9, "lean_3": 0.6, "lean_4": 0.8})
    finalists, _ = screened(target(params=0.5), PROPOSALS, training)
    assert [proposal.name for proposal in finalists] == ["lean_2", "lean_4"]
    assert training.calls == [(["lean_1", "lean_2", "lean_3", "lean_4"], [0, 1])]


@pytest.mark.parametrize(("wanted", "count"), [(target(), 4), (target(params=0.5), 2)])
def test_without_a_target_of_cost_or_with_few_there_is_no_screening(wanted, count):
    training = Trains({})
    assert screened(wanted, PROPOSALS[:count], training) == (PROPOSALS[:count], [])
    assert not training.calls


def test_a_target_of_cost_takes_the_best_that_meets_it():
    scores = {"base": 0.9, "lean_1": 0.95, "lean_2": 0.7, "lean_3": 0.8, "lean_4": 0.895}
    assert chosen(target(params=0.4), PROPOSALS[:3], scores) == (PROPOSALS[2], pytest.approx(0.1))
    assert chosen(target(params=0.4), PROPOSALS, scores) == (PROPOSALS[3], pytest.approx(0.005))


def test_where_validation_can_not_tell_the_rank_score_decides():
    scores = {"base": 0.9, "lean_3": 0.894, "lean_4": 0.896}
    assert chosen(target(params=0.4), PROPOSALS[2:], scores)[0] == PROPOSALS[3]
    assert chosen(target(params=0.4), PROPOSALS[2:], scores, noise=0.05)[0] == PROPOSALS[2]


def test_without_it_the_leanest_within_the_loss_is_taken():
    scores = {"base": 0.9, "lean_1": 0.91, "lean_2": 0.895, "lean_3": 0.885, "lean_4": 0.7}
    assert chosen(target(), PROPOSALS, scores)[0] == PROPOSALS[1]
    assert chosen(target(loss=0.02), PROPOSALS, scores)[0] == PROPOSALS[2]


def test_a_loss_that_none_meets_gives_the_nearest_and_its_loss():
    scores = {"base": 0.9, "lean_2": 0.895, "lean_3": 0.885, "lean_4": 0.7}
    assert chosen(target(loss=0.001), PROPOSALS[1:], scores) == (PROPOSALS[1], pytest.approx(0.005))


def test_one_seed_chooses_nothing():
    scores = {"base": 0.9, "lean_1": 0.9}
    with pytest.raises(InputError, match=r"got 1 seeds .* wanted 2 or more"):
        choose(target(), Priced, PROPOSALS, retrained(scores, seeds=(0,)), on_val(scores))
