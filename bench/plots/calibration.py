"""Calibration: estimates against known information."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

COLUMNS = 4


def calibration(summary: pd.DataFrame) -> Figure:
    """Draw the mean estimate with its spread against the true information, one panel for each family.

    Each estimator has a curve. The dashed line is the truth.

    Args:
        summary: Rows with family, dim, n, estimator, truth, mean and spread, in bits. Only the largest n of each
            family, and the smallest dim, are drawn.
    """
    families = list(dict.fromkeys(summary["family"]))
    estimators = list(dict.fromkeys(summary["estimator"]))
    styles = dict(zip(estimators, _styles(len(estimators)), strict=True))
    lines = -(-len(families) // COLUMNS)
    figure = Figure(figsize=(3.1 * COLUMNS, 2.7 * lines), layout="constrained")
    grid = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for axes in grid[len(families) :]:
        axes.set_axis_off()
    for axes, family in zip(grid, families, strict=False):
        rows = summary[(summary["family"] == family) & summary["mean"].notna()]
        if rows.empty:
            axes.set_title(f"{family}\nno answer", fontsize=8)
            continue
        rows = rows[(rows["n"] == rows["n"].max()) & (rows["dim"] == rows["dim"].min())]
        most = max(rows["truth"].max(), 0.1)
        axes.plot([0, most], [0, most], color="0.5", ls="--", lw=0.8)
        for estimator, curve in rows.groupby("estimator", sort=False):
            curve = curve.sort_values("truth")
            axes.errorbar(
                curve["truth"],
                curve["mean"],
                curve["spread"],
                ms=4,
                lw=1,
                capsize=2,
                label=estimator,
                **styles[estimator],
            )
        axes.set_ylim(-0.15 * most - 0.05, 1.4 * most + 0.2)
        axes.set_title(f"{family}\nn = {rows['n'].max():.0f}, d = {rows['dim'].min():.0f}", fontsize=8)
        axes.tick_params(labelsize=7)
    handles = {label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside right upper", fontsize=7, frameon=False)
    figure.supxlabel("true information [bits]", fontsize=9)
    figure.supylabel("estimate [bits]", fontsize=9)
    return figure


def _styles(count: int) -> list[dict]:
    """Return different styles of curves."""
    colours = matplotlib.colormaps["tab10"]
    return [
        {"color": colours(i % 10), "marker": "osv^D"[i // 10 % 5], "ls": "-" if i < 10 else ":"} for i in range(count)
    ]
