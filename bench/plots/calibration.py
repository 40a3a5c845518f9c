"""Calibration: estimates against known information."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from bench.plots.shared import MARKERS, PALETTE, WIDTH, finish, grid, label_grid, styled

COLUMNS = 3


@styled
def calibration(summary: pd.DataFrame, title: str = "") -> Figure:
    """Draw the mean estimate with its spread against the true information, one panel for each family.

    Each estimator has a curve. The dashed line is the truth.

    Args:
        summary: Rows with family, dim, n, estimator, truth, mean and spread, in bits. Only the largest n of each
            family, and the smallest dim, are drawn.
        title: Title of the figure.
    """
    families = list(dict.fromkeys(summary["family"]))
    estimators = list(dict.fromkeys(summary["estimator"]))
    styles: dict[str, dict[str, Any]] = {
        name: {
            "color": PALETTE[i % len(PALETTE)],
            "marker": MARKERS[i % len(MARKERS)],
            "ls": "-" if i < len(PALETTE) else ":",
        }
        for i, name in enumerate(estimators)
    }
    figure = Figure(figsize=(WIDTH, 2.0 * -(-len(families) // COLUMNS) + 0.3), layout="constrained")
    columns = min(len(families), COLUMNS)
    panels = grid(figure, len(families), columns)
    for axes, family in zip(panels, families, strict=True):
        rows = summary[(summary["family"] == family) & summary["mean"].notna()]
        if rows.empty:
            axes.set_title(f"{family}\nno answer")
            continue
        rows = rows[(rows["n"] == rows["n"].max()) & (rows["dim"] == rows["dim"].min())]
        most = max(rows["truth"].max(), 0.1)
        axes.plot([0, most], [0, most], color="0.5", ls="--", lw=0.8, label="truth")
        for estimator, curve in rows.groupby("estimator", sort=False):
            curve = curve.sort_values("truth")
            axes.errorbar(
                curve["truth"], curve["mean"], curve["spread"], lw=1, label=estimator, **styles[str(estimator)]
            )
        axes.set_ylim(-0.15 * most - 0.05, 1.4 * most + 0.2)
        axes.set_title(f"{family}\nn = {rows['n'].max():.0f}, d = {rows['dim'].min():.0f}")
    label_grid(panels, columns, "true information [bits]", "estimate [bits]")
    return finish(figure, title)
