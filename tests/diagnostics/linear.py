"""Linear maps, whose optimum of information discarding is closed, and the question asked of them."""

import numpy as np
import torch

from bench.diagnostics.discarding import strict_information_discarding

CLOSED = [  # W, σ, SID in nats
    (np.diag([1.0, 2, 4]), [0.0324037, 0.0162019, 0.0081009], -2.7036912),
    ([[1, 2, 0], [0, 1, -1], [3, 0, 1]], [0.0092195, 0.0130384, 0.0206155], -2.8837269),
    ([[1, 0, 0], [0, 2, 0]], [0.0193649, 0.0096825, 1], -1.4416387),
]


def linear(weights):
    weights = torch.as_tensor(weights, dtype=torch.float64)
    return lambda x: x.flatten(1) @ weights.T


def found(f, x=None, cells=3, **settings):
    x = torch.rand(1, 1, cells, dtype=torch.float64) if x is None else x
    asked = {"grid": (1, cells), "rng": torch.Generator().manual_seed(0)} | settings
    return strict_information_discarding(f, x, **asked)
