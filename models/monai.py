"""Segmentation networks of MONAI in two and three dimensions, with taps and with skips as modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from models import checks
from models.monai_networks import ADAPTED, Merging
from models.padding import pad
from models.taps import Tap
from models.tracing import device_of, make_tap, traced_taps, wrap_errors


class Monai(nn.Module):
    """A network of MONAI: images (N, in_channels, *input_size) to logits of the same size.

    Images whose sides the network can't divide are padded as in `UNet`. UNETR takes only images of input_size.

    Args:
        network: UNet, BasicUNet, AttentionUnet, SegResNet, UNETR or SwinUNETR.
        arguments: Arguments of its class, by MONAI's names. By default, UNet and AttentionUnet have channels of 16, 32,
            64, 128 and strides of 2.
        in_channels: Channels of the images.
        out_channels: Channels of the logits.
        spatial_dims: 2 or 3.
        input_size: Size of the images that determine the levels of the taps, and for which UNETR is built.

    Raises:
        ValueError: The network is unknown, or MONAI refuses an argument.

    Examples:
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
        with wrap_errors(f"MONAI's {network}"):
            self.network, self.multiple, self.points = adapt(common | dict(arguments or {}), self.input_size)
        self.out = nn.Identity()

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each level, as the network's class takes them; empty if one number decides all widths."""
        return tuple(getattr(self.network, "channels", ()) or getattr(self.network, "features", ()))

    def library_name(self, name: str) -> str:
        """Return the name of a weight in MONAI's network, as its checkpoints have it."""
        for path, module in self.named_modules():
            if isinstance(module, Merging):
                name = name.replace(f"{path}.block.", f"{path}.")
        return name.removeprefix("network.")

    def forward(self, x: Tensor) -> Tensor:
        checks.images(x, self.in_channels, self.spatial_dims)
        x, inside = pad(x, self.multiple)
        return self.out(self.network(x)[:, :, *inside])

    def taps(self) -> list[Tap]:
        """Return the taps: encoder stages, bottleneck, up-samplings, skips, blocks of the decoder and the output."""
        image = torch.zeros(1, self.in_channels, *self.input_size, device=device_of(self))
        return traced_taps(self, pad(image, self.multiple)[0], [*self.points, make_tap("out", "out", "output")])
