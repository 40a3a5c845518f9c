"""The stated information of benchmarks with labels or ties agrees with calculations without the code of the samples."""

import numpy as np
import pytest
from truths import assert_mean, gaussian, gaussian_bits, histogram_bits, log_ratio, rng

from bench.known_truth import Discretised, Mixture


@pytest.mark.parametrize(("bits", "dim"), [(0.5, 1), (1, 2), (4, 3)])
def test_mixture(bits, dim):
    t, target = Mixture(bits, dim).sample(40_000, rng())
    tied = (t == 0).all(axis=1)
    np.testing.assert_array_equal(tied, (target == 0).all(axis=1))
    assert 0 < tied.mean() < 0.26
    q = tied.mean()
    rho = np.corrcoef(t[~tied, 0], target[~tied, 0])[0, 1]
    ratio = np.full(len(t), -np.log2(q))
    ratio[~tied] = log_ratio(gaussian, t[~tied], target[~tied], rho) - np.log2(1 - q)
    assert_mean(ratio, bits)


def test_independent_mixture_has_no_ties():
    t, target = Mixture(0, 2).sample(10_000, rng())
    assert (t != 0).all()
    assert gaussian_bits(t, target) < 0.005


@pytest.mark.parametrize(("bits", "dim", "classes"), [(0.2, 1, 2), (1, 1, 4), (1.8, 1, 4), (1, 4, 4), (2, 3, 8)])
def test_discretised(bits, dim, classes):
    t, label = Discretised(bits, dim, classes).sample(200_000, rng())
    assert np.bincount(label) / len(label) == pytest.approx(np.full(classes, 1 / classes), abs=0.005)
    means = np.array([t[label == k].mean(axis=0) for k in range(classes)])
    informative = np.linalg.svd(means)[2][0]
    assert t.std(axis=0) == pytest.approx(np.ones(dim), abs=0.02)
    assert histogram_bits(t @ informative, label) == pytest.approx(bits, abs=0.01)
    if dim > 1:
        across = np.linalg.svd(means)[2][-1]
        assert histogram_bits(t @ across, label) == pytest.approx(0, abs=0.002)
        assert max(histogram_bits(column, label) for column in t.T) < 0.99 * bits


def test_discretised_with_the_minimal_and_the_maximal_information():
    t, label = Discretised(2, 1, 4).sample(1000, rng())
    sides = np.sort([[t[label == k].min(), t[label == k].max()] for k in range(4)], axis=0)
    assert (sides[1:, 0] > sides[:-1, 1]).all()
    with pytest.raises(ValueError, match=r"bits: got 2\.1, wanted at most 2 for classes=4"):
        Discretised(2.1, 1, 4)
    t, label = Discretised(0, 1, 4).sample(100_000, rng())
    assert histogram_bits(t[:, 0], label) == pytest.approx(0, abs=0.002)


def test_at_most_a_quarter_of_a_mixture_is_tied():
    mixture = Mixture(bits=4, dim=2)
    assert mixture.tied == pytest.approx(0.25)
    h = 2 - 0.75 * np.log2(3)  # binary entropy of 1/4
    assert mixture.gaussian.bits == pytest.approx((4 - h) / 0.75)
