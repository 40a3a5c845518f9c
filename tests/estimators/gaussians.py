"""Gaussian variables of known information, shared by the tests of estimators."""

import numpy as np


def gaussians(nats, n, d, rng):
    """x, y (n, d): `nats` of information, spread evenly over d independent pairs of columns."""
    x, noise = rng.normal(size=(2, n, d))
    return x, np.sqrt(-np.expm1(-2 * nats / d)) * x + np.exp(-nats / d) * noise


def a_class_beside_rare_activations(seed):
    """t (600, 9), y (600,): a column that tells .486 bits of y, others, heavy-tailed, that fire in 2 % of samples."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 600)
    rare = np.where(rng.random((600, 8)) < 0.02, rng.lognormal(0, 4, (600, 8)), 0)
    return np.hstack([rare, y[:, None] + 0.5 * rng.normal(size=(600, 1))]), y
