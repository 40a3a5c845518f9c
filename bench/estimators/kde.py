"""Mutual information by kernel density estimation, as in the study of information flow through U-Nets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from bench.errors import EstimationError
from bench.estimators.base import above_zero, at_least, switch, variables_of
from bench.estimators.resampled import Resampled
from bench.estimators.statistic import Statistic
from bench.information.reductions import Distances
from bench.information.variables import Variable


def kde(
    t, y=None, noise_variance: float = 0.2, relative: bool = False, bound: Literal["upper", "lower"] = "upper"
) -> float:
    """Estimate mutual information by pairwise-distance bounds of the entropy of T plus Gaussian noise, in bits.

    For T a function of X, I(X;T) = -mean_i log2 mean_j exp(-D_ij / 2s²), with squared distances D.
    I(T;Y) = H(T) - sum_y p(y) H(T|y) with the same kernel. It is a plug-in estimate and no bound.

    Args:
        t: (n, ...) floats, the activations.
        y: (n,) integers, the labels. None, or floats, gives I(X;T).
        noise_variance: s², in squared units of t; if relative, in units of the mean squared distance of t.
        relative: Whether T is divided by its root mean squared distance before the noise is added.
        bound: `upper`, or `lower` with 4s² in the exponent.

    Returns:
        I(T;Y) or I(X;T) in bits, at most log2 n.

    References:
        Kolchinsky & Tracey 2017, Entropy 19:361, eq. 10 and 13; Lee & Bajić 2021, arXiv 2101.08427.

    Examples:
        >>> kde(1e3 * np.arange(8.0)[:, None])
        3.0
        >>> kde(1e3 * np.arange(8.0)[:, None], np.array([0, 0, 0, 0, 1, 1, 1, 1]))
        1.0
    """
    return KDE(noise_variance, relative, bound).statistic(*variables_of(t, t if y is None else y)).observed()


@dataclass(frozen=True, eq=False)
class KernelDensities(Statistic):
    """Densities of samples under a kernel.

    Attributes:
        kernel: (n, n) values of the kernel between all samples.
        labelled: Whether partners are labels. If not, the statistic is I(X;T).
    """

    kernel: np.ndarray
    labelled: bool

    @cached_property
    def near(self) -> np.ndarray:
        """(m, m) the kernel between the samples `rows`."""
        return self.kernel[np.ix_(self.rows, self.rows)]

    @cached_property
    def density(self) -> np.ndarray:
        return self.near.mean(axis=1)

    def bits(self, partners):
        if not self.labelled:
            return -np.log2(self.density).mean()
        member = (partners[:, None] == np.unique(partners)[None, :]).astype(np.float64)  # (m, classes)
        within_class = ((self.near @ member / member.sum(axis=0)) * member).sum(axis=1)  # each row is in one class
        return np.log2(within_class / self.density).mean()

    def ceiling(self):
        return np.log2(len(self.rows))


class KDE(Resampled):
    """Estimator `kde`: pairwise-distance bounds of the entropy of T plus Gaussian noise, in bits.

    I(X;T) depends on T alone, so that it has no null. The ceiling is log2 n.

    Args:
        noise_variance: s² of the noise.
        relative: Whether T is divided by its root mean squared distance before the noise is added.
        bound: `upper`, or `lower` with 4s² in the exponent.
        permutations: Number of permutations of the null.
        subsamples: Number of halves for the interval.
        extrapolate: Whether to extrapolate to infinitely many samples (`Extrapolated`).

    Examples:
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
        extrapolate: bool = False,
    ):
        if bound not in ("upper", "lower"):
            raise ValueError(f"bound: got {bound!r}, wanted 'upper' or 'lower'")
        self.noise_variance = above_zero("noise_variance", noise_variance)
        self.relative = relative
        self.bound = bound
        self.permutations = at_least("permutations", permutations, 2)
        self.subsamples = at_least("subsamples", subsamples, 2)
        self.extrapolate = switch("extrapolate", extrapolate)

    @property
    def settings(self) -> dict:
        return {
            "noise_variance": self.noise_variance,
            "relative": self.relative,
            "bound": self.bound,
            "extrapolate": self.extrapolate,
        }

    def pairs(self, target):
        return target.labels is not None

    def statistic(self, t, target, given=None):
        rows, labels = np.arange(t.n), target.labels
        return KernelDensities(rows, rows if labels is None else labels, self._kernel(t), labels is not None)

    def _kernel(self, t: Variable) -> np.ndarray:
        distances = t.read(Distances())
        variance = self.noise_variance * (4 if self.bound == "lower" else 1)
        if self.relative:
            mean_distance = distances.sum() / (t.n * (t.n - 1))
            if mean_distance == 0:
                raise EstimationError("got identical rows, wanted rows that differ: their mean distance is 0")
            variance *= mean_distance
        return np.exp(-distances / (2 * variance))
