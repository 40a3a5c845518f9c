"""Levels: what designs share whose skips stay, and of which levels alone can go, from below."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np

from bench.pruning.designs.base import Cut, Pair, Place


class Levels(ABC):
    """A design by its levels, of which 1 is full resolution."""

    @property
    @abstractmethod
    def levels(self) -> int: ...

    @property
    @abstractmethod
    def fewest(self) -> int:
        """Levels that a design of the family has at least."""

    @property
    @abstractmethod
    def stages(self) -> dict[int, str]:
        """The tap of the encoder at each level that has a stage of it and a skip, finest first."""

    @abstractmethod
    def from_below(self, level: int) -> str:
        """The tap of what a level and those below it give to the decoder."""

    @abstractmethod
    def without_bottom(self) -> Self: ...

    @abstractmethod
    def places(self) -> list[Place]: ...

    def tied(self) -> list[list[Place]]:
        return [[place] for place in self.places()]

    def pairs(self) -> list[Pair]:
        """A level, with all below it, given the one above it."""
        levels = range(self.fewest + 1, self.levels + 1)
        return [Pair(f"level {level}", self.from_below(level), self.stages[level - 1]) for level in levels]

    def gone_from(self, base: Self) -> list[str]:
        return [f"level {self.levels + 1}"] if self.levels < base.levels else []

    def cut(self, base: Self) -> Cut:
        if self.levels >= base.levels:
            return Cut()
        kept = tuple(tap for level, tap in base.stages.items() if level <= self.levels)
        return Cut((base.from_below(self.levels + 1),), kept)

    def removals(self) -> dict[str, Self]:
        return {f"level {self.levels}": self.without_bottom()} if self.levels > self.fewest else {}

    def swaps(self) -> dict[str, Self]:
        return {}

    def shuffled(self, rng: np.random.Generator) -> Self:
        design = self
        for _ in range(rng.integers(self.levels - self.fewest + 1)):
            design = design.without_bottom()
        return design
