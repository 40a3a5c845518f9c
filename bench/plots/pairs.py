"""Pairs: heat maps of the information in pairs of feature maps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

PANEL = 2.6  # inches


def pairs(frame: pd.DataFrame, title: str = "", *, quantities: list[str]) -> Figure:
    """Draw a matrix over pairs of feature maps for each tap and quantity.

    The estimates are above the diagonal and their nulls below it, on the same scale.

    Args:
        frame: Rows with tap, quantity, map, other, bits and null_mean.
        title: Title of the figure.
        quantities: Quantities to draw, one column of panels each.
    """
    taps = list(dict.fromkeys(frame["tap"]))
    figure = Figure(figsize=(PANEL * len(quantities) + 1, PANEL * len(taps) + 0.4), layout="constrained")
    grid = figure.subplots(len(taps), len(quantities), squeeze=False)
    for line, tap in zip(grid, taps, strict=True):
        for axes, quantity in zip(line, quantities, strict=True):
            rows = frame[(frame["tap"] == tap) & (frame["quantity"] == quantity)]
            names = np.union1d(rows["map"], rows["other"])
            first, second = (np.searchsorted(names, rows[side]) for side in ("map", "other"))
            matrix = np.full((len(names), len(names)), np.nan)
            matrix[first, second], matrix[second, first] = rows["bits"], rows["null_mean"]
            signed = quantity.startswith("Rdn-Syn")
            most = np.nanmax(np.abs(matrix))
            colours = {"cmap": "RdBu_r", "vmin": -most, "vmax": most} if signed else {"cmap": "viridis"}
            figure.colorbar(axes.imshow(matrix, **colours), ax=axes, shrink=0.8).ax.tick_params(labelsize=6)
            axes.set_title(
                f"{tap}: {quantity}\n{rows['bits'].mean():.3f}, null {rows['null_mean'].mean():.3f}", fontsize=7
            )
            axes.set_xticks([0, len(names) - 1], names[[0, -1]], fontsize=6)
            axes.set_yticks([0, len(names) - 1], names[[0, -1]], fontsize=6)
    figure.suptitle(f"{title}: pairs of feature maps, bits; below the diagonal the null", fontsize=9)
    return figure
