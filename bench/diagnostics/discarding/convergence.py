"""Convergence: whether noise that was found is an optimum, where all cells below the cap add as much."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.diagnostics.discarding.distortion import Distortion
from bench.diagnostics.discarding.problem import FEW


def unevenness(distortion: Distortion, sigma: Tensor, sigma_max: float, rng: torch.Generator) -> Tensor:
    """Spread of what cells below the cap add to the distortion, in even shares of it, (n,): 0 at the optimum.

    sigma: noise of each cell, (n, cells). From two sets of draws, whose chance agrees in nothing. NaN where every cell
    is capped, and where sigma is.
    """
    free = sigma < sigma_max
    seeds = torch.randint(2**62, (2,), generator=rng, device=rng.device).tolist()
    moved, parts = zip(*(distortion.by_cell(sigma, seed, FEW) for seed in seeds), strict=True)
    halves = torch.stack(parts)
    mean = (halves * free).sum(2).mean(0) / free.sum(1)
    away = (halves - mean[:, None]) * free
    share = torch.stack(moved).mean(0) / sigma.shape[1]
    return (away.prod(0).sum(1) / free.sum(1)).clamp(min=0).sqrt() / share
