"""A fixed set of designs around a base, on which diagnostics are held to what retraining says."""

from __future__ import annotations

import numpy as np

from bench.designs.base import Design, flat, random_design, scaled, widths_of

QUARTER = 0.25


def study_set(base: Design, seed: int, randoms: int = 6) -> dict[str, Design]:
    """Designs by name, the base first: depths, single and joint removals, single widths, uniform, flat, random.

    For a U-Net of five levels 31, for a chain of three stages and one layer 17.
    """
    named = {"base": base}
    removals = base.removals()
    named |= {f"no_{_slug(part)}": design for part, design in removals.items()}
    named |= _deeper_cuts(base)
    named |= _joint_removals(base)
    for index, place in enumerate(base.places()):
        if place.name.startswith("decoder"):
            continue  # a level of a U-Net is narrowed on both its sides
        named[f"quarter_{_slug(place.name)}"] = _narrowed(base, index)
    for factor in (2, 4, 8):
        named[f"uniform_{factor}"] = scaled(base, 1 / factor)
    least = int(widths_of(base).min())
    for width in sorted({max(1, least // 2), least, 2 * least}):
        named[f"flat_{width}"] = flat(base, width)
    rng = np.random.default_rng([seed, 5])
    named |= {f"random_{number}": random_design(base, rng) for number in range(1, randoms + 1)}
    return named


def _deeper_cuts(base: Design) -> dict[str, Design]:
    """Levels removed from below, two and more."""
    cuts, design = {}, base
    while bottom := [name for name in design.removals() if name.startswith("level")]:
        design = design.removals()[bottom[0]]
        cuts[f"no_{_slug(bottom[0])}"] = design
    return cuts


def _joint_removals(base: Design) -> dict[str, Design]:
    """Skips off together: from the top, two and more; from below, two and more."""
    skips = [part for part in base.removals() if part.startswith("skip")]
    joint = {}
    for count in range(2, len(skips) + 1):
        for parts in (skips[:count], skips[-count:]):
            design = base
            for part in parts:
                design = design.removals()[part]
            joint["no_skips_" + "".join(part.split()[1] for part in parts)] = design
    return joint


def _narrowed(base: Design, index: int) -> Design:
    places, widths = base.places(), widths_of(base)
    level = places[index].name.split()[-1]
    same_level = [i for i, place in enumerate(places) if place.name.split()[-1] == level]
    for i in same_level if places[index].name.startswith("encoder") else [index]:
        widths[i] = max(1, round(widths[i] * QUARTER))
    return base.with_widths(widths.tolist())


def _slug(name: str) -> str:
    return name.replace(" ", "_")
