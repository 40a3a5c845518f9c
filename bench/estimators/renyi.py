"""Matrix-based Rényi information: entropies of normalised Gram matrices, without densities."""

from __future__ import annotations

from typing import Literal

import numpy as np

from bench.errors import EstimationError
from bench.estimators.base import Estimator, Statistic, above_zero, at_least
from bench.variables import Distances, Variable


def gram(squared_distances: np.ndarray, width: float) -> np.ndarray:
    """Gaussian Gram matrix exp(-D / 2 width²), (n, n)."""
    return np.exp(-squared_distances / (2 * width**2))


def delta(labels: np.ndarray) -> np.ndarray:
    """Gram matrix of the delta kernel, 1 where labels agree, (n, n)."""
    return (labels[:, None] == labels[None, :]).astype(np.float64)


def joint(*grams: np.ndarray) -> np.ndarray:
    """Gram matrix of several variables together: their Hadamard product, trace 1. (n, n) each.

    >>> joint(np.eye(2), np.ones((2, 2)))
    array([[0.5, 0. ],
           [0. , 0.5]])
    """
    product = np.prod(grams, axis=0)
    return product / np.trace(product)


def entropy(gram: np.ndarray, alpha: float) -> np.ndarray:
    """S_alpha of Gram matrices (..., n, n) in bits: log2(sum_i lambda_i^alpha) / (1 - alpha) of K / tr K.

    alpha = 1 is the von Neumann entropy, alpha = inf minus log2 of the largest eigenvalue. Raises ValueError for
    alpha <= 0. Source: Yu et al. 2021, TNNLS, arXiv 1804.06537, eq. 1 (after Sánchez Giraldo et al. 2015).

    >>> round(float(entropy(np.eye(8), 1.01)), 6)
    3.0
    >>> round(float(entropy(np.array([[1, 0.5], [0.5, 1]]), 2)), 6)
    0.678072
    """
    above_zero("alpha", alpha)
    normalised = gram / np.trace(gram, axis1=-2, axis2=-1)[..., None, None]
    if alpha == 2:
        return -np.log2((normalised**2).sum(axis=(-2, -1)))
    eigenvalues = np.linalg.eigvalsh(normalised).clip(min=0)  # (..., n)
    if alpha == np.inf:
        return -np.log2(eigenvalues[..., -1])
    eigenvalues[eigenvalues < 1e-15] = 0  # what float64 leaves of 0 would count where alpha is small
    if alpha == 1:
        return -(eigenvalues * np.log2(np.where(eigenvalues > 0, eigenvalues, 1))).sum(axis=-1)
    return np.log2((eigenvalues**alpha).sum(axis=-1)) / (1 - alpha)


class Renyi(Estimator):
    """I(T; target) = S(A) + S(B) - S(A∘B) of the Gram matrices A and B, in bits.

    Gaussian kernels for samples, the delta kernel for labels. Ceiling min(S(A), S(B)).

    alpha: order, above 0. width: `silverman`, h n^(-1/(4+d)); `median`, of the pairwise distances; or a number.
    batch_size: None takes all samples at once, else the mean over disjoint mini-batches.
    Source: Yu et al. 2021, TNNLS, arXiv 1804.06537, eq. 1-3.

    >>> labels = np.repeat([0, 1], 8)
    >>> round(Renyi(alpha=2).estimate(1e3 * labels[:, None], labels, rng=np.random.default_rng(0)).bits, 6)
    1.0
    """

    reads = (Distances(),)

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

    def statistic(self, t, target):
        size = min(self.batch_size or t.n, t.n)
        gram_t, gram_y = self._gram(t, size), self._gram(target, size)

        def entropies(rows, partners):
            """(batches, 3): S(A), S(B) and S(A∘B) of each mini-batch."""
            batch = min(size, len(rows))
            starts = range(0, len(rows) - batch + 1, batch)
            pairs = [(rows[start : start + batch], partners[start : start + batch]) for start in starts]
            a = np.stack([gram_t[np.ix_(own, own)] for own, _ in pairs])
            b = np.stack([gram_y[np.ix_(other, other)] for _, other in pairs])
            return np.stack([entropy(each, self.alpha) for each in (a, b, a * b)], axis=1)

        def bits(rows, partners):
            return (entropies(rows, partners) @ [1, 1, -1]).mean()

        everything = np.arange(t.n)
        ceiling = entropies(everything, everything)[:, :2].min(axis=1).mean()
        if ceiling < 1e-9:
            raise EstimationError("got identical rows, wanted rows that differ: their entropy is 0")
        return Statistic(bits, ceiling)

    def _gram(self, side: Variable, batch: int) -> np.ndarray:
        if side.labels is not None and Distances() not in side.reductions:
            return delta(side.labels)
        distances = side.read(Distances())
        return gram(distances, self._width(distances, batch, side.dim))

    def _width(self, distances: np.ndarray, batch: int, dim: int) -> float:
        if self.width == "silverman":
            return self.h * batch ** (-1 / (4 + dim))
        if self.width == "median":
            median = np.sqrt(np.median(distances[np.triu_indices(len(distances), 1)]))
            if median == 0:
                raise EstimationError(
                    "got rows of which most pairs are identical: the median distance, the width, is 0"
                )
            return median
        return self.width
