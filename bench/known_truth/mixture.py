"""A mixture of a discrete and a continuous distribution: some samples are tied."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import entr

from bench.known_truth.base import Benchmark
from bench.known_truth.gaussian import Gaussian

MOST_TIED = 0.25


def binary_entropy(q: float) -> float:
    """Compute h(q), the entropy of a binary variable with probability q, in bits."""
    return float((entr(q) + entr(1 - q)) / np.log(2))


class Mixture(Benchmark):
    """Pairs that are exactly 0 on both sides with probability q, and Gaussian otherwise, like rectified activations.

    I = h(q) + (1 - q) I_Gauss, by the chain rule, because either side shows whether it is 0. h(q) is half of the bits,
    or h(1/4) if that is less.

    References:
        This kind of mixture: Gao et al. 2017, Estimating mutual information for discrete-continuous mixtures, arXiv
        1709.06212.

    Examples:
        >>> mixture = Mixture(bits=1, dim=2)
        >>> round(mixture.tied, 6), round(mixture.gaussian.bits, 6)
        (0.110028, 0.561815)
    """

    def __init__(self, bits: float, dim: int):
        super().__init__(bits, dim)
        share = min(bits / 2, binary_entropy(MOST_TIED))
        self.tied = brentq(lambda q: binary_entropy(q) - share, 0, MOST_TIED)
        self.gaussian = Gaussian((bits - share) / (1 - self.tied), dim)

    def sample(self, n, rng):
        t, target = self.gaussian.sample(n, rng)
        apart = rng.random((n, 1)) >= self.tied
        return t * apart, target * apart
