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

    def of(self, images: Tensor, seed: int) -> Problem:
        """Of some of the images, with seeds of its own."""
        return replace(self, distortion=self.distortion.of(images), rng=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class Solution:
    """sigma: (n, cells). distortion: realised on fresh draws, with its standard error; unit: δ² on them, (n,)."""

    sigma: Tensor
    distortion: Tensor
    error: Tensor
    unit: Tensor
