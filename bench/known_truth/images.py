"""Gaussians embedded in images."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from bench.known_truth.base import require
from bench.known_truth.gaussian import Gaussian

SIDE = 16
WIDTH = 2.0  # standard deviation of the blob, pixels
MARGIN = 4.0  # pixels between the blob's centre and the frame, at least


class Blob(Gaussian):
    """An image of a blob whose centre is one side of 2 Gaussian pairs; the target is the other side.

    I = -log2(1 - rho²), that of the pairs: the image shows its blob's centre, so it is an invertible map of t.
    Source: Butakov et al. 2024, Information bottleneck analysis of deep neural networks via lossy compression,
    arXiv 2305.08013, for the idea.

    >>> images, target = Blob(bits=2, dim=2).sample(10, np.random.default_rng(0))
    >>> images.shape, target.shape
    ((10, 16, 16), (10, 2))
    """

    def __init__(self, bits: float, dim: int):
        super().__init__(bits, dim)
        require("dim", dim, dim == 2, "2, the coordinates of the blob's centre")

    def sample(self, n, rng):
        t, target = super().sample(n, rng)
        centre = MARGIN + (SIDE - 1 - 2 * MARGIN) * ndtr(t)
        profile = np.exp(-(((np.arange(SIDE) - centre[..., None]) / WIDTH) ** 2) / 2)  # (n, 2, SIDE)
        return profile[:, 0, :, None] * profile[:, 1, None, :], target
