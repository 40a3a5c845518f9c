"""Information between canonical variates of held-out samples, for few informative directions among many columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.errors import EstimationError
from bench.estimators.base import above_zero, at_least, switch, variables_of
from bench.estimators.extrapolation import CUTS
from bench.estimators.ksg import KSG
from bench.estimators.resampled import Resampled
from bench.estimators.statistic import Statistic
from bench.information.reductions import Distances
from bench.information.variables import Variable

GROUPS = 4  # the fewest of each fold, so that a half for the interval has two of each
ROUNDING = 1e-9  # of the total variance. It is added to each variance, since the indicators of classes are dependent
CONSTANT = 1e-6  # a variate of unit length with less spread is constant, up to rounding


def variates(t, y, *, rng: np.random.Generator, groups=None, **settings) -> float:
    """Estimate I(T;Y) from canonical variates of held-out samples, in bits.

    Canonical variates are the projections Z_T = T a and Z_Y = Y b with the largest correlations. They follow from the
    singular value decomposition R_T^{-1/2} C_TY R_Y^{-1/2} = U S V': the directions a are the first columns of
    R_T^{-1/2} U, and b those of R_Y^{-1/2} V. C_TY is the cross-covariance, and R = C + (s / n) trace(C) I is a
    covariance with a ridge. In regression, this is the best ridge if all directions are equally likely before the data
    are seen, and if the noise has s times the variance of the signal. It shrinks towards directions of large variance.

    The directions of a fold are computed from the other folds. The estimate is I(Z_T;Z_Y) by `ksg` with the variant
    `mixture`, of the variates of all samples, each from the directions of its fold. Within a fold it is at most I(T;Y)
    by the data-processing inequality, up to the error of `ksg`. A label enters as one indicator column per class,
    without a ridge, and the estimate is I(Z_T;Y).

    Args:
        t: (n, ...) floats.
        y: (n, ...) floats, or (n,) integers: labels.
        rng: Generator of the folds.
        groups: (n,) the group of each sample, such as a patient. Groups stay whole. There are at least 4 of them for
            each fold.
        **settings: Arguments of `Variates`.

    Returns:
        I(Z_T;Z_Y) in bits. It can be negative.

    Raises:
        EstimationError: The groups are too few, or the rows of a side are identical.

    References:
        Hotelling 1936, Biometrika 28:321 (canonical variates); Vinod 1976, J. Econometrics 4:147 (with a ridge); Gao et
        al. 2017, arXiv 1709.06212 (KSG for mixtures).

    Examples:
        >>> t, noise = np.random.default_rng(0).normal(size=(2, 1000, 50))
        >>> round(variates(t, t[:, :1] + noise[:, :1], rng=np.random.default_rng(0)), 1)  # truth 0.5
        0.5
    """
    t, target, _ = variables_of(t, y, groups=groups)
    estimator = Variates(**settings)
    estimator.check(t, target)
    return float(estimator.bits_of_orders(t, target, [np.arange(t.n)], rng)[0])


@dataclass(frozen=True, eq=False)
class CanonicalVariates(Statistic):
    """Information between held-out canonical variates of samples `rows`, whose random order defines the folds.

    Attributes:
        t: (n, d_t) columns of t.
        y: (n, d_y) columns of the target; None where the target is a label.
        groups: (n,) the group of each sample.
        count: Largest number of variates.
        shrinkage: Ridge of the covariances, in units of the total variance over the number of samples.
        folds: Number of folds.
        k: Number of neighbours.
    """

    t: np.ndarray
    y: np.ndarray | None
    groups: np.ndarray
    count: int
    shrinkage: float
    folds: int
    k: int

    @cached_property
    def whitened(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Positions of the test and of the training samples of each fold, and t whitened by the training samples."""
        parts = []
        for test in parts_in_order(self.groups, self.rows, self.folds):
            training = np.setdiff1d(np.arange(len(self.rows)), test)
            parts.append((test, training, whiten(self.t[self.rows], training, self.shrinkage, "t")))
        return parts

    def bits(self, partners):
        return self._neighbours(partners).observed()

    def ceiling(self):
        return np.inf if self.y is None else self._neighbours(self.partners[self.rows]).ceiling()

    def _neighbours(self, partners: np.ndarray) -> Statistic:
        """Return the KSG statistic of the held-out variates in this pairing."""
        of_t, of_y = self.held_out(partners)
        target = Variable.of(partners if self.y is None else of_y)
        return KSG("mixture", self.k).statistic(Variable.of(of_t), target)

    def held_out(self, partners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the variates (m, count) of both sides. Those of each fold have unit variance in its training samples.

        The sign of a pair of variates is arbitrary. Folds take the sign with which variates of y agree best.
        """
        if self.y is None:
            y, shrinkage = (partners[:, None] == np.unique(partners)).astype(np.float64), 0.0
            directions = y.shape[1] - 1
        else:
            y, shrinkage = self.y[partners], self.shrinkage
            directions = y.shape[1]
        held_out = np.empty((2, len(y), min(self.count, directions, self.t.shape[1])))
        first = None
        for test, training, t in self.whitened:
            sides = t, whiten(y, training, shrinkage, "the target")
            left, _, right = np.linalg.svd(sides[0][training].T @ sides[1][training], full_matrices=False)
            axes = (rotation[:, : held_out.shape[2]] for rotation in (left, right.T))
            found = [side @ axis for side, axis in zip(sides, axes, strict=True)]
            first = found[1] if first is None else first
            signs = np.sign((found[1] * first).sum(axis=0))
            for kept, columns in zip(held_out, found, strict=True):
                kept[test] = columns[test] * signs / np.maximum(columns[training].std(axis=0), CONSTANT)
        return held_out[0], held_out[1]


class Variates(Resampled):
    """Estimator `variates`: information between canonical variates of held-out samples, in bits.

    Each permutation of the null, and each half for the interval, has directions of its own.

    Args:
        variates: Largest number of pairs of variates. A label of c classes has c - 1, and one column has 1.
        shrinkage: Ridge s of the covariances: the assumed noise in units of the variance of the signal.
        components: A side with more columns enters by this number of leading principal coordinates.
        k: Number of neighbours.
        folds: Number of test parts.
        noise: Standard deviation of a noise channel on t, in units of t's (`add_noise`). None means no channel.
        permutations: Number of permutations of the null.
        subsamples: Number of halves for the interval.
        extrapolate: Whether to extrapolate to infinitely many samples (`Extrapolated`).

    Examples:
        >>> t, noise = np.random.default_rng(0).normal(size=(2, 400, 1))
        >>> round(Variates().estimate(t, t + noise, rng=np.random.default_rng(0)).bits, 1)  # truth 0.5
        0.5
    """

    reads = (Distances(),)
    diverges = True

    def __init__(
        self,
        variates: int = 2,
        shrinkage: float = 2.0,
        components: int = 64,
        k: int = 5,
        folds: int = 8,
        noise: float | None = None,
        permutations: int = 20,
        subsamples: int = 20,
        extrapolate: bool = False,
    ):
        self.variates = at_least("variates", variates, 1)
        self.shrinkage = above_zero("shrinkage", shrinkage)
        self.components = at_least("components", components, 1)
        self.k = at_least("k", k, 1)
        self.folds = at_least("folds", folds, 2)
        self.noise = None if noise is None else above_zero("noise", noise)
        self.permutations = at_least("permutations", permutations, 2)
        self.subsamples = at_least("subsamples", subsamples, 2)
        self.extrapolate = switch("extrapolate", extrapolate)

    @property
    def settings(self) -> dict:
        names = ["variates", "shrinkage", "components", "k", "folds", "noise", "extrapolate"]
        return {name: getattr(self, name) for name in names}

    def check(self, t, target, given=None):
        super().check(t, target, given)
        groups, least = len(np.unique(t.groups)), GROUPS * self.folds * (CUTS if self.extrapolate else 1)
        if groups < least:
            parts = f" of {CUTS} parts, or extrapolate=false" if self.extrapolate else ""
            raise EstimationError(
                f"got {groups} groups of samples, wanted at least {least} for {self.folds} folds{parts}"
            )

    def statistic(self, t, target, given=None):
        rows, labels = np.arange(t.n), target.labels
        columns = t.coordinates(self.components), None if labels is not None else target.coordinates(self.components)
        settings = self.variates, self.shrinkage, self.folds, self.k
        return CanonicalVariates(rows, rows if labels is None else labels, *columns, t.groups, *settings)


def whiten(columns: np.ndarray, training: np.ndarray, shrinkage: float, name: str) -> np.ndarray:
    """Centre columns (n, d) and multiply them by a root of the inverse covariance of the training rows with a ridge."""
    centred = columns - columns[training].mean(axis=0)
    covariance = centred[training].T @ centred[training] / len(training)
    total = np.trace(covariance)
    if total == 0:
        raise EstimationError(
            f"got identical rows of {name} in the training samples of a fold, wanted rows that differ"
        )
    values, axes = np.linalg.eigh(covariance)
    return centred @ (axes / np.sqrt(np.maximum(values, 0) + (shrinkage / len(training) + ROUNDING) * total))


def parts_in_order(groups: np.ndarray, rows: np.ndarray, count: int) -> list[np.ndarray]:
    """Cut whole groups into parts of about equal size, in the order in which `rows` has the first sample of each.

    Args:
        groups: (n,) the group of each sample.
        rows: (m,) row numbers of whole groups, in random order.
        count: Number of parts.

    Returns:
        Positions in `rows`, an array for each part.

    Examples:
        >>> parts_in_order(np.array([7, 7, 8, 9]), np.array([3, 1, 2, 0]), 3)
        [array([0]), array([2]), array([1, 3])]
    """
    first = np.unique(groups, return_index=True)[1]
    names = groups[rows[np.isin(rows, first)]]
    cuts = len(names) * np.arange(1, count) // count
    return [np.flatnonzero(np.isin(groups[rows], part)) for part in np.split(names, cuts)]
