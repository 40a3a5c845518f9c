"""U-Net with named taps and skips that can be switched."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from models import checks
from models.blocks import ConvBlock, initialise, layer
from models.padding import pad
from models.taps import Point, Tap, order_taps, sigmoid, softmax

SKIPS = {"all": "cat", "none": "off", "add": "add"}
MODES = ("cat", "add", "off")
UPS = ("transpose", "interpolate")


class Skip(nn.Module):
    """A skip connection: the encoder's branch (N, in_channels, *spatial) to (N, channels, *spatial).

    The branch is unchanged, except that "add" between unequal widths projects it with a 1x1 convolution.

    Args:
        mode: How the decoder merges the branch: "cat", "add", or "off". The decoder does not call a skip that is "off".
        in_channels: Channels of the branch.
        out_channels: Width of the decoder's level.
        spatial_dims: 2 or 3.
    """

    def __init__(self, mode: str, in_channels: int, out_channels: int, spatial_dims: int = 2):
        super().__init__()
        self.mode = checks.choice("skips", mode, MODES)
        projects = mode == "add" and in_channels != out_channels
        self.project = layer("Conv", spatial_dims)(in_channels, out_channels, 1) if projects else nn.Identity()

    def forward(self, branch: Tensor) -> Tensor:
        return self.project(branch.view_as(branch))  # a separate view, which has the gradient of the skip alone

    def extra_repr(self) -> str:
        return f"mode={self.mode!r}"


class UNet(nn.Module):
    """A U-Net: images (N, in_channels, *spatial) to logits (N, out_channels, *spatial), for any spatial size.

    Levels are numbered from 1, full resolution, to len(widths), the bottleneck, with len(widths) - 1 poolings. If the
    poolings can't divide a size, the images are padded with zeros on both sides, as the convolutions do. The padding is
    removed before `out`.

    Args:
        in_channels: Channels of the images.
        out_channels: Channels of the logits.
        widths: Channels of each level of the encoder, bottleneck last.
        skips: "all" concatenates at all levels, "add" adds at all levels, "none" has no skips; or a list of cat | add |
            off for the levels above the bottleneck, full resolution first. Adding projects unequal widths, see `Skip`.
        decoder_widths: Channels of each level of the decoder, full resolution first. None takes those of the encoder.
        convs_per_level: Convolution blocks per level.
        norm: none | batch | instance | group. The number of groups is the largest one up to 8 that divides the
            channels.
        activation: A key of `models.blocks.ACTIVATIONS`.
        up: "transpose" (2x2, stride 2) or "interpolate" ((bi-, tri-)linear, with a 1x1 convolution).
        spatial_dims: 2 or 3.
        init: "torch" or "glorot".
        multilabel: Whether the classes do not exclude each other; probabilities are then sigmoids, not a softmax.
        separable: Whether the convolution blocks are depthwise-separable, see `SeparableConv`. The first one is not: it
            reads the image, which has few channels.

    Raises:
        ValueError: No network can be built from an argument, or images have another shape.

    References:
        The defaults are the network of Lee & Bajić, ISBI 2021, arXiv 2101.08427. The design is that of Ronneberger et
            al., MICCAI 2015, arXiv 1505.04597.

    Examples:
        >>> sum(parameter.numel() for parameter in UNet().parameters())
        1941105
        >>> UNet(widths=(4, 8), skips="add")(torch.zeros(2, 3, 9, 7)).shape
        torch.Size([2, 1, 9, 7])
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64, 128, 256),
        skips: str | Sequence[str] = "all",
        decoder_widths: Sequence[int] | None = None,
        convs_per_level: int = 2,
        norm: str = "none",
        activation: str = "relu",
        up: str = "transpose",
        spatial_dims: int = 2,
        init: str = "torch",
        multilabel: bool = False,
        separable: bool = False,
    ):
        super().__init__()
        self.in_channels = checks.count("in_channels", in_channels)
        self.out_channels = checks.count("out_channels", out_channels)
        self.widths = checks.counts("widths", widths, least=2, fix="give one per level, such as [8, 16, 32]")
        self.depth = len(self.widths) - 1
        self.skips = _skip_modes(skips, self.depth)
        self.decoder_widths = _decoder_widths(decoder_widths, self.widths)
        self.convs_per_level = checks.count("convs_per_level", convs_per_level)
        self.up = up
        self.spatial_dims = spatial_dims
        self.multilabel = checks.choice("multilabel", multilabel, (True, False))
        self.separable = checks.choice("separable", separable, (True, False))
        self.pool = layer("MaxPool", spatial_dims)(2)

        def level(in_channels: int, width: int, *, first: bool = False) -> nn.Sequential:
            channels = pairwise([in_channels] + [width] * self.convs_per_level)
            block = partial(ConvBlock, norm=norm, activation=activation, spatial_dims=spatial_dims)
            blocks = [block(*c, separable=separable and not (first and i == 0)) for i, c in enumerate(channels)]
            return nn.Sequential(OrderedDict((f"conv{i}", block) for i, block in enumerate(blocks, 1)))

        encoder = (self.in_channels, *self.widths)
        for number in self.levels:
            self.add_module(f"enc{number}", level(*encoder[number - 1 : number + 1], first=number == 1))
        self.bottleneck = level(*self.widths[-2:])

        below = self.widths[-1]
        for number in reversed(self.levels):
            width, branch, mode = self.decoder_widths[number - 1], self.widths[number - 1], self.skips[number - 1]
            self.add_module(f"up{number}", _up(up, below, width, spatial_dims))
            self.add_module(f"skip{number}", Skip(mode, branch, width, spatial_dims))
            self.add_module(f"dec{number}", level(width + branch if mode == "cat" else width, width))
            below = width
        self.out = layer("Conv", spatial_dims)(below, self.out_channels, 1)
        initialise(self, init)

    @property
    def levels(self) -> range:
        """The levels above the bottleneck, full resolution first."""
        return range(1, self.depth + 1)

    def forward(self, x: Tensor) -> Tensor:
        checks.images(x, self.in_channels, self.spatial_dims)
        x, inside = pad(x, 2**self.depth)
        branches = []
        for number in self.levels:
            branches.append(self.get_submodule(f"enc{number}")(x))
            x = self.pool(branches[-1])  # *spatial to *spatial / 2
        x = self.bottleneck(x)
        for number in reversed(self.levels):
            x = self.get_submodule(f"up{number}")(x)  # *spatial to *spatial * 2
            skip, branch = self.get_submodule(f"skip{number}"), branches.pop()
            if skip.mode == "cat":
                x = torch.cat([skip(branch), x], dim=1)
            elif skip.mode == "add":
                x = skip(branch) + x
            x = self.get_submodule(f"dec{number}")(x)
        return self.out(x[:, :, *inside])

    def taps(self) -> list[Tap]:
        """Return the taps in forward order: convolution blocks, up-convolutions, connected skips and the output."""
        convs = [f"conv{i + 1}" for i in range(self.convs_per_level)]
        points: list[Point] = [(f"enc{number}.{conv}", "encoder", number) for number in self.levels for conv in convs]
        points += [(f"bottleneck.{conv}", "bottleneck", self.depth + 1) for conv in convs]
        for number in reversed(self.levels):
            points.append((f"up{number}", "up", number))
            if self.skips[number - 1] != "off":
                points.append((f"skip{number}", "skip", number))
            points += [(f"dec{number}.{conv}", "decoder", number) for conv in convs]
        points.append(("out", "output", 1))
        return order_taps(points, output=sigmoid if self.multilabel or self.out_channels == 1 else softmax)


def _skip_modes(skips: Any, depth: int) -> tuple[str, ...]:
    """Return the mode of each skip."""
    if isinstance(skips, str) and skips in SKIPS:
        return (SKIPS[skips],) * depth
    if isinstance(skips, str) or not isinstance(skips, Sequence):
        wanted = f"{', '.join(SKIPS)} or a list of {', '.join(MODES)}"
        raise ValueError(f"skips: got {skips!r}, wanted {wanted}; give one mode per level to mix them")
    # YAML reads a bare off as False
    modes = ["off" if mode is False else mode for mode in checks.one_per("skips", skips, depth, "level")]
    return tuple(checks.choice("skips", mode, MODES) for mode in modes)


def _decoder_widths(got: Any, widths: tuple[int, ...]) -> tuple[int, ...]:
    """Return the width of each level of the decoder."""
    if got is None:
        return widths[:-1]
    fix = "give one per level above the bottleneck, such as [8, 16]"
    decoder = checks.counts("decoder_widths", got, fix=fix)
    return checks.one_per("decoder_widths", decoder, len(widths) - 1, "level above the bottleneck")


def _up(up: str, in_channels: int, out_channels: int, spatial_dims: int) -> nn.Module:
    """Build the module that doubles the sides."""
    if checks.choice("up", up, UPS) == "transpose":
        return layer("ConvTranspose", spatial_dims)(in_channels, out_channels, kernel_size=2, stride=2)
    # a 1x1 convolution commutes with interpolation, and is cheaper before it
    project = layer("Conv", spatial_dims)(in_channels, out_channels, 1)
    linear = {2: "bilinear", 3: "trilinear"}[spatial_dims]
    return nn.Sequential(project, nn.Upsample(scale_factor=2, mode=linear, align_corners=False))
