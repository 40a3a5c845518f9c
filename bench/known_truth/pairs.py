"""Pairs of columns that share the information unevenly: the continuous families of a published comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, lambertw, ndtr

from bench.known_truth.base import Benchmark, require
from bench.known_truth.transformed import random_rotation

LEAST = 1e-9  # nats of a pair; below, its columns are drawn as independent


def normal_pair(nats: float, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw n standard normal pairs with 1 - rho² = exp(-2 nats)."""
    x, noise = rng.normal(size=(2, n))
    return x, np.sqrt(-np.expm1(-2 * nats)) * x + np.exp(-nats) * noise


def log_gamma_exponential_pair(nats: float, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw n pairs of the logarithms of x ~ Gamma(shape a) and of y, exponential with rate x given x.

    I = ψ(a) - ln a + 1/a nats: y is a Lomax variable of entropy 1 + 1/a - ln a, and its entropy given x is 1 - E ln x.
    """
    if nats < LEAST:
        x, y = rng.normal(size=(2, n))
        return x, y
    shape = gamma_shape(nats)
    log_x = np.log(rng.gamma(shape + 1, size=n)) + np.log(rng.uniform(size=n)) / shape  # exact for any small shape
    return log_x, np.log(rng.exponential(size=n)) - log_x


def gamma_shape(nats: float) -> float:
    """Solve ψ(a) - ln a + 1/a = nats for the shape a."""

    def excess(log_a: float) -> float:
        # ψ(a) + 1/a = ψ(a + 1), so that nothing cancels for a small a
        return digamma(np.exp(log_a) + 1) - log_a - nats

    return float(np.exp(brentq(excess, -nats - 1, np.log(1 / nats) + 1, xtol=1e-14)))


def smoothed_uniform_pair(nats: float, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw n pairs of x ~ U(0, 1) and x plus uniform noise of width w, divided by the larger of 1 and w.

    I = 1/(2w) nats if w >= 1, else w/2 - ln w: the entropy of a trapezium minus that of the noise.
    """
    x, noise = rng.uniform(size=(2, n))
    if nats <= 0.5:
        return x, 2 * nats * x + noise
    return x, x - 2 * lambertw(-np.exp(-nats) / 2).real * noise


PAIRS: dict[str, Callable[[float, int, np.random.Generator], tuple[np.ndarray, np.ndarray]]] = {
    "correlated_normal": normal_pair,
    "correlated_uniform": normal_pair,
    "log_gamma_exponential": log_gamma_exponential_pair,
    "smoothed_uniform": smoothed_uniform_pair,
}


class Pairs(Benchmark):
    """Independent pairs of columns, which share the information evenly or at random.

    The shares are drawn uniformly from the simplex, anew for each sample. The columns of `correlated_normal` are
    rotated on each side, by two random rotations. Those of `correlated_uniform` are then mapped by the normal cdf. The
    columns of the other families are not rotated. None of this changes the information of all pairs together.

    Args:
        bits: Mutual information in bits.
        dim: Number of columns of either side.
        family: `correlated_normal`, `correlated_uniform`, `log_gamma_exponential` or `smoothed_uniform`.
        split: `random` or `even`. Even pairs are not rotated.

    References:
        The package mutinfo (VanessB/mutinfo on GitHub), `mutinfo.distributions.base`. Darbellay & Vajda 2000, IEEE
        Trans. Inf. Theory 46:709 (gamma-exponential); Czyż et al. 2023, arXiv 2306.11078 (uniform noise).

    Examples:
        >>> t, target = Pairs(bits=2, dim=3, family="smoothed_uniform").sample(100, np.random.default_rng(0))
        >>> t.shape, target.shape
        ((100, 3), (100, 3))
    """

    def __init__(
        self,
        bits: float,
        dim: int,
        family: Literal["correlated_normal", "correlated_uniform", "log_gamma_exponential", "smoothed_uniform"],
        split: Literal["random", "even"] = "random",
    ):
        super().__init__(bits, dim)
        require("family", family, family in PAIRS, f"one of {', '.join(PAIRS)}")
        require("split", split, split in ("random", "even"), "random or even")
        self.family = family
        self.split = split

    def sample(self, n, rng):
        even = self.split == "even"
        return self.draw(n, np.full(self.dim, 1 / self.dim) if even else rng.dirichlet(np.ones(self.dim)), rng)

    def draw(self, n: int, shares: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw n samples (n, dim) of both sides, whose pairs have these shares (dim,) of the information."""
        nats = self.bits * np.log(2) * shares
        t, target = np.stack([PAIRS[self.family](part, n, rng) for part in nats], axis=2)
        if self.family.startswith("correlated") and self.split == "random":
            t, target = (side @ random_rotation(self.dim, rng) for side in (t, target))
        return (ndtr(t), ndtr(target)) if self.family == "correlated_uniform" else (t, target)
