"""House style of the figures: fonts, sizes, colours that colour-blind readers distinguish, and shared parts."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe & Ito 2008, without yellow, which is faint on white
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^PX*p"  # one more than colours, so that 56 designs differ; v marks values below the axis
TRAINED, DAMAGED, UNTRAINED, NULL, CEILING = PALETTE[0], PALETTE[1], "0.83", "0.15", "0.5"
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
BELOW = "v"  # marker at the lower edge
NEAR = 1.25  # ratio of costs below which labels would overlap

WIDTH = 7.2  # inches, two columns of a journal
LINE = 0.17  # height of a line of text, inches
CHARACTER = 0.067  # mean width of a character, inches

STYLE = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.5,
    "figure.titlesize": 9.5,
    "figure.labelsize": 9,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.edgecolor": "0.3",
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "errorbar.capsize": 0,
    "image.cmap": SEQUENTIAL,
}

# name of the group in figures, by the role of a layer; other roles belong to the group before them
GROUPS = {
    "input": "",
    "encoder": "encoder",
    "bottleneck": "bottleneck",
    "up": "decoder",
    "decoder": "decoder",
    "feature": "features",
    "classifier": "classifier",
}


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw a figure in the style of this package. Settings of matplotlib by the user have no effect."""

    @wraps(draw)
    def inside(*args: Any, **kwargs: Any) -> Figure:
        with style.context(["default", STYLE]):
            return draw(*args, **kwargs)

    return inside


def heading(*lines: str) -> str:
    """Join the lines of a title, without empty ones: data, design and score, then what is drawn."""
    return "\n".join(line for line in lines if line)


def finish(figure: Figure, title: str = "", handles: Mapping[str, Any] | None = None) -> Figure:
    """Add the title, and one legend below all panels. The figure grows by their height.

    Args:
        figure: Figure with constrained layout.
        title: Title of the figure, whose lines are wrapped.
        handles: Handles of the legend by label; by default those of all panels, each label once.
    """
    width = figure.get_figwidth()
    lines = [part for line in title.splitlines() for part in textwrap.wrap(line, int(width / CHARACTER * 0.9)) or [""]]
    if lines:
        figure.suptitle("\n".join(lines))
    if handles is None:
        of_panels = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in figure.axes]
        handles = {label: handle for pairs in of_panels for handle, label in pairs}
    rows = 0
    if handles:
        longest = max(len(label) for label in handles)
        fitting = max(1, int(width / (0.6 + CHARACTER * longest)))
        rows = ceil(len(handles) / min(len(handles), fitting))
        columns = ceil(len(handles) / rows)
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns)
    figure.set_figheight(figure.get_figheight() + LINE * (rows + len(lines)) + 0.1)
    return figure


def column(figure: Figure, panels: int, **shared: Any) -> list[Axes]:
    """Create a column of panels."""
    return figure.subplots(panels, 1, squeeze=False, **shared)[:, 0].tolist()


def grid(figure: Figure, panels: int, columns: int, **shared: Any) -> list[Axes]:
    """Create panels in lines of `columns`."""
    lines = max(ceil(panels / columns), 1)
    every = figure.subplots(lines, columns, squeeze=False, **shared).ravel()
    for axes in every[panels:]:
        axes.set_axis_off()
    return every[:panels].tolist()


def label_grid(panels: Sequence[Axes], columns: int, x: str, y: str) -> None:
    """Label the x axis of the lowest panel of each column, and the y axis of the first panel of each line."""
    for axes in panels[-columns:]:
        axes.set_xlabel(x)
        axes.tick_params(labelbottom=True)
    for axes in panels[::columns]:
        axes.set_ylabel(y)


def order_by_tap(values: pd.Series, taps: list[str]) -> np.ndarray:
    """Return the values in the order of the taps, with NaN for a tap without a value."""
    return values.reindex(taps).to_numpy(dtype=float)


def layer_axis(axes: Axes, layers: pd.DataFrame, first: bool = True) -> None:
    """Write the names of the layers on the x axis, and shade the groups of layers: encoder, bottleneck, decoder.

    Args:
        axes: Panel whose x is the number of the layer.
        layers: Rows with tap and role, in order.
        first: Whether the panel is the first of a column, above which the groups are named.
    """
    axes.set_xticks(range(len(layers)), layers["tap"].tolist(), rotation=90)
    axes.set_xlim(-0.6, len(layers) - 0.4)
    parts = list(layer_groups(layers["role"].tolist()))
    if len(parts) < 2:
        return
    for number, (name, begin, end) in enumerate(parts):
        if number % 2 == 1:
            axes.axvspan(begin - 0.5, end + 0.5, color="0.955", lw=0, zorder=-2)
        if first:
            place = ((begin + end) / 2, 1.01)
            axes.text(*place, name, transform=axes.get_xaxis_transform(), ha="center", va="bottom", color="0.3")


def layer_groups(roles: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Yield the name, the first and the last position of each group of layers.

    Examples:
        >>> list(layer_groups(["input", "encoder", "encoder", "bottleneck", "up", "decoder", "output"]))
        [('', 0, 0), ('encoder', 1, 2), ('bottleneck', 3, 3), ('decoder', 4, 6)]
    """
    name, begin = GROUPS.get(roles[0], ""), 0
    for position, role in enumerate(roles):
        if (now := GROUPS.get(role, name)) != name:
            yield name, begin, position - 1
            name, begin = now, position
    yield name, begin, len(roles) - 1


def layers_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return tap and role of the layers of a table, in order."""
    return rows.sort_values("order", kind="stable").drop_duplicates("tap")[["tap", "role"]]


def mark_below(axes: Axes, points: Sequence[tuple[float, float, Mapping[str, Any]]]) -> None:
    """Draw values that lie below a logarithmic axis as triangles at the lower edge, with the values above them.

    Args:
        axes: The panel.
        points: Place on the x axis, value and colour of each point.
    """
    edge = axes.get_xaxis_transform()
    drawn: list[float] = []
    for x, value, look in sorted(points, key=lambda point: point[0]):
        beside = sum(x < NEAR * other for other in drawn)  # labels of points that are near are stacked
        drawn.append(x)
        axes.plot(x, 0.04, BELOW, color=look["color"], transform=edge, clip_on=False)
        axes.annotate(
            f"{value:.2f}", (x, 0.04), (0, 4 + 8 * beside), xycoords=edge, textcoords="offset points", ha="center",
            color=look["color"], fontsize=7,
        )  # fmt: skip
