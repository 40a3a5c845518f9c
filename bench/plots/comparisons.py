"""Comparisons of designs: score against cost, and differences of information from the layers of a reference."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.plots.designs import cost_axis, score_range
from bench.plots.shared import column

MARKERS = "os^D*"  # each marker is used for ten designs
LEGEND = 0.17  # height of a line of the legend, inches


def score_against_cost(table: pd.DataFrame, score: str, reference: str) -> Figure:
    """Draw the score with its interval against parameters and FLOPs. A line joins the Pareto front.

    Args:
        table: Rows with design, score, low, high (NaN without an interval), collapsed, params, flops, front.params,
            front.flops.
        score: Name of the score.
        reference: Design whose interval sets the scale. Designs far below it are triangles at the lower edge.
    """
    figure = Figure(figsize=(8, 3.2 + LEGEND * len(table)), layout="constrained")
    lowest, limits = score_range(table, table.set_index("design").loc[reference])
    for axes, cost in zip(figure.subplots(1, 2, sharey=True), ("params", "flops"), strict=True):
        for i, row in enumerate(table.itertuples()):
            reach = np.nan_to_num([[row.score - row.low], [row.high - row.score]])
            style = {"ms": 5, "color": colour(i), "label": row.design}
            collapsed = " (collapsed)" if row.collapsed else ""
            if row.score < lowest:
                axes.plot(
                    getattr(row, cost), lowest, "v", **style | {"label": f"{row.design}: {row.score:.3f}{collapsed}"}
                )
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
    """Draw differences in bits with their intervals against the tap, one panel for each quantity.

    Each design has a colour. Hollow markers are not reliable. Crosses are differences that only untrained references
    can judge.

    Args:
        frame: Rows of one estimator, view and label view, with design, tap, place, quantity, difference, low, high and
            reliable.
        designs: All designs, in the order of their colours.
        title: Title of the figure.
    """
    quantities = list(dict.fromkeys(frame["quantity"]))
    taps = list(dict.fromkeys(frame.sort_values("relative_depth", kind="stable")["tap"]))
    shown = [design for design in designs if design in set(frame["design"])]
    size = (max(8, 0.34 * len(taps)), 2.6 * len(quantities) + LEGEND * len(shown))
    figure = Figure(figsize=size, layout="constrained")
    for axes, quantity in zip(column(figure, len(quantities)), quantities, strict=True):
        for i, design in enumerate(shown):
            rows = frame[(frame["design"] == design) & (frame["quantity"] == quantity)].set_index("tap")
            places = np.array([taps.index(tap) for tap in rows.index]) + 0.5 * (i + 0.5) / len(shown) - 0.25
            own = colour(designs.index(design))
            axes.vlines(places, rows["low"], rows["high"], color=own, lw=1)
            reliable = rows["reliable"].map({True: "yes", False: "no"}).fillna("unknown").to_numpy()
            values = rows["difference"].to_numpy()
            axes.scatter(places[reliable == "yes"], values[reliable == "yes"], 18, color=own, zorder=3)
            axes.scatter(places[reliable == "no"], values[reliable == "no"], 18, "white", edgecolors=[own], zorder=3)
            unknown = reliable == "unknown"
            axes.scatter(places[unknown], values[unknown], 18, [own], marker="x", lw=1, zorder=3)
            axes.plot([], marker="o", ms=4, color=own, label=design)
        axes.axhline(0, color="0.5", lw=0.8, zorder=0)
        axes.set_xticks(range(len(taps)), taps, rotation=90, fontsize=7)
        axes.set_ylabel(f"{quantity} [bits]")
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower left", fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure


def colour(place: int) -> tuple:
    """Return the colour of the design at this place in the list, as in `overlaid`."""
    return matplotlib.colormaps["tab10"](place % 10)
