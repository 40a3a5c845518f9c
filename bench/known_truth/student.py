"""Student-t pairs: they have heavy tails, and the norm of a sample also has information."""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, gammaln

from bench.known_truth.base import Benchmark, require
from bench.known_truth.gaussian import Gaussian


class Student(Benchmark):
    """Gaussian pairs with a common random scale: both sides together are multivariate Student-t.

    I = I_Gauss + f(v) + f(v + 2 dim) - 2 f(v + dim) with v = freedom and, in nats, f(x) = ln Γ(x/2) - x/2 ψ(x/2). The
    formula follows from the entropies of the three distributions. The correction to I_Gauss is above 0, so the bits
    must be at least the correction.

    Args:
        bits: Mutual information in bits.
        dim: Number of columns of either side.
        freedom: Degrees of freedom.

    References:
        Arellano-Valle, Contreras-Reyes & Genton 2013, Scandinavian Journal of Statistics 40:42.

    Examples:
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
        """Return the information that the common scale adds, in bits."""
        half = (self.freedom + self.dim * np.arange(3)) / 2
        return float(np.array([1, -2, 1]) @ (gammaln(half) - half * digamma(half)) / np.log(2))

    def sample(self, n, rng):
        t, target = self.gaussian.sample(n, rng)
        scale = np.sqrt(self.freedom / rng.chisquare(self.freedom, size=(n, 1)))
        return scale * t, scale * target
