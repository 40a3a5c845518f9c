"""Nearest-neighbour mutual information with local non-uniformity correction, for strong dependence of few columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from bench.errors import EstimationError
from bench.estimators.base import above_zero, at_least, switch, variables_of
from bench.estimators.ksg import require_continuous, require_samples, second_variant
from bench.estimators.neighbours import Cloud, Columns
from bench.estimators.resampled import Resampled
from bench.estimators.statistic import Statistic
from bench.information.variables import Variable

MOST_COLUMNS = 10  # of t and the target together
EPSILON, DRAWS = 5e-3, 50_000  # α is this quantile of the shares of uniform neighbours, found from so many samples
ON_A_LINE = np.log(1e-13)  # a smaller share of the volume may be a rounding error


def lnc(t, y, k: int = 5) -> float:
    """Estimate I(T;Y) by the second variant of KSG, corrected for neighbours that do not fill their box, in bits.

    KSG assumes that the k neighbours of a sample fill a box of sides ε_t and ε_y. Under strong dependence they lie
    along a line in this box. The box along their own principal axes has the better volume. The mean logarithm of its
    share of the first volume is subtracted, for shares below α. The share of uniform samples is below α in 0.5 % of
    cases.

    Columns within t, or within y, that depend on each other also fill less of their box, but carry no mutual
    information. The first volume is therefore that of the box of t times that of the box of y, each along its own
    principal axes. For two columns it is the published volume.

    Args:
        t: (n, ...) floats.
        y: (n, ...) floats, with at most 10 columns together with t.
        k: Number of neighbours, larger than the number of columns.

    Returns:
        I(T;Y) in bits. It has no upper limit.

    Raises:
        EstimationError: The samples are labels, have ties, lie on a line, or have too many columns.

    References:
        Gao, Ver Steeg & Galstyan 2015, AISTATS, arXiv 1411.2003.

    Examples:
        >>> t, noise = np.random.default_rng(0).normal(size=(2, 500, 1))
        >>> round(lnc(t, t + 2**-14 * noise))  # truth 14
        14
    """
    return LNC(k).statistic(*variables_of(t, y)).observed()


@dataclass(frozen=True, eq=False)
class NeighbourBoxes(Statistic):
    """Boxes around the neighbours of samples `rows`.

    Attributes:
        t: All n samples of t.
        y: All n samples of the target.
        k: Number of neighbours.
        log_alpha: The logarithm of α.
    """

    t: Cloud
    y: Cloud
    k: int
    log_alpha: float

    @cached_property
    def own(self) -> Cloud:
        require_samples(len(self.rows), self.k)
        return self.t.at(self.rows)

    def bits(self, partners):
        t, y = self.own, self.y.at(partners)
        nearest = t.joined(y).metric.nearest(self.k)
        shares = log_shares(*(_around(side.metric.columns, nearest) for side in (t, y)))
        if shares.min() < ON_A_LINE:
            raise EstimationError(
                "got samples that lie on a line, wanted some spread, since their information is infinite; declare a "
                "noise channel on t, such as noise=0.1 of LNC"
            )
        correction = np.where(shares < self.log_alpha, shares, 0).mean()
        return (second_variant(t.metric, y.metric, nearest, self.k) - correction) / np.log(2)


class LNC(Resampled):
    """Estimator `lnc`: KSG with local non-uniformity correction, in bits.

    Variables must hold their samples. It takes no labels. It has no ceiling.

    Args:
        k: Number of neighbours, larger than the number of columns of t and the target together.
        noise: Standard deviation of a noise channel on t, in units of t's (`add_noise`). None means no channel.
        permutations: Number of permutations of the null.
        subsamples: Number of halves for the interval.
        extrapolate: Whether to extrapolate to infinitely many samples (`Extrapolated`).

    Examples:
        >>> t, noise = np.random.default_rng(0).normal(size=(2, 500, 1))
        >>> round(LNC().estimate(t, t + 2**-14 * noise, rng=np.random.default_rng(0)).bits)  # truth 14
        14
    """

    diverges = True

    def __init__(
        self,
        k: int = 5,
        noise: float | None = None,
        permutations: int = 20,
        subsamples: int = 20,
        extrapolate: bool = False,
    ):
        self.k = at_least("k", k, 2)
        self.noise = None if noise is None else above_zero("noise", noise)
        self.permutations = at_least("permutations", permutations, 2)
        self.subsamples = at_least("subsamples", subsamples, 2)
        self.extrapolate = switch("extrapolate", extrapolate)

    @property
    def settings(self) -> dict:
        return {"k": self.k, "noise": self.noise, "extrapolate": self.extrapolate}

    def statistic(self, t, target, given=None):
        t = replace(t, labels=None)
        self._require_few_columns(t, target)
        require_continuous({"t": t, "the target": target})
        rows = np.arange(t.n)
        of_t, of_target = (Cloud(side.n, Columns.of(side)) for side in (t, target))
        return NeighbourBoxes(rows, rows, of_t, of_target, self.k, threshold(self.k, t.dim, target.dim))

    def _require_few_columns(self, t: Variable, target: Variable) -> None:
        if target.labels is not None:
            raise EstimationError("got a label, wanted a continuous target, since LNC corrects densities; use KSG")
        if t.samples is None or target.samples is None:
            raise EstimationError("got a variable without its samples, wanted its samples, whose local shape LNC reads")
        columns = t.dim + target.dim
        if columns > MOST_COLUMNS:
            raise EstimationError(f"got {columns} columns of t and the target together, wanted at most {MOST_COLUMNS}")
        if self.k <= columns:
            raise EstimationError(f"got k={self.k} neighbours, wanted more than the {columns} columns; raise k")


def _around(columns: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """Return the neighbours (m, k + 1, d) of each sample, with the sample itself at the origin."""
    return columns[nearest] - columns[:, None]


def log_shares(t: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Compute the logarithm (m,) of the volume of the box of neighbours over that of the box of t times that of y.

    Args:
        t: (m, k, d_t) neighbours of each sample, with the sample at the origin.
        y: (m, k, d_y) the same of the target.
    """
    both = np.concatenate([t, y], axis=2)
    with np.errstate(divide="ignore"):
        return _log_volume(both) - _log_volume(t) - _log_volume(y)


def _log_volume(points: np.ndarray) -> np.ndarray:
    """Compute the log volume (m,) of the smallest box about the origin along the principal axes of points (m, k, d)."""
    if points.shape[2] > 1:
        _, axes = np.linalg.eigh(points.swapaxes(1, 2) @ points)
        points = points @ axes
    return np.log(np.abs(points).max(axis=1)).sum(axis=1)


@cache
def threshold(k: int, columns_of_t: int, columns_of_y: int) -> float:
    """Return log α, a quantile of `log_shares` of uniform neighbours. It is a constant: its draws have a fixed seed."""
    points = np.random.default_rng(0).uniform(-1, 1, (DRAWS, k, columns_of_t + columns_of_y))
    return float(np.quantile(log_shares(points[..., :columns_of_t], points[..., columns_of_t:]), EPSILON))
