"""MONAI's segmentation networks, with their skips as modules and their taps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod

import torch
from monai.networks import nets
from torch import Tensor, nn

from models.taps import Tap
from models.tracing import make_tap
from models.unet import Skip

CHANNELS = (16, 32, 64, 128)  # used because MONAI has no default

Adapted = tuple[nn.Module, int, list[Tap]]  # the network, the divisor of sides, the taps


class Crossing(nn.Module):
    """MONAI's SkipConnection by concatenation, with its skip as a module."""

    def __init__(self, below: nn.Module, channels: int):
        super().__init__()
        self.skip, self.submodule = Skip("cat", channels, channels), below

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.skip(x), self.submodule(x)], dim=1)


class Merging(nn.Module):
    """A block of a decoder that merges the activation from below with a skip, with its skip as a module."""

    def __init__(self, block: nn.Module, channels: int):
        super().__init__()
        self.skip, self.block = Skip("cat", channels, channels), block

    def forward(self, below: Tensor, branch: Tensor) -> Tensor:
        return self.block(below, self.skip(branch))


class SegResNet(nets.SegResNet):
    """MONAI's SegResNet with its skips as modules."""

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
        below = network.get_submodule(f"{parent}.1.submodule")
        network.set_submodule(f"{parent}.1", Crossing(below, width))
    down = [make_tap(f"enc{i}", f"network.{parent}.0", "encoder") for i, parent in enumerate(parents, 1)]
    up = []
    for i, parent in reversed(list(enumerate(parents, 1))):
        up.append(make_tap(f"skip{i}", f"network.{parent}.1.skip", "skip"))
        up += [make_tap(f"dec{i}", f"network.{parent}.2", "decoder")] if i > 1 else []
    return network, prod(network.strides), [*down, make_tap("bottleneck", f"network.{bottom}", "bottleneck"), *up]


def _attention_unet(arguments: dict, size: Sequence[int]) -> Adapted:
    network = nets.AttentionUnet(**_strided(arguments))
    layers = ["network.model.1" + ".submodule.1" * i for i in range(len(network.channels) - 1)]
    encoder = ["network.model.0", *(f"{layer}.submodule.0" for layer in layers[:-1])]
    taps = [make_tap(f"enc{i}", path, "encoder") for i, path in enumerate(encoder, 1)]
    taps.append(make_tap("bottleneck", f"{layers[-1]}.submodule", "bottleneck"))
    for i, layer in reversed(list(enumerate(layers, 1))):
        taps += _step(i, up=f"{layer}.upconv", skip=f"{layer}.attention", block=f"{layer}.merge")
    return network, prod(network.strides), taps


def _strided(arguments: dict) -> dict:
    channels = arguments.get("channels", CHANNELS)
    return {"channels": channels, "strides": (2,) * (len(channels) - 1)} | arguments


def _basic_unet(arguments: dict, size: Sequence[int]) -> Adapted:
    network = nets.BasicUNet(**arguments)
    features = tuple(arguments.get("features", (32, 32, 64, 128, 256, 32)))  # MONAI's default
    network.features = features  # type: ignore[assignment]  # PyTorch declares only tensors and modules
    taps = [make_tap("enc1", "network.conv_0", "encoder")]
    taps += [make_tap(f"enc{i + 1}", f"network.down_{i}", "encoder") for i in (1, 2, 3)]
    taps.append(make_tap("bottleneck", "network.down_4", "bottleneck"))
    for i in (4, 3, 2, 1):
        setattr(network, f"upcat_{i}", Merging(network.get_submodule(f"upcat_{i}"), features[i - 1]))
        path = f"network.upcat_{i}"
        taps += _step(i, up=f"{path}.block.upsample", skip=f"{path}.skip", block=path)
    return network, 2**4, taps


def _step(number: int, up: str, skip: str, block: str) -> list[Tap]:
    """Make the taps of one step of a decoder: up-sampling, skip, and the block that merges them."""
    return [
        make_tap(f"up{number}", up, "up"),
        make_tap(f"skip{number}", skip, "skip"),
        make_tap(f"dec{number}", block, "decoder"),
    ]


def _segresnet(arguments: dict, size: Sequence[int]) -> Adapted:
    network = SegResNet(**arguments)
    *above, bottom = [f"network.down_layers.{i}" for i in range(len(network.down_layers))]
    taps = [make_tap(f"enc{i}", path, "encoder") for i, path in enumerate(above, 1)]
    taps.append(make_tap("bottleneck", bottom, "bottleneck"))
    for i in range(len(above)):
        up, skip, block = (f"network.{part}.{i}" for part in ("up_samples", "skips", "up_layers"))
        taps += _step(len(above) - i, up, skip, block)
    return network, 2 ** len(above), taps


def _unetr(arguments: dict, size: Sequence[int]) -> Adapted:
    side = 16  # side of MONAI's patches
    grid = [-(-length // side) for length in size]
    network = nets.UNETR(**{"img_size": [side * cells for cells in grid]} | arguments)
    maps = partial(_maps, grid=grid)
    taps = [make_tap(f"vit{i}", f"network.vit.blocks.{i}", "encoder", maps) for i in (3, 6, 9)]
    taps.append(make_tap("bottleneck", "network.vit.norm", "bottleneck", maps))
    for i in (4, 3, 2, 1):
        path = f"network.decoder{i + 1}"
        taps += _step(i, up=f"{path}.transp_conv", skip=f"network.encoder{i}", block=path)
    return network, side, taps


def _maps(tokens: Tensor, grid: Sequence[int]) -> Tensor:
    """Turn tokens (N, tokens, channels) into maps (N, channels, *grid)."""
    return tokens.transpose(1, 2).unflatten(2, grid)


def _swin_unetr(arguments: dict, size: Sequence[int]) -> Adapted:
    network = nets.SwinUNETR(**arguments)
    network.add_module("decoder5", Merging(network.decoder5, 8 * arguments.get("feature_size", 24)))
    taps = [make_tap("enc1", "network.swinViT.patch_embed", "encoder")]
    taps += [make_tap(f"enc{i + 1}", f"network.swinViT.layers{i}.0", "encoder") for i in (1, 2, 3, 4)]
    taps += [make_tap("bottleneck", "network.encoder10", "bottleneck")]
    path = "network.decoder5"
    taps += _step(5, up=f"{path}.block.transp_conv", skip=f"{path}.skip", block=path)
    for i in (4, 3, 2, 1):
        path = f"network.decoder{i}"
        taps += _step(i, up=f"{path}.transp_conv", skip=f"network.encoder{i}", block=path)
    return network, network.patch_size**5, taps


ADAPTED: dict[str, Callable[[dict, Sequence[int]], Adapted]] = {
    "UNet": _unet,
    "BasicUNet": _basic_unet,
    "AttentionUnet": _attention_unet,
    "SegResNet": _segresnet,
    "UNETR": _unetr,
    "SwinUNETR": _swin_unetr,
}
