"""Measures of discarded information: strict information discarding (SID) and reconstruction uncertainty (RU)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, isfinite

import torch
from torch import Tensor, nn

from bench.config.build import channels_last
from bench.datasets.data import Data
from bench.datasets.splits import Split
from bench.diagnostics.discarding.distortion import Activation, Distortion
from bench.diagnostics.discarding.grids import (
    HALF_LOG_2PIE,
    copies_per_pass,
    draw_noise,
    entropy_bits,
    expand_to_pixels,
    resolve_grid,
)
from bench.diagnostics.discarding.optimization import Problem, Solution
from bench.diagnostics.discarding.water_filling import WaterFilling
from bench.errors import EstimationError, InputError
from bench.estimators.base import above_zero, at_least
from bench.training.train import fit
from models import Decoder

UNDEFINED = "undefined: the activation doesn't depend on the image beyond rounding (δ² = 0)"


@dataclass(frozen=True)
class Discarding:
    """Information that an activation discards, of one image or, with a leading axis, of each image of a batch.

    All fields are float64. They are NaN for an image of a batch where δ² = 0.

    Attributes:
        sigma: Noise of each cell, in units of the image, (*grid).
        entropy_bits: Entropy of the noise of each cell, (*grid), bits.
        sid_bits: Mean entropy over cells, bits.
        distortion: Realised distortion, relative to δ².
        distortion_error: Monte-Carlo standard error of the distortion.
        capped: Share of cells at sigma_max.
        unit: δ², in units of the squared activation.
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
    """Maximise the mean entropy of noise on an image under a bound on the change of an activation.

    The bound is E||f(x + σε) - f(x)||² = β δ². With δ² = E||f(x + τε) - f(x)||² the map of entropies shows how
    unevenly f depends on the cells, not how strongly. An entropy of 0 bits corresponds to σ = 0.242.

    Args:
        f: Differentiable function from a batch of images to activations, applied to each image separately.
        x: A batch of images, (n, C, *spatial), or one image, (C, *spatial). With a single number as grid, four axes
            are read as a batch of 2-D images.
        grid: Number of cells along each axis: one number, or one per axis. The pixels and channels of a cell share
            its noise.
        beta: Bound β on the distortion.
        tau: Noise τ that defines δ², in units of the image.
        sigma_max: Largest noise of a cell, in units of the image.
        rng: Source of all draws.
        solver: `WaterFilling()` by default; `WaterFilling(refine=100)` if f is far from linear; `PublishedDescent()`.
        normaliser: A fixed value in place of δ²: an absolute bound.

    Raises:
        InputError: If a setting is out of range.
        EstimationError: If f has no gradient, if an activation is not finite, or if δ² = 0 for every image.

    References:
        Ma et al. 2022, ICML, arXiv 1906.04109, SID. The source uses nats and gradient descent.

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
    cells = resolve_grid(grid, x.shape[2:])

    depends = _depends_on_image(Distortion(f, x, cells, tau))
    if not depends.any():
        raise EstimationError(UNDEFINED)
    distortion = Distortion(f, x[depends], cells, tau, normaliser=normaliser)
    found = (solver or WaterFilling())(Problem(distortion, beta, sigma_max, rng))

    def of_all(values: Tensor) -> Tensor:
        every = torch.full((len(x), *values.shape[1:]), torch.nan, dtype=torch.float64, device=x.device)
        every[depends] = values.double()
        return every[0] if alone else every

    entropy = entropy_bits(found.sigma)
    return Discarding(
        of_all(found.sigma.unflatten(1, cells)),
        of_all(entropy.unflatten(1, cells)),
        of_all(entropy.mean(1)),
        of_all(found.distortion),
        of_all(found.error),
        of_all((found.sigma >= sigma_max).double().mean(1)),
        of_all(found.unit),
    )


def _depends_on_image(distortion: Distortion) -> Tensor:
    """Return whether noise τ changes the activation of each image by more than rounding, (n,)."""
    rounding = 8 * torch.finfo(distortion.clean.dtype).eps
    energy = distortion.clean.flatten(1).square().sum(1, dtype=torch.float64)
    return distortion.unit(seed=0, draws=2).mean(1) > rounding**2 * energy


# Reconstruction


def squared_errors(
    reconstruct: Activation, x: Tensor, sigma: Tensor, grid: Sequence[int], *, draws: int, rng: torch.Generator
) -> Tensor:
    """Estimate E r² over draws of noise, where r = reconstruct(x + σε) - x.

    Args:
        reconstruct: Function from images to reconstructed images, through a layer and its decoder.
        x: Images, (n, C, *spatial).
        sigma: Noise of each cell, (n, cells). All images get the same ε.
        grid: Number of cells along each axis.
        draws: Draws of noise.
        rng: Source of the seed of the draws.

    Returns:
        (n, C, *spatial), float64.
    """
    scale = expand_to_pixels(sigma, grid, x.shape[2:]).unsqueeze(1).to(x)
    seed, total = int(torch.randint(2**62, (), generator=rng, device=rng.device)), torch.zeros(())
    with torch.no_grad():
        for noise in draw_noise(x, scale, draws, seed):
            made = reconstruct((x[:, None] + noise).flatten(0, 1)).unflatten(0, noise.shape[:2])
            total = total + (made - x[:, None]).double().square().sum(1)
    return total / draws


def reconstruction_uncertainty(errors: Tensor) -> Tensor:
    """Compute ½ log2 (2πe E r²) of each pixel, averaged over channels.

    The average over draws comes before the logarithm. With a single draw the result is 0.916 bits too low.

    Args:
        errors: E r² from `squared_errors`, (n, C, *spatial).

    Returns:
        Bits, (n, *spatial).

    References:
        Ma et al. 2022, ICML, arXiv 1906.04109, RU. The source uses nats.

    >>> reconstruction_uncertainty(torch.full((1, 1, 2, 2), 0.01))[0]
    tensor([[-1.2748, -1.2748],
            [-1.2748, -1.2748]])
    """
    return (0.5 * errors.log2() + HALF_LOG_2PIE).mean(1)


@dataclass(frozen=True)
class Decoders:
    """Settings with which one decoder per layer learns to reconstruct images of the training split.

    Args:
        images: Number of training images at most. One fifth of them select the best epoch.
        epochs: Number of epochs.
        batch_size: Images per step of Adam.
        rate: Learning rate of Adam.
        width: Width of `models.Decoder`.
        draws: Draws of noise for the uncertainty.
    """

    images: int = 128
    epochs: int = 40
    batch_size: int = 16
    rate: float = 0.003
    width: int = 16
    draws: int = 32

    def __post_init__(self):
        above_zero("rate", self.rate)
        for name in ("epochs", "batch_size", "width", "draws"):
            at_least(name, getattr(self, name), 1)
        at_least("images", self.images, 10)

    def train(self, f: Activation, images: Tensor, seed: int) -> Callable[[Tensor], Tensor]:
        """Train a decoder of the activations f(images) and return it as a function of activations."""
        rows = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[: self.images]
        images, device = images[rows.to(images.device)], images.device
        with torch.no_grad():
            activations = torch.cat([f(batch).cpu() for batch in images.split(copies_per_pass(images[:1]))])
        images, held = images.cpu(), ceil(len(images) / 5)
        training, rest = (_split(activations, images, part) for part in (slice(held, None), slice(0, held)))
        data = Data("decoder", "reconstruction", (), train=training, val=rest, test=rest)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            decoder = channels_last(Decoder(activations.shape[1:], images.shape[1:], self.width)).to(device)
        optimizer = torch.optim.Adam(decoder.parameters(), lr=self.rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs)
        fit(
            decoder, data, epochs=self.epochs, batch_size=self.batch_size, optimizer=optimizer, schedule=schedule,
            loss=nn.functional.mse_loss, amp=False, seed=seed, on_epoch=lambda *_: None,
        )  # fmt: skip
        return decoder.eval()


def _split(activations: Tensor, images: Tensor, rows: slice) -> Split:
    count = len(range(*rows.indices(len(images))))
    return Split(activations[rows], images[rows], torch.arange(count).numpy(), tuple(map(str, range(count))))
