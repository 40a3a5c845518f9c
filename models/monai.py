"""Segmentation networks of MONAI, in two and three dimensions, with taps and with skips that are modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from models import checks
from models.monai_networks import ADAPTED
from models.padding import padded
from models.taps import Tap
from models.tracing import device_of, place, said_by, traced_taps


class Monai(nn.Module):
    """Images (N, in_channels, *input_size) to logits of as many sides, by a network of MONAI.

    Sides that the network can't divide are padded as in `UNet`; UNETR takes images of input_size alone.

    network: UNet, BasicUNet, AttentionUnet, SegResNet, UNETR or SwinUNETR.
    arguments: of its class, by MONAI's names; UNet and AttentionUnet have channels of 16, 32, 64, 128 and strides of 2
        where nothing else is said.
    input_size: of the images that levels are found by, and that UNETR is made for.

    Raises ValueError for another network, and for what MONAI refuses.

    >>> network = Monai("SegResNet", {"init_filters": 8, "blocks_down": (1, 1), "blocks_up": (1,)}, spatial_dims=2)
    >>> [(tap.name, tap.level) for tap in network.taps()]
    [('enc1', 1), ('bottleneck', 2), ('up1', 1), ('skip1', 1), ('dec1', 1), ('out', 1)]
    """

    def __init__(
        self,
        network: str = "UNet",
        arguments: Mapping | None = None,
        in_channels: int = 1,
        out_channels: int = 1,
        spatial_dims: int = 3,
        input_size: Sequence[int] | None = None,
    ):
        super().__init__()
        self.in_channels = checks.count("in_channels", in_channels)
        self.out_channels = checks.count("out_channels", out_channels)
        self.spatial_dims = checks.choice("spatial_dims", spatial_dims, (2, 3))
        self.input_size = checks.counts("input_size", (64,) * spatial_dims if input_size is None else input_size)
        self.name = network
        adapt = ADAPTED[checks.choice("network", network, ADAPTED)]
        common = {"in_channels": in_channels, "out_channels": out_channels, "spatial_dims": spatial_dims}
        with said_by(f"MONAI's {network}"):
            self.network, self.multiple, self.places = adapt(common | dict(arguments or {}), self.input_size)
        self.out = nn.Identity()

    @property
    def widths(self) -> tuple[int, ...]:
        """Of each level, as the network's class takes them; none where one number decides all."""
        return tuple(getattr(self.network, "channels", None) or getattr(self.network, "features", ()))

    def forward(self, x: Tensor) -> Tensor:
        checks.images(x, self.in_channels, self.spatial_dims)
        x, inside = padded(x, self.multiple)
        return self.out(self.network(x)[:, :, *inside])

    def taps(self) -> list[Tap]:
        """Every stage of the encoder, the bottleneck, every up-sampling, skip and block of the decoder, the output."""
        image = torch.zeros(1, self.in_channels, *self.input_size, device=device_of(self))
        return traced_taps(self, padded(image, self.multiple)[0], [*self.places, place("out", "out", "output")])
