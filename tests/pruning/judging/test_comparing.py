"""The table of comparisons: families, equal designs, needed seeds, and trainings that failed."""

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from scipy.stats import binom, hypergeom

from bench.pruning.designs import UNetDesign
from bench.pruning.designs.costs import Costs
from bench.pruning.judging.comparing import comparisons, describe_undecided
from bench.pruning.judging.failures import (
    compare_failures,
    describe_failures,
    describe_missing_classes,
    share_of_failed,
)
from bench.pruning.judging.judge import effect_of
from bench.pruning.judging.results import Retrained
from bench.pruning.search.asker import Loss
from bench.pruning.search.proposals import Proposal

LEAN = Proposal("lean_1", UNetDesign((4,), (), ()), (), Costs(1000, 100), *2 * [Loss(0, 0, 0, True)])


def retrained(seeds=3, images=20, **gains):
    """Return results in which the proposal scores 0.8 on average and gains this much over each design."""
    rng, rows = np.random.default_rng(0), []
    for design, gain in {"lean_1": 0.0, **gains}.items():
        scores = 0.8 - gain + rng.normal(0, 0.01, (seeds, 1)) + rng.normal(0, 0.01, (seeds, images))
        rows += [
            {"design": design, "seed": seed, "name": i, "group": i, "score": scores[seed, i], "weight": 1 / images}
            for seed in range(seeds)
            for i in range(images)
        ]
    table = pd.DataFrame(rows)
    runs = table[["design", "seed"]].drop_duplicates().assign(params=1000, flops=200, collapsed=0.0)
    return Retrained(runs, table)


def compared(results, margin=0.01, **references):
    config = OmegaConf.create({"retrain": {"margin": margin}})
    return comparisons(results, LEAN, references, config).set_index("baseline")


def test_the_base_is_judged_alone_and_the_baseline_designs_as_one_family():
    results = retrained(base=0.03, flat=0.03, random=0.0, uniform=0.0)
    table = compared(results, base="base", flat="flat", random="random", uniform="uniform")
    of_base, of_flat = (effect_of(results.images, "lean_1", name) for name in ("base", "flat"))
    assert table.loc["base", "p_value"] == pytest.approx(of_base.p_value())
    assert table.loc["flat", "p_value"] == pytest.approx(3 * of_flat.p_value())
    assert table["flops_ratio"].tolist() == [2.0] * 4


def test_equal_designs_count_once():
    results = retrained(base=0.0, flat=0.03, random=0.0)
    table = compared(results, base="base", flat="flat", at_params="random", at_flops="random", own="lean_1")
    of_flat = effect_of(results.images, "lean_1", "flat")
    assert table.loc["flat", "p_value"] == pytest.approx(2 * of_flat.p_value())
    pd.testing.assert_series_equal(table.loc["at_params"], table.loc["at_flops"], check_names=False)
    assert table.loc["own", ["gain", "low", "high", "verdict"]].tolist() == [0, 0, 0, "same design"]


def test_a_design_from_one_seed_is_not_compared():
    results = retrained(base=0.0, flat=0.1)
    once = results.runs[(results.runs["design"] != "flat") | (results.runs["seed"] == 0)]
    table = compared(Retrained(once, results.images), base="base", flat="flat")
    assert table.loc["flat", "verdict"] == "not run"
    assert np.isnan(table.loc["flat", "p_value"])


def test_undecided_comparisons_say_how_many_seeds_would_decide():
    results = retrained(base=-0.005, flat=0.1, random=-0.005)
    table = compared(results, base="base", flat="flat", random="random")
    assert table["verdict"].tolist() == ["undecided", "better", "undecided"]
    needed = table["seeds_needed"]
    assert needed["base"] == effect_of(results.images, "lean_1", "base").components.seeds_needed(0.01, 20)
    assert needed["base"] > 3
    assert np.isnan(needed["flat"])
    line = describe_undecided(table.reset_index(), 3)
    assert line == (
        "undecided: about this many seeds would decide (3 given), if there is no difference: "
        f"base {needed['base']:.0f}, random {needed['random']:.0f}\n"
    )


def test_undecided_by_the_images_alone_names_more_images_or_folds():
    table = pd.DataFrame({"baseline": ["base", "flat"], "verdict": ["undecided", "better"], "seeds_needed": np.nan})
    assert describe_undecided(table, 5) == (
        "undecided: no number of seeds decides against base: more test images, or retrain.folds\n"
    )
    assert describe_undecided(table[1:], 5) == ""


@pytest.mark.parametrize(("failed", "trained"), [(0, 5), (1, 5), (2, 15), (5, 5)])
def test_at_the_ends_of_the_interval_a_tail_has_a_fortieth(failed, trained):
    found = share_of_failed(failed, trained)
    assert found.mean == failed / trained
    assert found.low == 0 if failed == 0 else binom.sf(failed - 1, trained, found.low) == pytest.approx(0.025)
    assert found.high == 1 if failed == trained else binom.cdf(failed, trained, found.high) == pytest.approx(0.025)


def test_shares_of_failures_are_compared_exactly():
    """Of 4 failures among 10 trainings, 4 of 5 in one design and none in the other."""
    runs = pd.DataFrame({"design": ["a"] * 5 + ["b"] * 5, "collapsed": [1, 1, 1, 1, 0] + [0.0] * 5})
    found = compare_failures(runs, "a", "b")
    assert found["failed"] == pytest.approx(0.8)
    assert found["failed_p"] == pytest.approx(2 * hypergeom.pmf(4, 10, 4, 5))
    unknown = runs.assign(collapsed=runs["collapsed"].where(runs["design"] == "a"))
    assert all(np.isnan(value) for value in compare_failures(unknown, "a", "b").values())


def test_designs_with_failures_are_described():
    runs = pd.DataFrame({"design": ["a"] * 5 + ["b"] * 5, "collapsed": [1, 1, 0, 0, 0] + [0.0] * 5})
    assert describe_failures(runs) == "failed to train: a 2 of 5 (95 %: 5 to 85 %)\n"
    assert describe_failures(runs[5:]) == ""


def test_designs_that_miss_a_class_are_described_apart_from_failed_trainings():
    missed = ["", "tumour", "tumour", "cyst", "tumour, cyst"]
    runs = pd.DataFrame({"design": ["a"] * 5 + ["b"], "collapsed": [0, 0, 0, 0, 1, 0], "missed": [*missed, ""]})
    assert describe_missing_classes(runs) == "never predict a class of the validation data: a 3 of 5 (tumour; cyst)\n"
    assert describe_missing_classes(runs.assign(missed="")) == ""
