"""Verdicts: intervals against simulated truth, paired effects against numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import sem
from scipy.stats import t as student

from bench.errors import InputError
from bench.pruning.retraining.judge import Effect, crossed, over_groups, paired, pareto, spread


def images(**scores):
    """Rows of two seeds and two images for each design, images of equal weight and each its own group."""
    rows = [
        {"design": design, "seed": seed, "name": f"image {i}", "group": i, "score": values[seed][i], "weight": 0.5}
        for design, values in scores.items()
        for seed in (0, 1)
        for i in (0, 1)
    ]
    return pd.DataFrame(rows)


def test_crossed_variance_by_hand():
    # rows 1, 3 and columns 1, 3 around 2: mean squares of seeds 2·(1+1)/1 = 4, groups 4, rest 0; (4 + 4 - 0) / 4 = 2
    # degrees 8² / (4² + 4²) = 2, t = 4.3027
    effect = crossed(np.array([[0.0, 2.0], [2.0, 4.0]]))
    assert effect.mean == 2
    assert effect.high - 2 == pytest.approx(4.30265 * np.sqrt(2), rel=1e-5)
    assert 2 - effect.low == pytest.approx(effect.high - 2)


def test_crossed_variance_and_degrees_against_loops():
    values = np.array([[0.0, 2.0, 4.0], [2.0, 4.0, 9.0]])
    mean, seeds, groups = values.mean(), values.mean(axis=1), values.mean(axis=0)
    a = sum(3 * (seed - mean) ** 2 for seed in seeds) / 1
    b = sum(2 * (group - mean) ** 2 for group in groups) / 2
    c = sum((values[i, j] - seeds[i] - groups[j] + mean) ** 2 for i in range(2) for j in range(3)) / 2
    degrees = (a + b - c) ** 2 / (a**2 / 1 + b**2 / 2 + c**2 / 2)
    reach = student.ppf(0.975, degrees) * np.sqrt((a + b - c) / 6)
    assert crossed(values) == pytest.approx(Effect(mean, mean - reach, mean + reach))


def test_scores_that_are_all_equal_have_an_interval_of_no_width():
    assert crossed(np.full((2, 3), 1.5)) == Effect(1.5, 1.5, 1.5)


@pytest.mark.parametrize(("of_seeds", "of_groups"), [(0.01, 0.02), (0.01, 0.0), (0.0, 0.02)])
def test_intervals_cover(of_seeds, of_groups):
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        seeds, groups = rng.normal(0, of_seeds, (5, 1)), rng.normal(0, of_groups, (1, 40))
        effect = crossed(seeds + groups + rng.normal(0, 0.03, (5, 40)))
        covered += effect.low <= 0 <= effect.high
    assert 0.92 < covered / 400 <= 1  # 3 standard errors below 95 %; wider where an effect is absent


def test_one_seed_has_no_verdict():
    with pytest.raises(InputError, match=r"got 1 seeds.*no verdict"):
        crossed(np.zeros((1, 5)))


def test_paired_by_seed_and_image():
    # gains .1 and .3 in one seed, .2 and .4 in the other
    table = images(lean=[[0.6, 0.9], [0.7, 1.0]], base=[[0.5, 0.6], [0.5, 0.6]])
    effect = paired(table, "lean", "base")
    assert effect.mean == pytest.approx(0.25)
    assert spread(table, "base").mean == pytest.approx(0.55)


def test_patients_of_more_images_do_not_spread_more():
    """The same score everywhere has no spread, however many images each patient has."""
    groups = ["a"] * 8 + ["b"] + ["c"] * 3
    rows = [
        {"design": "base", "seed": seed, "name": f"{i}", "group": group, "score": 0.9 + 0.01 * seed, "weight": 1 / 12}
        for seed in (0, 1)
        for i, group in enumerate(groups)
    ]
    effect = spread(pd.DataFrame(rows), "base")
    assert effect.mean == pytest.approx(0.905)
    alone = crossed(np.array([[0.9] * 3, [0.91] * 3]))
    assert (effect.low, effect.high) == (pytest.approx(alone.low), pytest.approx(alone.high))


def test_one_seed_by_hand():
    # patients a of one image and b of two: mean .6, parts (.3 - .6)/3 = -.1 and (.15 + .15)/3 = .1, spread .1·√2
    scores = {"group": ["a", "b", "b"], "score": [0.3, 0.75, 0.75], "weight": [1.0, 1.0, 1.0]}
    effect = over_groups(pd.DataFrame(scores))
    assert effect.mean == pytest.approx(0.6)
    assert effect.high - 0.6 == pytest.approx(12.7062 * 0.1 * np.sqrt(2) * np.sqrt(2), rel=1e-5)
    assert 0.6 - effect.low == pytest.approx(effect.high - 0.6)


def test_one_seed_of_equal_images_has_the_interval_of_a_mean():
    scores = np.random.default_rng(0).normal(size=20)
    effect = over_groups(pd.DataFrame({"group": range(20), "score": scores, "weight": 0.05}))
    low, high = student.interval(0.95, 19, scores.mean(), sem(scores))
    assert (effect.low, effect.high) == (pytest.approx(low), pytest.approx(high))


def test_what_one_side_lacks_is_left_out():
    table = images(lean=[[0.6, 0.9], [0.7, 1.0]], base=[[0.5, 0.6], [0.5, 0.6]])
    more = table[table["design"] == "lean"].assign(seed=2, score=0.0)
    assert paired(pd.concat([table, more]), "lean", "base").mean == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.001, 0.02), "better"),
        ((-0.005, 0.02), "no worse"),
        ((-0.005, -0.001), "no worse"),
        ((-0.03, -0.001), "worse"),
        ((-0.03, 0.02), "undecided"),
    ],
)
def test_verdicts_in_words(interval, verdict):
    assert Effect(np.mean(interval), *interval).verdict(margin=0.01) == verdict


def test_front_keeps_what_nothing_betters():
    table = pd.DataFrame({"params": [1, 1, 2, 3, 4], "score": [0.4, 0.5, 0.5, 0.9, 0.9]})
    assert pareto(table, "params").tolist() == [False, True, False, True, False]
