"""Designs of segmentation-models-pytorch: name and depth of the encoder, widths of the decoder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.errors import InputError
from bench.pruning.designs.base import Slot, Swap, SwapKind
from bench.pruning.designs.levels import Levels
from models import Smp

WITH_WIDTHS = ("unet", "manet")  # architectures whose decoder has one width per block
LEAST_DEPTH = 2


@dataclass(frozen=True)
class SmpDesign(Levels):
    """Design of a network of segmentation-models-pytorch.

    The encoder's name fixes the widths inside the encoder, and its stages fix the skips. Level 1 has full resolution,
    so stage i of the encoder has level i + 1.

    Attributes:
        encoder: Name of the encoder.
        decoder_channels: Channels of each block of the decoder, the deepest first. There are as many blocks as the
            encoder has stages.

    Examples:
        >>> design = SmpDesign("resnet34", (64, 32, 16))
        >>> [str(part) for part in design.removals()], [str(swap) for swap in design.swaps()]
        (['level 4'], ['encoder resnet18'])
        >>> design.without_bottom().decoder_channels
        (32, 16)
    """

    encoder: str
    decoder_channels: tuple[int, ...]

    @classmethod
    def of(cls, network: Smp) -> SmpDesign:
        if network.architecture not in WITH_WIDTHS:
            raise InputError(
                f"model.architecture: got {network.architecture}, whose parts can't be chosen separately; wanted one "
                f"of {', '.join(WITH_WIDTHS)}, or a sweep over its arguments"
            )
        assert isinstance(network.decoder_channels, Sequence)  # as all architectures of WITH_WIDTHS have it
        return cls(network.encoder_name, tuple(network.decoder_channels))

    @property
    def depth(self) -> int:
        """Number of stages of the encoder."""
        return len(self.decoder_channels)

    @property
    def levels(self) -> int:
        return self.depth + 1

    @property
    def fewest(self) -> int:
        return LEAST_DEPTH + 1

    @property
    def stages(self) -> dict[int, str]:
        return {stage + 1: f"enc{stage}" for stage in range(1, self.depth)}

    def arguments(self) -> dict:
        widths = list(self.decoder_channels)
        return {"encoder_name": self.encoder, "encoder_depth": self.depth, "decoder_channels": widths}

    def slots(self) -> list[Slot]:
        blocks = [f"decoder.blocks.{number}" for number in range(self.depth)]
        return [
            Slot(f"decoder {self.depth - number}", block, width, ((f"{block}.conv2.0", f"{block}.conv2.1"),))
            for number, (block, width) in enumerate(zip(blocks, self.decoder_channels, strict=True))
        ]

    def with_widths(self, widths: Sequence[int]) -> SmpDesign:
        return replace(self, decoder_channels=tuple(widths))

    def from_below(self, level: int) -> str:
        return "bottleneck" if level == self.levels else f"decoder.blocks.{self.levels - 1 - level}"

    def swaps(self) -> dict[Swap, SmpDesign]:
        from segmentation_models_pytorch.encoders import get_encoder_names  # optional package

        family = re.sub(r"\d+", "#", self.encoder, count=1)
        smaller = [name for name in get_encoder_names() if re.sub(r"\d+", "#", name, count=1) == family]
        smaller = [name for name in smaller if _size(name) < _size(self.encoder)]
        return {
            Swap(SwapKind.SMALLER_ENCODER, f"encoder {name}"): replace(self, encoder=name)
            for name in sorted(smaller, key=_size, reverse=True)
        }

    def without_bottom(self) -> SmpDesign:
        return replace(self, decoder_channels=self.decoder_channels[1:])


def _size(encoder: str) -> int:
    """Return the number in an encoder's name, which grows with the encoder's size in its family."""
    found = re.search(r"\d+", encoder)
    return int(found.group()) if found else 0
