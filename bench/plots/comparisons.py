"""Designs side by side: score against cost, and what their layers tell beyond those of a reference."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.plots.designs import cost_axis, score_range
from bench.plots.shared import column

MARKERS = "os^D*"  # of ten designs each
LEGEND = 0.17  # inches of a line


def score_against_cost(table: pd.DataFrame, score: str, reference: str) -> Figure:
    """Score with its interval against parameters and FLOPs; a line joins what no other design betters.

    table: rows with design, score, low, high (empty where there is no interval), params, flops, front.params,
    front.flops. reference: the design whose interval sets the scale; those far below it are triangles at its edge.
    """
    figure = Figure(figsize=(8, 3.2 + LEGEND * len(table)), layout="constrained")
    lowest, limits = score_range(table, table.set_index("design").loc[reference])
    for axes, cost in zip(figure.subplots(1, 2, sharey=True), ("params", "flops"), strict=True):
        for i, row in enumerate(table.itertuples()):
            reach = np.nan_to_num([[row.score - row.low], [row.high - row.score]])
            style = {"ms": 5, "color": colour(i), "label": row.design}
            if row.score < lowest:
                axes.plot(getattr(row, cost), lowest, "v", **style | {"label": f"{row.design}: {row.score:.3f}"})
            else:
                marker = MARKERS[i // 10 % len(MARKERS)]
                axes.errorbar(getattr(row, cost), row.score, reach, fmt=marker, capsize=2, lw=1, **style)
        front = table[table[f"front.{cost}"]].sort_values(cost)
        axes.step(front[cost], front["score"], where="post", color="0.6", lw=0.8, zorder=0)
        cost_axis(axes, cost)
        axes.set_ylim(limits)
        axes.margins(x=0.12)
    figure.axes[0].set_ylabel(f"{score} on test data")
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower left", fontsize=8, frameon=False)
    return figure


def layer_differences(frame: pd.DataFrame, designs: list[str], title: str = "") -> Figure:
    """Differences in bits with their intervals against the tap, a panel per quantity and a colour per design.

    frame: rows of one estimator, view and label view with design, tap, place, quantity, difference, low, high and
    reliable. designs: all, in the order of their colours. Hollow: not reliable; a cross: only the untrained control can
    tell.
    """
    quantities = list(dict.fromkeys(frame["quantity"]))
    taps = list(dict.fromkeys(frame.sort_values("place", kind="stable")["tap"]))
    shown = [design for design in designs if design in set(frame["design"])]
    size = (max(8, 0.34 * len(taps)), 2.6 * len(quantities) + LEGEND * len(shown))
    figure = Figure(figsize=size, layout="constrained")
    for axes, quantity in zip(column(figure, len(quantities)), quantities, strict=True):
        for i, design in enumerate(shown):
            rows = frame[(frame["design"] == design) & (frame["quantity"] == quantity)].set_index("tap")
            places = np.array([taps.index(tap) for tap in rows.index]) + 0.5 * (i + 0.5) / len(shown) - 0.25
            own = colour(designs.index(design))
            axes.vlines(places, rows["low"], rows["high"], color=own, lw=1)
            said = rows["reliable"].map({True: "reliable", False: "not"}).fillna("control").to_numpy()
            values = rows["difference"].to_numpy()
            axes.scatter(places[said == "reliable"], values[said == "reliable"], 18, color=own, zorder=3)
            axes.scatter(places[said == "not"], values[said == "not"], 18, "white", edgecolors=[own], zorder=3)
            axes.scatter(places[said == "control"], values[said == "control"], 18, [own], "x", lw=1, zorder=3)
            axes.plot([], marker="o", ms=4, color=own, label=design)
        axes.axhline(0, color="0.5", lw=0.8, zorder=0)
        axes.set_xticks(range(len(taps)), taps, rotation=90, fontsize=7)
        axes.set_ylabel(f"{quantity} [bits]")
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower left", fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure


def colour(place: int) -> tuple:
    """Of the design at this place, as in `overlaid`."""
    return matplotlib.colormaps["tab10"](place % 10)
