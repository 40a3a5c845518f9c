"""Gaussian information: the canonical correlations of two variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy.special import digamma
from sklearn.covariance import ledoit_wolf_shrinkage

from bench.errors import EstimationError
from bench.estimators.base import at_least
from bench.estimators.channel import Noised
from bench.estimators.resampled import Statistic
from bench.information.reductions import Distances
from bench.information.variables import Variable, plug_in_entropy

SINGULAR = 1e-12  # the least eigenvalue of a correlation matrix
ROUNDING = 1e-3  # of the first: a principal coordinate with less spread may be what float32 distances round to
ROUNDED_TO_ZERO = 1e-14  # of 1 - ρ²


class Gaussian(Noised):
    """I(T;Y) = -½ Σ log2(1 - ρ²) over the canonical correlations ρ, which is what Gaussian variables share, in bits.

    It misses dependence that is not linear. A label enters as columns, each 1 in one class, all classes but one: an
    approximation, for Gaussian classes of one covariance an upper bound, and so cut at the entropy of the label, which
    is then the ceiling. Else there is none: as ρ goes to 1 it grows without end. Without shrinkage it is less its bias,
    from the moments of log det of Wishart matrices of n - 1 degrees of freedom: exact for Gaussian variables.

    components: a side of more columns enters by so many leading principal coordinates. shrinkage: of the covariance of
    the standardised columns of both towards the identity, from 0 to below 1, or `ledoit_wolf`; it biases towards 0,
    which nothing corrects. noise: of a channel on t, its standard deviation in units of t's (`noised`).
    Source: Ince et al. 2017, Human Brain Mapping 38:1541; Ledoit & Wolf 2004, J. Multivariate Anal. 88:365.

    >>> t, noise = np.random.default_rng(0).normal(size=(2, 1000, 1))
    >>> round(Gaussian().estimate(t, t + noise, rng=np.random.default_rng(0)).bits, 1)  # truth 0.5
    0.5
    """

    reads = (Distances(),)

    def __init__(
        self,
        components: int = 16,
        shrinkage: Literal["ledoit_wolf"] | float = 0.0,
        noise: float | None = None,
        permutations: int = 20,
        subsamples: int = 20,
    ):
        if shrinkage != "ledoit_wolf" and (isinstance(shrinkage, bool | str) or not 0 <= shrinkage < 1):
            raise ValueError(f"shrinkage: got {shrinkage!r}, wanted ledoit_wolf or a number from 0 to below 1")
        super().__init__(noise)
        self.components = at_least("components", components, 1)
        self.shrinkage = shrinkage
        self.permutations = at_least("permutations", permutations, 2)
        self.subsamples = at_least("subsamples", subsamples, 2)

    @property
    def settings(self) -> dict:
        return {"components": self.components, "shrinkage": self.shrinkage, "noise": self.noise}

    def statistic(self, t, target, given):
        of_t = self._columns(t)
        of_target = None if target.labels is not None else self._columns(target)

        def at(rows):
            own = standardised(of_t[rows], "t")
            if of_target is None:
                labels = target.labels[rows]
                return self._movable(own, indicators(labels), labels, plug_in_entropy(labels))
            table = np.zeros_like(of_target)
            table[rows] = standardised(of_target[rows], "the target")
            return self._movable(own, table, rows, np.inf)

        def ceiling(rows):
            return np.inf if target.labels is None else plug_in_entropy(target.labels[rows])

        return Statistic(at, ceiling)

    def _columns(self, variable: Variable) -> np.ndarray:
        columns = variable.coordinates(min(self.components, variable.dim))
        if variable.samples is not None and variable.dim <= self.components:
            return columns
        spread = columns.std(axis=0)
        return columns[:, spread > ROUNDING * spread.max()]

    def _movable(self, own: np.ndarray, table: np.ndarray, index: np.ndarray, most: float) -> Callable:
        """From partners, which like index name rows of the table, to bits."""
        m, d_t, d_y = *own.shape, table.shape[1]
        if self.shrinkage == "ledoit_wolf":

            def whitened(partners):
                pair = own, table[partners]
                shrinkage = ledoit_wolf_shrinkage(np.hstack(pair), assume_centered=True)
                return *(columns @ whitening(columns, shrinkage) for columns in pair), shrinkage

        else:
            if self.shrinkage == 0 and d_t + d_y >= m - 2:
                raise EstimationError(
                    f"got {m} samples (all, or a half for the interval) of {d_t} + {d_y} columns, wanted more than "
                    f"{d_t + d_y + 2}; lower components or set shrinkage"
                )
            of_t = own @ whitening(own, self.shrinkage, "t")
            of_target = table @ whitening(table[index], self.shrinkage, "the target")

            def whitened(partners):
                return of_t, of_target[partners], self.shrinkage

        bias = wishart_bias(m, d_t, d_y) if self.shrinkage == 0 else 0.0

        def bits(partners):
            found = min(gaussian_bits(*whitened(partners)) - bias, most)
            if np.isinf(found):
                raise EstimationError(
                    "got t and a target that determine each other linearly, wanted some noise: the information is "
                    "infinite; declare a noise channel on t, such as noise=0.1 of Gaussian"
                )
            return found

        return bits


def gaussian_bits(t: np.ndarray, y: np.ndarray, shrinkage: float = 0.0) -> float:
    """-½ log2 det(1 - CᵀC) for the cross-covariance C of whitened columns (m, d_t) and (m, d_y)."""
    correlations = np.linalg.svd((1 - shrinkage) * (t.T @ y) / len(t), compute_uv=False)
    unshared = 1 - correlations**2
    return float(-0.5 * np.log2(unshared).sum()) if (unshared > ROUNDED_TO_ZERO).all() else np.inf


def wishart_bias(m: int, d_t: int, d_y: int) -> float:
    """Mean of the plug-in for independent Gaussian variables, and what it is too much for dependent ones, bits.

    >>> round(wishart_bias(1000, 64, 64), 2), round(wishart_bias(1000, 1, 1), 5)
    (3.16, 0.00072)
    """

    def mean_log_det(d: int) -> float:
        """Of a Wishart matrix of the identity in d dimensions, but for d log 2, which cancels."""
        return digamma((m - 1 - np.arange(d)) / 2).sum()

    return float((mean_log_det(d_t) + mean_log_det(d_y) - mean_log_det(d_t + d_y)) / (2 * np.log(2)))


def standardised(columns: np.ndarray, name: str) -> np.ndarray:
    centred = columns - columns.mean(axis=0)
    spread = centred.std(axis=0)
    constant = spread <= 1e-12 * np.abs(columns).max(axis=0)
    if constant.any():
        raise EstimationError(
            f"got {constant.sum()} constant columns of {name}, wanted none, in each half of the samples too; leave "
            "them out, or lower components, so that principal coordinates stand in for the columns"
        )
    return centred / spread


def indicators(labels: np.ndarray) -> np.ndarray:
    """(labels, classes - 1): row l is what samples of label l have as columns that tell classes apart, standardised."""
    classes, counts = np.unique(labels, return_counts=True)
    shares = counts[:-1] / len(labels)
    table = np.zeros((classes[-1] + 1, len(classes) - 1))
    table[classes[:-1], np.arange(len(classes) - 1)] = 1
    return (table - shares) / np.sqrt(shares * (1 - shares))


def whitening(columns: np.ndarray, shrinkage: float, name: str = "either side") -> np.ndarray:
    """(d, d): makes the shrunk correlations of standardised columns (m, d) those of independent ones."""
    correlations = (1 - shrinkage) * (columns.T @ columns) / len(columns)
    np.fill_diagonal(correlations, 1)
    values, axes = np.linalg.eigh(correlations)
    if len(values) and values[0] < SINGULAR:
        raise EstimationError(
            f"got columns of {name} that determine each other, wanted none; lower components or set shrinkage"
        )
    return axes / np.sqrt(values)
