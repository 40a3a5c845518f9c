"""Strict information discarding: how much noise each cell of an image can take before an activation notices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from bench.diagnostics.discarding.distortion import Distortion
from bench.diagnostics.discarding.grids import checked_grid, entropy_bits
from bench.diagnostics.discarding.problem import Problem, Solution
from bench.diagnostics.discarding.sensitivity import Activation
from bench.diagnostics.discarding.water_filling import WaterFilling
from bench.errors import EstimationError, InputError

UNDEFINED = "undefined: the activation doesn't depend on the image beyond rounding (δ² = 0)"


@dataclass(frozen=True)
class Discarding:
    """What an activation discards, of one image or, with a leading axis, of each image of a batch.

    sigma: noise of each cell, in units of the image, (*grid). entropy_bits: its entropy, (*grid). sid_bits: the mean
    over cells. distortion: realised, relative to δ². distortion_error: its Monte-Carlo standard error. capped: share of
    cells at sigma_max. unit: δ², in units of the activation squared. Tensors, float64; NaN for an image of a batch
    where δ² = 0.
    """

    sigma: Tensor
    entropy_bits: Tensor
    sid_bits: Tensor
    distortion: Tensor
    distortion_error: Tensor
    capped: Tensor
    unit: Tensor


def strict_information_discarding(
    f: Activation,
    x: Tensor,
    *,
    grid: int | Sequence[int],
    beta: float = 1.5,
    tau: float = 0.01,
    sigma_max: float = 1.0,
    rng: torch.Generator,
    solver: Callable[[Problem], Solution] | None = None,
    normaliser: float | None = None,
) -> Discarding:
    """Maximise the mean entropy of noise on the image while it moves an activation by no more than β δ².

    f: from a batch of images to activations, each image for itself, differentiable. x: a batch (n, C, *spatial), or one
    image (C, *spatial): of four axes with a single number as grid it is read as a batch of 2-D images. grid: cells a
    side, one number or one per axis; pixels and channels of a cell share its noise. beta: E||f(x+σε)-f(x)||² in units
    of δ² = E||f(x+τε)-f(x)||², or of `normaliser`, an absolute budget. sigma_max: the most noise of a cell.
    solver: `WaterFilling()`, `WaterFilling(refine=100)` where f is far from linear, `PublishedDescent()`.

    Entropies are in bits, 0 at σ = 0.242. Under δ² a map says how unevenly f looks at the image, not how strongly.
    Raises InputError for settings out of range; EstimationError where no gradient passes f, where an activation is not
    finite, and where δ² = 0 for every image.

    Source: Ma et al. 2022, ICML, arXiv 1906.04109, SID; in nats there, by gradient descent.

    >>> f = torch.nn.Linear(3, 3, bias=False).double()
    >>> _ = f.weight.data.copy_(torch.diag(torch.tensor([1.0, 2.0, 4.0])))
    >>> x = torch.zeros(1, 1, 3, dtype=torch.float64)
    >>> found = strict_information_discarding(lambda x: f(x.flatten(1)), x, grid=(1, 3), rng=torch.Generator())
    >>> found.sigma.round(decimals=4)
    tensor([[0.0324, 0.0162, 0.0081]], dtype=torch.float64)
    """
    for name, value in {"beta": beta, "tau": tau, "sigma_max": sigma_max, "normaliser": normaliser}.items():
        if value is not None and not (isfinite(value) and value > 0):
            raise InputError(f"{name}: got {value}, wanted a finite number above 0")
    alone = x.ndim == (3 if isinstance(grid, int) else len(grid) + 1)
    x = x.detach().unsqueeze(0) if alone else x.detach()
    if x.ndim < 3 or not x.is_floating_point():
        raise InputError(f"x: got {tuple(x.shape)} {x.dtype}, wanted floating-point images (n, channels, *spatial)")
    cells = checked_grid(grid, x.shape[2:])

    depends = _moves(Distortion(f, x, cells, tau))
    if not depends.any():
        raise EstimationError(UNDEFINED)
    distortion = Distortion(f, x[depends], cells, tau, normaliser=normaliser)
    found = (solver or WaterFilling())(Problem(distortion, beta, sigma_max, rng))

    def of_all(values: Tensor) -> Tensor:
        every = torch.full((len(x), *values.shape[1:]), torch.nan, dtype=torch.float64, device=x.device)
        every[depends] = values.double()
        return every[0] if alone else every

    sigma = found.sigma.unflatten(1, cells)
    entropy, capped = entropy_bits(found.sigma), (found.sigma >= sigma_max).double().mean(1)
    return Discarding(
        of_all(sigma),
        of_all(entropy.unflatten(1, cells)),
        of_all(entropy.mean(1)),
        of_all(found.distortion),
        of_all(found.error),
        of_all(capped),
        of_all(found.unit),
    )


def _moves(distortion: Distortion) -> Tensor:
    """Whether noise τ moves the activation of each image, (n,), by more than rounding does."""
    rounding = 8 * torch.finfo(distortion.clean.dtype).eps
    energy = distortion.clean.flatten(1).square().sum(1, dtype=torch.float64)
    return distortion.unit(seed=0, draws=2).mean(1) > rounding**2 * energy
