"""Intervals and standard errors: agreement with SciPy and with calculations by hand, and coverage."""

import numpy as np
import pytest
from scipy.stats import bootstrap, norm, sem, spearmanr
from scipy.stats import t as student

from bench.information.statistics import (
    bootstrap_rows,
    clustered_standard_error,
    jackknife_standard_error,
    normal_interval,
    percentile_interval,
    random_halves,
    spearman,
    standard_error,
    t_half_width,
    t_interval,
)


def test_standard_error_against_scipy():
    values = np.random.default_rng(0).normal(size=(7, 5))
    np.testing.assert_allclose(standard_error(values), sem(values, axis=0), rtol=1e-14)
    np.testing.assert_allclose(standard_error(values, axis=1), sem(values, axis=1), rtol=1e-14)


def test_t_interval_against_scipy():
    values = np.random.default_rng(0).normal(size=20)
    assert t_interval(values) == pytest.approx((values.mean(), *student.interval(0.95, 19, values.mean(), sem(values))))


def test_half_widths_of_arrays_with_different_degrees_of_freedom():
    widths = t_half_width(np.array([1.0, 2.0, 1.0]), np.array([1.0, 2.0, np.nan]))
    np.testing.assert_allclose(widths, [12.7062047, 2 * 4.3026527, np.nan])


def test_normal_interval_against_scipy():
    assert normal_interval(3.0, 0.5) == pytest.approx((3.0, *norm.interval(0.95, 3.0, 0.5)), abs=1e-4)


def test_coverage_of_the_clustered_standard_error():
    """Draw 100 groups of 1 to 6 values of mean 0, each a group effect plus an individual effect, 400 times."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 1 + np.arange(100) % 6)
    held = {factor: 0 for factor in (0.5, 1, 2)}
    for _ in range(400):
        values = rng.normal(size=100)[groups] + 0.5 * rng.normal(size=len(groups))
        for factor in held:
            held[factor] += abs(values.mean()) < 1.96 * factor * clustered_standard_error(values, groups)
    assert held[0.5] < 300
    assert 0.90 < held[1] / 400 < 0.97
    assert held[2] > 395


def test_groups_of_one_value_have_the_standard_error_of_independent_values():
    values = np.random.default_rng(0).normal(size=30)
    assert clustered_standard_error(values, np.arange(30)) == pytest.approx(sem(values))
    assert clustered_standard_error(np.repeat(values, 3), np.repeat(np.arange(30), 3)) == pytest.approx(sem(values))


def test_random_halves_do_not_split_groups_and_differ():
    groups = np.repeat(np.arange(9), 1 + np.arange(9) % 3)
    halves = list(random_halves(groups, 5, np.random.default_rng(0)))
    for rows in halves:
        drawn = np.unique(groups[rows])
        assert len(drawn) == 4
        assert sorted(rows) == np.flatnonzero(np.isin(groups, drawn)).tolist()
        assert sorted(rows) != rows.tolist()
    assert len({tuple(np.unique(groups[rows])) for rows in halves}) > 1


@pytest.mark.parametrize("copies", [1, 3])
def test_the_jackknife_of_a_mean_is_its_standard_error(copies):
    """Over all halves of n = 2 d values, the variance of the mean is s²/d · (1 - 1/2) = s²/n; the test uses 4,000."""
    rng = np.random.default_rng(0)
    values, groups = rng.normal(size=20), np.repeat(np.arange(20), copies)
    error = jackknife_standard_error(lambda rows: values[groups[rows]].mean(), groups, 4000, rng)
    assert error == pytest.approx(sem(values), rel=0.04)


def test_the_jackknife_divides_by_the_number_of_halves_minus_one():
    values = iter([1.0, 2.0, 6.0])  # squared deviations 4, 1 and 9, over 2
    got = jackknife_standard_error(lambda rows: next(values), np.arange(4), 3, np.random.default_rng(0))
    assert got == pytest.approx(np.sqrt(7))


def test_bootstrap_against_scipy():
    values = np.random.default_rng(0).exponential(size=24)
    rows = bootstrap_rows(24, 1000, np.random.default_rng(1))
    wanted = bootstrap(
        (values,), np.mean, n_resamples=1000, method="percentile", random_state=np.random.default_rng(1)
    ).confidence_interval
    assert percentile_interval(values[rows].mean(axis=1)) == pytest.approx(tuple(wanted), rel=1e-12)


def test_undefined_resamples_are_left_out():
    draws = np.random.default_rng(0).normal(size=100)
    with_gaps = np.insert(draws, [0, 30, 100], np.nan)
    assert percentile_interval(with_gaps) == percentile_interval(draws) == tuple(np.quantile(draws, [0.025, 0.975]))


def test_the_ends_of_an_interval_of_counts_are_counts():
    assert percentile_interval(np.arange(10), method="nearest") == (0.0, 9.0)
    assert percentile_interval(np.arange(10)) == pytest.approx((0.225, 8.775))


def test_ranks_against_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, (5, 20)), rng.normal(size=(5, 20))
    assert spearman(a, b) == pytest.approx([spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)])


@pytest.mark.filterwarnings("error")
def test_a_constant_side_has_no_rank_correlation():
    assert np.isnan(spearman(np.ones((2, 4)), np.arange(4.0))).all()
