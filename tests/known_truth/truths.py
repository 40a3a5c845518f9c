"""Helpers for tests: information of samples, computed without the code of the benchmarks."""

import numpy as np
import pytest
from scipy import stats


def rng(seed=0):
    return np.random.default_rng(seed)


def gaussian_bits(t, target):
    """Compute the plug-in information of standard normal pairs from their correlations."""
    rho = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(t.T, target.T, strict=True)])
    return -0.5 * np.log2(1 - rho**2).sum()


def log_ratio(family, t, target, rho):
    """Return log2 p(t, target) / p(t) p(target) of each sample, for an elliptical family of SciPy."""
    dim = t.shape[1]
    shape = np.kron([[1, rho], [rho, 1]], np.eye(dim))
    both = family(shape=shape).logpdf(np.hstack([t, target]))
    return (both - family(shape=np.eye(dim)).logpdf(t) - family(shape=np.eye(dim)).logpdf(target)) / np.log(2)


def gaussian(shape):
    return stats.multivariate_normal(cov=shape)


def assert_mean(draws, wanted):
    error = np.std(draws) / np.sqrt(len(draws))
    assert np.mean(draws) == pytest.approx(wanted, abs=4 * error)
    assert error < 0.02


def histogram_bits(x, label, bins=80):
    """Compute the plug-in information of equally filled bins of x with the bias correction of Miller and Madow."""
    cells = np.argsort(np.argsort(x)) * bins // len(x)
    joint = np.zeros((bins, label.max() + 1))
    np.add.at(joint, (cells, label), 1 / len(x))
    free = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    seen = joint > 0
    bias = (bins - 1) * label.max() / (2 * len(x) * np.log(2))
    return (joint[seen] * np.log2(joint[seen] / free[seen])).sum() - bias
