"""Coverage of intervals and rate of false significance, with known truth."""

import numpy as np
import pytest
from gaussians import gaussians

from bench.estimators import Binning, Gaussian, VInformation
from bench.information.variables import Variable


def noisy_channel(n, rng):
    """Return n random bits, flipped with probability .2, and the bits before."""
    y = rng.integers(0, 2, n)
    return np.where(rng.random(n) < 0.2, 1 - y, y)[:, None].astype(float), y


def gaussian_pair(n, rng):
    return gaussians(0.5, n, 1, rng)


def noisy_patients(n, rng):
    """Return samples of the noisy channel, where each patient has four equal samples."""
    t, y = noisy_channel(n // 4, rng)
    patients = np.repeat(np.arange(n // 4), 4)
    return Variable.of(t[patients], patients), y[patients]


@pytest.mark.parametrize(
    ("estimator", "draw", "n"),
    [
        (Binning(1.0, permutations=2), noisy_channel, 80),
        (Binning(1.0, permutations=2), noisy_patients, 320),
        (Gaussian(permutations=2), gaussian_pair, 60),
    ],
)
def test_95_percent_of_intervals_contain_the_expectation_of_the_estimator(estimator, draw, n):
    """With half the width, 66 % of the intervals would contain it; with twice the width, 99.7 %."""
    rng = np.random.default_rng(0)
    estimates = [estimator.estimate(*draw(n, rng), rng=rng) for _ in range(400)]
    low, high = np.array([estimate.interval for estimate in estimates]).T
    expected = np.mean([estimate.bits for estimate in estimates])
    assert 0.90 < ((low < expected) & (expected < high)).mean() < 0.97
    assert 0.005 < (low > expected).mean() < 0.08
    assert 0.005 < (high < expected).mean() < 0.08


def test_1_of_21_draws_without_information_is_significant():
    """The estimate and its 20 permutations are exchangeable, so that each of them is the highest equally often."""
    rng = np.random.default_rng(0)
    found = [
        Gaussian(subsamples=2).estimate(*rng.normal(size=(2, 40, 1)), rng=rng).significant is True for _ in range(400)
    ]
    assert np.mean(found) == pytest.approx(1 / 21, abs=0.03)


def test_intervals_of_a_held_out_bound_agree_with_its_spread():
    rng = np.random.default_rng(0)
    bits, halves = [], []
    for _ in range(40):
        t, y = noisy_channel(160, rng)
        estimate = VInformation(permutations=2, steps=60, rate=0.1).estimate(t, y, rng=rng)
        bits.append(estimate.bits)
        halves.append((estimate.interval[1] - estimate.interval[0]) / 2)
        assert np.mean(estimate.interval) == pytest.approx(estimate.bits)
    assert np.sqrt(np.mean(np.square(halves))) / 1.96 == pytest.approx(np.std(bits), rel=0.3)
