"""Designs of MONAI's U-Nets: the channels of each level and the number of levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bench.errors import InputError
from bench.pruning.designs.base import Slot, convolutions
from bench.pruning.designs.levels import Levels
from models import Monai

WIDTHS = {"UNet": "channels", "AttentionUnet": "channels", "BasicUNet": "features"}  # the argument with the widths
LEAST_WIDTH = {"UNet": 1, "AttentionUnet": 2, "BasicUNet": 2}  # 2 where the class halves a width
LEVELS_OF_BASIC = 5  # fixed by MONAI; the last of its widths is that of the decoder at full resolution


@dataclass(frozen=True)
class MonaiDesign(Levels):
    """Design of a U-Net of MONAI.

    One number decides the widths of encoder and decoder of a level. Its tap reads the channels of the encoder. MONAI's
    skips can't be switched off.

    Attributes:
        network: Name of the class, a key of WIDTHS.
        channels: Widths in the order of the class's argument, those of the encoder and the bottleneck first. Widths
            that the class can't build are raised to its smallest width.
        strides: Strides between the levels; empty if the class has no such argument.
        convs: Paths of the convolutions of each slot in the trained network; empty for a level that has another layer
            there.

    Examples:
        >>> design = MonaiDesign("UNet", (16, 32, 64), (2, 2), ((), (), ()))
        >>> pair = design.pairs()[-1]
        >>> str(pair.part), pair.asked, pair.given
        ('level 3', 'bottleneck', 'enc2')
    """

    network: str
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    convs: tuple[tuple[str, ...], ...] = field(compare=False)

    @classmethod
    def of(cls, network: Monai) -> MonaiDesign:
        if network.name not in WIDTHS:
            raise InputError(
                f"model.network: got {network.name}, in which one number decides all widths; wanted one of "
                f"{', '.join(WIDTHS)}, or a sweep over +model.arguments.{_number(network)}"
            )
        inner = network.network
        modules = {tap.name: tap.module for tap in network.taps()}
        taps = [*(f"enc{i}" for i in range(1, len(network.widths))), "bottleneck"]
        if network.name == "BasicUNet":
            taps = [*(f"enc{i}" for i in range(1, LEVELS_OF_BASIC)), "bottleneck", "dec1"]
        convs = tuple(
            convolutions(network, modules[tap], width) for tap, width in zip(taps, network.widths, strict=True)
        )
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

    def slots(self) -> list[Slot]:
        names = [(f"level {i}", f"enc{i}") for i in range(1, self.levels)] + [(f"level {self.levels}", "bottleneck")]
        names += [("decoder 1", "dec1")] if self.network == "BasicUNet" else []
        return [
            Slot(name, tap, width, tuple((conv, None) for conv in convs))
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
    """Return the argument that decides all widths of a network."""
    return "init_filters" if network.name == "SegResNet" else "feature_size"
