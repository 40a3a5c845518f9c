"""Matrix-based Rényi information: entropies of normalised Gram matrices, without densities."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.spatial.distance import squareform

from bench.errors import EstimationError
from bench.estimators.base import above_zero, at_least
from bench.estimators.grams import Classes, Samples, entropy_of
from bench.estimators.resampled import Resampled, Statistic
from bench.reductions import Distances
from bench.variables import Variable


class Renyi(Resampled):
    """I(T; target) = S(A) + S(B) - S(A∘B) of the Gram matrices A and B, in bits.

    Given a third variable with Gram matrix C: S(A∘C) + S(B∘C) - S(A∘B∘C) - S(C). Gaussian kernels for samples, the
    delta kernel for labels. Ceiling min(S(A), S(B)).

    alpha: order, above 0. width: `silverman`, h n^(-1/(4+d)); `median`, of the pairwise distances; or a number.
    batch_size: None takes all samples at once, else the mean over disjoint mini-batches.
    Source: Yu et al. 2021, TNNLS, arXiv 1804.06537, eq. 1-3.

    >>> labels = np.repeat([0, 1], 8)
    >>> round(Renyi(alpha=2).estimate(1e3 * labels[:, None], labels, rng=np.random.default_rng(0)).bits, 6)
    1.0
    """

    reads = (Distances(),)
    conditional = True

    def __init__(
        self,
        alpha: float = 1.01,
        width: Literal["silverman", "median"] | float = "silverman",
        h: float = 5.0,
        batch_size: int | None = None,
        permutations: int = 20,
        subsamples: int = 20,
    ):
        if width not in ("silverman", "median") and (isinstance(width, str) or not width > 0):
            raise ValueError(f"width: got {width!r}, wanted silverman, median or a number above 0")
        self.alpha = above_zero("alpha", alpha)
        self.width = width
        self.h = above_zero("h", h)
        self.batch_size = None if batch_size is None else at_least("batch_size", batch_size, 4)
        self.permutations = at_least("permutations", permutations, 2)
        self.subsamples = at_least("subsamples", subsamples, 2)

    @property
    def settings(self) -> dict:
        return {
            "alpha": self.alpha,
            "kernel": "exp(-D/2σ²)",
            "width": self.width,
            "h": self.h,
            "batch_size": self.batch_size,
        }

    def discrete(self, target):
        return target.labels is not None and not target.continuous

    def statistic(self, t, target, given):
        size = min(self.batch_size or t.n, t.n)
        of_t, of_target = self._side(t, size), self._side(target, size)
        of_given = given and self._side(given, size)

        def at(rows):
            order = _order(rows, size)
            own = self._codes(t, self._batches(rows[order], size))
            a, s_a = of_t.at(own), of_t.entropy(own)

            def bits(partners):
                partners = self._batches(partners[order], size)
                return (s_a + of_target.entropy(partners) - of_target.joint(a, partners)).mean()

            return bits

        def at_given(rows):
            order = _order(rows, size)
            own = self._batches(rows[order], size)
            c = of_given.at(self._codes(given, own))
            b_c = c * of_target.at(self._codes(target, own))
            fixed = entropy_of(b_c, self.alpha) - entropy_of(c, self.alpha)

            def bits(moved):
                a = of_t.at(self._codes(t, self._batches(moved[order], size)))
                return (entropy_of(a * c, self.alpha) + fixed - entropy_of(a * b_c, self.alpha)).mean()

            return bits

        rows = self._batches(np.arange(t.n), size)
        most = (side.entropy(self._codes(variable, rows)) for side, variable in ((of_t, t), (of_target, target)))
        ceiling = np.minimum(*most).mean()
        if ceiling < 1e-9:
            raise EstimationError("got identical rows, wanted rows that differ: their entropy is 0")
        return Statistic(at if given is None else at_given, ceiling)

    def _batches(self, rows: np.ndarray, size: int) -> np.ndarray:
        """(m,) -> (batches, batch); what is left over makes no mini-batch."""
        batch = min(size, len(rows))
        return rows[: len(rows) // batch * batch].reshape(-1, batch)

    def _side(self, side: Variable, size: int) -> Samples | Classes:
        if self.discrete(side):
            return Classes(self.alpha)
        distances = side.read(Distances())
        return Samples(distances, self._width(distances, size, side.dim), self.alpha)

    def _codes(self, side: Variable, rows: np.ndarray) -> np.ndarray:
        """What stands for these samples of a side: labels of Classes, rows of Samples."""
        return side.labels[rows] if self.discrete(side) else rows

    def _width(self, distances: np.ndarray, batch: int, dim: int) -> float:
        if self.width == "silverman":
            return self.h * batch ** (-1 / (4 + dim))
        if self.width == "median":
            median = np.sqrt(median_of(squareform(distances, checks=False)))
            if median == 0:
                raise EstimationError(
                    "got rows of which most pairs are identical: the median distance, the width, is 0"
                )
            return median
        return self.width


def _order(rows: np.ndarray, size: int) -> np.ndarray:
    """The order to read samples in: as drawn in mini-batches; in one batch any will do, and sorted rows read fast."""
    return np.argsort(rows) if len(rows) <= size else np.arange(len(rows))


def median_of(values: np.ndarray) -> float:
    """The median of (m,), which NumPy finds at three times the time.

    >>> median_of(np.array([4.0, 1, 3, 2]))
    2.5
    """
    half = len(values) // 2
    parted = np.partition(values, half)
    return float(parted[half] if len(values) % 2 else (parted[half] + parted[:half].max()) / 2)
