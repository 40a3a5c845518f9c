"""Uniform variables with additive uniform noise: densities with edges."""

from __future__ import annotations

import numpy as np
from scipy.special import lambertw

from bench.known_truth.base import Benchmark, require


class AdditiveUniform(Benchmark):
    """Independent pairs of t ~ U(0, 1) and t + U(-e, e).

    The information of a pair in nats is 1/(4e) if e >= 1/2, else e - ln(2e). It is the entropy of the sum, whose
    density is a trapezium, minus the entropy of the noise. No finite noise has 0 bits.

    References:
        Czyż et al. 2023, Beyond Normal, arXiv 2306.11078.

    Examples:
        >>> AdditiveUniform(bits=0.5 / np.log(2), dim=1).noise
        0.5
    """

    def __init__(self, bits: float, dim: int):
        super().__init__(bits, dim)
        require("bits", bits, bits > 0, "above 0: uniform noise that leaves none is infinite")

    @property
    def noise(self) -> float:
        """Return e, half the width of the noise."""
        nats = self.bits * np.log(2) / self.dim
        return float(1 / (4 * nats) if nats <= 0.5 else -lambertw(-np.exp(-nats) / 2).real)

    def sample(self, n, rng):
        t = rng.uniform(size=(n, self.dim))
        return t, t + rng.uniform(-self.noise, self.noise, size=t.shape)
