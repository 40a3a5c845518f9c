"""Verdicts: paired differences and scores agree with calculations by hand; the Pareto front."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import sem
from scipy.stats import t as student

from bench.information.statistics import Interval, crossed_interval
from bench.pruning.retraining.judge import over_groups, paired, pareto, spread, verdict


def images(**scores):
    """Return rows of two seeds and two images for each design. Images have equal weights and separate groups."""
    rows = [
        {"design": design, "seed": seed, "name": f"image {i}", "group": i, "score": values[seed][i], "weight": 0.5}
        for design, values in scores.items()
        for seed in (0, 1)
        for i in (0, 1)
    ]
    return pd.DataFrame(rows)


def test_differences_are_paired_by_seed_and_image():
    # gains .1 and .3 with one seed, .2 and .4 with the other
    table = images(lean=[[0.6, 0.9], [0.7, 1.0]], base=[[0.5, 0.6], [0.5, 0.6]])
    effect = paired(table, "lean", "base")
    assert effect.mean == pytest.approx(0.25)
    assert spread(table, "base").mean == pytest.approx(0.55)


def test_the_number_of_images_of_a_patient_does_not_change_the_interval():
    """Equal scores have no spread over patients, independently of the number of images of each patient."""
    groups = ["a"] * 8 + ["b"] + ["c"] * 3
    rows = [
        {"design": "base", "seed": seed, "name": f"{i}", "group": group, "score": 0.9 + 0.01 * seed, "weight": 1 / 12}
        for seed in (0, 1)
        for i, group in enumerate(groups)
    ]
    effect = spread(pd.DataFrame(rows), "base")
    assert effect.mean == pytest.approx(0.905)
    alone = crossed_interval(np.array([[0.9] * 3, [0.91] * 3]))
    assert (effect.low, effect.high) == (pytest.approx(alone.low), pytest.approx(alone.high))


def test_interval_of_one_seed_by_hand():
    # patient a has one image and b has two: mean .6, parts (.3 - .6)/3 = -.1 and (.15 + .15)/3 = .1, spread .1·√2
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


def test_seeds_that_one_design_lacks_are_left_out():
    table = images(lean=[[0.6, 0.9], [0.7, 1.0]], base=[[0.5, 0.6], [0.5, 0.6]])
    more = table[table["design"] == "lean"].assign(seed=2, score=0.0)
    assert paired(pd.concat([table, more]), "lean", "base").mean == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("interval", "word"),
    [
        ((0.001, 0.02), "better"),
        ((-0.005, 0.02), "no worse"),
        ((-0.005, -0.001), "no worse"),
        ((-0.03, -0.001), "worse"),
        ((-0.03, 0.02), "undecided"),
    ],
)
def test_verdicts_in_words(interval, word):
    assert verdict(Interval(np.mean(interval), *interval), margin=0.01) == word


def test_the_front_has_designs_that_no_other_dominates():
    table = pd.DataFrame({"params": [1, 1, 2, 3, 4], "score": [0.4, 0.5, 0.5, 0.9, 0.9]})
    assert pareto(table, "params").tolist() == [False, True, False, True, False]
