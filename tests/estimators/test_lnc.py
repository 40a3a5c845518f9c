import numpy as np
import pytest
from gaussians import gaussians
from scipy.special import digamma

from bench.errors import EstimationError
from bench.estimators import KSG, LNC
from bench.estimators.lnc import log_shares, threshold
from bench.information.variables import Variable


def nats(estimator, t, y):
    """Return the estimate in nats without null and interval."""
    rows = np.arange(len(t))
    return estimator.statistic(Variable.of(t), Variable.of(y), None).at(rows).bits(rows) * np.log(2)


def reference(x, y, k, log_alpha):
    """Compute the published algorithm for two columns, sample by sample."""
    points = np.column_stack([x / x.std(), y / y.std()])
    terms = []
    for point in points:
        around = points - point
        near = around[np.argsort(np.abs(around).max(axis=1))[1 : k + 1]]
        sides = np.abs(near).max(axis=0)
        counts = (np.abs(around) <= sides).sum(axis=0) - 1
        rotated = np.abs(near @ np.linalg.svd(near)[2].T).max(axis=0)
        share = np.log(rotated).sum() - np.log(sides).sum()
        terms.append(-digamma(counts).sum() - (share if share < log_alpha else 0))
    return np.mean(terms) + digamma(k) - 1 / k + digamma(len(x))


@pytest.mark.parametrize("truth", [0.5, 6])
def test_equals_the_published_algorithm(truth):
    x, y = gaussians(truth, 100, 1, np.random.default_rng(0))
    assert nats(LNC(k=5), x, y) == pytest.approx(reference(x[:, 0], y[:, 0], 5, threshold(5, 1, 1)), abs=1e-9)


@pytest.mark.parametrize("truth", [8, 10, 14])
def test_strong_dependence_is_estimated_where_ksg_is_saturated(truth):
    x, y = gaussians(truth, 2000, 1, np.random.default_rng(0))
    assert nats(LNC(), x, y) == pytest.approx(truth, abs=0.2)
    assert nats(KSG(2), x, y) < 6.5


def test_a_nonlinear_relation_is_estimated():
    x, noise = np.random.default_rng(0).uniform(size=(2, 2000, 1))
    y = x**2 + 1e-4 * noise
    truth = -np.log(1e-4) + np.mean(np.log(2 * x))  # the entropy of y minus that of the noise, in nats
    assert abs(nats(LNC(), x, y) - truth) < 0.5
    assert abs(nats(KSG(2), x, y) - truth) > 2


def test_lnc_equals_ksg_if_the_density_is_uniform():
    x, y = np.random.default_rng(0).uniform(size=(2, 2000, 1))
    assert nats(LNC(), x, y) == pytest.approx(nats(KSG(2, k=5), x, y), abs=0.03)


def test_dependence_within_t_adds_no_information():
    rng = np.random.default_rng(0)
    a, b, y = rng.normal(size=(3, 1500, 1))
    assert nats(LNC(), np.hstack([a, a + 1e-4 * b]), y) == pytest.approx(0, abs=0.1)


def test_one_in_two_hundred_uniform_samples_is_below_the_threshold():
    points = np.random.default_rng(1).uniform(-1, 1, (40_000, 6, 3))
    below = log_shares(points[..., :1], points[..., 1:]) < threshold(6, 1, 2)
    assert below.mean() == pytest.approx(5e-3, abs=1.5e-3)


def test_excess_vanishes_under_independence():
    rng = np.random.default_rng(0)
    estimator = LNC(permutations=10, subsamples=2)
    excesses = [estimator.estimate(*rng.normal(size=(2, 100, 1)), rng=rng).excess for _ in range(15)]
    assert abs(np.mean(excesses)) < 3 * np.std(excesses) / np.sqrt(15)


def test_bad_input_is_refused_with_the_reason():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 40, 1))
    for estimator, t, target, message in [
        (LNC(), x, np.arange(40) % 2, "got a label, wanted a continuous target"),
        (LNC(), Variable(40, 5, np.arange(40)), x, "without its samples"),
        (LNC(), rng.normal(size=(40, 10)), x, "11 columns .* at most 10"),
        (LNC(), rng.normal(size=(40, 4)), x, "k=5 neighbours, wanted more than the 5 columns"),
        (LNC(), np.repeat(x[:20], 2, axis=0), x, "40 duplicated rows of t"),
        (LNC(), np.zeros((40, 1)), x, "identical rows of t"),
        (LNC(k=30), x, y, "got 20 samples"),
        (LNC(), x, 3 * x + 1, "lie on a line, .* noise=0.1 of LNC"),
    ]:
        with pytest.raises(EstimationError, match=message):
            estimator.estimate(t, target, rng=rng)


def test_at_most_ten_columns_are_accepted():
    rng = np.random.default_rng(0)
    t, y = rng.normal(size=(60, 6)), rng.normal(size=(60, 5))
    assert np.isfinite(LNC(k=12, permutations=2).estimate(t, y[:, :4], rng=rng).bits)
    with pytest.raises(EstimationError, match="got 11 columns of t and the target together, wanted at most 10"):
        LNC(k=12, permutations=2).estimate(t, y, rng=rng)
