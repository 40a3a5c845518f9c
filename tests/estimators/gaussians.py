"""Samples with known information that several tests of estimators share."""

import numpy as np


def gaussians(nats, n, d, rng):
    """Return x and y, both (n, d), with `nats` of information, divided equally among d independent pairs of columns."""
    x, noise = rng.normal(size=(2, n, d))
    return x, np.sqrt(-np.expm1(-2 * nats / d)) * x + np.exp(-nats / d) * noise


def class_with_rare_activations(seed):
    """Return t (600, 9), with one column of .486 bits about y and 8 heavy-tailed ones, nonzero in 2 %, and y (600,)."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 600)
    rare = np.where(rng.random((600, 8)) < 0.02, rng.lognormal(0, 4, (600, 8)), 0)
    return np.hstack([rare, y[:, None] + 0.5 * rng.normal(size=(600, 1))]), y
