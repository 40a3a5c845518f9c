"""Filter counts: the information in the first feature maps of a layer, against their number."""

from __future__ import annotations

from itertools import product
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.plots.shared import CEILING, PALETTE, WIDTH, finish, grid, label_grid, styled

COLUMNS = 3  # of panels, if they have one target
LOOKS: dict[str, dict[str, Any]] = {
    "random": {"color": PALETTE[0], "marker": "o"},
    "greedy": {"color": PALETTE[2], "marker": "s"},
}


@styled
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
    shown = list(product(taps, abouts))
    columns = len(abouts) if len(abouts) > 1 else min(COLUMNS, len(taps))
    figure = Figure(figsize=(WIDTH, 1.8 * -(-len(shown) // columns) + 0.3), layout="constrained")
    panels = grid(figure, len(shown), columns)
    for axes, (tap, about) in zip(panels, shown, strict=True):
        rows = frame[(frame["tap"] == tap) & (frame["about"] == about)]
        for order, curve in rows.groupby("order", sort=False):
            look = LOOKS[str(order)]
            axes.plot(curve["count"], curve["bits"], ms=3, lw=1, label=f"{order} order", **look)
            axes.fill_between(curve["count"], curve["low"], curve["high"], color=look["color"], alpha=0.15, lw=0)
            axes.plot(
                curve["count"], curve["null_mean"], color=look["color"], ls=":", lw=1, label=f"null, {order} order"
            )
            if curve["enough"].notna().any():
                least, most = curve[["enough_low", "enough_high"]].iloc[0]
                label = f"enough, {order} order"
                axes.axvspan(least - 0.1, most + 0.1, color=look["color"], alpha=0.1, lw=0, label=label)
        highest = rows["ceiling"].max()
        if highest < 2 * axes.get_ylim()[1]:
            axes.axhline(highest, color=CEILING, ls="--", lw=0.8, label="ceiling")
        axes.set_title(f"{tap}: I({about}; first k maps)")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    label_grid(panels, columns, "number k of feature maps", "information [bits]")
    return finish(figure, title)
