"""A mixture of discrete and continuous: some samples are tied."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import entr

from bench.known_truth.base import Task
from bench.known_truth.gaussian import Gaussian

MOST_TIED = 0.25


def binary_entropy(q: float) -> float:
    """h(q) in bits."""
    return float((entr(q) + entr(1 - q)) / np.log(2))


class Mixture(Task):
    """Both sides are exactly 0 with probability q, else Gaussian pairs, as rectified activations are.

    I = h(q) + (1 - q) I_Gauss, by the chain rule: either side shows whether it is 0. Half of the bits lie in h(q), as
    far as q <= 1/4 can hold them. Source: Gao et al. 2017, Estimating mutual information for discrete-continuous
    mixtures, arXiv 1709.06212, for the kind.

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
