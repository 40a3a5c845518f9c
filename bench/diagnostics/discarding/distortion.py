"""Distortion: how far noise on an image moves an activation, relative to how far plain noise does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.diagnostics.discarding.grids import per_cell, per_pixel
from bench.diagnostics.discarding.noise import noises
from bench.diagnostics.discarding.sensitivity import Activation, require_finite


@dataclass
class Distortion:
    """E||f(x + σε) - f(x)||² / δ² of images x, (n, C, *spatial), by draws of ε that a seed repeats.

    δ² = E||f(x + τε) - f(x)||² on the same draws, or `normaliser`. Where the Jacobian's rows are known, what the
    linearised f says of each draw is a control variate: of a linear f the result is exact.
    """

    f: Activation
    x: Tensor
    grid: Sequence[int]
    tau: float
    rows: Tensor | None = None
    normaliser: float | None = None
    clean: Tensor = field(init=False)

    def __post_init__(self):
        with torch.no_grad():
            self.clean = self.f(self.x)
        require_finite(self.clean)
        self._unit: tuple[tuple[int, int], Tensor] | None = None

    def of(self, images: Tensor) -> Distortion:
        """Of some of the images."""
        rows = None if self.rows is None else self.rows[images]
        some = Distortion(self.f, self.x[images], self.grid, self.tau, rows, self.normaliser)
        some._unit = self._unit and (self._unit[0], self._unit[1][images])
        return some

    def unit(self, seed: int, draws: int) -> Tensor:
        """δ² by draw, (n, draws)."""
        if self._unit is None or self._unit[0] != (seed, draws):
            n, device = len(self.x), self.x.device
            if self.normaliser is None:
                flat = torch.full((n, *[1] * (self.x.ndim - 1)), self.tau, dtype=self.x.dtype, device=device)
                moved = self._moved(flat, torch.arange(n, device=device), seed, draws)
            else:
                moved = torch.full((n, draws), self.normaliser, dtype=torch.float64, device=device)
            self._unit = (seed, draws), moved
        return self._unit[1]

    def __call__(self, sigma: Tensor, images: Tensor, seed: int, draws: int) -> tuple[Tensor, Tensor]:
        """Ratio and its standard error for noise sigma, (n, cells), on the images of these indices; (n,) each."""
        moved, unit = self._moved(self.pixels(sigma), images, seed, draws), self.unit(seed, draws)[images]
        ratio = moved.mean(1) / unit.mean(1)
        residual = moved - ratio[:, None] * unit
        return ratio, residual.std(1) / unit.mean(1) / draws**0.5

    def by_cell(self, sigma: Tensor, seed: int, draws: int) -> tuple[Tensor, Tensor]:
        """E||f(x + σε) - f(x)||², (n,), and what each cell's noise adds, ½ ∂/∂log σ of it, (n, cells).

        Of a linear f these add up to it; of others they say what a change of a cell's noise would change.
        """
        parts, total = 0.0, 0.0
        for noise in noises(self.x, self.pixels(sigma), draws, seed):
            with torch.enable_grad():
                noisy = (self.x[:, None] + noise).flatten(0, 1).requires_grad_()
                moved = (self.f(noisy) - self.clean.repeat_interleave(noise.shape[1], 0)).flatten(1).square().sum(1)
                (pull,) = torch.autograd.grad(moved.sum(), noisy)
            products = (pull * noise.flatten(0, 1)).sum(1).double() / 2
            parts = parts + per_cell(products, self.grid).unflatten(0, noise.shape[:2]).sum(1)
            total = total + moved.detach().double().unflatten(0, noise.shape[:2]).sum(1)
        return total / draws, parts / draws

    def pixels(self, sigma: Tensor) -> Tensor:
        """Each cell's noise at its pixels, (n, 1, *spatial)."""
        return per_pixel(sigma, self.grid, self.x.shape[2:]).unsqueeze(1).to(self.x)

    @torch.no_grad()
    def _moved(self, scale: Tensor, images: Tensor, seed: int, draws: int) -> Tensor:
        """||f(x + scale ε) - f(x)||² by draw, (images, draws)."""
        x, clean = self.x[images], self.clean[images]
        moved, linear = [], []
        for noise in noises(x, scale, draws, seed):
            noisy = self.f((x[:, None] + noise).flatten(0, 1)).unflatten(0, noise.shape[:2])
            moved.append((noisy - clean[:, None]).flatten(2).square().sum(2, dtype=torch.float64))
            if self.rows is not None:
                step = torch.einsum("nmp,ndp->ndm", self.rows[images].flatten(2), noise.flatten(2))
                linear.append(step.square().sum(2, dtype=torch.float64))
        moved = torch.cat(moved, 1)
        require_finite(moved)
        if self.rows is None:
            return moved
        expected = (self.rows[images] * scale[:, None]).flatten(1).square().sum(1, dtype=torch.float64)
        return controlled(moved, torch.cat(linear, 1), expected)


def controlled(values: Tensor, control: Tensor, expected: Tensor) -> Tensor:
    """Values less what a control of known expectation explains of them, by least squares; (n, draws), (n,).

    >>> draws = torch.tensor([[1.0, 2.0, 4.0]])
    >>> controlled(3 * draws, draws, torch.tensor([2.0]))
    tensor([[6., 6., 6.]])
    """
    centred = control - control.mean(1, keepdim=True)
    variance = centred.square().sum(1)
    slope = torch.where(variance > 0, (centred * values).sum(1) / variance, 0.0)
    return values - slope[:, None] * (control - expected[:, None])
