"""Pairs: heat maps of the information in pairs of feature maps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.plots.shared import DIVERGING, SEQUENTIAL, finish, heading, styled

PANEL = 1.9  # inches


@styled
def pairs(frame: pd.DataFrame, title: str = "", *, quantities: list[str]) -> Figure:
    """Draw a matrix over pairs of feature maps for each tap and quantity.

    The estimates are above the diagonal and their nulls below it, on the same scale.

    Args:
        frame: Rows with tap, quantity, map, other, bits and null_mean.
        title: Title of the figure.
        quantities: Quantities to draw, one column of panels each.
    """
    taps = list(dict.fromkeys(frame["tap"]))
    figure = Figure(figsize=(PANEL * len(quantities) + 0.6, PANEL * len(taps) + 0.3), layout="constrained")
    panels = figure.subplots(len(taps), len(quantities), squeeze=False)
    for line, tap in zip(panels, taps, strict=True):
        line[0].set_ylabel(f"{tap}\nfeature map")
        for axes, quantity in zip(line, quantities, strict=True):
            rows = frame[(frame["tap"] == tap) & (frame["quantity"] == quantity)]
            names = np.union1d(rows["map"], rows["other"])
            first, second = (np.searchsorted(names, rows[side]) for side in ("map", "other"))
            matrix = np.full((len(names), len(names)), np.nan)
            matrix[first, second], matrix[second, first] = rows["bits"], rows["null_mean"]
            signed = quantity.startswith("Rdn-Syn")
            most = np.nanmax(np.abs(matrix))
            colours = {"cmap": DIVERGING, "vmin": -most, "vmax": most} if signed else {"cmap": SEQUENTIAL}
            figure.colorbar(axes.imshow(matrix, **colours), ax=axes, shrink=0.75).ax.tick_params(labelsize=6.5)
            axes.set_title(f"{quantity}\nmean {rows['bits'].mean():.3f}, null {rows['null_mean'].mean():.3f}", size=7.5)
            ends = [0, len(names) - 1]
            axes.set_xticks(ends, names[ends])
            axes.set_yticks(ends, names[ends])
    return finish(figure, heading(title, "information of pairs of feature maps [bits]; below the diagonal: null"))
