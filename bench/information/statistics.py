"""Statistics: standard errors and 95 % intervals by t, by the normal distribution, by jackknife and by bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil, floor, log10
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy  # it loads its modules when they are first used; scipy.stats takes a second

TAILS = (0.025, 0.975)  # probabilities at the ends of a 95 % interval
NORMAL_QUANTILE = 1.96  # 97.5 % of the standard normal distribution


class Interval(NamedTuple):
    """A mean, or another estimate, with the ends of its 95 % interval.

    Examples:
        >>> Interval.around(2.0, 0.5)
        Interval(mean=2.0, low=1.5, high=2.5)
    """

    mean: float
    low: float
    high: float

    @classmethod
    def around(cls, mean: float, half_width: float) -> Interval:
        """Build the interval that extends by half_width to both sides of the mean."""
        return cls(float(mean), float(mean - half_width), float(mean + half_width))

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the lower and the upper end."""
        return self.low, self.high


def round_up(value: float, digits: int = 2) -> float:
    """Round a number of at least 0 up to this number of significant digits.

    Examples:
        >>> round_up(0.01234), round_up(0.2), round_up(0.012345, digits=3)
        (0.013, 0.2, 0.0124)
    """
    if value == 0:
        return 0.0
    places = digits - 1 - floor(log10(value))
    return round(ceil(round(value * 10.0**places, 6)) / 10.0**places, places)


# SciPy's `sem` adds the values of some two-dimensional arrays in another order, which changes the last digit.
def standard_error(values: np.ndarray, axis: int = 0) -> np.ndarray | float:
    """Compute the standard error of the mean of independent values: their standard deviation / √n.

    Args:
        values: array of any shape, with at least 2 values along the axis of the mean.

    Examples:
        >>> standard_error(np.array([1.0, 3.0])).item()
        1.0
    """
    return values.std(axis=axis, ddof=1) / np.sqrt(values.shape[axis])


def clustered_standard_error(values: np.ndarray, groups: np.ndarray) -> float:
    """Compute the standard error of the mean of values that depend on each other within groups.

    Args:
        values: shape (n,).
        groups: shape (n,), the group of each value. At least 2 groups.

    References:
        Cameron & Miller 2015, Journal of Human Resources 50:317; with the factor G / (G - 1) for G groups.

    Examples:
        >>> round(clustered_standard_error(np.array([1.0, 1, 3, 3]), np.array([0, 0, 1, 1])), 6)
        1.0
    """
    names, at = np.unique(groups, return_inverse=True)
    sums = np.bincount(at, values - values.mean())
    return float(np.sqrt((sums**2).sum() * len(names) / (len(names) - 1)) / len(values))


def t_half_width(error, degrees):
    """Compute half the width of a 95 % interval by Student's t distribution.

    Args:
        error: standard error of the estimate; a number, an array or a Series.
        degrees: degrees of freedom of the error, of the same shape.

    Returns:
        The 97.5 % quantile of t times the error; NaN where one of the two is NaN.

    Examples:
        >>> round(float(t_half_width(1.0, 2)), 4)
        4.3027
    """
    return scipy.stats.t.ppf(TAILS[1], degrees) * error


def t_interval(values: np.ndarray) -> Interval:
    """Compute the mean of independent values with its interval by Student's t distribution.

    Examples:
        >>> t_interval(np.array([1.0, 3.0])).mean
        2.0
    """
    return Interval.around(values.mean(), t_half_width(standard_error(values), len(values) - 1))


def normal_interval(mean: float, error: float) -> Interval:
    """Compute the interval of an estimate whose errors are normal, with this standard error.

    Examples:
        >>> normal_interval(0.0, 1.0).bounds
        (-1.96, 1.96)
    """
    return Interval.around(mean, NORMAL_QUANTILE * error)


def random_halves(groups: np.ndarray, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Draw half of the groups without replacement, count times; yield the rows of their samples in random order.

    Args:
        groups: shape (n,), the group of each sample.

    Examples:
        >>> (rows,) = random_halves(np.array(["a", "a", "b", "b"]), 1, np.random.default_rng(0))
        >>> len(rows)
        2
    """
    distinct = np.unique(groups)
    for _ in range(count):
        half = rng.choice(distinct, len(distinct) // 2, replace=False)
        yield rng.permutation(np.flatnonzero(np.isin(groups, half)))


def jackknife_standard_error(
    statistic: Callable[[np.ndarray], Any], groups: np.ndarray, subsamples: int, rng: np.random.Generator
) -> Any:
    """Compute the standard error of a statistic, or of each of several, by the delete-half jackknife over groups.

    The standard deviation of the statistic over random halves estimates its standard error for all samples. No sample
    occurs twice in a half. In a bootstrap, copies have distance 0, which biases estimators that read distances.

    Args:
        statistic: function from the rows of a half, shape (m,), to a number or an array of numbers.
        groups: shape (n,), the group of each sample.
        subsamples: number of random halves.

    References:
        Shao & Wu 1989, Annals of Statistics 17:1176; the factor (n - d) / d is 1 where d of n = 2 d are left out.

    Examples:
        >>> values, rng = np.arange(100.0), np.random.default_rng(0)
        >>> error = jackknife_standard_error(lambda rows: values[rows].mean(), np.arange(100), 1000, rng)
        >>> round(float(error), 1), round(float(standard_error(values)), 1)
        (2.9, 2.9)
    """
    return np.std([statistic(rows) for rows in random_halves(groups, subsamples, rng)], axis=0, ddof=1)


# `scipy.stats.bootstrap` draws the same rows from the same generator. It is not used here, because its interval is NaN
# where the statistic of one resample is undefined, and because it differs from ours in the last digit.
def bootstrap_rows(n: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n of n rows with replacement, resamples times: shape (resamples, n).

    Examples:
        >>> bootstrap_rows(3, 2, np.random.default_rng(0)).shape
        (2, 3)
    """
    return rng.integers(n, size=(resamples, n))


def percentile_interval(draws: np.ndarray, method: Literal["linear", "nearest"] = "linear") -> tuple[float, float]:
    """Compute the 95 % percentile interval of a bootstrap.

    Args:
        draws: shape (resamples,), the statistic of each resample; NaN where it is undefined. Not all may be NaN.
        method: how quantiles between two draws are found, as in `numpy.quantile`.

    Returns:
        The 2.5 % and the 97.5 % quantile of the draws that are defined.

    References:
        Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 13.3.

    Examples:
        >>> percentile_interval(np.arange(41.0))
        (1.0, 39.0)
    """
    low, high = np.nanquantile(draws, TAILS, method=method)
    return float(low), float(high)


# `scipy.stats.spearmanr` takes one pair at a time or all pairs of columns, and differs in the last digit.
def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute Spearman's rank correlation along the last axis.

    Args:
        a: shape (..., n). Ties have their mean rank.
        b: shape (..., n), broadcast against a.

    Returns:
        Correlations, shape (...); NaN where a side does not vary.

    Examples:
        >>> spearman(np.array([1, 2, 4]), np.array([[1, 2, 3], [3, 2, 1]])).tolist()
        [1.0, -1.0]
    """
    a, b = (scipy.stats.rankdata(side, axis=-1) - (side.shape[-1] + 1) / 2 for side in (a, b))
    with np.errstate(invalid="ignore"):
        return (a * b).sum(axis=-1) / np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
