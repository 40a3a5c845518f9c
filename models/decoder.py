"""A small network that reconstructs an image from the activation of one layer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import ceil, log2, prod

import torch.nn.functional as F
from torch import Tensor, nn

from models import checks
from models.blocks import ConvBlock, layer

MOST_MAPS, SMALLEST = 4, 4  # largest number of maps as a multiple of width; cells per side for a vector


class Decoder(nn.Module):
    """Decoder from activations (N, *activation) to images (N, *image) of real numbers.

    The activation is normalised to mean 0 and variance 1. Maps are doubled up to the size of the image, with a 3x3
    convolution before each doubling and one at the end. A linear layer first spreads a vector over 4 cells per side.

    Args:
        activation: Shape without the axis of the batch, (channels, *spatial) or (features,).
        image: Shape without the axis of the batch, (channels, *spatial).
        width: Number of channels at full resolution; up to four times as many at lower resolutions.

    Examples:
        >>> import torch
        >>> Decoder(activation=(64, 4, 4), image=(1, 28, 28))(torch.zeros(2, 64, 4, 4)).shape
        torch.Size([2, 1, 28, 28])
    """

    def __init__(self, activation: Sequence[int], image: Sequence[int], width: int = 16):
        super().__init__()
        checks.count("width", width)
        channels, *size = image
        self.size, dims = tuple(size), len(size)
        self.start = tuple(activation[1:]) or tuple(min(SMALLEST, side) for side in size)
        doublings = max(0, ceil(max(log2(side / start) for side, start in zip(size, self.start, strict=True))))
        widths = [min(MOST_MAPS, 2**number) * width for number in range(doublings, -1, -1)]
        block = partial(ConvBlock, norm="none", activation="relu", spatial_dims=dims)
        if len(activation) > 1:
            self.begin = layer("BatchNorm", dims)(activation[0])
        else:
            spread = nn.Linear(activation[0], widths[0] * prod(self.start))
            self.begin = nn.Sequential(nn.BatchNorm1d(activation[0]), spread, nn.Unflatten(1, (widths[0], *self.start)))
        first = widths[0] if len(activation) == 1 else activation[0]
        before = [first, *widths[:-1]]
        self.steps = nn.ModuleList(block(a, b) for a, b in zip(before, widths, strict=True))
        self.out = layer("Conv", dims)(widths[-1], channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.begin(x)
        for left, step in zip(reversed(range(len(self.steps))), self.steps, strict=True):
            x = F.interpolate(step(x), size=[ceil(side / 2 ** max(left - 1, 0)) for side in self.size])
        return self.out(x)
