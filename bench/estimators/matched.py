"""Nearest-neighbour mutual information of matched pairs of columns, for strong dependence of several columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import scipy  # it loads its modules when they are first used
from scipy.special import ndtri

from bench.errors import EstimationError
from bench.estimators.base import above_zero, at_least, switch, variables_of
from bench.estimators.gaussian import standardised, whitening
from bench.estimators.ksg import ksg
from bench.estimators.lnc import MOST_COLUMNS, lnc
from bench.estimators.resampled import Resampled
from bench.estimators.statistic import FunctionStatistic

STRONG = 6.0  # bits of a pair by KSG, above which LNC takes its place
MOST_BITS = 12.0  # of the Gaussian information of a pair, which sets the scale of its columns
DEPENDENT = 8.0  # times 1 / sqrt(n): bits by which estimates of dependent pairs and of their surrogate differ
KNOTS = 64  # of the smooth normal scores
UNSHARED = 1e-14  # the smallest 1 - ρ², a rounding error


def matched(t, y, k: int = 3) -> float:
    """Estimate I(T;Y) by the sum over matched pairs of columns if the pairs are independent, else by KSG, in bits.

    If the pairs (T_i, Y_i) are independent of each other, then I(T;Y) = Σ I(T_i;Y_i), and estimates of single pairs
    have far less bias than one of all columns. The coordinates are those with the largest Gaussian information of the
    matched pairs: the columns themselves, the canonical variates, or the canonical variates of smooth normal scores of
    the columns. These maps are invertible and do not change the information. Tied columns are not mapped.

    Whether the pairs are independent is judged by a surrogate, in which the rows of each pair are shifted by another
    number of samples. The KSG estimates of all columns and of the surrogate have the same bias if the pairs are
    independent. If they differ by more than 8 / sqrt(n) bits, about four standard errors, the pairs are dependent, and
    the result is the KSG estimate of all columns.

    A pair is estimated by KSG, or by LNC where KSG finds more than 6 bits. With ties, the variant of KSG for mixtures
    takes the place of both.

    Args:
        t: (n, ...) floats. The samples are in random order.
        y: (n, ...) floats, with at most 10 columns together with t.
        k: Number of neighbours.

    Returns:
        I(T;Y) in bits. It can be negative.

    Raises:
        EstimationError: The samples are labels, columns are constant or determine each other, or there are too many.

    References:
        Kraskov et al. 2004, Phys. Rev. E 69:066138 (KSG); Gao, Ver Steeg & Galstyan 2015, arXiv 1411.2003 (LNC);
        Hotelling 1936, Biometrika 28:321 (canonical variates).

    Examples:
        >>> t, noise = np.random.default_rng(0).normal(size=(2, 1000, 3))
        >>> round(matched(t, t @ [[1, 0, 1], [0, 1, 0], [0, 0, 1]] + noise / 8), 0)  # truth 9.2
        9.0
    """
    return Matched(k).statistic(*variables_of(t, y)).observed()


@dataclass(frozen=True)
class Coordinates:
    """Matched columns of both sides: column i of t with column i of y. Further columns of one side have no partner.

    Attributes:
        t: (n, d_t) columns.
        y: (n, d_y) columns.
        bits: (min(d_t, d_y),) the Gaussian information of each pair.
    """

    t: np.ndarray
    y: np.ndarray
    bits: np.ndarray

    @classmethod
    def of(cls, t: np.ndarray, y: np.ndarray) -> Coordinates:
        """Match standardised columns one to one, so that the sum of their Gaussian information is largest."""
        correlations = t.T @ y / len(t)
        bits = -0.5 * np.log2(np.maximum(1 - correlations**2, UNSHARED))
        rows, columns = scipy.optimize.linear_sum_assignment(-bits)
        first, second = (
            np.append(chosen, np.setdiff1d(np.arange(side.shape[1]), chosen))
            for chosen, side in ((rows, t), (columns, y))
        )
        return cls(t[:, first], y[:, second], bits[rows, columns])

    @classmethod
    def canonical(cls, t: np.ndarray, y: np.ndarray) -> Coordinates:
        """Rotate standardised columns to their canonical variates."""
        t, y = t @ whitening(t, 0.0, "t"), y @ whitening(y, 0.0, "the target")
        left, _, right = np.linalg.svd(t.T @ y / len(t))
        return cls.of(t @ left, y @ right.T)

    def scaled(self) -> Coordinates:
        """Scale the columns of each pair by exp(I), so that the noise of all pairs has about the same width."""
        factors = np.exp2(np.minimum(self.bits, MOST_BITS))
        t, y = (side * np.append(factors, np.ones(side.shape[1] - len(factors))) for side in (self.t, self.y))
        return replace(self, t=t, y=y)

    def surrogate(self) -> Coordinates:
        """Shift the rows of each pair, and of each column without a partner, by another number of samples."""
        count = max(self.t.shape[1], self.y.shape[1])
        shifts = np.arange(count) * len(self.t) // count
        t, y = (
            np.stack([np.roll(column, shift) for column, shift in zip(side.T, shifts, strict=False)], axis=1)
            for side in (self.t, self.y)
        )
        return replace(self, t=t, y=y)


def smooth_scores(columns: np.ndarray) -> np.ndarray:
    """Map each column (n, d) to nearly standard normal values, by a monotone cubic through 64 quantiles."""
    n = len(columns)
    ends = (1 - np.cos(np.pi * np.linspace(0, 1, min(KNOTS, max(4, n // 4))))) / 2  # more of them in the tails
    ranks = np.unique(np.round((n - 1) * ends).astype(int))
    scores = ndtri((ranks + 0.5) / n)
    cubics = (scipy.interpolate.PchipInterpolator(np.sort(column)[ranks], scores) for column in columns.T)
    return np.stack([cubic(column) for cubic, column in zip(cubics, columns.T, strict=True)], axis=1)


def best_coordinates(t: np.ndarray, y: np.ndarray) -> Coordinates:
    """Return the coordinates of columns without ties that have the largest Gaussian information."""
    normal = (standardised(smooth_scores(side), name) for side, name in ((t, "t"), (y, "the target")))
    choices = Coordinates.of(t, y), Coordinates.canonical(t, y), Coordinates.canonical(*normal)
    return max(choices, key=lambda choice: choice.bits.sum())


def matched_bits(t: np.ndarray, y: np.ndarray, k: int) -> float:
    """Compute the estimate of `matched` for columns (n, d_t) and (n, d_y)."""
    t, y = standardised(t, "t"), standardised(y, "the target")
    tied = any(len(np.unique(column)) < len(t) for column in np.hstack([t, y]).T)
    chosen = Coordinates.of(t, y) if tied else best_coordinates(t, y)
    if max(t.shape[1], y.shape[1]) > 1:
        variant: Literal[1, "mixture"] = "mixture" if tied else 1
        scaled = chosen if tied else chosen.scaled()
        whole, apart = (ksg(choice.t, choice.y, k, variant) for choice in (scaled, scaled.surrogate()))
        if abs(whole - apart) > DEPENDENT / np.sqrt(len(t)):
            return whole
    return sum(pair_bits(chosen.t[:, [pair]], chosen.y[:, [pair]], k, tied) for pair in range(len(chosen.bits)))


def pair_bits(t: np.ndarray, y: np.ndarray, k: int, tied: bool) -> float:
    """Estimate the information of two columns (n, 1) in bits."""
    if tied:
        return ksg(t, y, k, "mixture")
    bits = ksg(t, y, k)
    return bits if bits < STRONG else lnc(t, y)


class Matched(Resampled):
    """Estimator `matched`: KSG and LNC of matched pairs of columns, and KSG of all columns, in bits.

    Variables must hold their samples. It takes no labels. It has no ceiling.

    Args:
        k: Number of neighbours of KSG.
        noise: Standard deviation of a noise channel on t, in units of t's (`add_noise`). None means no channel.
        permutations: Number of permutations of the null.
        subsamples: Number of halves for the interval.
        extrapolate: Whether to extrapolate to infinitely many samples (`Extrapolated`).

    Examples:
        >>> t, noise = np.random.default_rng(0).normal(size=(2, 500, 2))
        >>> round(Matched().estimate(t, t + 2**-3 * noise, rng=np.random.default_rng(0)).bits)  # truth 6
        6
    """

    diverges = True

    def __init__(
        self,
        k: int = 3,
        noise: float | None = None,
        permutations: int = 20,
        subsamples: int = 20,
        extrapolate: bool = False,
    ):
        self.k = at_least("k", k, 1)
        self.noise = None if noise is None else above_zero("noise", noise)
        self.permutations = at_least("permutations", permutations, 2)
        self.subsamples = at_least("subsamples", subsamples, 2)
        self.extrapolate = switch("extrapolate", extrapolate)

    @property
    def settings(self) -> dict:
        return {"k": self.k, "noise": self.noise, "extrapolate": self.extrapolate}

    def statistic(self, t, target, given=None):
        if target.labels is not None:
            raise EstimationError("got a label, wanted a continuous target, since columns are matched; use KSG")
        if t.samples is None or target.samples is None:
            raise EstimationError("got a variable without its samples, wanted its samples, whose columns are matched")
        if t.dim + target.dim > MOST_COLUMNS:
            raise EstimationError(
                f"got {t.dim + target.dim} columns of t and the target together, wanted at most {MOST_COLUMNS}"
            )
        columns = (side.coordinates(side.dim) for side in (t, target))
        return FunctionStatistic.of(lambda one, other: matched_bits(one, other, self.k), *columns)
