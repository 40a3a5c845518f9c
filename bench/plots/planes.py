"""Information planes, and information against epochs."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.plots.shared import NULL, column


def information_plane(frame: pd.DataFrame, title: str = "", *, axes_of: tuple[str, str]) -> Figure:
    """Draw one quantity against another, one panel for each tap.

    Each epoch is a point, and a line joins the epochs in order. Grey points are untrained references.

    Args:
        frame: Rows with tap, order, weights, epoch, seed, quantity, bits and null_mean.
        title: Title of the figure.
        axes_of: The quantities of the x axis and of the y axis.
    """
    across, upward = axes_of
    wide = frame.pivot_table(index=["tap", "order", "weights", "epoch", "seed"], columns="quantity", values="bits")
    wide = wide.dropna().reset_index().sort_values(["order", "epoch"])
    taps = list(dict.fromkeys(wide["tap"]))
    nulls = frame[(frame["quantity"] == upward) & (frame["weights"] == "best")].set_index("tap")["null_mean"]
    columns = min(6, max(len(taps), 1))
    lines = max(-(-len(taps) // columns), 1)
    figure = Figure(figsize=(2.1 * columns, 2.0 * lines + 0.4), layout="constrained")
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid[len(taps) :]:
        axes.set_axis_off()
    for axes, tap in zip(grid, taps, strict=False):
        rows = wide[wide["tap"] == tap]
        untrained, trained = rows[rows["weights"] == "untrained"], rows[rows["weights"] != "untrained"]
        axes.scatter(untrained[across], untrained[upward], 12, color="0.7", label="untrained")
        axes.plot(trained[across], trained[upward], color="0.6", lw=0.8)
        points = axes.scatter(trained[across], trained[upward], 14, c=trained["epoch"], cmap="viridis", zorder=3)
        axes.axhline(nulls.get(tap, np.nan), color=NULL, ls=":", lw=1, label="null of the best")
        axes.set_title(tap, fontsize=7)
    if taps:
        figure.colorbar(points, ax=grid.tolist(), label="epoch", shrink=0.6)
        grid[0].legend(fontsize=5, frameon=False)
    figure.supxlabel(f"{across} [bits]", fontsize=9)
    figure.supylabel(f"{upward} [bits]", fontsize=9)
    figure.suptitle(title, fontsize=10)
    return figure


def information_over_epochs(frame: pd.DataFrame, title: str = "") -> Figure:
    """Draw information against epochs, one panel for each quantity and one curve for each tap.

    The colours follow the order of the taps. Dotted lines are the means of the nulls.

    Args:
        frame: Rows with weights, tap, order, epoch, quantity, bits and null_mean.
        title: Title of the figure.
    """
    quantities = list(dict.fromkeys(frame["quantity"]))
    figure = Figure(figsize=(8, 3.2 * len(quantities)), layout="constrained")
    trained = frame[frame["weights"] == "epoch"]
    taps = trained.drop_duplicates("tap").sort_values("order")["tap"].tolist()
    colours = matplotlib.colormaps["turbo"](np.linspace(0.05, 0.95, len(taps)))
    for axes, quantity in zip(column(figure, len(quantities)), quantities, strict=True):
        for tap, colour in zip(taps, colours, strict=True):
            rows = trained[(trained["tap"] == tap) & (trained["quantity"] == quantity)].sort_values("epoch")
            untrained = frame.query("weights == 'untrained' and tap == @tap and quantity == @quantity")["bits"]
            axes.plot(rows["epoch"], rows["bits"], marker="o", ms=3, color=colour, label=tap)
            axes.plot(rows["epoch"], rows["null_mean"], ls=":", lw=0.8, color=colour)
            if len(untrained):
                axes.vlines(-0.25, untrained.min(), untrained.max(), color=colour, lw=2)
        axes.set_ylabel(f"{quantity} [bits]")
        axes.set_xlabel("epoch (dotted: null; bars at the left: untrained references)")
        if taps:
            axes.legend(fontsize=6, ncols=2, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure
