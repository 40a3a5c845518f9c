"""Distortion of an activation: its change under noise on the image, and its sensitivity to each cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.diagnostics.discarding.grids import draw_noise, expand_to_pixels, sum_over_cells
from bench.errors import EstimationError

EXACT_OUTPUTS = 128  # number of outputs up to which the whole Jacobian is computed

Activation = Callable[[Tensor], Tensor]


@dataclass
class Distortion:
    """The ratio E||f(x + σε) - f(x)||² / δ², estimated from draws of ε that a seed repeats.

    δ² = E||f(x + τε) - f(x)||² on the same draws, or `normaliser`. If the Jacobian is known, the change of the
    linearised f serves as a control variate. The result is then exact for a linear f.

    Args:
        f: Function from a batch of images to activations, applied to each image separately.
        x: Images, (n, C, *spatial).
        grid: Number of cells along each axis.
        tau: Standard deviation τ of the uniform noise.
        jacobian: Rows of the Jacobian of f at x, (n, outputs, C, *spatial).
        normaliser: A fixed value of δ², in units of the squared activation.

    Raises:
        EstimationError: If an activation is not finite.
    """

    f: Activation
    x: Tensor
    grid: Sequence[int]
    tau: float
    jacobian: Tensor | None = None
    normaliser: float | None = None
    clean: Tensor = field(init=False)

    def __post_init__(self):
        with torch.no_grad():
            self.clean = self.f(self.x)
        _require_finite(self.clean)
        self._unit: tuple[tuple[int, int], Tensor] | None = None

    def select(self, images: Tensor) -> Distortion:
        """Return the distortion of the images with these indices."""
        jacobian = None if self.jacobian is None else self.jacobian[images]
        some = Distortion(self.f, self.x[images], self.grid, self.tau, jacobian, self.normaliser)
        some._unit = self._unit and (self._unit[0], self._unit[1][images])
        return some

    def unit(self, seed: int, draws: int) -> Tensor:
        """Return δ² of each draw, (n, draws)."""
        if self._unit is None or self._unit[0] != (seed, draws):
            n, device = len(self.x), self.x.device
            if self.normaliser is None:
                flat = torch.full((n, *[1] * (self.x.ndim - 1)), self.tau, dtype=self.x.dtype, device=device)
                change = self._change(flat, torch.arange(n, device=device), seed, draws)
            else:
                change = torch.full((n, draws), self.normaliser, dtype=torch.float64, device=device)
            self._unit = (seed, draws), change
        return self._unit[1]

    def __call__(self, sigma: Tensor, images: Tensor, seed: int, draws: int) -> tuple[Tensor, Tensor]:
        """Estimate the ratio and its standard error, (n,) each.

        Args:
            sigma: Noise of each cell, (n, cells).
            images: Indices of the n images.
            seed: Seed of the draws.
            draws: Number of draws.
        """
        change, unit = self._change(self.expand(sigma), images, seed, draws), self.unit(seed, draws)[images]
        ratio = change.mean(1) / unit.mean(1)
        residual = change - ratio[:, None] * unit
        return ratio, residual.std(1) / unit.mean(1) / draws**0.5

    def by_cell(self, sigma: Tensor, seed: int, draws: int) -> tuple[Tensor, Tensor]:
        """Estimate E||f(x + σε) - f(x)||² and the contribution of each cell to it.

        The contribution of a cell is ½ ∂/∂log σ of the expectation. For a linear f the contributions sum to the
        expectation. For any other f they give the effect of a small change of the noise of a cell.

        Returns:
            The expectation, (n,), and the contributions, (n, cells).
        """
        parts = total = torch.zeros(())
        for noise in draw_noise(self.x, self.expand(sigma), draws, seed):
            with torch.enable_grad():
                noisy = (self.x[:, None] + noise).flatten(0, 1).requires_grad_()
                change = (self.f(noisy) - self.clean.repeat_interleave(noise.shape[1], 0)).flatten(1).square().sum(1)
                (gradient,) = torch.autograd.grad(change.sum(), noisy)
            products = (gradient * noise.flatten(0, 1)).sum(1).double() / 2
            parts = parts + sum_over_cells(products, self.grid).unflatten(0, noise.shape[:2]).sum(1)
            total = total + change.detach().double().unflatten(0, noise.shape[:2]).sum(1)
        return total / draws, parts / draws

    def expand(self, sigma: Tensor) -> Tensor:
        """Return the noise of each pixel, (n, 1, *spatial), from the noise of each cell, (n, cells)."""
        return expand_to_pixels(sigma, self.grid, self.x.shape[2:]).unsqueeze(1).to(self.x)

    @torch.no_grad()
    def _change(self, scale: Tensor, images: Tensor, seed: int, draws: int) -> Tensor:
        """Return ||f(x + scale ε) - f(x)||² of each draw, (images, draws)."""
        x, clean = self.x[images], self.clean[images]
        changes, linear = [], []
        for noise in draw_noise(x, scale, draws, seed):
            noisy = self.f((x[:, None] + noise).flatten(0, 1)).unflatten(0, noise.shape[:2])
            changes.append((noisy - clean[:, None]).flatten(2).square().sum(2, dtype=torch.float64))
            if self.jacobian is not None:
                step = torch.einsum("nmp,ndp->ndm", self.jacobian[images].flatten(2), noise.flatten(2))
                linear.append(step.square().sum(2, dtype=torch.float64))
        change = torch.cat(changes, 1)
        _require_finite(change)
        if self.jacobian is None:
            return change
        expected = (self.jacobian[images] * scale[:, None]).flatten(1).square().sum(1, dtype=torch.float64)
        return apply_control_variate(change, torch.cat(linear, 1), expected)


def apply_control_variate(values: Tensor, control: Tensor, expected: Tensor) -> Tensor:
    """Subtract the part of the values, (n, draws), that a control with known expectation, (n,), explains linearly.

    >>> draws = torch.tensor([[1.0, 2.0, 4.0]])
    >>> apply_control_variate(3 * draws, draws, torch.tensor([2.0]))
    tensor([[6., 6., 6.]])
    """
    centred = control - control.mean(1, keepdim=True)
    variance = centred.square().sum(1)
    slope = torch.where(variance > 0, (centred * values).sum(1) / variance, 0.0)
    return values - slope[:, None] * (control - expected[:, None])


# Jacobian


def jacobian_norms(
    f: Activation, x: Tensor, grid: Sequence[int], tau: float, probes: int, seed: int
) -> tuple[Tensor, Tensor | None]:
    """Compute the squared norms of the columns of the Jacobian, summed over each cell.

    The whole Jacobian at x is computed if f has at most 128 outputs or at most as many outputs as probes. Otherwise
    `hutchinson` estimates the norms at x with noise τ. For a linear f the noise makes no difference.

    Args:
        f: Function from a batch of images to activations.
        x: Images, (n, C, *spatial).
        grid: Number of cells along each axis.
        tau: Standard deviation τ of the noise.
        probes: Number of random sign vectors of Hutchinson's estimate.
        seed: Seed of the noise and of the signs.

    Returns:
        The norms, (n, cells), float64, and the Jacobian, (n, outputs, C, *spatial), or None if it was estimated.

    Raises:
        EstimationError: If f has no gradient, or if an activation is not finite.
    """
    with torch.no_grad():
        outputs = f(x[:1])[0].numel()
    if outputs > max(EXACT_OUTPUTS, probes):
        return hutchinson(f, x, grid, torch.full_like(x[:, :1], tau), probes, seed), None
    activation, image = _forward(f, x)
    rows = [_vector_jacobian_product(activation, image, vector) for vector in _unit_vectors(activation)]
    norms = sum((sum_over_cells(row.double().square().sum(1), grid) for row in rows), torch.zeros(()))
    return norms, torch.stack(rows, dim=1)


def hutchinson(f: Activation, x: Tensor, grid: Sequence[int], scale: Tensor, probes: int, seed: int) -> Tensor:
    """Estimate the norms of `jacobian_norms`, (n, cells), by the mean of (Jᵀv)² over random sign vectors v.

    Args:
        scale: Standard deviation of the noise on x, (n, 1, *spatial). The noise is drawn anew for each v.
    """
    generator, norms = torch.Generator(x.device).manual_seed(seed + 1), torch.zeros(())
    for noise in draw_noise(x, scale, probes, seed):
        n, count = noise.shape[:2]
        activation, noisy = _forward(f, (x[:, None] + noise).flatten(0, 1))
        drawn = [torch.randint(0, 2, activation.shape[1:], generator=generator, device=x.device) for _ in range(count)]
        signs = (2 * torch.stack(drawn) - 1).to(activation).repeat(n, *[1] * (activation.ndim - 1))
        squares = _vector_jacobian_product(activation, noisy, signs).double().square().sum(1)
        norms = norms + sum_over_cells(squares, grid).unflatten(0, (n, count)).sum(1)
    return norms / probes


def _require_finite(activation: Tensor) -> None:
    if not torch.isfinite(activation).all():
        raise EstimationError("the activation is not finite (NaN or infinite)")


def _forward(f: Activation, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the activation, and the copy of the images to which its gradient flows."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        activation = f(x)
    if not activation.requires_grad:
        raise EstimationError(
            "f: got an activation without gradient, wanted one that differentiable steps lead to from x"
        )
    _require_finite(activation)
    return activation, x


def _vector_jacobian_product(activation: Tensor, x: Tensor, vectors: Tensor) -> Tensor:
    """Return Jᵀv of each image, (n, C, *spatial); 0 if the activation does not depend on x."""
    (row,) = torch.autograd.grad(activation, x, vectors, retain_graph=True, allow_unused=True)
    return torch.zeros_like(x) if row is None else row


def _unit_vectors(activation: Tensor) -> Iterator[Tensor]:
    for index in range(activation[0].numel()):
        vector = torch.zeros_like(activation[0]).flatten()
        vector[index] = 1
        yield vector.reshape(activation.shape[1:]).expand_as(activation)
