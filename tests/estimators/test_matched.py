"""Matched pairs of columns: known truth, invariances, the judgement of dependent pairs, and refusals."""

import numpy as np
import pytest
from scipy import stats

from bench.errors import EstimationError
from bench.estimators import Matched, ksg, lnc, matched
from bench.estimators.gaussian import standardised
from bench.estimators.matched import Coordinates, best_coordinates, smooth_scores
from bench.information.variables import Variable
from bench.known_truth import Mixture, Pairs, Quantised, Transformed

NATS = 1 / np.log(2)  # bits


def samples(family, bits, d, n=2000, shares=None, seed=0):
    rng = np.random.default_rng(seed)
    shares = np.array([0.6, 0.3, 0.1][:d]) if shares is None else np.array(shares)
    return Pairs(bits, d, family).draw(n, shares / shares.sum(), rng)


@pytest.mark.parametrize("family", ["correlated_normal", "log_gamma_exponential", "smoothed_uniform"])
@pytest.mark.parametrize("bits", [0, 1.5, 6, 12])
def test_independent_pairs_of_columns_are_estimated(family, bits):
    t, y = samples(family, bits, 3)
    assert matched(t, y) == pytest.approx(bits, abs=0.15 + 0.05 * bits)


@pytest.mark.parametrize(("family", "bits"), [("correlated_normal", 6), ("correlated_uniform", 4)])
def test_rotated_columns_are_estimated_where_ksg_is_far_below(family, bits):
    t, y = samples(family, bits, 3)
    assert matched(t, y) == pytest.approx(bits, abs=0.25)
    assert ksg(t, y) < bits - 0.7


@pytest.mark.parametrize(("bits", "d"), [(2, 1), (4, 2), (6, 3)])
def test_quantised_columns_are_the_sum_of_their_pairs(bits, d):
    t, cells = Quantised(bits, d).sample(2000, np.random.default_rng(0))
    found = matched(t, cells[:, ::-1])  # the columns of the target are in another order
    pairs = [ksg(one[:, None], other[:, None], variant="mixture") for one, other in zip(t.T, cells.T, strict=True)]
    assert found == pytest.approx(sum(pairs), abs=1e-9)
    assert found == pytest.approx(bits, abs=0.15)


def test_one_pair_is_estimated_by_ksg_or_by_lnc():
    for bits, by in ((1, ksg), (9, lnc)):
        t, y = samples("smoothed_uniform", bits, 1)
        assert matched(t, y) == pytest.approx(by(standardised(t, "t"), standardised(y, "y")), abs=1e-9)


@pytest.mark.parametrize(
    ("benchmark", "by"),
    [
        (Transformed(6, 2, "spiral"), lambda t, y: ksg(t, y)),
        (Transformed(6, 1, "swiss_roll"), lambda t, y: ksg(t, y)),
        (Mixture(6, 2), lambda t, y: ksg(t, y, variant="mixture")),
    ],
)
def test_dependent_pairs_are_estimated_by_ksg(benchmark, by):
    t, y = benchmark.sample(2000, np.random.default_rng(0))
    found, columns = matched(t, y), Coordinates.of(standardised(t, "t"), standardised(y, "y"))
    assert found == pytest.approx(by(t, y), abs=0.15)
    of_pairs = sum(by(columns.t[:, [i]], columns.y[:, [i]]) for i in range(len(columns.bits)))
    assert abs(of_pairs - found) > 0.5  # the sum over pairs is wrong


def test_a_product_of_columns_is_found():
    """No single column of t is informative about its sign, but two are."""
    rng = np.random.default_rng(0)
    t = rng.normal(size=(3000, 2))
    y = np.sign(t[:, :1] * t[:, 1:]) + 0.1 * rng.normal(size=(3000, 1))
    assert matched(t, y) == pytest.approx(1, abs=0.15)


def test_linear_maps_and_the_order_of_columns_and_sides_change_nothing():
    t, y = samples("correlated_normal", 4, 3)
    rng, bits = np.random.default_rng(1), matched(t, y)
    assert matched(y, t) == pytest.approx(bits, abs=1e-6)
    assert matched(t[:, [2, 0, 1]], y[:, [1, 0, 2]]) == pytest.approx(bits, abs=1e-6)
    assert matched(5 * t - 3, y / 7) == pytest.approx(bits, abs=1e-6)
    mixed = (side @ (np.eye(3) + 0.3 * rng.normal(size=(3, 3))) for side in (t, y))
    assert matched(*mixed) == pytest.approx(bits, abs=0.05)


def test_columns_of_noise_add_nothing():
    t, y = samples("correlated_normal", 3, 2)
    noise = np.random.default_rng(1).normal(size=(2000, 2))
    assert matched(np.hstack([noise, t]), y) == pytest.approx(matched(t, y), abs=0.1)


def test_the_coordinates_are_those_in_which_dependence_is_linear():
    t, y = samples("smoothed_uniform", 4, 2, shares=[0.7, 0.3])
    columns = Coordinates.of(standardised(t, "t"), standardised(y, "y"))
    assert best_coordinates(columns.t, columns.y).bits.sum() == pytest.approx(columns.bits.sum(), abs=0.05)
    for family, scores in (("correlated_normal", False), ("correlated_uniform", True)):
        t, y = (standardised(side, "side") for side in samples(family, 6, 3, n=4000))
        linear = Coordinates.canonical(t, y).bits.sum()
        assert best_coordinates(t, y).bits.sum() == pytest.approx(6, abs=0.3)
        assert (linear < 4.5) == scores


def test_columns_are_matched_by_the_largest_sum():
    """The strongest single pair is not part of the best matching."""
    a, b, c, e = np.random.default_rng(0).normal(size=(4, 4000, 1))
    t, y = np.hstack([a, b + 0.2 * e]), np.hstack([a + b, a + 1.05 * c])
    bits = -0.5 * np.log2(1 - np.corrcoef(t.T, y.T)[:2, 2:] ** 2)
    assert bits.max() == bits[0, 0]
    found = Coordinates.of(standardised(t, "t"), standardised(y, "y"))
    np.testing.assert_allclose(found.bits, [bits[0, 1], bits[1, 0]])
    assert np.corrcoef(found.y[:, 0], y[:, 1])[0, 1] == pytest.approx(1)


def test_a_surrogate_keeps_each_pair_and_separates_different_ones():
    t, y = np.arange(40.0).reshape(20, 2), 100 + np.arange(60.0).reshape(20, 3)
    found = Coordinates(t, y, np.zeros(2)).surrogate()
    first = {(row[0], other[0]) for row, other in zip(t, y, strict=True)}
    second = {(row[1], other[1]) for row, other in zip(t, y, strict=True)}
    assert {(row[0], other[0]) for row, other in zip(found.t, found.y, strict=True)} == first
    assert {(row[1], other[1]) for row, other in zip(found.t, found.y, strict=True)} == second
    assert sorted(found.y[:, 2]) == sorted(y[:, 2])
    rows = [(found.t[:, 0] // 2), (found.t[:, 1] // 2), (found.y[:, 2] - 102) // 3]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (rows[one] != rows[other]).all()


def test_scaled_columns_have_noise_of_the_same_width():
    t, y = samples("correlated_normal", 8, 2, n=4000, shares=[0.8, 0.2])
    scaled = best_coordinates(*(standardised(side, "side") for side in (t, y))).scaled()
    widths = (np.abs(scaled.t) - np.abs(scaled.y)).std(axis=0)
    assert widths[0] == pytest.approx(widths[1], rel=0.25)


def test_smooth_scores_are_nearly_normal_and_keep_the_order():
    columns = np.random.default_rng(0).uniform(size=(3000, 1)) ** 3
    found = smooth_scores(columns)[:, 0]
    order = np.argsort(columns[:, 0])
    assert (np.diff(found[order]) > 0).all()
    assert stats.kstest(found, stats.norm.cdf).statistic < 0.01


def test_excess_vanishes_under_independence_and_the_null_is_of_the_same_statistic():
    rng = np.random.default_rng(0)
    estimator = Matched(permutations=4, subsamples=2)
    found = [estimator.estimate(*rng.normal(size=(2, 120, 2)), rng=rng) for _ in range(12)]
    excesses = [estimate.excess for estimate in found]
    assert abs(np.mean(excesses)) < 3 * np.std(excesses) / np.sqrt(len(excesses))
    assert found[0].settings == {"k": 3, "noise": None, "extrapolate": False}
    assert found[0].ceiling == np.inf


def test_bad_input_is_refused_with_the_reason():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 40, 1))
    for t, target, message in [
        (x, np.arange(40) % 2, "got a label, wanted a continuous target"),
        (Variable(40, 5, np.arange(40)), x, "without its samples"),
        (rng.normal(size=(40, 10)), x, "11 columns .* at most 10"),
        (np.zeros((40, 1)), x, "1 constant columns of t"),
        (np.hstack([x, 2 * x]), y, "columns of t that determine each other"),
    ]:
        with pytest.raises(EstimationError, match=message):
            Matched().estimate(t, target, rng=rng)
    with pytest.raises(ValueError, match="k: got 0"):
        Matched(k=0)
