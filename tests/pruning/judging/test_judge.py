"""Verdicts: paired differences and scores agree with calculations by hand; the Pareto front."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import sem
from scipy.stats import t as student

from bench.information.crossed import Crossed
from bench.information.statistics import Interval
from bench.pruning.judging.judge import IMAGES, SEEDS, over_groups, paired, pareto, spread, verdict


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
    assert spread(table, "base")[0].mean == pytest.approx(0.55)


def test_the_number_of_images_of_a_patient_does_not_change_the_interval():
    """Equal scores have no spread over patients, independently of the number of images of each patient."""
    groups = ["a"] * 8 + ["b"] + ["c"] * 3
    rows = [
        {"design": "base", "seed": seed, "name": f"{i}", "group": group, "score": 0.9 + 0.01 * seed, "weight": 1 / 12}
        for seed in (0, 1, 2)
        for i, group in enumerate(groups)
    ]
    effect, over = spread(pd.DataFrame(rows), "base")
    assert over == SEEDS
    assert effect.mean == pytest.approx(0.91)
    alone = Crossed.of(np.array([[0.9] * 3, [0.91] * 3, [0.92] * 3])).interval
    assert (effect.low, effect.high) == (pytest.approx(alone.low), pytest.approx(alone.high))


def test_interval_of_one_seed_by_hand():
    # patient a has one image and b has two: mean .6, parts ±.01, spread .01·√2
    scores = {"seed": 0, "group": ["a", "b", "b"], "score": [0.57, 0.615, 0.615], "weight": [1.0, 1.0, 1.0]}
    effect = over_groups(pd.DataFrame(scores))
    assert effect.mean == pytest.approx(0.6)
    assert effect.high - 0.6 == pytest.approx(12.7062 * 0.01 * np.sqrt(2) * np.sqrt(2), rel=1e-5)
    assert 0.6 - effect.low == pytest.approx(effect.high - 0.6)


def test_one_seed_of_equal_images_has_the_interval_of_a_mean():
    scores = np.random.default_rng(0).uniform(0.4, 0.6, size=20)
    effect = over_groups(pd.DataFrame({"seed": 0, "group": range(20), "score": scores, "weight": 0.05}))
    low, high = student.interval(0.95, 19, scores.mean(), sem(scores))
    assert (effect.low, effect.high) == (pytest.approx(low), pytest.approx(high))


def test_intervals_end_at_the_ends_of_the_scale():
    table = images(lean=[[0.0, 1.0], [0.1, 1.0]], base=[[1.0, 0.0], [0.9, 0.0]])
    score, over = spread(table, "lean")
    assert (score.low, score.high, over) == (0, 1, IMAGES)
    gain = paired(table, "lean", "base")
    assert (gain.low, gain.high) == (-1, 1)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_coverage_of_gains_and_scores(seeds):
    """Two designs of the same true score of .8, on 20 images, with effects of seeds, of images and of both.

    Intervals of gains, by which verdicts are reached, hold for other seeds and images with 2, 3 and 5 seeds. Those of
    scores do from 3 seeds on. With 2 seeds they hold for the two networks alone.
    """
    rng = np.random.default_rng(0)
    covered = {"gain": 0, "score": 0, "score of these networks": 0, "better": 0}
    index = pd.MultiIndex.from_product((range(seeds), range(20)), names=["seed", "group"])
    for _ in range(100):
        of_images, networks, parts = rng.normal(0, 0.05, 20), {}, []
        for design in ("lean", "base"):
            networks[design] = rng.normal(0, 0.02, seeds)
            scores = 0.8 + networks[design][:, None] + of_images + rng.normal(0, 0.02, (seeds, 20))
            parts.append(pd.DataFrame({"score": scores.ravel()}, index).reset_index().assign(design=design))
        table = pd.concat(parts).assign(weight=1 / 20).assign(name=lambda rows: rows["group"])
        gain, score = paired(table, "lean", "base"), spread(table, "lean")[0]
        covered["gain"] += gain.low <= 0 <= gain.high
        covered["better"] += gain.low > 0
        covered["score"] += score.low <= 0.8 <= score.high
        covered["score of these networks"] += score.low <= 0.8 + networks["lean"].mean() <= score.high
    assert covered["gain"] / 100 > 0.9
    assert covered["better"] / 100 < 0.05
    assert covered["score of these networks" if seeds < 3 else "score"] / 100 > 0.9


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
