"""Gaussian variables of known information, shared by the tests of estimators."""

import numpy as np


def gaussians(nats, n, d, rng):
    """x, y (n, d): `nats` of information, spread evenly over d independent pairs of columns."""
    x, noise = rng.normal(size=(2, n, d))
    return x, np.sqrt(-np.expm1(-2 * nats / d)) * x + np.exp(-nats / d) * noise
