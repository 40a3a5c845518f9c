"""Nearest-neighbour information with local non-uniformity correction, for strong dependence in few dimensions."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from bench.errors import EstimationError
from bench.estimators.base import at_least
from bench.estimators.channel import Noised
from bench.estimators.ksg import require_continuous, require_samples, second_variant
from bench.estimators.neighbours import Cloud, Columns
from bench.estimators.resampled import Statistic
from bench.information.variables import Variable

MOST_COLUMNS = 10  # of t and the target together
EPSILON, DRAWS = 5e-3, 50_000  # the quantile of the shares of uniform neighbours that α is, and samples to find it
ON_A_LINE = np.log(1e-13)  # a share that rounding alone may be


class LNC(Noised):
    """KSG's second variant less the mean logarithm of how little of a point's box its neighbours fill, in bits.

    Where t and y depend strongly, the k neighbours in a box of sides ε_t, ε_y lie along a line in it, while KSG takes
    them to fill it. The box along their own principal axes is the better volume, and is taken where its share of the
    first is below α, which only 0.5 % of uniform samples fall below. Columns within t, or within y, that depend on each
    other fill less of their box too, and tell nothing: the share is that of the product of t's box and y's, each along
    its own principal axes, which for two columns is the published one. Samples must be held, with at most 10 columns
    together; labels are not taken. No ceiling: the boxes shrink without end.

    k: neighbours, more than the columns. noise: of a channel on t, its standard deviation in units of t's (`noised`).
    Source: Gao, Ver Steeg & Galstyan 2015, AISTATS, arXiv 1411.2003.

    >>> t, noise = np.random.default_rng(0).normal(size=(2, 500, 1))
    >>> round(LNC().estimate(t, t + 2**-14 * noise, rng=np.random.default_rng(0)).bits)  # truth 14
    14
    """

    def __init__(self, k: int = 5, noise: float | None = None, permutations: int = 20, subsamples: int = 20):
        super().__init__(noise)
        self.k = at_least("k", k, 2)
        self.permutations = at_least("permutations", permutations, 2)
        self.subsamples = at_least("subsamples", subsamples, 2)

    @property
    def settings(self) -> dict:
        return {"k": self.k, "noise": self.noise}

    def statistic(self, t, target, given):
        t = replace(t, labels=None)
        self._require_few_columns(t, target)
        require_continuous({"t": t, "the target": target})
        of_t, of_target = (Cloud(side.n, Columns.of(side)) for side in (t, target))
        alpha = threshold(self.k, t.dim, target.dim)

        def at(rows):
            require_samples(len(rows), self.k)
            own = of_t.at(rows)

            def bits(partners):
                y = of_target.at(partners)
                nearest = own.joined(y).metric.nearest(self.k)
                sides = [_around(side.metric.columns, nearest) for side in (own, y)]
                shares = log_shares(*sides)
                if shares.min() < ON_A_LINE:
                    raise EstimationError(
                        "got samples that lie on a line, wanted some spread: the information is infinite; declare a "
                        "noise channel on t, such as noise=0.1 of LNC"
                    )
                correction = np.where(shares < alpha, shares, 0).mean()
                return (second_variant(own, y, nearest, self.k) - correction) / np.log(2)

            return bits

        return Statistic(at, ceiling=lambda rows: np.inf)

    def _require_few_columns(self, t: Variable, target: Variable) -> None:
        if target.labels is not None:
            raise EstimationError("got a label, wanted a continuous target: LNC corrects densities; use KSG")
        if t.samples is None or target.samples is None:
            raise EstimationError("got a variable without its samples, wanted them held: LNC reads their local shape")
        columns = t.dim + target.dim
        if columns > MOST_COLUMNS:
            raise EstimationError(f"got {columns} columns of t and the target together, wanted at most {MOST_COLUMNS}")
        if self.k <= columns:
            raise EstimationError(f"got k={self.k} neighbours, wanted more than the {columns} columns: raise k")


def _around(columns: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """(m, k + 1, d): the neighbours of each sample, with itself at the origin."""
    return columns[nearest] - columns[:, None]


def log_shares(t: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(m,) volume of the box of the neighbours (m, k, d) over that of t's box times y's, log."""
    both = np.concatenate([t, y], axis=2)
    with np.errstate(divide="ignore"):
        return _log_volume(both) - _log_volume(t) - _log_volume(y)


def _log_volume(points: np.ndarray) -> np.ndarray:
    """(m,) of the smallest box about the origin, along the principal axes, that holds the points (m, k, d)."""
    if points.shape[2] > 1:
        _, axes = np.linalg.eigh(points.swapaxes(1, 2) @ points)
        points = points @ axes
    return np.log(np.abs(points).max(axis=1)).sum(axis=1)


@cache
def threshold(k: int, columns_of_t: int, columns_of_y: int) -> float:
    """log α: the quantile of log_shares for uniform neighbours; a constant, so its draws are always the same."""
    points = np.random.default_rng(0).uniform(-1, 1, (DRAWS, k, columns_of_t + columns_of_y))
    return float(np.quantile(log_shares(points[..., :columns_of_t], points[..., columns_of_t:]), EPSILON))
