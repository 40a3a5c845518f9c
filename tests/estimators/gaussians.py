"""Samples with known information, and labels with a known null, that several tests of estimators share."""

from dataclasses import dataclass

import numpy as np

from bench.information.variables import Variable


def gaussians(nats, n, d, rng):
    """Return x and y, both (n, d), with `nats` of information, divided equally among d independent pairs of columns."""
    x, noise = rng.normal(size=(2, n, d))
    return x, np.sqrt(-np.expm1(-2 * nats / d)) * x + np.exp(-nats / d) * noise


def rotation(d, rng):
    return np.linalg.qr(rng.normal(size=(d, d)))[0]


def hidden(nats, n, d, noise, rng):
    """Return t and y with `nats` in d pairs of columns, rotated with other columns of noise."""
    return [
        np.hstack([2 * side, rng.normal(size=(n, noise))]) @ rotation(d + noise, rng)
        for side in gaussians(nats, n, d, rng)
    ]


def class_with_rare_activations(seed):
    """Return t (600, 9), with one column of .486 bits about y and 8 heavy-tailed ones, nonzero in 2 %, and y (600,)."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 600)
    rare = np.where(rng.random((600, 8)) < 0.02, rng.lognormal(0, 4, (600, 8)), 0)
    return np.hstack([rare, y[:, None] + 0.5 * rng.normal(size=(600, 1))]), y


@dataclass(frozen=True)
class Reversed(Variable):
    """Labels whose null is one fixed pairing. The null of label maps too is not a permutation of samples."""

    def shuffled(self, rng, discrete):
        return self.labels[::-1]


def reversed_null(labels):
    """Return labels whose null is the pairing with their reversed order."""
    return Reversed(len(labels), 1, np.arange(len(labels)), labels=labels)
