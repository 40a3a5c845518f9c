"""Labels from a discretised Gaussian variable, with a noisy copy of the variable among columns of noise."""

from __future__ import annotations

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import entr, ndtr, ndtri

from bench.known_truth.base import Benchmark, require
from bench.known_truth.transformed import random_rotation

FAR = 9.0  # standard deviations; a normal density is negligible beyond


def label_bits(angle: float, classes: int) -> float:
    """Compute I(x; cell of y) in bits by quadrature.

    x = cos(angle) y + sin(angle) noise. The cells of y are equally likely.
    """
    cuts = ndtri(np.arange(1, classes) / classes)
    cos, sin = np.cos(angle), np.sin(angle)

    def entropy(x):  # in nats, times the density of x without its factor
        below = ndtr((cuts - cos * x) / sin)  # P(y below each cut | x)
        return np.exp(-(x**2) / 2) * entr(np.diff(below, prepend=0, append=1)).sum()

    bends = (cuts[:, None] + FAR * sin * np.array([-1, 0, 1])).ravel() / cos
    bends = bends[np.abs(bends) < FAR]
    left, _ = quad(entropy, -FAR, FAR, points=bends, limit=50 + 10 * len(bends), epsabs=1e-10)
    return np.log2(classes) - left / np.sqrt(2 * np.pi) / np.log(2)


class Discretised(Benchmark):
    """Pairs of columns t and a label, where the label is one of several equally likely cells of a Gaussian y.

    t is a noisy copy of y and dim - 1 columns of noise, rotated together. I = log2(classes) - E H(cell | t). Given t, y
    is Gaussian, so the probability of a cell is a difference of normal cdfs. The columns of noise have no information,
    and a rotation loses none. The level of the noise is solved for the given bits.

    Args:
        bits: Mutual information in bits, at most log2(classes).
        dim: Number of columns of t.
        classes: Number of cells.

    Examples:
        >>> t, label = Discretised(bits=1, dim=3, classes=4).sample(1000, np.random.default_rng(0))
        >>> t.shape, np.unique(label)
        ((1000, 3), array([0, 1, 2, 3]))
    """

    def __init__(self, bits: float, dim: int, classes: int = 4):
        super().__init__(bits, dim)
        require("classes", classes, classes >= 2, "at least 2")
        most = np.log2(classes)
        require("bits", bits, bits <= most, f"at most {most:.4g} for classes={classes}")
        inside = np.clip(bits, 1e-8, most - 1e-8)  # so that the root exists despite rounding
        self.classes = classes
        self.angle = brentq(lambda angle: label_bits(angle, classes) - inside, 1e-10, np.pi / 2)

    def sample(self, n, rng):
        t = rng.normal(size=(n, self.dim))
        y = rng.normal(size=n)
        t[:, 0] = np.cos(self.angle) * y + np.sin(self.angle) * t[:, 0]
        label = np.searchsorted(ndtri(np.arange(1, self.classes) / self.classes), y)
        return t @ random_rotation(self.dim, rng), label
