"""Pairs of correlated Gaussian variables, from which most other families are made."""

from __future__ import annotations

import numpy as np

from bench.known_truth.base import Benchmark


class Gaussian(Benchmark):
    """Independent pairs of standard normal variables, all with the same correlation.

    I = -dim/2 log2(1 - rho²).

    References:
        Cover & Thomas 2006, Elements of Information Theory, example 8.5.1.

    Examples:
        >>> round(Gaussian(bits=1, dim=1).rho, 6)
        0.866025
    """

    @property
    def rho(self) -> float:
        """Return the correlation."""
        return float(np.sqrt(1 - 4 ** (-self.bits / self.dim)))

    def sample(self, n, rng):
        t, noise = rng.normal(size=(2, n, self.dim))
        return t, self.rho * t + 2 ** (-self.bits / self.dim) * noise
