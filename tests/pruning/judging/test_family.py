"""Families: Holm's correction by hand, agreement with the interval, and the rate of false verdicts in simulations."""

import numpy as np
import pytest

from bench.information.crossed import LEVEL, Crossed
from bench.pruning.judging.family import holm, judged
from bench.pruning.judging.judge import verdict


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.02], [0.02]),
        ([0.01, 0.01, 0.9], [0.03, 0.03, 0.9]),
        ([0.04, 0.04, 0.04], [0.12, 0.12, 0.12]),  # a later step is never below an earlier one
        ([0.5, 0.6], [1.0, 1.0]),
    ],
)
def test_holm_by_hand(given, wanted):
    assert holm(np.array(given)) == pytest.approx(wanted)


def effect(mean, error=0.01):
    """Return an effect of 12 seeds and 60 groups with this mean and standard error."""
    return Crossed(mean, (432 * error**2, 432 * error**2, 144 * error**2), 12, 60)


def test_a_family_of_one_has_the_verdict_of_its_interval():
    found = set()
    for mean in np.linspace(-0.08, 0.08, 41):
        one = judged({"flat": effect(mean)}, margin=0.03).loc["flat"]
        assert one["verdict"] == verdict(effect(mean).interval, margin=0.03)
        assert one["p_value"] == pytest.approx(min(effect(mean).p_value(), effect(mean).p_value(above=False)))
        found.add(one["verdict"])
    assert found == {"better", "no worse", "worse", "undecided"}


def test_more_comparisons_need_clearer_differences():
    alone = judged({"flat": effect(0.024)}, margin=0.01)
    among = judged({"flat": effect(0.024), "random": effect(0.0), "uniform": effect(0.0)}, margin=0.01)
    beside = judged({"flat": effect(0.024), "random": effect(0.3), "uniform": effect(0.3)}, margin=0.01)
    assert [table.loc["flat", "verdict"] for table in (alone, among, beside)] == ["better", "no worse", "better"]
    assert among.loc["flat", "p_value"] == pytest.approx(3 * effect(0.024).p_value())
    assert beside.loc["flat", "p_value"] == pytest.approx(effect(0.024).p_value())


def test_a_design_that_is_better_is_no_worse():
    table = judged({name: effect(mean) for name, mean in zip("abcd", (0.1, 0.03, 0.01, -0.02), strict=True)}, 0.01)
    assert (table["p_margin"] <= table["p_value"])[table["verdict"] == "better"].all()


def families(gains, seeds=12, groups=60, times=150):
    """Draw effects with these gains, correlated by 0.5. Two fifths of the variance of a mean are of seeds and rest."""
    rng, error = np.random.default_rng(0), 0.01
    degrees = np.array([seeds - 1, groups - 1, (seeds - 1) * (groups - 1)])
    shares = seeds * groups * error**2 * np.array([0.6, 0.6, 0.2])  # 0.6 + 0.6 - 0.2 is the whole
    for _ in range(times):
        means = gains + error * np.sqrt(0.5) * (rng.normal() + rng.normal(size=len(gains)))
        squares = shares * rng.chisquare(degrees, (len(gains), 3)) / degrees
        drawn = enumerate(zip(means, squares, strict=True))
        yield {str(i): Crossed(mean, tuple(square), seeds, groups) for i, (mean, square) in drawn}


@pytest.mark.parametrize("seeds", [2, 5])
@pytest.mark.parametrize(
    "gains",
    [
        [0.0] * 8,
        [-0.02] * 8,  # at the margin, where "no worse" is false
        [-0.02] * 4 + [0.0] * 4,
        [0.2, 0.2, 0.0, 0.0, -0.02, -0.02, -0.2, -0.2],
    ],
)
def test_a_family_has_a_false_verdict_at_most_once_in_twenty(gains, seeds):
    false = [
        any(
            (word == "better" and gain <= 0)
            or (word == "no worse" and gain <= -0.02)
            or (word == "worse" and gain >= 0)
            for word, gain in zip(judged(effects, margin=0.02)["verdict"], gains, strict=True)
        )
        for effects in families(gains, seeds)
    ]
    assert np.mean(false) <= LEVEL + 2 * np.sqrt(LEVEL * (1 - LEVEL) / len(false))


@pytest.mark.parametrize("seeds", [5, 12])
def test_without_a_correction_there_are_more_false_verdicts(seeds):
    drawn = families([0.0] * 8, seeds)
    false = [any(verdict(each.interval, 0) != "undecided" for each in effects.values()) for effects in drawn]
    assert np.mean(false) > 0.2
