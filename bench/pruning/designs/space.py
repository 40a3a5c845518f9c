"""Space: the designs of a family within limits of cost, for searches that measure no information."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.pruning.designs.base import Design, PartKind, SwapKind, flat, random_design, scaled, widths_of
from bench.pruning.designs.baselines import WIDEST_SCALE, affordable
from bench.pruning.designs.costs import Pricing

DRAWS = 100  # for each random design that is wanted; equal designs are drawn again


@dataclass(frozen=True)
class Space:
    """The designs of a base within limits of cost: in several versions, with all parts or fewer, and any widths.

    Attributes:
        base: The design that has all parts.
        pricing: Counts costs.
        limits: Largest costs of a design, by kind: params, flops or both.
        swaps: The kinds of smaller versions that may replace a part.
    """

    base: Design
    pricing: Pricing
    limits: Mapping[str, int]
    swaps: Collection[str] = tuple(SwapKind)

    def uniform(self, design: Design) -> Design | None:
        """Multiply all widths by the factor, at most 4, that brings the costs as near to the limits as possible.

        If the narrowest design exceeds a limit, parts are removed first.

        Returns:
            The design, or None if no such design is within the limits.
        """
        return self._fitted(design, lambda leaner, factor: scaled(leaner, factor), float(WIDEST_SCALE))

    def flat(self, design: Design) -> Design | None:
        """Give all slots the width that brings the costs as near to the limits as possible.

        The width is at most the largest one of the base. If a width of 1 exceeds a limit, parts are removed first.

        Returns:
            The design, or None if no such design is within the limits.
        """
        widest = float(widths_of(self.base).max())
        return self._fitted(design, lambda leaner, width: flat(leaner, 1 + width), widest)

    def random_designs(self, count: int, rng: np.random.Generator) -> list[Design]:
        """Draw different designs of random version, parts and widths; fewer if the space does not seem to have more."""
        return _different(lambda number: self.uniform(random_design(self._random_version(rng), rng)), count)

    def flat_designs(self, count: int, rng: np.random.Generator) -> list[Design]:
        """Draw different flat designs: each version with the parts of the base, then random versions and parts."""
        whole = list(self.versions.values())

        def draw(number: int) -> Design | None:
            return self.flat(whole[number] if number < len(whole) else self._random_version(rng).shuffled(rng))

        return _different(draw, count)

    @cached_property
    def versions(self) -> dict[str, Design]:
        """The base, and the designs in which a smaller version replaces a part of it, by name."""
        swapped = {str(swap): design for swap, design in self.base.swaps().items() if swap.kind in self.swaps}
        return {"base": self.base} | swapped

    def _random_version(self, rng: np.random.Generator) -> Design:
        return list(self.versions.values())[rng.integers(len(self.versions))]

    def _fitted(self, design: Design, narrowed: Callable[[Design, float], Design], most: float) -> Design | None:
        """Narrow a design to the limits, after the removal of parts if this is necessary."""
        for kind, limit in self.limits.items():
            design = affordable(design, kind, limit, self.pricing)
        fitted = self.pricing.find_widest(self.limits, lambda x: narrowed(design, x), most)
        return fitted if self.pricing.is_within(fitted, self.limits) else None


def depths_of(design: Design) -> list[Design]:
    """Return a design, and the design after each removal of its deepest level."""
    found = [design]
    while levels := [leaner for part, leaner in found[-1].removals().items() if part.kind == PartKind.LEVEL]:
        found.append(levels[0])
    return found


def _different(draw: Callable[[int], Design | None], count: int) -> list[Design]:
    """Draw until there are this many different designs, at most 100 times for each."""
    found: dict[Design, None] = {}
    for number in range(DRAWS * count):
        if len(found) == count:
            break
        if (design := draw(number)) is not None:
            found[design] = None
    return list(found)
