"""Levels: a base class of designs that keep all their skips and can lose only their deepest levels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np

from bench.pruning.designs.base import Cut, Pair, Part, PartKind, Slot, Swap


class Levels(ABC):
    """A design with numbered levels. Level 1 has full resolution."""

    @property
    @abstractmethod
    def levels(self) -> int:
        """Number of levels."""

    @property
    @abstractmethod
    def fewest(self) -> int:
        """Smallest number of levels of a design of the family."""

    @property
    @abstractmethod
    def stages(self) -> dict[int, str]:
        """The encoder's tap at each level that has an encoder stage and a skip, finest level first."""

    @abstractmethod
    def from_below(self, level: int) -> str:
        """Return the tap through which a level and all levels below it reach the decoder."""

    @abstractmethod
    def without_bottom(self) -> Self:
        """Remove the deepest level."""

    @abstractmethod
    def slots(self) -> list[Slot]: ...

    def tied(self) -> list[list[Slot]]:
        return [[slot] for slot in self.slots()]

    def pairs(self) -> list[Pair]:
        """Pair each level, together with all levels below it, with the level above it."""
        levels = range(self.fewest + 1, self.levels + 1)
        return [Pair(Part(PartKind.LEVEL, level), self.from_below(level), self.stages[level - 1]) for level in levels]

    def removed_parts(self, base: Self) -> list[Part]:
        return [Part(PartKind.LEVEL, self.levels + 1)] if self.levels < base.levels else []

    def cut(self, base: Self) -> Cut:
        if self.levels >= base.levels:
            return Cut()
        kept = tuple(tap for level, tap in base.stages.items() if level <= self.levels)
        return Cut((base.from_below(self.levels + 1),), kept)

    def removals(self) -> dict[Part, Self]:
        deepest = Part(PartKind.LEVEL, self.levels)
        return {deepest: self.without_bottom()} if self.levels > self.fewest else {}

    def swaps(self) -> dict[Swap, Self]:
        return {}

    def shuffled(self, rng: np.random.Generator) -> Self:
        design = self
        for _ in range(rng.integers(self.levels - self.fewest + 1)):
            design = design.without_bottom()
        return design
