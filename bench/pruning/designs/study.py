"""A fixed set of designs around a base, to compare diagnostics with the results of retraining."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from bench.pruning.designs.base import Design, Part, PartKind, Slot, flat, random_design, scaled, widths_of

FACTORS = (2, 4, 8)  # divisors of the widths of uniform designs
RANDOMS = 6


def study_set(base: Design, seed: int) -> dict[str, Design]:
    """Build the designs of a study by name, the base first.

    The set has designs without one part or several parts, designs with single narrowed slots, and uniform, flat and
    random designs. It has 30 designs for a U-Net of five levels and 17 for a chain of three stages and one fully
    connected layer.

    Args:
        base: The base design.
        seed: Seed of the random designs.
    """
    rng = np.random.default_rng([seed, 5])
    least = int(widths_of(base).min())
    named = {"base": base}
    named |= {f"no_{_slug(part)}": design for part, design in base.removals().items()}
    named |= {f"no_{_slug(part)}": design for part, design in _without_levels(base)}
    named |= {f"no_skips_{numbers}": design for numbers, design in _without_skips(base)}
    named |= {f"quarter_{_slug(slots[0].name)}": _narrowed(base, slots, 1 / 4) for slots in base.tied()}
    named |= {f"uniform_{factor}": scaled(base, 1 / factor) for factor in FACTORS}
    named |= {f"flat_{width}": flat(base, width) for width in sorted({max(1, least // 2), least, 2 * least})}
    named |= {f"random_{number}": random_design(base, rng) for number in range(1, RANDOMS + 1)}
    return named


def _without_levels(design: Design) -> Iterable[tuple[Part, Design]]:
    """Remove levels one after the other, the deepest first; yield (level removed last, design)."""
    while levels := [part for part in design.removals() if part.kind == PartKind.LEVEL]:
        design = design.removals()[levels[0]]
        yield levels[0], design


def _without_skips(base: Design) -> Iterable[tuple[str, Design]]:
    """Switch off two or more skips together, from the finest or from the deepest; yield (their levels, design)."""
    skips = [part for part in base.removals() if part.kind == PartKind.SKIP]
    for count in range(2, len(skips) + 1):
        for parts in (skips[:count], skips[-count:]):
            design = base
            for part in parts:
                design = design.removals()[part]
            yield "".join(str(part.level) for part in parts), design


def _narrowed(base: Design, slots: list[Slot], factor: float) -> Design:
    """Multiply the widths of these slots by a factor."""
    names = [slot.name for slot in slots]
    return base.with_widths([max(1, round(p.width * factor)) if p.name in names else p.width for p in base.slots()])


def _slug(name: str | Part) -> str:
    return str(name).replace(" ", "_")
