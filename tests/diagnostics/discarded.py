"""Questions of what networks discard."""

import torch

from bench.diagnostics.discarding import WaterFilling, strict_information_discarding
from bench.diagnostics.discarding.images import Images
from bench.diagnostics.discarding.look import Look, Settings


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def found(f, x, **settings):
    return strict_information_discarding(f, x, **{"grid": 8, "rng": seeded()} | settings)


def look_at(network, data, images=2):
    images = Images.chosen(data, data.val, images, seed=0)
    return Look(network, images, Settings((8, 8), 1.5, 0.01, 1.0, WaterFilling()), seed=0)
