"""Designs of a U-Net: depth, widths of encoder and decoder, skips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.pruning.designs.base import Cut, Pair, Part, PartKind, Slot, Swap, SwapKind
from models import UNet

KEPT = 0.75  # probability of a skip in a random design


@dataclass(frozen=True)
class UNetDesign:
    """Design of a U-Net.

    Attributes:
        widths: Channels of each level of the encoder, bottleneck last.
        decoder_widths: Channels of each level of the decoder, full resolution first.
        skips: Mode of the skip of each level above the bottleneck, full resolution first.
        convs: Convolutions per level.
        up: How the decoder doubles the sides, "transpose" or "interpolate".
        separable: Whether the convolutions are depthwise-separable.

    Examples:
        >>> design = UNetDesign((8, 16, 32), (8, 16), ("cat", "cat"), convs=2)
        >>> [str(part) for part in design.removals()]
        ['skip 1', 'skip 2', 'level 3']
        >>> design.removals()[Part(PartKind.LEVEL, 3)].widths
        (8, 16)
    """

    widths: tuple[int, ...]
    decoder_widths: tuple[int, ...]
    skips: tuple[str, ...]
    convs: int = 2
    up: str = "transpose"
    separable: bool = False

    @classmethod
    def of(cls, network: UNet) -> UNetDesign:
        convs, up, separable = network.convs_per_level, network.up, network.separable
        return cls(network.widths, network.decoder_widths, network.skips, convs, up, separable)

    def arguments(self) -> dict:
        return {
            "widths": list(self.widths),
            "decoder_widths": list(self.decoder_widths),
            "skips": list(self.skips),
            "convs_per_level": self.convs,
            "up": self.up,
            "separable": self.separable,
        }

    @property
    def depth(self) -> int:
        """Number of levels above the bottleneck."""
        return len(self.skips)

    def slots(self) -> list[Slot]:
        encoder = [self._slot("encoder", f"enc{level}", level) for level in range(1, self.depth + 1)]
        bottom = self._slot("encoder", "bottleneck", self.depth + 1)
        decoder = [self._slot("decoder", f"dec{level}", level) for level in range(self.depth, 0, -1)]
        return [*encoder, bottom, *decoder]

    def _slot(self, side: str, block: str, level: int) -> Slot:
        width = (self.widths if side == "encoder" else self.decoder_widths)[level - 1]
        convs = [f"{block}.conv{i}" for i in range(1, self.convs + 1)]
        return Slot(f"{side} {level}", convs[-1], width, tuple((self._made_by(conv), f"{conv}.1") for conv in convs))

    def _made_by(self, conv: str) -> str:
        """Return the path of the convolution that makes the channels of a block."""
        first = conv == "enc1.conv1"  # which is never separable
        return f"{conv}.0.pointwise" if self.separable and not first else f"{conv}.0"

    def tied(self) -> list[list[Slot]]:
        """Tie encoder and decoder of a level if their widths are equal; a decoder of minimal width trains badly."""
        slots = self.slots()
        tied = []
        for encoder, decoder in zip(slots[: self.depth], reversed(slots[self.depth + 1 :]), strict=True):
            tied += [[encoder, decoder]] if encoder.width == decoder.width else [[encoder], [decoder]]
        return [*tied, [slots[self.depth]]]

    def with_widths(self, widths: Sequence[int]) -> UNetDesign:
        split = self.depth + 1
        return replace(self, widths=tuple(widths[:split]), decoder_widths=tuple(widths[split:])[::-1])

    def pairs(self) -> list[Pair]:
        """Pair each skip with the activation from below it, and each level with the skip above it.

        A level stands for itself and all levels below it. A skip carries the encoder's last activation of its level.
        """
        pairs = []
        for level, mode in self._levels():
            up, branch = f"up{level}", self.slots()[level - 1].tap
            if mode != "off":
                pairs.append(Pair(Part(PartKind.SKIP, level), branch, up))
            pairs.append(Pair(Part(PartKind.LEVEL, level + 1), up, branch))
        return pairs

    def removed_parts(self, base: UNetDesign) -> list[Part]:
        levels = [Part(PartKind.LEVEL, self.depth + 2)] if self.depth < base.depth else []
        pairs = enumerate(zip(self.skips, base.skips, strict=False), 1)
        skips = [Part(PartKind.SKIP, level) for level, (mode, before) in pairs if mode == "off" != before]
        return levels + skips

    def cut(self, base: UNetDesign) -> Cut:
        """Return the skips down to the deepest change and the activation that comes from below it.

        The decoder predicts the label from these taps alone. If the design has fewer levels than the base, its
        bottleneck is the deepest change, because nothing reaches it from below.

        Examples:
            >>> base = UNetDesign((8, 16, 32), (8, 16), ("cat", "cat"))
            >>> base.removals()[Part(PartKind.SKIP, 1)].cut(base)
            Cut(removed=('enc1.conv2',), kept=('up1',))
            >>> base.removals()[Part(PartKind.LEVEL, 3)].cut(base)
            Cut(removed=('up2',), kept=('enc1.conv2', 'enc2.conv2'))
        """
        shorter = self.depth < base.depth
        without_skip = [level for level, mode in self._levels() if mode == "off" != base.skips[level - 1]]
        deepest = self.depth + 1 if shorter else max(without_skip, default=0)
        if not deepest:
            return Cut()
        taps = {level: base.slots()[level - 1].tap for level in range(1, deepest + 1)}
        removed = [tap for level, tap in taps.items() if level in without_skip]
        kept = [tap for level, tap in taps.items() if level > self.depth or self.skips[level - 1] != "off"]
        (removed if shorter else kept).append(f"up{deepest}")
        return Cut(tuple(removed), tuple(kept))

    def removals(self) -> dict[Part, UNetDesign]:
        skips = [level for level, mode in self._levels() if mode != "off"]
        removals = {Part(PartKind.SKIP, level): self._without_skip(level) for level in skips}
        if self.depth > 1:
            removals[Part(PartKind.LEVEL, self.depth + 1)] = self._without_bottom()
        return removals

    def swaps(self) -> dict[Swap, UNetDesign]:
        swaps = {}
        if self.convs > 1:
            swaps[Swap(SwapKind.ONE_CONVOLUTION, "1 convolution per level")] = replace(self, convs=1)
        if self.up != "interpolate":
            swaps[Swap(SwapKind.INTERPOLATION, "interpolation")] = replace(self, up="interpolate")
        if not self.separable:
            swaps[Swap(SwapKind.SEPARABLE, "separable convolution")] = replace(self, separable=True)
        return swaps

    def shuffled(self, rng: np.random.Generator) -> UNetDesign:
        design = self
        for _ in range(rng.integers(self.depth)):
            design = design._without_bottom()
        skips = tuple(mode if rng.random() < KEPT else "off" for mode in design.skips)
        return replace(design, skips=skips)

    def _levels(self) -> enumerate:
        return enumerate(self.skips, 1)

    def _without_skip(self, level: int) -> UNetDesign:
        return replace(self, skips=tuple("off" if number == level else mode for number, mode in self._levels()))

    def _without_bottom(self) -> UNetDesign:
        return replace(self, widths=self.widths[:-1], decoder_widths=self.decoder_widths[:-1], skips=self.skips[:-1])
