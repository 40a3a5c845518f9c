"""Gaussians embedded in images."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from bench.known_truth.base import require
from bench.known_truth.gaussian import Gaussian

SIDE = 16
WIDTH = 2.0  # standard deviation of the blob, pixels
MARGIN = 4.0  # least distance of the centre of the blob from the frame, pixels


class Blob(Gaussian):
    """Images of a blob, and two Gaussian variables that are correlated with its centre.

    One side of 2 Gaussian pairs sets the centre of the blob, and the other side is the target. I = -log2(1 - rho²), as
    for the pairs: the image shows the centre of the blob, so it is an invertible map of t.

    References:
        The idea: Butakov et al. 2024, Information bottleneck analysis of deep neural networks via lossy compression,
        arXiv 2305.08013.

    Examples:
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
