"""Helpers for tests of information discarding, and linear maps whose optimum has a closed form."""

import numpy as np
import torch

from bench.diagnostics.discarding import WaterFilling, strict_information_discarding
from bench.diagnostics.discarding.layerwise import Images, LayerwiseDiscarding, Settings

CLOSED_FORMS = [  # W, σ, SID in nats
    (np.diag([1.0, 2, 4]), [0.0324037, 0.0162019, 0.0081009], -2.7036912),
    ([[1, 2, 0], [0, 1, -1], [3, 0, 1]], [0.0092195, 0.0130384, 0.0206155], -2.8837269),
    ([[1, 0, 0], [0, 2, 0]], [0.0193649, 0.0096825, 1], -1.4416387),
]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def linear(weights):
    weights = torch.as_tensor(weights, dtype=torch.float64)
    return lambda x: x.flatten(1) @ weights.T


def measure_images(f, x, **settings):
    """Measure f on images with 8x8 cells."""
    return strict_information_discarding(f, x, **{"grid": 8, "rng": seeded()} | settings)


def measure_row(f, x=None, cells=3, **settings):
    """Measure f on images that are one row of cells."""
    x = torch.rand(1, 1, cells, dtype=torch.float64) if x is None else x
    return strict_information_discarding(f, x, **{"grid": (1, cells), "rng": seeded()} | settings)


def layerwise(network, data, images=2):
    images = Images.select(data, data.val, images, seed=0)
    return LayerwiseDiscarding(network, images, Settings((8, 8), 1.5, 0.01, 1.0, WaterFilling()), seed=0)
