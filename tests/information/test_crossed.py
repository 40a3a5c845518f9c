"""Crossed effects: intervals, p values and needed seeds agree with loops, with each other, and with simulations."""

import numpy as np
import pytest
from scipy.stats import t as student

from bench.errors import InputError
from bench.information.crossed import LEVEL, POWER, Components, Crossed
from bench.information.statistics import Interval


def test_crossed_mean_squares_by_hand():
    # rows 1, 3 and columns 1, 3 around 2: mean squares of seeds 2·(1+1)/1 = 4, groups 4, rest 0; (4 + 4 - 0) / 4 = 2
    effect = Crossed.of(np.array([[0.0, 2.0], [2.0, 4.0]]))
    assert (effect.mean, effect.squares, effect.error) == (2, (4, 4, 0), pytest.approx(np.sqrt(2)))
    assert effect.interval.high - 2 == pytest.approx(2 - effect.interval.low)


def test_crossed_mean_squares_against_loops():
    values = np.array([[0.0, 2.0, 4.0], [2.0, 4.0, 9.0]])
    mean, seeds, groups = values.mean(), values.mean(axis=1), values.mean(axis=0)
    a = sum(3 * (seed - mean) ** 2 for seed in seeds) / 1
    b = sum(2 * (group - mean) ** 2 for group in groups) / 2
    c = sum((values[i, j] - seeds[i] - groups[j] + mean) ** 2 for i in range(2) for j in range(3)) / 2
    assert Crossed.of(values).squares == pytest.approx((a, b, c))
    assert Crossed.of(values).error == pytest.approx(np.sqrt((a + b - c) / 6))


def test_the_residuals_alone_are_the_least_variance():
    """For 2 x 2 values, each mean square is 4 times the square of its effect."""
    signs = np.array([1.0, -1.0])
    values = 0.5 * signs[:, None] + 0.5 * signs + 2 * np.outer(signs, signs)
    assert Crossed.of(values).error == pytest.approx(2)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_p_values_and_intervals_against_draws_of_the_mean_square(seeds):
    """The generalised interval has the quantiles of t times the standard error, with a drawn chi-square variable."""
    rng, squares = np.random.default_rng(0), (0.9, 0.5, 0.2)
    effect = Crossed(0.3, squares, seeds, 30)
    allowed = squares[0] * (seeds - 1) / rng.chisquare(seeds - 1, 400_000)
    errors = np.sqrt(np.maximum(allowed + squares[1] - squares[2], squares[2]) / (30 * seeds))
    drawn = rng.standard_t(29, 400_000) * errors
    assert effect.interval.high - 0.3 == pytest.approx(np.quantile(drawn, 0.975), rel=0.02)
    bound = 0.3 - 3 * effect.error
    assert effect.p_value(bound) == pytest.approx(2 * np.mean(drawn > 3 * effect.error), rel=0.05)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_with_variance_of_seeds_alone_the_interval_is_that_of_student_t(seeds):
    effect = Crossed(0.0, (1.0, 0.0, 0.0), seeds, 100_000)
    assert effect.interval.high == pytest.approx(student.ppf(0.975, seeds - 1) * effect.error, rel=0.01)


@pytest.mark.filterwarnings("error")
def test_scores_that_are_all_equal_have_an_interval_of_no_width():
    assert Crossed.of(np.full((2, 3), 1.5)).interval == Interval(1.5, 1.5, 1.5)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(("of_seeds", "of_groups"), [(0.03, 0.03), (0.01, 0.02), (0.01, 0.0), (0.0, 0.02)])
def test_coverage_of_crossed_intervals(seeds, of_seeds, of_groups):
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        values = drawn(rng, (of_seeds**2, of_groups**2, 0.03**2), seeds, groups=40)
        effect = Crossed.of(values).interval
        covered += effect.low <= 0 <= effect.high
    assert 0.92 < covered / 400 <= 1  # 3 standard errors below 95 %; without an effect, intervals are wider


@pytest.mark.parametrize("shape", [(1, 5), (5, 1)])
def test_one_seed_or_one_group_has_no_verdict(shape):
    with pytest.raises(InputError, match=rf"got {shape[0]} seeds and {shape[1]} .*no verdict"):
        Crossed.of(np.zeros(shape))


def drawn(rng, found, seeds, groups):
    """Draw values of mean 0 whose seeds, groups and rest have these variances."""
    of_seeds, of_groups, of_rest = np.sqrt(found)
    values = rng.normal(0, of_seeds, (seeds, 1)) + rng.normal(0, of_groups, (1, groups))
    return values + rng.normal(0, of_rest, (seeds, groups))


@pytest.mark.parametrize("bound", [0.0, -0.01])
def test_a_p_value_below_the_level_agrees_with_the_interval(bound):
    rng, sides = np.random.default_rng(0), {"above": 0, "below": 0}
    for _ in range(600):
        effect = Crossed.of(rng.normal(0, 0.03) + drawn(rng, Components(1e-4, 1e-4, 1e-4), 3, 10))
        assert (effect.p_value(bound) < LEVEL) == (effect.interval.low > bound)
        assert (effect.p_value(bound, above=False) < LEVEL) == (effect.interval.high < bound)
        sides["above"] += effect.interval.low > bound
        sides["below"] += effect.interval.high < bound
    assert min(sides.values()) > 30


@pytest.mark.filterwarnings("error")
def test_equal_values_are_certain():
    effect = Crossed.of(np.full((2, 3), 0.5))
    assert (effect.p_value(), effect.p_value(above=False), effect.p_value(0.5)) == (0, 1, 1)


def test_components_recover_the_variances_that_were_drawn():
    rng, true = np.random.default_rng(0), Components(0.01, 0.02, 0.03)
    found = Components.mean([Crossed.of(drawn(rng, true, 5, 20)).components for _ in range(600)])
    assert found == pytest.approx(true, rel=0.06)


@pytest.mark.parametrize(
    ("found", "margin", "groups", "seeds"),
    [
        (Components(0.01**2, 0.05**2, 0.1**2), 0.02, 134, 8),
        (Components(0.01**2, 0.02**2, 0.03**2), 0.02, 30, 6),
        (Components(0.02**2, 0.0, 0.05**2), 0.02, 30, 13),
    ],
)
def test_the_needed_seeds_reach_the_power_in_a_simulation(found, margin, groups, seeds):
    rng, times = np.random.default_rng(0), 800
    assert found.seeds_needed(margin, groups) == seeds
    for number in (seeds, seeds - 2):
        shown = sum(Crossed.of(drawn(rng, found, number, groups)).interval.low > -margin for _ in range(times)) / times
        assert shown == pytest.approx(found.power(margin, number, groups), abs=0.05)
    assert shown < POWER


def test_groups_alone_can_leave_a_margin_undecided():
    found = Components(0.01**2, 0.05**2, 0.1**2)
    assert found.half_width_of_groups(100) == pytest.approx(1.96 * 0.005)
    least = found.margin_decided(10**9, 100)
    assert least == pytest.approx((1.984 + 0.845) * 0.005, rel=2e-3)  # quantiles of t with 99 degrees of freedom
    assert found.seeds_needed(0.99 * least, 100) is None
    assert found.seeds_needed(1.02 * least, 100) > 100
    assert found.seeds_needed(0.99 * least, 400) < 100


def test_the_margin_that_seeds_decide_needs_these_seeds():
    found = Components(0.01**2, 0.02**2, 0.03**2)
    for seeds in (3, 5, 20):
        margin = found.margin_decided(seeds, 30)
        assert found.power(margin, seeds, 30) == pytest.approx(POWER)
        assert found.seeds_needed(1.001 * margin, 30) == seeds
        assert found.seeds_needed(0.97 * margin, 30) > seeds


@pytest.mark.filterwarnings("error")
def test_values_without_spread_need_two_seeds():
    assert Components(0.0, 0.0, 0.0).seeds_needed(0.01, 30) == 2
    assert Components(0.0, 0.0, 0.0).margin_decided(2, 30) == 0


def test_a_stricter_level_needs_more_seeds():
    found = Components(0.02**2, 0.0, 0.05**2)
    assert found.seeds_needed(0.02, 30, LEVEL / 8) > found.seeds_needed(0.02, 30)


def test_folds_average_the_errors_of_trainings():
    """A seed trains a network for each of 5 folds, each with its own error."""
    rng, alone = np.random.default_rng(0), Components(0.05**2, 0.0, 0.02**2)
    means = rng.normal(0, 0.05, (4000, 5)).mean(axis=1)
    assert alone.of_folds(5).seeds == pytest.approx(means.var(), rel=0.08)
    assert sum(alone.of_folds(5)) == pytest.approx(sum(alone))


@pytest.mark.parametrize("seeds", [2, 5])
def test_p_values_hold_for_few_seeds(seeds):
    """Values of mean 0: a p value below a level occurs at most as often as the level says, far in the tail too."""
    rng, times = np.random.default_rng(0), 1500
    found = [Crossed.of(drawn(rng, Components(0.02**2, 0.03**2, 0.03**2), seeds, 30)) for _ in range(times)]
    above = np.array([effect.p_value() for effect in found])
    for level in (0.05, 0.01):
        assert np.mean(above < level) <= level / 2 + 2 * np.sqrt(level / 2 / times)


def test_p_values_are_those_of_student_t_if_there_are_many_seeds_and_groups():
    effect = Crossed(0.02, (0.02, 0.02, 0.01), 500, 500)
    bound = 0.02 - 2 * effect.error
    assert effect.p_value(bound) == pytest.approx(2 * student.sf(2, 650), rel=0.02)
    assert effect.p_value(bound, above=False) == 1
