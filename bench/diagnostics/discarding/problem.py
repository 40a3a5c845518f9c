"""What a solver of information discarding is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench.diagnostics.discarding.distortion import Distortion

WITHIN = 0.02  # of β: where the realised distortion counts as met
FEW = 16  # draws of noise to begin with


@dataclass(frozen=True)
class Problem:
    """Distortion β of an activation, noise of at most sigma_max in each cell; seeds come from the generator."""

    distortion: Distortion
    beta: float
    sigma_max: float
    rng: torch.Generator

    def seed(self) -> int:
        return int(torch.randint(2**62, (), generator=self.rng, device=self.rng.device))

    def of(self, image: int, seed: int) -> Problem:
        """Of one of the images, with seeds of its own."""
        return replace(self, distortion=self.distortion.of(image), rng=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class Solution:
    """sigma: (n, cells). distortion: realised on fresh draws, with its standard error; unit: δ² on them, (n,)."""

    sigma: Tensor
    distortion: Tensor
    error: Tensor
    unit: Tensor


def unevenness(problem: Problem, sigma: Tensor) -> Tensor:
    """Spread of what cells below the cap add to the distortion, in even shares of it, (n,): 0 at the optimum.

    From two sets of draws, whose chance agrees in nothing; NaN where every cell is capped.
    """
    free = sigma < problem.sigma_max
    moved, parts = zip(*(problem.distortion.by_cell(sigma, problem.seed(), FEW) for _ in range(2)), strict=True)
    halves = torch.stack(parts)
    mean = (halves * free).sum(2).mean(0) / free.sum(1)
    away = (halves - mean[:, None]) * free
    share = torch.stack(moved).mean(0) / sigma.shape[1]
    return (away.prod(0).sum(1) / free.sum(1)).clamp(min=0).sqrt() / share
