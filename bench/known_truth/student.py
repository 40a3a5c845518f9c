"""Student-t pairs: heavy tails, and information in the size of a sample besides its direction."""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, gammaln

from bench.known_truth.base import Task, require
from bench.known_truth.gaussian import Gaussian


class Student(Task):
    """Gaussian pairs over a common random scale: both sides together are multivariate Student-t.

    I = I_Gauss + f(v) + f(v + 2 dim) - 2 f(v + dim) with v = freedom and, in nats, f(x) = ln Γ(x/2) - x/2 ψ(x/2), from
    the entropies of the three distributions. The correction is above 0, and so is the least information.
    Source: Arellano-Valle, Contreras-Reyes & Genton 2013, Scandinavian Journal of Statistics 40:42.

    >>> round(Student(bits=1, dim=1, freedom=3).correction, 6)
    0.061187
    """

    def __init__(self, bits: float, dim: int, freedom: float = 3):
        super().__init__(bits, dim)
        require("freedom", freedom, freedom > 0, "a number above 0")
        self.freedom = freedom
        least = f"at least {self.correction:.4g} for dim={dim} and freedom={freedom}"
        require("bits", bits, bits >= self.correction, least)
        self.gaussian = Gaussian(bits - self.correction, dim)

    @property
    def correction(self) -> float:
        """Bits that the common scale adds."""
        half = (self.freedom + self.dim * np.arange(3)) / 2
        return float(np.array([1, -2, 1]) @ (gammaln(half) - half * digamma(half)) / np.log(2))

    def sample(self, n, rng):
        t, target = self.gaussian.sample(n, rng)
        scale = np.sqrt(self.freedom / rng.chisquare(self.freedom, size=(n, 1)))
        return scale * t, scale * target
