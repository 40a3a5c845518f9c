"""Gaussian pairs that are transformed by invertible maps."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.special import ndtr

from bench.known_truth.base import require
from bench.known_truth.gaussian import Gaussian


def half_cube(x: np.ndarray) -> np.ndarray:
    """Compute sign(x) |x|^(3/2), which has longer tails and slope 0 at 0."""
    return np.sign(x) * np.abs(x) ** 1.5


def random_rotation(dim: int, rng: np.random.Generator) -> np.ndarray:
    """Draw an orthogonal matrix (dim, dim)."""
    return np.linalg.qr(rng.normal(size=(dim, dim)))[0]


def spiral(t: np.ndarray) -> np.ndarray:
    """Rotate pairs of columns by 2 radians per unit of the norm of the row. The norm does not change."""
    even = t.shape[1] // 2 * 2
    angle = 2 * np.linalg.norm(t, axis=1, keepdims=True)
    turned = (t[:, 0:even:2] + 1j * t[:, 1:even:2]) * np.exp(1j * angle)
    return np.hstack([turned.real, turned.imag, t[:, even:]])


def swiss_roll(t: np.ndarray) -> np.ndarray:
    """Roll a line up in one and a half turns, (n, 1) to (n, 2). The radius is the angle divided by 21."""
    angle = 1.5 * np.pi * (1 + 2 * ndtr(t))
    return angle * np.hstack([np.cos(angle), np.sin(angle)]) / 21


EACH = {"half_cube": half_cube, "asinh": np.arcsinh, "normal_cdf": ndtr}
ROLLED = {"spiral": spiral, "swiss_roll": swiss_roll}


class Transformed(Gaussian):
    """Gaussian pairs after an invertible map, which does not change the information.

    I(f(t); g(target)) = I(t; target).

    Args:
        bits: Mutual information in bits.
        dim: Number of columns of either side.
        transform: `half_cube`, `asinh` and `normal_cdf` act on each column of both sides. `rotation`, `spiral` and
            `swiss_roll` act on t. The Swiss roll makes 2 columns of one.

    References:
        Czyż et al. 2023, Beyond Normal, arXiv 2306.11078.

    Examples:
        >>> t, target = Transformed(bits=1, dim=1, transform="swiss_roll").sample(100, np.random.default_rng(0))
        >>> t.shape, target.shape
        ((100, 2), (100, 1))
    """

    def __init__(
        self,
        bits: float,
        dim: int,
        transform: Literal["half_cube", "asinh", "normal_cdf", "rotation", "spiral", "swiss_roll"],
    ):
        super().__init__(bits, dim)
        names = [*EACH, "rotation", *ROLLED]
        require("transform", transform, transform in names, f"one of {', '.join(names)}")
        require("dim", dim, dim == 1 or transform != "swiss_roll", "1 for swiss_roll")
        require("dim", dim, dim >= 2 or transform not in ("rotation", "spiral"), f"at least 2 for {transform}")
        self.transform = transform

    def sample(self, n, rng):
        t, target = super().sample(n, rng)
        if self.transform in EACH:
            return EACH[self.transform](t), EACH[self.transform](target)
        if self.transform == "rotation":
            return t @ random_rotation(self.dim, rng), target
        return ROLLED[self.transform](t), target
