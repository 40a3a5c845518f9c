"""Convergence: whether noise that was found is an optimum, where all cells below the cap add as much."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.diagnostics.discarding.distortion import Distortion

DRAWS = 32  # of each of the two sets


def unevenness(distortion: Distortion, sigma: Tensor, sigma_max: float, rng: torch.Generator) -> Tensor:
    """Spread of what cells below the cap add to the distortion, in units of its mean size, (n,): 0 at the optimum.

    sigma: noise of each cell, (n, cells). NaN where every cell is capped, and where sigma is. Of a linear f, a small
    spread u leaves u²/4 nats of mean entropy to gain.
    """
    seeds = torch.randint(2**62, (2,), generator=rng, device=rng.device).tolist()
    first, second = (distortion.by_cell(sigma, seed, DRAWS)[1] for seed in seeds)
    return spread(first, second, sigma < sigma_max)


def spread(first: Tensor, second: Tensor, free: Tensor) -> Tensor:
    """Of what free cells add, (n, cells), by two sets of draws, whose chance agrees in nothing; in mean sizes, (n,).

    >>> parts, free = torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([[True, True, False]])
    >>> spread(parts, parts, free)
    tensor([0.5000])
    """
    count, both = free.sum(1), (first + second) / 2 * free
    mean, size = both.sum(1) / count, both.abs().sum(1) / count
    product = (first - mean[:, None]) * (second - mean[:, None]) * free
    return (product.sum(1) / count).clamp(min=0).sqrt() / size
