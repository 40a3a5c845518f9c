"""Pairs of autoencoders that predict each other. One pair for each order of the target, trained at once."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import leaky_relu

from bench.estimators.held_out import trained

EVERY, PATIENCE = 10, 200  # steps
SPIKE = 2.0
SLOPE = 0.2  # of the leaky ReLU below 0


class Autoencoders:
    """Pairs of autoencoders of t and of each order of the target, with the same initial weights.

    Args:
        x: (n, d) float32, the columns of t.
        y: (sets, n, k) float32, the columns of the target in each order.
        latent: Latent columns of each side.
        hidden: Units of each hidden layer.
        reconstruction: Weight of the own reconstruction.
        generator: Of the initial weights.
    """

    def __init__(self, x, y, latent: int, hidden: int, reconstruction: float, generator: torch.Generator):
        self.x, self.y, self.reconstruction = x, y, reconstruction
        dims = x.shape[1], y.shape[2]
        own = torch.repeat_interleave(torch.eye(2), torch.tensor(dims), dim=1)  # (sides, d + k)
        self.of_own, self.of_other = own / own.sum(1, keepdim=True), (1 - own) / (1 - own).sum(1, keepdim=True)

        def drawn(rows, columns, scale):
            return (torch.randn(rows, columns, generator=generator) * scale / rows**0.5).repeat(len(y), 1, 1)

        def zeros():
            return torch.zeros(len(y), 1, hidden)

        self.encoders = [
            [drawn(d, hidden, 2**0.5), zeros(), drawn(hidden, latent, 0.1), drawn(d, latent, 1.0)] for d in dims
        ]
        self.decoders = [[drawn(latent, hidden, 2**0.5), zeros(), drawn(hidden, sum(dims), 0.1)] for _ in dims]

    def fit(self, training, stopping, batch_size: int, steps: int, rate: float, rng: np.random.Generator) -> None:
        """Train all pairs on rows `training`. The error of the other side in rows `stopping` ends the training."""
        weights = [weight for network in (*self.encoders, *self.decoders) for weight in network]
        batch = min(batch_size, len(training))
        trained(
            weights,
            lambda: self._errors(rng.choice(training, batch, replace=False), self.reconstruction),
            lambda: self._errors(stopping, 0.0),
            steps,
            rate,
            patience=PATIENCE,
            every=EVERY,
            spike=SPIKE,
        )

    def latents(self, rows: np.ndarray) -> list[np.ndarray]:
        """Return the latent columns (sets, m, latent) of both sides, for rows (m,)."""
        with torch.no_grad():
            return [self._encoded(side, place).double().numpy() for place, side in enumerate(self._sides(rows))]

    def _sides(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return self.x[rows].expand(len(self.y), -1, -1), self.y[:, rows]

    def _encoded(self, side: torch.Tensor, place: int) -> torch.Tensor:
        first, bias, last, direct = self.encoders[place]
        return leaky_relu(side @ first + bias, SLOPE) @ last + side @ direct

    def _errors(self, rows: np.ndarray, reconstruction: float) -> torch.Tensor:
        """Compute the mean squared errors of rows from the latent columns of both sides, (sets,)."""
        sides = self._sides(rows)
        both, total = torch.cat(sides, dim=2), torch.zeros(len(self.y))
        for place, side in enumerate(sides):
            first, bias, last = self.decoders[place]
            decoded = leaky_relu(self._encoded(side, place) @ first + bias, SLOPE) @ last
            weights = self.of_other[place] + reconstruction * self.of_own[place]
            total = total + (decoded - both).square().mean(dim=1) @ weights
        return total
