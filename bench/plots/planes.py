"""Information planes, and information against epochs."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bench.plots.shared import NULL, SEQUENTIAL, WIDTH, column, finish, grid, label_grid, layers_of, styled

COLUMNS = 5
LINES = 2.0  # height of a panel over epochs, inches


@styled
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
    columns = min(COLUMNS, max(len(taps), 1))
    lines = max(-(-len(taps) // columns), 1)
    figure = Figure(figsize=(WIDTH, 1.45 * lines + 0.4), layout="constrained")
    panels = grid(figure, len(taps), columns, sharex=True, sharey=True)
    latest = wide.loc[wide["weights"] != "untrained", "epoch"].max()
    for axes, tap in zip(panels, taps, strict=True):
        rows = wide[wide["tap"] == tap]
        untrained, trained = rows[rows["weights"] == "untrained"], rows[rows["weights"] != "untrained"]
        axes.scatter(untrained[across], untrained[upward], 14, color="0.65", marker="s", label="untrained reference")
        axes.plot(trained[across], trained[upward], color="0.6", lw=0.8)
        points = axes.scatter(
            trained[across], trained[upward], 16, c=trained["epoch"], cmap=SEQUENTIAL, vmin=0, vmax=latest, zorder=3
        )
        axes.axhline(nulls.get(tap, np.nan), color=NULL, ls=":", lw=1, label=f"null of {upward}, best checkpoint")
        axes.set_title(tap)
    if taps:
        figure.colorbar(points, ax=panels, label="epoch", shrink=0.7, aspect=30)
    label_grid(panels, columns, f"{across} [bits]", f"{upward} [bits]")
    return finish(figure, title)


@styled
def information_over_epochs(frame: pd.DataFrame, title: str = "") -> Figure:
    """Draw information against epochs, one panel for each quantity and one curve for each tap.

    The colours follow the order of the taps. Dotted lines are the means of the nulls.

    Args:
        frame: Rows with weights, tap, role, order, epoch, quantity, bits and null_mean.
        title: Title of the figure.
    """
    quantities = list(dict.fromkeys(frame["quantity"]))
    trained = frame[frame["weights"] == "epoch"]
    taps = layers_of(trained)["tap"].tolist()
    figure = Figure(figsize=(WIDTH, (LINES + 0.5) * len(quantities)), layout="constrained")
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.92, len(taps)))
    panels = column(figure, len(quantities), sharex=True)
    for axes, quantity in zip(panels, quantities, strict=True):
        for number, (tap, colour) in enumerate(zip(taps, colours, strict=True)):
            rows = trained[(trained["tap"] == tap) & (trained["quantity"] == quantity)].sort_values("epoch")
            untrained = frame.query("weights == 'untrained' and tap == @tap and quantity == @quantity")["bits"]
            axes.plot(rows["epoch"], rows["bits"], marker="osD^"[number % 4], ms=3.5, color=colour, label=tap)
            axes.plot(rows["epoch"], rows["null_mean"], ls=":", lw=0.8, color=colour)
            if len(untrained):
                place = -0.01 * (1 + number) * max(trained["epoch"].max(), 1)
                axes.vlines(place, untrained.min(), untrained.max(), color=colour, lw=1.5)
        axes.set_ylabel(f"{quantity} [bits]")
    if taps:
        panels[-1].set_xlabel("epoch")
        panels[-1].xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        notes = {"null (shuffled)": Line2D([], [], color="0.3", ls=":", lw=1)}
        if (frame["weights"] == "untrained").any():
            notes["untrained references, left of epoch 0"] = Line2D([], [], color="0.3", marker="|", ls="", mew=1.5)
        handles, labels = panels[0].get_legend_handles_labels()
        return finish(figure, title, dict(zip(labels, handles, strict=True)) | notes)
    return finish(figure, title)
