"""Mutual information of Gaussian variables, from their canonical correlations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.special import digamma

from bench.errors import EstimationError
from bench.estimators.base import above_zero, at_least, switch, variables_of
from bench.estimators.resampled import Resampled
from bench.estimators.statistic import Statistic
from bench.information.reductions import Distances
from bench.information.variables import Variable, plug_in_entropy

SINGULAR = 1e-12  # the smallest eigenvalue of a correlation matrix that is not singular
ROUNDING = 1e-3  # a principal coordinate with less spread than this share of the first may be a float32 rounding error
ROUNDED_TO_ZERO = 1e-14  # of 1 - ρ²


def gaussian(t, y, components: int = 16, shrinkage: Literal["ledoit_wolf"] | float = 0.0) -> float:
    """Estimate I(T;Y) = -½ Σ log2(1 - ρ²) over the canonical correlations ρ, in bits.

    It is the mutual information of Gaussian variables, and misses dependence that is not linear. A label enters as one
    column per class, without the last class. This is an approximation, and an upper bound for Gaussian classes with
    one covariance. It is limited to the entropy of the label. Without shrinkage, the bias is subtracted. The bias
    follows from the moments of log det of Wishart matrices with n - 1 degrees of freedom, and is exact for Gaussian
    variables.

    Args:
        t: (n, ...) floats.
        y: (n, ...) floats, or (n,) integers: labels.
        components: A side with more columns enters by this number of leading principal coordinates.
        shrinkage: Weight of the identity in the correlation matrix of both sides, from 0 to below 1, or `ledoit_wolf`.
            It biases the estimate towards 0, and this bias is not corrected.

    Returns:
        I(T;Y) in bits. It can be negative.

    Raises:
        EstimationError: The samples are too few, columns are constant, or columns determine each other.

    References:
        Ince et al. 2017, Human Brain Mapping 38:1541; Ledoit & Wolf 2004, J. Multivariate Anal. 88:365.

    Examples:
        >>> t, noise = np.random.default_rng(0).normal(size=(2, 1000, 1))
        >>> round(gaussian(t, t + noise), 1)  # truth 0.5
        0.5
    """
    return Gaussian(components, shrinkage).statistic(*variables_of(t, y)).observed()


@dataclass(frozen=True, eq=False)
class Correlations(Statistic):
    """Canonical correlations of samples `rows`.

    Attributes:
        t: (n, d_t) columns of t.
        y: (n, d_y) columns of the target; None where the target is a label.
        shrinkage: A number from 0 to below 1, or `ledoit_wolf`.
    """

    t: np.ndarray
    y: np.ndarray | None
    shrinkage: Literal["ledoit_wolf"] | float

    @cached_property
    def sides(self) -> tuple[np.ndarray, np.ndarray]:
        """Standardised columns of t (m, d_t), and a table of columns of the target with one row for each partner."""
        own = standardised(self.t[self.rows], "t")
        if self.y is None:
            return own, indicators(self.partners[self.rows])
        table = np.zeros_like(self.y)
        partners = self.partners[self.rows]
        table[partners] = standardised(self.y[partners], "the target")
        return own, table

    @cached_property
    def whitened(self) -> tuple[np.ndarray, np.ndarray]:
        """The sides with uncorrelated columns, for a fixed shrinkage."""
        assert self.shrinkage != "ledoit_wolf"  # its amount depends on the pairing
        own, table = self.sides
        m, d_t, d_y = *own.shape, table.shape[1]
        if self.shrinkage == 0 and d_t + d_y >= m - 2:
            raise EstimationError(
                f"got {m} samples (all, or a half for the interval) of {d_t} + {d_y} columns, wanted more than "
                f"{d_t + d_y + 2}; lower components or set shrinkage"
            )
        y = table[self.partners[self.rows]]
        return own @ whitening(own, self.shrinkage, "t"), table @ whitening(y, self.shrinkage, "the target")

    def bits(self, partners):
        if self.shrinkage == "ledoit_wolf":
            from sklearn.covariance import ledoit_wolf_shrinkage  # here, because scikit-learn takes a second to load

            own, table = self.sides
            pair = own, table[partners]
            shrinkage = ledoit_wolf_shrinkage(np.hstack(pair), assume_centered=True)
            t, y = (columns @ whitening(columns, shrinkage) for columns in pair)
        else:
            t, table = self.whitened
            y, shrinkage = table[partners], self.shrinkage
        bias = wishart_bias(*t.shape, y.shape[1]) if self.shrinkage == 0 else 0.0
        bits = min(gaussian_bits(t, y, shrinkage) - bias, self.ceiling())
        if np.isinf(bits):
            raise EstimationError(
                "got t and a target that determine each other linearly, wanted some noise, since their information is "
                "infinite; declare a noise channel on t, such as noise=0.1 of Gaussian"
            )
        return bits

    def ceiling(self):
        return np.inf if self.y is not None else plug_in_entropy(self.partners[self.rows])


class Gaussian(Resampled):
    """Estimator `gaussian`: mutual information of Gaussian variables, in bits.

    The ceiling is the entropy of a label. A continuous target has none: the estimate grows without bound as ρ
    approaches 1.

    Args:
        components: A side with more columns enters by this number of leading principal coordinates.
        shrinkage: Of the correlation matrix towards the identity, from 0 to below 1, or `ledoit_wolf`.
        noise: Standard deviation of a noise channel on t, in units of t's (`add_noise`). None means no channel.
        permutations: Number of permutations of the null.
        subsamples: Number of halves for the interval.
        extrapolate: Whether to extrapolate to infinitely many samples (`Extrapolated`).

    Examples:
        >>> t, noise = np.random.default_rng(0).normal(size=(2, 1000, 1))
        >>> round(Gaussian().estimate(t, t + noise, rng=np.random.default_rng(0)).bits, 1)  # truth 0.5
        0.5
    """

    reads = (Distances(),)
    diverges = True

    def __init__(
        self,
        components: int = 16,
        shrinkage: Literal["ledoit_wolf"] | float = 0.0,
        noise: float | None = None,
        permutations: int = 20,
        subsamples: int = 20,
        extrapolate: bool = False,
    ):
        if shrinkage != "ledoit_wolf" and (isinstance(shrinkage, bool | str) or not 0 <= shrinkage < 1):
            raise ValueError(f"shrinkage: got {shrinkage!r}, wanted ledoit_wolf or a number from 0 to below 1")
        self.components = at_least("components", components, 1)
        self.shrinkage = shrinkage
        self.noise = None if noise is None else above_zero("noise", noise)
        self.permutations = at_least("permutations", permutations, 2)
        self.subsamples = at_least("subsamples", subsamples, 2)
        self.extrapolate = switch("extrapolate", extrapolate)

    @property
    def settings(self) -> dict:
        return {
            "components": self.components,
            "shrinkage": self.shrinkage,
            "noise": self.noise,
            "extrapolate": self.extrapolate,
        }

    def statistic(self, t, target, given=None):
        rows, labels = np.arange(t.n), target.labels
        columns = self._columns(t), None if labels is not None else self._columns(target)
        return Correlations(rows, rows if labels is None else labels, *columns, self.shrinkage)

    def _columns(self, variable: Variable) -> np.ndarray:
        columns = variable.coordinates(min(self.components, variable.dim))
        if variable.samples is not None and variable.dim <= self.components:
            return columns
        spread = columns.std(axis=0)
        return columns[:, spread > ROUNDING * spread.max()]


def gaussian_bits(t: np.ndarray, y: np.ndarray, shrinkage: float = 0.0) -> float:
    """Compute -½ log2 det(1 - CᵀC) for the cross-covariance C of whitened columns (m, d_t) and (m, d_y)."""
    correlations = np.linalg.svd((1 - shrinkage) * (t.T @ y) / len(t), compute_uv=False)
    unshared = 1 - correlations**2
    return float(-0.5 * np.log2(unshared).sum()) if (unshared > ROUNDED_TO_ZERO).all() else np.inf


def wishart_bias(m: int, d_t: int, d_y: int) -> float:
    """Compute the mean of the plug-in estimate for independent Gaussian variables, in bits.

    The bias of dependent Gaussian variables is the same.

    >>> round(wishart_bias(1000, 64, 64), 2), round(wishart_bias(1000, 1, 1), 5)
    (3.16, 0.00072)
    """

    def mean_log_det(d: int) -> float:
        """Return the mean of log det of a Wishart matrix in d dimensions, without d log 2, which cancels."""
        return digamma((m - 1 - np.arange(d)) / 2).sum()

    return float((mean_log_det(d_t) + mean_log_det(d_y) - mean_log_det(d_t + d_y)) / (2 * np.log(2)))


def standardised(columns: np.ndarray, name: str) -> np.ndarray:
    """Return columns (m, d) with mean 0 and variance 1; EstimationError for constant ones."""
    centred = columns - columns.mean(axis=0)
    spread = centred.std(axis=0)
    constant = spread <= 1e-12 * np.abs(columns).max(axis=0)
    if constant.any():
        raise EstimationError(
            f"got {constant.sum()} constant columns of {name}, wanted none, in each half of the samples too; remove "
            "them, or lower components, so that principal coordinates replace the columns"
        )
    return centred / spread


def indicators(labels: np.ndarray) -> np.ndarray:
    """Return a table (labels, classes - 1) whose row l holds the standardised indicator columns of label l."""
    classes, counts = np.unique(labels, return_counts=True)
    shares = counts[:-1] / len(labels)
    table = np.zeros((classes[-1] + 1, len(classes) - 1))
    table[classes[:-1], np.arange(len(classes) - 1)] = 1
    return (table - shares) / np.sqrt(shares * (1 - shares))


def whitening(columns: np.ndarray, shrinkage: float, name: str = "either side") -> np.ndarray:
    """Return the matrix (d, d) that turns the shrunk correlations of standardised columns (m, d) into the identity."""
    correlations = (1 - shrinkage) * (columns.T @ columns) / len(columns)
    np.fill_diagonal(correlations, 1)
    values, axes = np.linalg.eigh(correlations)
    if len(values) and values[0] < SINGULAR:
        raise EstimationError(
            f"got columns of {name} that determine each other, wanted none; lower components or set shrinkage"
        )
    return axes / np.sqrt(values)
