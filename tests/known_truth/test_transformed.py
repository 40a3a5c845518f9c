"""Maps that do not change the information can be inverted."""

import numpy as np
import pytest
from scipy.special import ndtri

from bench.known_truth import Gaussian, Transformed


def rng(seed=0):
    return np.random.default_rng(seed)


def gaussian_bits(t, target):
    """Compute the plug-in information of standard normal pairs from their correlations."""
    rho = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(t.T, target.T, strict=True)])
    return -0.5 * np.log2(1 - rho**2).sum()


INVERSES = {
    "half_cube": lambda t: np.sign(t) * np.abs(t) ** (2 / 3),
    "asinh": np.sinh,
    "normal_cdf": ndtri,
}


@pytest.mark.parametrize("transform", INVERSES)
def test_maps_of_each_column_can_be_inverted(transform):
    pair = Transformed(2, 3, transform).sample(1000, rng())
    for got, wanted in zip(pair, Gaussian(2, 3).sample(1000, rng()), strict=True):
        np.testing.assert_allclose(INVERSES[transform](got), wanted, atol=1e-9)


@pytest.mark.parametrize("dim", [2, 3])
def test_spiral_can_be_inverted_and_reduces_the_correlation(dim):
    t, target = Transformed(2, dim, "spiral").sample(1000, rng())
    plain, same = Gaussian(2, dim).sample(1000, rng())
    np.testing.assert_array_equal(target, same)
    angle = -2 * np.sqrt((t**2).sum(axis=1))
    inverted = t.copy()
    inverted[:, 0] = np.cos(angle) * t[:, 0] - np.sin(angle) * t[:, 1]
    inverted[:, 1] = np.sin(angle) * t[:, 0] + np.cos(angle) * t[:, 1]
    np.testing.assert_allclose(inverted, plain, atol=1e-9)
    assert abs(np.corrcoef(t[:, 0], target[:, 0])[0, 1]) < 0.6 * Gaussian(2, dim).rho


def test_swiss_roll_can_be_inverted():
    t, target = Transformed(2, 1, "swiss_roll").sample(1000, rng())
    plain, same = Gaussian(2, 1).sample(1000, rng())
    np.testing.assert_array_equal(target, same)
    radius = 21 * np.hypot(*t.T)
    np.testing.assert_allclose(ndtri((radius / (1.5 * np.pi) - 1) / 2), plain[:, 0], atol=1e-6)
    np.testing.assert_allclose(21 * t, np.stack([radius * np.cos(radius), radius * np.sin(radius)], axis=1))


def test_rotation_preserves_scalar_products_and_mixes_columns():
    t, target = Transformed(12, 4, "rotation").sample(500, rng())
    plain, same = Gaussian(12, 4).sample(500, rng())
    np.testing.assert_array_equal(target, same)
    np.testing.assert_allclose(t @ t.T, plain @ plain.T, atol=1e-9)
    assert not np.allclose(np.abs(t), np.abs(plain), atol=0.1)
