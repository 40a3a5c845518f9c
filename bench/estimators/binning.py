"""Information of activations that are cut into bins."""

from __future__ import annotations

import numpy as np

from bench.estimators.base import above_zero, at_least
from bench.estimators.resampled import Resampled, Statistic
from bench.information.reductions import RowCodes
from bench.information.variables import plug_in_entropy


class Binning(Resampled):
    """Plug-in entropy of the binned activations, each distinct row a symbol, in bits.

    I(X;T) = H(bin(T)), for T a function of X: it reads T alone, so no null exists.
    I(T;Y) = H(bin(T)) + H(Y) - H(bin(T), Y). Ceiling log2 n, reached as soon as all rows differ.
    Source: Saxe et al. 2018, "On the information bottleneck theory of deep learning", appendix C.

    >>> t = np.array([[0.01], [0.02], [0.51], [0.52]])
    >>> Binning(0.1).estimate(t, np.array([0, 0, 1, 1]), rng=np.random.default_rng(0)).bits
    1.0
    """

    def __init__(self, bin_size: float = 0.1, permutations: int = 20, subsamples: int = 20):
        self.bin_size = above_zero("bin_size", bin_size)
        self.permutations = at_least("permutations", permutations, 2)
        self.subsamples = at_least("subsamples", subsamples, 2)

    @property
    def reads(self):
        return (RowCodes(self.bin_size),)

    @property
    def settings(self) -> dict:
        return {"bin_size": self.bin_size}

    def pairs(self, target):
        return target.labels is not None

    def statistic(self, t, target, given):
        codes = t.read(RowCodes(self.bin_size))

        def at(rows):
            own = codes[rows]
            h_t = plug_in_entropy(own)

            def bits(labels):
                both = own * (labels.max() + 1) + labels
                return h_t + plug_in_entropy(labels) - plug_in_entropy(both)

            return bits if target.labels is not None else lambda _: h_t

        return Statistic(at, ceiling=lambda rows: np.log2(len(rows)))
