"""Kernel density estimate of information, as in the study of information flow through U-Nets."""

from __future__ import annotations

from typing import Literal

import numpy as np

from bench.errors import EstimationError
from bench.estimators.base import above_zero, at_least
from bench.estimators.resampled import Resampled, Statistic
from bench.information.reductions import Distances
from bench.information.variables import Variable


class KDE(Resampled):
    """Pairwise-distance bounds of the entropy of T plus Gaussian noise, in bits.

    I(X;T) = -mean_i log2 mean_j exp(-D_ij / 2s²), for T a function of X: it reads T alone, so no null exists.
    I(T;Y) = H(T) - sum_y p(y) H(T|y) with the same kernel; a plug-in, no bound.

    noise_variance: s². relative: T is divided by its own root mean squared distance before the noise is added.
    bound: `upper`, or `lower` with 4s² in the exponent. Ceiling log2 n.
    Source: Kolchinsky & Tracey 2017, Entropy 19:361, eq. 10 and 13; Lee & Bajić 2021, arXiv 2101.08427.

    >>> far_apart = 1e3 * np.arange(8.0)[:, None]
    >>> KDE().estimate(far_apart, far_apart, rng=np.random.default_rng(0)).bits
    3.0
    """

    reads = (Distances(),)

    def __init__(
        self,
        noise_variance: float = 0.2,
        relative: bool = False,
        bound: Literal["upper", "lower"] = "upper",
        permutations: int = 20,
        subsamples: int = 20,
    ):
        if bound not in ("upper", "lower"):
            raise ValueError(f"bound: got {bound!r}, wanted 'upper' or 'lower'")
        self.noise_variance = above_zero("noise_variance", noise_variance)
        self.relative = relative
        self.bound = bound
        self.permutations = at_least("permutations", permutations, 2)
        self.subsamples = at_least("subsamples", subsamples, 2)

    @property
    def settings(self) -> dict:
        return {"noise_variance": self.noise_variance, "relative": self.relative, "bound": self.bound}

    def pairs(self, target):
        return target.labels is not None

    def statistic(self, t, target, given):
        kernel = self._kernel(t)

        def at(rows):
            near = kernel[np.ix_(rows, rows)]
            density = near.mean(axis=1)

            def bits(labels):
                member = (labels[:, None] == np.unique(labels)[None, :]).astype(np.float64)  # (m, classes)
                within_class = ((near @ member / member.sum(axis=0)) * member).sum(axis=1)  # a row is in one class
                return np.log2(within_class / density).mean()

            return bits if target.labels is not None else lambda _: -np.log2(density).mean()

        return Statistic(at, ceiling=lambda rows: np.log2(len(rows)))

    def _kernel(self, t: Variable) -> np.ndarray:
        distances = t.read(Distances())
        variance = self.noise_variance * (4 if self.bound == "lower" else 1)
        if self.relative:
            mean_distance = distances.sum() / (t.n * (t.n - 1))
            if mean_distance == 0:
                raise EstimationError(
                    "got identical rows, wanted rows that differ: there is no scale to be relative to"
                )
            variance *= mean_distance
        return np.exp(-distances / (2 * variance))
