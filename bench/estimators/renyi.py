"""Matrix-based Rényi information: entropies of normalised Gram matrices, without densities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy.spatial.distance import squareform

from bench.errors import EstimationError
from bench.estimators.base import above_zero, at_least
from bench.estimators.entropies import delta, entropy, entropy_of_labels, gram
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
        of_t, of_target = self._grams(t, size), self._grams(target, size)
        of_partners = delta if self.discrete(target) else of_target

        def at(rows):
            # all samples in one batch: the order of pairs is free, and that of the samples asks for no copy of a
            order = np.argsort(rows) if len(rows) == t.n == size else np.arange(len(rows))
            a = of_t(self._batches(rows[order], size))
            s_a = self._entropy(a)

            def bits(partners):
                partners = self._batches(partners[order], size)
                b = of_partners(partners)
                s_b = entropy_of_labels(partners, self.alpha) if self.discrete(target) else self._entropy(b)
                return (s_a + s_b - self._entropy(a * b)).mean()

            return bits

        def at_given(rows):
            own = self._batches(rows, size)
            c = self._grams(given, size)(own)
            b_c = c * of_target(own)
            fixed = self._entropy(b_c) - self._entropy(c)

            def bits(moved):
                a = of_t(self._batches(moved, size))
                return (self._entropy(a * c) + fixed - self._entropy(a * b_c)).mean()

            return bits

        rows = self._batches(np.arange(t.n), size)
        ceiling = np.minimum(self._entropy(of_t(rows)), self._entropy(of_target(rows))).mean()
        if ceiling < 1e-9:
            raise EstimationError("got identical rows, wanted rows that differ: their entropy is 0")
        return Statistic(at if given is None else at_given, ceiling)

    def _batches(self, rows: np.ndarray, size: int) -> np.ndarray:
        """(m,) -> (batches, batch); what is left over makes no mini-batch."""
        batch = min(size, len(rows))
        return rows[: len(rows) // batch * batch].reshape(-1, batch)

    def _grams(self, side: Variable, size: int) -> Callable[[np.ndarray], np.ndarray]:
        """From rows (batches, m) to Gram matrices (batches, m, m), squared elementwise for alpha = 2."""
        if self.discrete(side):
            return lambda rows: delta(side.labels[rows])
        distances = side.read(Distances())
        width = self._width(distances, size, side.dim)
        matrix = gram(distances, width / np.sqrt(2) if self.alpha == 2 else width)
        everything = np.arange(side.n)[None]

        def grams(rows):
            if np.array_equal(rows, everything):
                return matrix[None]
            return np.stack([matrix.take(batch, axis=0).take(batch, axis=1) for batch in rows])

        return grams

    def _entropy(self, grams: np.ndarray) -> np.ndarray:
        """S_alpha of each Gram matrix (batches, m, m) as `_grams` makes them, all with ones on the diagonal."""
        if self.alpha == 2:
            return 2 * np.log2(grams.shape[-1]) - np.log2(grams.sum(axis=(1, 2)))
        return entropy(grams, self.alpha)

    def _width(self, distances: np.ndarray, batch: int, dim: int) -> float:
        if self.width == "silverman":
            return self.h * batch ** (-1 / (4 + dim))
        if self.width == "median":
            median = np.sqrt(np.median(squareform(distances, checks=False)))
            if median == 0:
                raise EstimationError(
                    "got rows of which most pairs are identical: the median distance, the width, is 0"
                )
            return median
        return self.width
