"""Sensitivity: how far each cell of an image moves an activation, by the columns of the Jacobian."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.diagnostics.discarding.grids import per_cell
from bench.diagnostics.discarding.noise import noises
from bench.errors import EstimationError

EXACT = 128  # outputs up to which the whole Jacobian is taken

Activation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Sensitivity:
    """norms: (n, cells), summed squared norms of the Jacobian's columns of each cell, float64.
    rows: (n, outputs, C, *spatial), the Jacobian where it was taken as a whole."""

    norms: Tensor
    rows: Tensor | None


def sensitivity(f: Activation, x: Tensor, grid: Sequence[int], tau: float, probes: int, seed: int) -> Sensitivity:
    """Of f at images x, (n, C, *spatial).

    With up to 128 outputs, or as many as probes, the Jacobian at x; else Hutchinson's estimate at x with noise τ: the
    same for a linear f, and for a network what noise of this scale meets.
    Raises EstimationError where no gradient passes f, and where an activation is not finite.
    """
    with torch.no_grad():
        outputs = f(x[:1])[0].numel()
    if outputs > max(EXACT, probes):
        return Sensitivity(hutchinson(f, x, grid, torch.full_like(x[:, :1], tau), probes, seed), None)
    activation, image = _followed(f, x)
    rows = [_pulled_back(activation, image, vector) for vector in _unit_vectors(activation)]
    return Sensitivity(sum(per_cell(row.double().square().sum(1), grid) for row in rows), torch.stack(rows, dim=1))


def hutchinson(f: Activation, x: Tensor, grid: Sequence[int], scale: Tensor, probes: int, seed: int) -> Tensor:
    """Norms of the Jacobian's columns by cell, (n, cells): the mean of (Jᵀv)² over random signs v.

    scale: (n, 1, *spatial), of the noise on x, drawn anew for each v.
    """
    generator, norms = torch.Generator(x.device).manual_seed(seed + 1), 0.0
    for noise in noises(x, scale, probes, seed):
        n, count = noise.shape[:2]
        activation, noisy = _followed(f, (x[:, None] + noise).flatten(0, 1))
        drawn = [torch.randint(0, 2, activation.shape[1:], generator=generator, device=x.device) for _ in range(count)]
        signs = (2 * torch.stack(drawn) - 1).to(activation).repeat(n, *[1] * (activation.ndim - 1))
        squares = _pulled_back(activation, noisy, signs).double().square().sum(1)
        norms = norms + per_cell(squares, grid).unflatten(0, (n, count)).sum(1)
    return norms / probes


def require_finite(activation: Tensor) -> None:
    if not torch.isfinite(activation).all():
        raise EstimationError("the activation is not finite (NaN or infinite)")


def _followed(f: Activation, x: Tensor) -> tuple[Tensor, Tensor]:
    """The activation with the images that its gradient leads back to."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        activation = f(x)
    if not activation.requires_grad:
        raise EstimationError(
            "f: got an activation without gradient, wanted one that differentiable steps lead to from x"
        )
    require_finite(activation)
    return activation, x


def _pulled_back(activation: Tensor, x: Tensor, vectors: Tensor) -> Tensor:
    """Jᵀv of each image, (n, C, *spatial); zero where the activation has nothing of x."""
    (row,) = torch.autograd.grad(activation, x, vectors, retain_graph=True, allow_unused=True)
    return torch.zeros_like(x) if row is None else row


def _unit_vectors(activation: Tensor):
    for index in range(activation[0].numel()):
        vector = torch.zeros_like(activation[0]).flatten()
        vector[index] = 1
        yield vector.reshape(activation.shape[1:]).expand_as(activation)
