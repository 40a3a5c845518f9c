"""Reconstruction uncertainty: what a decoder can't say of an image, of whose activation noise has been let in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor, nn

from bench.config.build import channels_last
from bench.datasets.data import Data, Split
from bench.diagnostics.discarding.grids import HALF_LOG_2PIE, per_pixel
from bench.diagnostics.discarding.noise import at_once, noises
from bench.diagnostics.discarding.sensitivity import Activation
from bench.estimators.base import above_zero, at_least
from bench.training.train import fit
from models import Decoder


def squared_errors(
    reconstruct: Activation, x: Tensor, sigma: Tensor, grid: Sequence[int], *, draws: int, rng: torch.Generator
) -> Tensor:
    """E r² over draws of ε, with r = reconstruct(x + σε) - x: (n, C, *spatial), float64.

    reconstruct: from images to images, by way of a layer. x: (n, C, *spatial). sigma: (n, cells); every image gets the
    same ε.
    """
    scale = per_pixel(sigma, grid, x.shape[2:]).unsqueeze(1).to(x)
    seed, total = int(torch.randint(2**62, (), generator=rng, device=rng.device)), 0.0
    with torch.no_grad():
        for noise in noises(x, scale, draws, seed):
            made = reconstruct((x[:, None] + noise).flatten(0, 1)).unflatten(0, noise.shape[:2])
            total = total + (made - x[:, None]).double().square().sum(1)
    return total / draws


def reconstruction_uncertainty(errors: Tensor) -> Tensor:
    """½ log2 (2πe E r²) of every pixel, bits, the mean over channels; E r² from `squared_errors`, (n, C, *spatial).

    The average over draws comes before the logarithm: of one draw alone the result is 0.916 bits too low.
    Source: Ma et al. 2022, ICML, arXiv 1906.04109, RU; in nats there.

    >>> reconstruction_uncertainty(torch.full((1, 1, 2, 2), 0.01))[0]
    tensor([[-1.2748, -1.2748],
            [-1.2748, -1.2748]])
    """
    return (0.5 * errors.log2() + HALF_LOG_2PIE).mean(1)


@dataclass(frozen=True)
class Decoders:
    """How decoders are trained, one for each layer, on images of the training split.

    images: of the training split, at most; a fifth of them choose the best epoch. width: of `models.Decoder`. epochs,
    batch_size, rate: of Adam. draws: of noise, for the uncertainty.
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

    def trained(self, f: Activation, images: Tensor, seed: int) -> Callable[[Tensor], Tensor]:
        """A decoder of f's activations, as a function of them; images: those of the training split."""
        rows = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[: self.images]
        images, device = images[rows.to(images.device)], images.device
        with torch.no_grad():
            activations = torch.cat([f(batch).cpu() for batch in images.split(at_once(images[:1]))])
        images, held = images.cpu(), ceil(len(images) / 5)
        parts = {"train": slice(held, None), "val": slice(0, held), "test": slice(0, held)}
        data = Data("decoder", "reconstruction", (), **{p: _split(activations, images, s) for p, s in parts.items()})
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
