"""Comparisons of designs: score against cost, and differences of information from the layers of a reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots.designs import cost_axis, draw_front, is_below, score_limits
from bench.plots.shared import WIDTH, column, finish, layer_axis, layers_of, mark_below, styled

COSTS = ("params", "flops")
LOOKS: dict[bool | None, dict[str, Any]] = {  # of differences that are not reliable, or that no null can judge
    False: {"mfc": "white", "label": "not reliable"},
    None: {"marker": "x", "label": "only untrained networks can judge"},
}


@styled
def score_against_cost(table: pd.DataFrame, score: str, styles: Mapping[str, dict], title: str = "") -> Figure:
    """Draw the score with its interval against parameters and FLOPs. A line joins the Pareto front.

    Designs that collapsed, or whose scores are far below the others, are triangles at the lower edge.

    Args:
        table: Rows with design, score, low, high (NaN without an interval), params, flops, front.params, front.flops;
            and collapsed, if it is known.
        score: Name of the score.
        styles: Colour and marker of each design.
        title: Title of the figure.
    """
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    below = is_below(table)
    for axes, cost in zip(figure.subplots(1, 2, sharey=True), COSTS, strict=True):
        cost_axis(axes, cost, table[cost])
        axes.set_ylim(score_limits(table, below))
        for row in table[~below].itertuples():
            reach = np.nan_to_num([[row.score - row.low], [row.high - row.score]])
            look = styles[row.design] | {"label": None}
            axes.errorbar(getattr(row, cost), row.score, reach, ls="", elinewidth=1, ms=5, **look)
        mark_below(axes, [(getattr(row, cost), row.score, styles[row.design]) for row in table[below].itertuples()])
        draw_front(axes, table[~below], cost)
    figure.axes[0].set_ylabel(f"{score} on test data")
    for design in table["design"]:
        figure.axes[0].plot([], ls="", ms=5, **styles[design])
    return finish(figure, title)


@styled
def layer_differences(frame: pd.DataFrame, styles: Mapping[str, dict], title: str = "") -> Figure:
    """Draw differences in bits with their intervals against the layer, one panel for each quantity.

    Hollow markers are not reliable. Crosses are differences that only untrained references can judge.

    Args:
        frame: Rows of one estimator, view and label view, with design, tap, role, order, quantity, difference, low,
            high and reliable. The order is that of the layers of the reference.
        styles: Colour and marker of each design.
        title: Title of the figure.
    """
    quantities = list(dict.fromkeys(frame["quantity"]))
    layers = layers_of(frame)
    positions = dict(zip(layers["tap"], range(len(layers)), strict=True))
    shown = [design for design in styles if design in set(frame["design"])]
    size = (max(WIDTH, 0.34 * len(layers)), 2.2 * len(quantities) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    grid = column(figure, len(quantities), sharex=True)
    for axes, quantity in zip(grid, quantities, strict=True):
        for i, design in enumerate(shown):
            rows = frame[(frame["design"] == design) & (frame["quantity"] == quantity)]
            shift = 0.6 * (i + 0.5) / len(shown) - 0.3
            _draw_differences(axes, rows, rows["tap"].map(positions).to_numpy(dtype=float) + shift, styles[design])
            axes.plot([], ls="", **styles[design])
        axes.axhline(0, color="0.4", lw=0.8, zorder=0)
        axes.set_ylabel(f"{quantity}: difference [bits]")
        layer_axis(axes, layers, first=axes is grid[0])
    judged = frame["reliable"].map(_judged).tolist()
    for reliable, look in LOOKS.items():
        if reliable in judged:
            figure.axes[0].plot([], ls="", **{"color": "0.3", "marker": "o"} | look)
    return finish(figure, title)


def _draw_differences(axes: Axes, rows: pd.DataFrame, places: np.ndarray, style: dict) -> None:
    """Draw the differences of one design."""
    axes.vlines(places, rows["low"], rows["high"], color=style["color"], lw=1)
    for place, row in zip(places, rows.itertuples(), strict=True):
        look = LOOKS.get(_judged(row.reliable), {})
        axes.plot(place, row.difference, ls="", **style | look | {"label": None})


def _judged(reliable: object) -> bool | None:
    """Return None if no null can judge a number, else whether it is reliable."""
    return None if pd.isna(reliable) else bool(reliable)
