"""Styles: colour and marker of each design, the same in all figures of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.plots.shared import MARKERS, PALETTE


def design_styles(designs: Iterable[str], colours: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Return colour, marker and label of each design, which do not depend on the order of the designs.

    Args:
        designs: Names of the designs.
        colours: Colours that designs have elsewhere. They are used if each design has one of its own.

    Examples:
        >>> design_styles(["model.skips=none", "model.skips=all"])["model.skips=all"]
        {'color': '#0072B2', 'marker': 'o', 'label': 'skips=all'}
        >>> design_styles(["b", "a"], {"a": "#D55E00", "b": "#0072B2"})["a"]
        {'color': '#D55E00', 'marker': 's', 'label': 'a'}
    """
    names = sorted(set(designs))
    known = [(colours or {}).get(name) for name in names]
    places: Sequence[int] = range(len(names))
    if len(set(known)) == len(names) and set(known) <= set(PALETTE):
        places = [PALETTE.index(str(colour)) for colour in known]
    return {
        name: {
            "color": PALETTE[place % len(PALETTE)],
            "marker": MARKERS[place % len(MARKERS)],
            "label": name.replace("model.", ""),
        }
        for name, place in zip(names, places, strict=True)
    }


def styles_of_some(designs: Iterable[str], styles: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the styles of some designs. They are new if two of these designs share a colour without need.

    Examples:
        >>> styles = design_styles("abcdefgh")  # there are 7 colours
        >>> [style["color"] for style in styles_of_some("ah", styles).values()]
        ['#0072B2', '#D55E00']
        >>> styles_of_some("bc", styles)["c"] == styles["c"]
        True
    """
    names = list(designs)
    colours = {styles[name]["color"] for name in names}
    if len(colours) < len(names) <= len(PALETTE):
        return design_styles(names)
    return {name: styles[name] for name in names}
