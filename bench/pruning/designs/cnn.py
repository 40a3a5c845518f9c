"""Designs of a plain CNN: filters of its stages, units of its fully connected layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.pruning.designs.base import Cut, Pair, Part, Slot, Swap
from models import CNN


@dataclass(frozen=True)
class CNNDesign:
    """Design of a plain CNN.

    Attributes:
        filters: Filters of each stage.
        hidden: Units of each fully connected layer.
        convs: Paths of the convolutions of each stage.

    Examples:
        >>> [slot.name for slot in CNNDesign((8, 16), (32,), (("conv1",), ("conv2",))).slots()]
        ['stage 1', 'stage 2', 'fc 1']
    """

    filters: tuple[int, ...]
    hidden: tuple[int, ...]
    convs: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, network: CNN) -> CNNDesign:
        features = [tap for tap in network.taps() if tap.role == "feature"]
        stages = range(1, len(network.filters) + 1)
        convs = tuple(tuple(tap.module for tap in features if tap.level == stage) for stage in stages)
        return cls(network.filters, network.hidden, convs)

    def arguments(self) -> dict:
        return {"filters": list(self.filters), "hidden": list(self.hidden)}

    def slots(self) -> list[Slot]:
        stages = [
            Slot(f"stage {number}", convs[-1], width, tuple((f"{conv}.0", f"{conv}.1") for conv in convs))
            for number, (convs, width) in enumerate(zip(self.convs, self.filters, strict=True), 1)
        ]
        layers = enumerate(self.hidden, 1)
        return stages + [Slot(f"fc {i}", f"fc{i}", width, ((f"fc{i}.0", None),)) for i, width in layers]

    def tied(self) -> list[list[Slot]]:
        return [[slot] for slot in self.slots()]

    def with_widths(self, widths: Sequence[int]) -> CNNDesign:
        split = len(self.filters)
        return CNNDesign(tuple(widths[:split]), tuple(widths[split:]), self.convs)

    def removals(self) -> dict[Part, CNNDesign]:
        return {}

    def pairs(self) -> list[Pair]:
        return []

    def removed_parts(self, base: CNNDesign) -> list[Part]:
        return []

    def cut(self, base: CNNDesign) -> Cut:
        return Cut()

    def swaps(self) -> dict[Swap, CNNDesign]:
        return {}

    def shuffled(self, rng: np.random.Generator) -> CNNDesign:
        return self
