"""Designs of MONAI's U-Nets: the channels of each level, and how many levels there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from bench.errors import InputError
from bench.pruning.designs.base import Place
from bench.pruning.designs.levels import Levels
from models import Monai

WIDTHS = {"UNet": "channels", "AttentionUnet": "channels", "BasicUNet": "features"}  # argument that has them
LEAST_WIDTH = {"UNet": 1, "AttentionUnet": 2, "BasicUNet": 2}  # two of them halve a width
LEVELS_OF_BASIC = 5  # fixed by MONAI; its last number is the width of the decoder at full resolution


@dataclass(frozen=True)
class MonaiDesign(Levels):
    """network: of WIDTHS; channels: as its class takes them, those of the encoder and bottleneck first.

    One number decides encoder and decoder of a level, where the encoder's channels are asked; MONAI's skips can't be
    left out. Widths below the least that its class can be built with are raised to it.
    convs: the convolutions of each, as the trained network names them; none of what is another layer there.

    >>> design = MonaiDesign("UNet", (16, 32, 64), (2, 2), ((), (), ()))
    >>> list(design.removals()), design.pairs()[-1]
    (['level 3'], Pair(part='level 3', asked='bottleneck', given='enc2'))
    """

    network: str
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    convs: tuple[tuple[str, ...], ...] = field(compare=False)

    @classmethod
    def of(cls, network: Monai) -> MonaiDesign:
        if network.name not in WIDTHS:
            raise InputError(
                f"model.network: got {network.name}, where one number decides all widths, so that no part can be "
                f"chosen alone; wanted one of {', '.join(WIDTHS)}, or a sweep over +model.arguments.{_number(network)}"
            )
        inner = network.network
        modules = {tap.name: tap.module for tap in network.taps()}
        taps = [*(f"enc{i}" for i in range(1, len(network.widths))), "bottleneck"]
        if network.name == "BasicUNet":
            taps = [*(f"enc{i}" for i in range(1, LEVELS_OF_BASIC)), "bottleneck", "dec1"]
        convs = tuple(_convs(network, modules[tap], width) for tap, width in zip(taps, network.widths, strict=True))
        return cls(network.name, network.widths, tuple(getattr(inner, "strides", ())), convs)

    def arguments(self) -> dict:
        chosen = {WIDTHS[self.network]: list(self.channels)}
        return {"arguments": chosen | ({"strides": list(self.strides)} if self.strides else {})}

    @property
    def levels(self) -> int:
        return LEVELS_OF_BASIC if self.network == "BasicUNet" else len(self.channels)

    @property
    def fewest(self) -> int:
        return 2 if self.strides else self.levels

    @property
    def stages(self) -> dict[int, str]:
        return {level: f"enc{level}" for level in range(1, self.levels)}

    def places(self) -> list[Place]:
        names = [(f"level {i}", f"enc{i}") for i in range(1, self.levels)] + [(f"level {self.levels}", "bottleneck")]
        names += [("decoder 1", "dec1")] if self.network == "BasicUNet" else []
        return [
            Place(name, tap, width, tuple((conv, None) for conv in convs))
            for (name, tap), width, convs in zip(names, self.channels, self.convs, strict=True)
        ]

    def with_widths(self, widths: Sequence[int]) -> MonaiDesign:
        return replace(self, channels=tuple(max(LEAST_WIDTH[self.network], width) for width in widths))

    def from_below(self, level: int) -> str:
        if self.network == "AttentionUnet":
            return f"up{level - 1}"
        return "bottleneck" if level == self.levels else f"dec{level}"

    def without_bottom(self) -> MonaiDesign:
        return replace(self, channels=self.channels[:-1], strides=self.strides[:-1], convs=(*self.convs[:-2], ()))


def _number(network: Monai) -> str:
    return "init_filters" if network.name == "SegResNet" else "feature_size"


def _convs(network: nn.Module, path: str, width: int) -> tuple[str, ...]:
    """The convolutions of a module that make so many channels."""
    inside = network.get_submodule(path).named_modules()
    kinds = (nn.Conv2d, nn.Conv3d)
    return tuple(f"{path}.{name}" for name, part in inside if isinstance(part, kinds) and part.out_channels == width)
