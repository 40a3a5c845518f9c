"""Segmentation networks of MONAI, in two and three dimensions, with taps and with skips that are modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod

import torch
from monai.networks import nets
from torch import Tensor, nn

from models import checks
from models.padding import padded
from models.taps import Tap
from models.tracing import place, said_by, traced_taps
from models.unet import Skip

CHANNELS = (16, 32, 64, 128)  # where MONAI has no default


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
        image = torch.zeros(1, self.in_channels, *self.input_size, device=next(self.parameters()).device)
        return traced_taps(self, padded(image, self.multiple)[0], [*self.places, place("out", "out", "output")])


Adapted = tuple[nn.Module, int, list[Tap]]  # the network, what sides are to be multiples of, where to tap


class Crossing(nn.Module):
    """MONAI's SkipConnection by concatenation, with its skip as a module."""

    def __init__(self, below: nn.Module, channels: int):
        super().__init__()
        self.skip, self.submodule = Skip("cat", channels, channels), below

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.skip(x), self.submodule(x)], dim=1)


class Merging(nn.Module):
    """A block of a decoder, of what comes from below and a skip, with its skip as a module."""

    def __init__(self, block: nn.Module, channels: int):
        super().__init__()
        self.skip, self.block = Skip("cat", channels, channels), block

    def forward(self, below: Tensor, branch: Tensor) -> Tensor:
        return self.block(below, self.skip(branch))


class SegResNet(nets.SegResNet):
    """MONAI's, with its skips as modules."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        widths = [self.init_filters * 2**i for i in reversed(range(len(self.up_layers)))]
        self.skips = nn.ModuleList(Skip("add", width, width) for width in widths)

    def decode(self, x: Tensor, down_x: list[Tensor]) -> Tensor:
        branches = [skip(branch) for skip, branch in zip(self.skips, down_x[1:], strict=True)]
        return super().decode(x, [x, *branches])


def _unet(arguments: dict, size: Sequence[int]) -> Adapted:
    network = nets.UNet(**_strided(arguments))
    *parents, bottom = ["model" + ".1.submodule" * i for i in range(len(network.channels))]
    for parent, width in zip(parents, network.channels, strict=False):
        block = network.get_submodule(parent)
        block[1] = Crossing(block[1].submodule, width)
    down = [place(f"enc{i}", f"network.{parent}.0", "encoder") for i, parent in enumerate(parents, 1)]
    up = []
    for i, parent in reversed(list(enumerate(parents, 1))):
        up.append(place(f"skip{i}", f"network.{parent}.1.skip", "skip"))
        up += [place(f"dec{i}", f"network.{parent}.2", "decoder")] if i > 1 else []
    return network, prod(network.strides), [*down, place("bottleneck", f"network.{bottom}", "bottleneck"), *up]


def _attention_unet(arguments: dict, size: Sequence[int]) -> Adapted:
    network = nets.AttentionUnet(**_strided(arguments))
    layers = ["network.model.1" + ".submodule.1" * i for i in range(len(network.channels) - 1)]
    encoder = ["network.model.0", *(f"{layer}.submodule.0" for layer in layers[:-1])]
    places = [place(f"enc{i}", path, "encoder") for i, path in enumerate(encoder, 1)]
    places.append(place("bottleneck", f"{layers[-1]}.submodule", "bottleneck"))
    for i, layer in reversed(list(enumerate(layers, 1))):
        places += [
            place(f"up{i}", f"{layer}.upconv", "up"),
            place(f"skip{i}", f"{layer}.attention", "skip"),
            place(f"dec{i}", f"{layer}.merge", "decoder"),
        ]
    return network, prod(network.strides), places


def _strided(arguments: dict) -> dict:
    channels = arguments.get("channels", CHANNELS)
    return {"channels": channels, "strides": (2,) * (len(channels) - 1)} | arguments


def _basic_unet(arguments: dict, size: Sequence[int]) -> Adapted:
    network = nets.BasicUNet(**arguments)
    network.features = tuple(arguments.get("features", (32, 32, 64, 128, 256, 32)))  # MONAI's own
    places = [place("enc1", "network.conv_0", "encoder")]
    places += [place(f"enc{i + 1}", f"network.down_{i}", "encoder") for i in (1, 2, 3)]
    places.append(place("bottleneck", "network.down_4", "bottleneck"))
    for i in (4, 3, 2, 1):
        setattr(network, f"upcat_{i}", Merging(network.get_submodule(f"upcat_{i}"), network.features[i - 1]))
        places += _merged(i, f"network.upcat_{i}", up="block.upsample")
    return network, 2**4, places


def _merged(i: int, path: str, up: str) -> list[Tap]:
    """A `Merging`'s up-sampling, skip and block."""
    skip, block = place(f"skip{i}", f"{path}.skip", "skip"), place(f"dec{i}", path, "decoder")
    return [place(f"up{i}", f"{path}.{up}", "up"), skip, block]


def _segresnet(arguments: dict, size: Sequence[int]) -> Adapted:
    network = SegResNet(**arguments)
    *above, bottom = [f"network.down_layers.{i}" for i in range(len(network.down_layers))]
    places = [place(f"enc{i}", path, "encoder") for i, path in enumerate(above, 1)]
    places.append(place("bottleneck", bottom, "bottleneck"))
    for i in range(len(above)):
        level = len(above) - i
        places += [
            place(f"up{level}", f"network.up_samples.{i}", "up"),
            place(f"skip{level}", f"network.skips.{i}", "skip"),
            place(f"dec{level}", f"network.up_layers.{i}", "decoder"),
        ]
    return network, 2 ** len(above), places


def _unetr(arguments: dict, size: Sequence[int]) -> Adapted:
    side = 16  # of MONAI's patches
    grid = [-(-length // side) for length in size]
    network = nets.UNETR(**{"img_size": [side * cells for cells in grid]} | arguments)
    maps = partial(_maps, grid=grid)
    places = [place(f"vit{i}", f"network.vit.blocks.{i}", "encoder", maps) for i in (3, 6, 9)]
    places.append(place("bottleneck", "network.vit.norm", "bottleneck", maps))
    for i in (4, 3, 2, 1):
        path = f"network.decoder{i + 1}"
        places += [
            place(f"up{i}", f"{path}.transp_conv", "up"),
            place(f"skip{i}", f"network.encoder{i}", "skip"),
            place(f"dec{i}", path, "decoder"),
        ]
    return network, side, places


def _maps(tokens: Tensor, grid: Sequence[int]) -> Tensor:
    """(N, tokens, channels) to (N, channels, *grid)."""
    return tokens.transpose(1, 2).unflatten(2, grid)


def _swin_unetr(arguments: dict, size: Sequence[int]) -> Adapted:
    network = nets.SwinUNETR(**arguments)
    network.decoder5 = Merging(network.decoder5, 8 * arguments.get("feature_size", 24))
    places = [place("enc1", "network.swinViT.patch_embed", "encoder")]
    places += [place(f"enc{i + 1}", f"network.swinViT.layers{i}.0", "encoder") for i in (1, 2, 3, 4)]
    places += [place("bottleneck", "network.encoder10", "bottleneck")]
    places += _merged(5, "network.decoder5", up="block.transp_conv")
    for i in (4, 3, 2, 1):
        path = f"network.decoder{i}"
        places += [
            place(f"up{i}", f"{path}.transp_conv", "up"),
            place(f"skip{i}", f"network.encoder{i}", "skip"),
            place(f"dec{i}", path, "decoder"),
        ]
    return network, network.patch_size**5, places


ADAPTED: dict[str, Callable[[dict, Sequence[int]], Adapted]] = {
    "UNet": _unet,
    "BasicUNet": _basic_unet,
    "AttentionUnet": _attention_unet,
    "SegResNet": _segresnet,
    "UNETR": _unetr,
    "SwinUNETR": _swin_unetr,
}
