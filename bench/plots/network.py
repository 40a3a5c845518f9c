"""A network drawn as boxes: the channels of each slot, the information in it, and what was removed."""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import pairwise
from math import sqrt
from typing import cast

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import cm, style
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from bench.plots.shared import CHARACTER, SEQUENTIAL, STYLE, styled

INK, FAINT = "#000000", "#868d95"  # in a page, `svg` draws the first in the colour of its text
FRAME = "#4d4d4d"  # axes in the style of this package
INCHES = 12  # largest width of two networks side by side
NARROWEST = 4.2  # of one network

# sizes in inches
PITCH, DROP, THICK, WIDEST = 0.43, 0.66, 0.32, 0.8  # of a U: between columns, between rows, boxes
MARGIN = 1.2  # least margin beside a U, for its texts
STEP, BAR, TALLEST = 0.95, 0.42, 1.3  # of a chain: between boxes, boxes
LINE = 0.145
HEAD, FOOT = 0.5, 0.75


@styled
def networks(panels: Mapping[str, pd.DataFrame], unit: str = "bits") -> Figure:
    """Draw networks with the information about the label in each slot, on one scale of colours.

    The slots of one level form a row, so that a U-Net is drawn as a U. The width of a box is proportional to the square
    root of its channels. In a network of one level it is the height of a box that is proportional to this root. Dashed
    outlines and arrows show the channels and the skips that a network lacks. A box without colour has no estimate, and
    a hatched box has an estimate that is not reliable.

    Args:
        panels: A table for each network by its title. The rows are slots in the order of the forward pass: `slot`, its
            name; `level`, its row, from 1; `channels`, 0 if the slot is removed; `whole`, its channels in the base;
            `bits`, NaN if they are unknown; `reliable`; `skip`, the slot to which its skip leads, or None; and
            `skip_kept`.
        unit: Label of the scale of colours.
    """
    tables = {title: table.reset_index(drop=True) for title, table in panels.items()}
    first = next(iter(tables.values()))
    is_chain = first["level"].nunique() == 1
    width, height = _size(first, is_chain)
    beside = len(tables) * width <= INCHES
    columns, rows = (len(tables), 1) if beside else (1, len(tables))
    figure = Figure(figsize=(columns * width, rows * height + FOOT))
    whole_width, whole_height = figure.get_size_inches()
    every = np.concatenate([table["bits"].to_numpy(dtype=float) for table in tables.values()])
    most = np.nanmax(every) if np.isfinite(every).any() else np.nan
    scale = cm.ScalarMappable(Normalize(0, most if most > 0 else 1), SEQUENTIAL)
    for i, (title, table) in enumerate(tables.items()):
        x, y = (i * width, FOOT) if beside else (0, FOOT + (rows - 1 - i) * height)
        axes = figure.add_axes((x / whole_width, y / whole_height, width / whole_width, height / whole_height))
        axes.set(xlim=(0, width), ylim=(-height, 0))
        axes.set_axis_off()
        axes.text(width / 2, -0.1, title, ha="center", va="top", color=INK, fontsize=11, fontweight="bold")
        (_draw_chain if is_chain else _draw_u)(axes, table, scale)
    if np.isfinite(most):
        _draw_scale(figure, scale, unit)
    return figure


def svg(figure: Figure) -> str:
    """Return a figure as an element of an HTML page. Its text is text, and has the colour of the text of the page."""
    text = io.StringIO()
    with style.context(["default", STYLE, {"svg.fonttype": "none", "svg.hashsalt": "bench"}]):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = text.getvalue()
    drawn = drawn[drawn.index("<svg") :].replace("<svg ", '<svg fill="currentColor" ', 1)
    return drawn.replace(INK, "currentColor").replace(FRAME, FAINT)


def _size(table: pd.DataFrame, is_chain: bool) -> tuple[float, float]:
    """Return the width and the height of a panel in inches."""
    if is_chain:
        return max(NARROWEST, len(table) * STEP + 0.4), HEAD + TALLEST + 4 * LINE + 0.2
    rows = table["level"].max() - table["level"].min()
    longest = CHARACTER * max(len(name) for name in table["slot"])
    margin = max(MARGIN, WIDEST / 2 + longest + 0.1)
    return max(NARROWEST, 2 * margin + _columns(table)[0].max() * PITCH), HEAD + rows * DROP + THICK + 4 * LINE + 0.15


def _draw_u(axes: Axes, table: pd.DataFrame, scale: cm.ScalarMappable) -> None:
    """Draw the slots of each level in a row, connected from the input to the output."""
    columns, deepest = _columns(table)
    centres = _spread(axes, columns, PITCH)
    middles = -HEAD - THICK / 2 - DROP * (table["level"].to_numpy() - table["level"].min())
    widths = _lengths(table, WIDEST)
    edges = {}
    for place, (row, x, y) in enumerate(zip(table.itertuples(), centres, middles, strict=True)):
        whole, kept = (length[place] for length in widths)
        shown = kept if row.channels else whole
        edges[row.slot] = (x - shown / 2, x + shown / 2, y)
        _draw_box(axes, (x, y), (whole, THICK), (kept, THICK), row, scale)
        beside = whole / 2 + 0.08
        if place == deepest:
            _write(axes, x, y - THICK / 2 - 0.05, row, "center", below=True)
        elif place < deepest:
            _write(axes, x - beside, y, row, "right")
        else:
            _write(axes, x + beside, y, row, "left")
    for row in table[table["skip"].notna()].itertuples():
        (_, start, y), (end, _, _) = edges[row.slot], edges[row.skip]
        _arrow(axes, (start + 0.04, y), (end - 0.04, y), kept=row.skip_kept, ink=INK)
    kept = table.index[table["channels"] > 0]
    for before, after in pairwise(kept):
        down = THICK / 2 + 0.02 if middles[before] > middles[after] else -THICK / 2 - 0.02
        _arrow(axes, (centres[before], middles[before] - down), (centres[after], middles[after] + down))


def _draw_chain(axes: Axes, table: pd.DataFrame, scale: cm.ScalarMappable) -> None:
    """Draw the slots from left to right."""
    heights, middle = _lengths(table, TALLEST), -HEAD - TALLEST / 2
    centres = _spread(axes, np.arange(len(table)), STEP)
    for place, (row, x) in enumerate(zip(table.itertuples(), centres, strict=True)):
        whole, kept = (length[place] for length in heights)
        _draw_box(axes, (x, middle), (BAR, whole), (BAR, kept), row, scale)
        _write(axes, x, -HEAD - TALLEST - 0.08, row, "center", below=True)
    for x in centres[:-1]:
        _arrow(axes, (x + BAR / 2 + 0.03, middle), (x + STEP - BAR / 2 - 0.03, middle))


def _columns(table: pd.DataFrame) -> tuple[np.ndarray, int]:
    """Return the column of each slot of a U, and the place of the first slot of the deepest level.

    A slot after the deepest level is as many columns behind it as it is rows above it.
    """
    levels, places = table["level"].to_numpy(), np.arange(len(table))
    deepest = int(levels.argmax())
    return np.where(places <= deepest, places, deepest + levels[deepest] - levels), deepest


def _spread(axes: Axes, columns: np.ndarray, pitch: float) -> np.ndarray:
    """Return the places of columns in the middle of a panel."""
    return axes.get_xlim()[1] / 2 + pitch * (columns - columns.max() / 2)


def _lengths(table: pd.DataFrame, longest: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the lengths of the boxes with all channels of the base, and with the channels that are kept, in inches."""
    unit = longest / sqrt(table["whole"].max())
    whole, kept = (np.sqrt(table[column].to_numpy(dtype=float)) * unit for column in ("whole", "channels"))
    return whole, kept


def _draw_box(axes: Axes, centre, whole, kept, row, scale: cm.ScalarMappable) -> None:
    """Draw the outline of the base's channels, and the box of the channels that are kept."""
    if row.channels != row.whole:
        axes.add_patch(_rectangle(centre, whole, fill=False, edgecolor=FAINT, linestyle=(0, (3, 2)), linewidth=0.9))
    if not row.channels:
        return
    known = not np.isnan(row.bits)
    colour, edge = (scale.to_rgba(row.bits), FAINT) if known else ("none", INK)
    hatch = "////" if known and not row.reliable else None
    with matplotlib.rc_context({"hatch.linewidth": 0.6}):
        box = _rectangle(centre, kept, facecolor=colour, edgecolor=edge, linewidth=0.8, hatch=hatch)
    box.set_gid(f"slot {row.slot}")
    axes.add_patch(box)


def _rectangle(centre, size, **look) -> Rectangle:
    (x, y), (width, height) = centre, size
    return Rectangle((x - width / 2, y - height / 2), width, height, **look)


def _write(axes: Axes, x: float, y: float, row, side: str, below: bool = False) -> None:
    """Write name, channels and information of a slot, beside its box or below it."""
    lines = [(row.slot, FAINT), (_describe(row.channels, row.whole), INK)]
    if row.channels and not np.isnan(row.bits):
        lines.append((f"{row.bits:.3f} bits", INK))
    start = y if below else y + LINE * len(lines) / 2
    for number, (line, colour) in enumerate(lines):
        axes.text(x, start - number * LINE, line, ha=side, va="top", color=colour, fontsize=8)


def _describe(channels: int, whole: int) -> str:
    """Describe the channels of a slot, beside those of the base.

    Examples:
        >>> [_describe(channels, 8) for channels in (0, 7, 8, 10)]
        ['removed', '7 of 8', '8 channels', '10 (base: 8)']
    """
    if channels == 0:
        return "removed"
    if channels == whole:
        return f"{channels} channels"
    return f"{channels} of {whole}" if channels < whole else f"{channels} (base: {whole})"


def _arrow(axes: Axes, start, end, kept: bool = True, ink: str = FAINT) -> None:
    """Draw an arrow. It is dashed if the design lacks it."""
    look = {"color": ink, "linestyle": "-"} if kept else {"color": FAINT, "linestyle": (0, (3, 2))}
    axes.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=6, linewidth=0.8, shrinkA=0, shrinkB=0, **look)
    )


def _draw_scale(figure: Figure, scale: cm.ScalarMappable, unit: str) -> None:
    """Draw the scale of colours below the networks."""
    width, height = figure.get_size_inches()
    length = min(3.2, 0.8 * width)
    axes = figure.add_axes(((width - length) / 2 / width, 0.45 / height, length / width, 0.12 / height))
    bar = figure.colorbar(scale, cax=axes, orientation="horizontal", label=unit)
    cast(QuadMesh, bar.solids).set_rasterized(True)
    bar.outline.set_visible(False)
    axes.tick_params(colors=INK, labelsize=8)
    axes.xaxis.label.set(color=INK, fontsize=8.5)
