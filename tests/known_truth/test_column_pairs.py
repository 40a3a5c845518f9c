"""Pairs with uneven shares and quantised columns: their information agrees with densities, entropies and moments."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.special import entr, ndtr, ndtri, rel_entr
from truths import assert_mean, rng

from bench.known_truth import Pairs, Quantised
from bench.known_truth.pairs import gamma_shape
from bench.known_truth.quantised import cell_probabilities

FAMILIES = ["correlated_normal", "correlated_uniform", "log_gamma_exponential", "smoothed_uniform"]


def log_ratio(t, target, shape):
    """Return log p(y | x) / p(y) of log x and log y, where x is gamma, y exponential with rate x, and so y is Lomax."""
    return (t - np.exp(t + target)) - (np.log(shape) - (shape + 1) * np.logaddexp(0, target))


def log_det_nats(t, target):
    """Compute the information of Gaussian variables from the determinants of their sample covariances."""
    both = np.cov(np.hstack([t, target]).T)
    d = t.shape[1]
    dets = (np.linalg.slogdet(block)[1] for block in (both[:d, :d], both[d:, d:], both))
    return 0.5 * sum(sign * det for sign, det in zip((1, 1, -1), dets, strict=True))


@pytest.mark.parametrize("nats", [0.05, 1, 4, 10])
def test_log_gamma_exponential_samples_have_the_log_ratio_of_their_densities(nats):
    t, target = Pairs(nats / np.log(2), 1, "log_gamma_exponential").sample(40_000, rng())
    shape = gamma_shape(nats)
    assert_mean(log_ratio(t, target, shape), nats)
    assert stats.kstest(t[:, 0], stats.loggamma(shape).cdf).pvalue > 1e-3
    assert stats.kstest(np.exp(t + target)[:, 0], stats.expon.cdf).pvalue > 1e-3  # x y is exponential, independent of x


def test_log_gamma_exponential_by_quadrature():
    shape = gamma_shape(1)
    u, v = np.linspace(-45, 4, 2001)[:, None], np.linspace(-25, 45, 2001)
    joint = np.exp(stats.loggamma(shape).logpdf(u) + u + v - np.exp(u + v))
    area = (u[1, 0] - u[0, 0]) * (v[1] - v[0])
    assert joint.sum() * area == pytest.approx(1, abs=1e-4)
    of_u, of_v = joint.sum(axis=1, keepdims=True), joint.sum(axis=0)
    assert rel_entr(joint, of_u * of_v * area).sum() * area == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("nats", [0.02, 0.5, 0.7, 3, 10])
def test_smoothed_uniform_by_quadrature(nats):
    t, target = (side[:, 0] for side in Pairs(nats / np.log(2), 1, "smoothed_uniform").sample(100_000, rng()))
    slope = np.polyfit(t, target, 1)[0] if nats < 0.6 else 1
    width = np.ptp(target - slope * t)
    assert stats.kstest((target - slope * t) / width, stats.uniform.cdf).pvalue > 1e-4
    low, high = sorted((slope, width))

    def entropy_density(y):  # of U(0, slope) + U(0, width), a trapezium
        return entr(max(0.0, min(y, low, low + high - y)) / (low * high))

    entropy, _ = quad(entropy_density, 0, low + high, points=[low, high])
    assert entropy - np.log(width) == pytest.approx(nats, abs=0.01)


@pytest.mark.parametrize("family", FAMILIES[:2])
def test_rotated_pairs_have_the_canonical_correlations_of_their_shares(family):
    shares = np.array([0.7, 0.25, 0.05])
    t, target = Pairs(3 / np.log(2), 3, family).draw(50_000, shares, rng())
    if family == "correlated_uniform":
        for column in np.hstack([t, target]).T:
            assert stats.kstest(column, stats.uniform.cdf).pvalue > 1e-3
        t, target = ndtri(t), ndtri(target)
    correlations = t.T @ target / len(t)
    found = np.linalg.svd(correlations, compute_uv=False)
    np.testing.assert_allclose(found, np.sqrt(1 - np.exp(-6 * shares)), atol=0.02)
    assert (np.abs(correlations) > 0.1).sum() > 3  # the pairs are not columns
    np.testing.assert_allclose(np.cov(t.T), np.eye(3), atol=0.03)
    assert log_det_nats(t, target) == pytest.approx(3, abs=0.05)


def test_even_pairs_are_columns():
    t, target = Pairs(4, 2, "correlated_normal", split="even").sample(20_000, rng())
    wanted = np.sqrt(1 - 4.0**-2)
    np.testing.assert_allclose(t.T @ target / len(t), wanted * np.eye(2), atol=0.03)


def test_random_shares_are_uniform_on_the_simplex():
    """The share of one of two pairs is uniform. The regression of a smoothed uniform pair shows its share."""
    generator, slopes = rng(), []
    for _ in range(300):
        t, target = Pairs(0.5 / np.log(2), 2, "smoothed_uniform").sample(400, generator)
        slopes.append(np.polyfit(t[:, 0], target[:, 0], 1)[0])
    assert np.mean(slopes) == pytest.approx(0.5, abs=0.06)  # slope = 2 nats, of a share of 0.5 nats
    assert np.std(slopes) == pytest.approx(np.sqrt(1 / 12), abs=0.05)


@pytest.mark.parametrize("family", FAMILIES)
def test_pairs_without_information_are_independent(family):
    t, target = Pairs(0, 2, family).sample(5000, rng())
    ranks = [stats.rankdata(side, axis=0) for side in (t, target)]
    assert np.abs(np.corrcoef(np.hstack(ranks).T) - np.eye(4)).max() < 0.06
    assert all(len(np.unique(column)) == 5000 for column in np.hstack([t, target]).T)


def test_wrong_families_are_refused():
    with pytest.raises(ValueError, match=r"family: got cauchy, wanted one of correlated_normal"):
        Pairs(1, 1, "cauchy")
    with pytest.raises(ValueError, match="split: got odd, wanted random or even"):
        Pairs(1, 1, "smoothed_uniform", split="odd")


@pytest.mark.parametrize("nats", [1e-3, 0.5, np.log(2), np.log(4), 10 / 3, 9.9])
def test_cells_have_the_entropy(nats):
    probabilities = cell_probabilities(nats)
    assert entr(probabilities).sum() == pytest.approx(nats, abs=1e-9)
    assert probabilities.sum() == pytest.approx(1)
    assert len(probabilities) == np.ceil(round(np.exp(nats), 9))
    assert 0 <= probabilities[-1] <= probabilities[0]
    assert np.ptp(probabilities[:-1]) == 0


def test_quantised_columns_are_the_cells_of_their_partners():
    bits, dim = 5, 2
    t, cells = Quantised(bits, dim).sample(40_000, rng())
    wanted = cell_probabilities(bits / dim * np.log(2))
    for column, cell in zip(t.T, cells.T, strict=True):
        assert stats.kstest(column, stats.norm.cdf).pvalue > 1e-3
        np.testing.assert_allclose(np.bincount(cell.astype(int)) / len(cell), wanted, atol=0.008)
        upper = np.cumsum(wanted)
        assert (ndtr(column) <= upper[cell.astype(int)] + 1e-12).all()
        assert (np.diff(cell[np.argsort(column)]) >= 0).all()
    assert np.ptp(Quantised(0, 1).sample(10, rng())[1]) == 0
    with pytest.raises(ValueError, match="bits: got 40, wanted at most 16 for each of 2 columns"):
        Quantised(40, 2)
