"""Layer maps: the information about each cell of an image that layers discard, from Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from bench.diagnostics.discarding import Discarding, WaterFilling, strict_information_discarding
from bench.diagnostics.discarding.distortion import Activation
from bench.diagnostics.discarding.grids import resolve_grid
from bench.errors import InputError
from bench.layers.hooks import function_up_to
from bench.layers.measure import with_taps
from bench.layers.samples import joined
from bench.layers.selection import choose_taps, named_rng, taps_of
from models.tracing import device_of


def discarding(
    network: nn.Module,
    images: Any,
    *,
    layers: str | Sequence[str] | None = None,
    grid: int | Sequence[int] | None = None,
    beta: float = 1.5,
    tau: float = 0.01,
    refine: int = 100,
    seed: int = 0,
) -> dict[str, Discarding]:
    """Measure how much information about each cell of an image the layers of a network discard.

    For each layer, noise on the image has the largest entropy for which the mean squared change of the activation is at
    most β δ². The unit δ² is the mean squared change for noise of standard deviation τ. A high entropy means that the
    layer has discarded the cell. The network does not change.

    Args:
        network: Any `torch.nn.Module` of images (n, channels, *spatial) that gradients pass through.
        images: (n, channels, *spatial), a tensor, an array or batches. They are scaled to [0, 1] if any pixel lies
            outside, and the noise is in these units.
        layers: Names or patterns of layers, as in `bench.measure`.
        grid: Number of cells along each axis: one number, or one per axis. None takes the largest divisors up to 16.
        beta: Bound β on the distortion, in units of δ².
        tau: Noise τ that defines δ².
        refine: Number of steps that refine the closed form. They matter if the network is far from linear.
        seed: Seed of the noise.

    Returns:
        A `Discarding` for each layer, whose fields have an axis for the images. `entropy_bits` (n, *grid) is the map,
        and `sid_bits` (n,) is its mean. All are on the CPU.

    Raises:
        InputError: Shapes, layers or settings do not fit.
        EstimationError: A layer does not depend on any image, or no gradient passes through it.

    References:
        Ma et al. 2022, ICML, arXiv 1906.04109, SID. The source uses nats and gradient descent.

    Examples:
        >>> network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 1, 1))
        >>> images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> {name: found.entropy_bits.shape for name, found in discarding(network, images, grid=4, refine=0).items()}
        {'1': torch.Size([2, 4, 4]), '2': torch.Size([2, 4, 4])}
    """
    images = joined(images, "images").float()
    if images.dim() not in (4, 5):
        raise InputError(f"images: got the shape {tuple(images.shape)}, wanted (n, channels, *spatial), 2-D or 3-D")
    names = [layers] if isinstance(layers, str) else layers
    tapped = with_taps(network, images, names)
    least, most = float(images.min()), float(images.max())
    low, span = (0.0, 1.0) if least >= 0 and most <= 1 else (least, most - least)
    x = ((images - low) / span).to(device_of(network))
    cells = resolve_grid(grid, images.shape[2:])

    def from_units(activation: Activation) -> Activation:
        return lambda pixels: activation(low + span * pixels)

    found = {}
    for tap in choose_taps(taps_of(tapped), names):
        rng = torch.Generator().manual_seed(int(named_rng(seed, "discarding", tap.name).integers(2**62)))
        measured = strict_information_discarding(
            from_units(function_up_to(tapped, tap)),
            x,
            grid=cells,
            beta=beta,
            tau=tau,
            rng=rng,
            solver=WaterFilling(refine=refine),
        )
        found[tap.name] = Discarding(*(values.cpu() for values in vars(measured).values()))
    return found
