"""U-plots: information against the layer, and profiles of several designs in one panel."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots.shared import CEILING, NULL, PLANTED, UNTRAINED, column, order_by_tap


def u_plot(frame: pd.DataFrame, title: str = "") -> Figure:
    """Draw information against the tap, one panel for each quantity and view and one curve for each epoch.

    The grey band is the range of the untrained references over initialisations. The dashed line is the ceiling. The
    dotted line is the null of the best checkpoint, if it has one. Hollow points are not reliable. If truth was planted
    on the activations, a line shows it, and crosses show how much of it the estimator recovered.

    Args:
        frame: Rows of a LayerTable of one estimator.
        title: Title of the figure.
    """
    frame = frame.assign(panel=[_panel(row) for row in frame.itertuples()])
    panels = frame.loc[frame["bits"].notna(), "panel"].drop_duplicates().tolist()
    taps = frame.drop_duplicates("tap").sort_values("order")["tap"].tolist()
    figure = Figure(figsize=(max(7, 0.34 * len(taps)), 3.4 * max(len(panels), 1)), layout="constrained")
    for axes, panel in zip(column(figure, max(len(panels), 1)), panels, strict=False):
        rows = frame[frame["panel"] == panel]
        _draw_untrained(axes, rows, taps)
        _draw_curves(axes, rows[rows["weights"] != "untrained"], taps)
        axes.set_ylabel(f"{panel} [bits]")
        axes.set_xticks(range(len(taps)), taps, rotation=90, fontsize=7)
        axes.set_xlim(-0.5, len(taps) - 0.5)
        _cut_off_high_ceiling(axes, rows)
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure


def _panel(row) -> str:
    """Name the panel of a row."""
    if pd.isna(row.label_view):
        return row.quantity
    return row.quantity.replace(
        ";Y", f"; {row.label_view}" if row.view == "image" else f"; {row.view} {row.label_view}"
    )


def _cut_off_high_ceiling(axes: Axes, rows: pd.DataFrame) -> None:
    """Limit the axis to the curves if the ceiling is more than twice as high."""
    drawn = rows[["bits", "low", "high", "null_mean", "planted", "recovered"]]
    low, high = drawn.min().min(), drawn.max().max()
    if rows["ceiling"].max() > 2 * high > 0:
        axes.set_ylim(min(low, 0) - 0.05 * high, 1.1 * high)


def _draw_untrained(axes: Axes, rows: pd.DataFrame, taps: list[str]) -> None:
    """Draw the ceiling, and the range of the untrained references."""
    ceiling = order_by_tap(rows.groupby("tap")["ceiling"].max(), taps)
    if np.isfinite(ceiling).any():
        highest = ceiling[np.isfinite(ceiling)].max()
        axes.plot(ceiling, color=CEILING, lw=0.8, ls="--", label=f"ceiling, up to {highest:.1f}")
    untrained = rows[rows["weights"] == "untrained"].groupby("tap")["bits"]
    if len(untrained):
        low, high = order_by_tap(untrained.min(), taps), order_by_tap(untrained.max(), taps)
        seeds = rows.loc[rows["weights"] == "untrained", "seed"].nunique()
        axes.fill_between(range(len(taps)), low, high, color=UNTRAINED, label=f"untrained, {seeds} seeds")
        axes.plot((low + high) / 2, color=UNTRAINED, lw=3, zorder=0)


def _draw_curves(axes: Axes, rows: pd.DataFrame, taps: list[str]) -> None:
    """Draw a curve for each epoch; for the best checkpoint also interval, null and planted truth."""
    curves = list(rows.groupby(["weights", "epoch"], sort=False))
    curves.sort(key=lambda item: (item[0][0] == "best", item[0][1]))
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, max(len(curves), 1)))
    for ((weights, epoch), curve), colour in zip(curves, colours, strict=True):
        curve = curve.set_index("tap")
        bits = order_by_tap(curve["bits"], taps)
        best = weights == "best"
        axes.plot(bits, color=colour, lw=1.8 if best else 1, label=f"{'best, ' if best else ''}epoch {epoch}")
        doubtful = curve["reliable"].reindex(taps).eq(False).to_numpy()
        places = np.arange(len(taps))
        axes.scatter(places[~doubtful], bits[~doubtful], 14, color=colour, zorder=3)
        axes.scatter(places[doubtful], bits[doubtful], 14, facecolors="white", edgecolors=[colour], zorder=3)
        if best:
            axes.fill_between(
                places, order_by_tap(curve["low"], taps), order_by_tap(curve["high"], taps), color=colour, alpha=0.2
            )
            if curve["null_mean"].notna().any():
                axes.plot(order_by_tap(curve["null_mean"], taps), color=NULL, ls=":", label="null of the best")
            if curve["planted"].notna().any():
                axes.plot(order_by_tap(curve["planted"], taps), color=PLANTED, lw=0.8, label="planted truth")
                recovered = order_by_tap(curve["recovered"], taps)
                axes.scatter(places, recovered, 16, PLANTED, marker="x", lw=1, label="recovered")
    axes.scatter([], [], 14, facecolors="white", edgecolors="0.3", label="not reliable")


def overlaid(profiles: Mapping[str, pd.DataFrame], title: str = "") -> Figure:
    """Draw the mean profiles of several designs against relative depth, one panel for each quantity.

    Args:
        profiles: Rows of the runs of each design, with quantity, relative_depth, bits, and untrained: the mean of the
            references.
        title: Title of the figure.
    """
    quantities = list(dict.fromkeys(q for frame in profiles.values() for q in frame["quantity"]))
    figure = Figure(figsize=(8, 3.4 * len(quantities)), layout="constrained")
    colours = matplotlib.colormaps["tab10"]
    for axes, quantity in zip(column(figure, len(quantities)), quantities, strict=True):
        for i, (design, frame) in enumerate(profiles.items()):
            mean = frame[frame["quantity"] == quantity].groupby("relative_depth")[["bits", "untrained"]].mean()
            axes.plot(mean["bits"], marker="o", ms=3, color=colours(i % 10), label=design)
            axes.plot(mean["untrained"], ls=":", lw=1, color=colours(i % 10))
        axes.plot([], ls=":", color="0.3", label="untrained")
        axes.set_ylabel(f"{quantity} [bits]")
        axes.set_xlabel("relative depth (bottleneck of a U-Net: 50)")
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure
