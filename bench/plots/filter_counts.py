"""Filter counts: the information in the first feature maps of a layer, against their number."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.plots.shared import CEILING, NULL

COLOURS = {"random": "tab:blue", "greedy": "tab:green"}


def filter_count(frame: pd.DataFrame, title: str = "") -> Figure:
    """Draw information with its interval against the number of feature maps, one panel for each tap and target.

    Each order of the maps has a curve. Dotted lines are the nulls, and the dashed line is the ceiling. Bands mark the
    number of maps that is enough.

    Args:
        frame: Rows with tap, about, order, count, bits, low, high, null_mean, ceiling, enough, enough_low and
            enough_high.
        title: Title of the figure.
    """
    taps, abouts = (list(dict.fromkeys(frame[key])) for key in ("tap", "about"))
    figure = Figure(figsize=(4.2 * len(abouts), 2.6 * len(taps) + 0.4), layout="constrained")
    grid = figure.subplots(len(taps), len(abouts), squeeze=False)
    for line, tap in zip(grid, taps, strict=True):
        for axes, about in zip(line, abouts, strict=True):
            for order, curve in frame[(frame["tap"] == tap) & (frame["about"] == about)].groupby("order", sort=False):
                colour = COLOURS[order]
                axes.plot(curve["count"], curve["bits"], marker="o", ms=3, lw=1, color=colour, label=order)
                axes.fill_between(curve["count"], curve["low"], curve["high"], color=colour, alpha=0.15)
                axes.plot(curve["count"], curve["null_mean"], color=NULL, ls=":", lw=1, label=f"null, {order}")
                if curve["enough"].notna().any():
                    least, most = curve[["enough_low", "enough_high"]].iloc[0]
                    axes.axvspan(least, most, color=colour, alpha=0.12, lw=0)
            highest = frame.loc[(frame["tap"] == tap) & (frame["about"] == about), "ceiling"].max()
            if highest < 2 * axes.get_ylim()[1]:
                axes.axhline(highest, color=CEILING, ls="--", lw=0.8, label="ceiling")
            axes.set_title(f"{tap}: I({about};first k maps)", fontsize=8)
            axes.tick_params(labelsize=7)
    grid[0][0].legend(fontsize=6, frameon=False)
    figure.supxlabel("number k of feature maps; bands: the number that is enough", fontsize=9)
    figure.supylabel("bits", fontsize=9)
    figure.suptitle(title, fontsize=10)
    return figure
