"""Mutual information of binned activations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.estimators.base import above_zero, at_least, switch, variables_of
from bench.estimators.resampled import Resampled
from bench.estimators.statistic import Statistic
from bench.information.reductions import RowCodes
from bench.information.variables import plug_in_entropy


def binning(t, y=None, bin_size: float = 0.1) -> float:
    """Estimate mutual information by the plug-in entropy of binned activations, in bits.

    Each distinct binned row is a symbol. I(T;Y) = H(bin(T)) + H(Y) - H(bin(T), Y). For T a function of X,
    I(X;T) = H(bin(T)).

    Args:
        t: (n, ...) floats, the activations.
        y: (n,) integers, the labels. None, or floats, gives I(X;T).
        bin_size: Width of the bins, in units of t.

    Returns:
        I(T;Y) or I(X;T) in bits, at most log2 n.

    References:
        Saxe et al. 2018, "On the information bottleneck theory of deep learning", appendix C.

    Examples:
        >>> t = np.array([[0.01], [0.02], [0.51], [0.52]])
        >>> binning(t, np.array([0, 0, 1, 1]))
        1.0
    """
    return Binning(bin_size).statistic(*variables_of(t, t if y is None else y)).observed()


@dataclass(frozen=True, eq=False)
class BinnedEntropies(Statistic):
    """Entropies of the codes (n,) of binned rows.

    Attributes:
        codes: (n,) integers, equal where the binned rows are.
        labelled: Whether partners are labels. If not, the statistic is the entropy of the codes.
    """

    codes: np.ndarray
    labelled: bool

    @cached_property
    def h_t(self) -> float:
        return plug_in_entropy(self.codes[self.rows])

    def bits(self, partners):
        if not self.labelled:
            return self.h_t
        both = self.codes[self.rows] * (partners.max() + 1) + partners
        return self.h_t + plug_in_entropy(partners) - plug_in_entropy(both)

    def ceiling(self):
        return np.log2(len(self.rows))


class Binning(Resampled):
    """Estimator `binning`: plug-in entropy of the binned activations, in bits.

    I(X;T) depends on T alone, so that it has no null. The ceiling is log2 n, reached when all binned rows differ.

    Args:
        bin_size: Width of the bins, in units of t.
        permutations: Number of permutations of the null.
        subsamples: Number of halves for the interval.
        extrapolate: Whether to extrapolate to infinitely many samples (`Extrapolated`).

    Examples:
        >>> t = np.array([[0.01], [0.02], [0.51], [0.52]])
        >>> Binning(0.1).estimate(t, np.array([0, 0, 1, 1]), rng=np.random.default_rng(0)).bits
        1.0
    """

    def __init__(
        self,
        bin_size: float = 0.1,
        permutations: int = 20,
        subsamples: int = 20,
        extrapolate: bool = False,
    ):
        self.bin_size = above_zero("bin_size", bin_size)
        self.permutations = at_least("permutations", permutations, 2)
        self.subsamples = at_least("subsamples", subsamples, 2)
        self.extrapolate = switch("extrapolate", extrapolate)

    @property
    def reads(self):
        return (RowCodes(self.bin_size),)

    @property
    def settings(self) -> dict:
        return {"bin_size": self.bin_size, "extrapolate": self.extrapolate}

    def pairs(self, target):
        return target.labels is not None

    def statistic(self, t, target, given=None):
        rows, labels = np.arange(t.n), target.labels
        codes = t.read(RowCodes(self.bin_size))
        return BinnedEntropies(rows, rows if labels is None else labels, codes, labels is not None)
