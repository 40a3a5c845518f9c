"""Figures from LayerTables; knows nothing of models."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

CONTROL, NULL, CEILING = "0.82", "tab:orange", "0.5"


def u_plot(frame: pd.DataFrame, title: str = "") -> Figure:
    """Information against the tap, one curve per epoch, for one estimator.

    Behind the curves the band of the untrained controls (min to max over initialisations); dashed the ceiling; dotted
    the null of the last curve, where one exists. Points that are not reliable are hollow.
    """
    panels = list(dict.fromkeys(zip(frame["quantity"], frame["label_view"].fillna(""), strict=True)))
    taps = frame.drop_duplicates("tap").sort_values("order")["tap"].tolist()
    figure = Figure(figsize=(max(7, 0.34 * len(taps)), 3.4 * len(panels)), layout="constrained")
    for axes, (quantity, view) in zip(_column(figure, len(panels)), panels, strict=True):
        rows = frame[(frame["quantity"] == quantity) & (frame["label_view"].fillna("") == view)]
        _draw_controls(axes, rows, taps)
        _draw_curves(axes, rows[rows["weights"] != "untrained"], taps)
        axes.set_ylabel(f"{quantity.replace(';Y', f'; {view}') if view else quantity} [bits]")
        axes.set_xticks(range(len(taps)), taps, rotation=90, fontsize=7)
        axes.set_xlim(-0.5, len(taps) - 0.5)
        _leave_out_a_far_ceiling(axes, rows)
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure


def _leave_out_a_far_ceiling(axes: Axes, rows: pd.DataFrame) -> None:
    drawn = rows[["bits", "low", "high", "null_mean"]]
    low, high = drawn.min().min(), drawn.max().max()
    if rows["ceiling"].max() > 2 * high > 0:
        axes.set_ylim(min(low, 0) - 0.05 * high, 1.1 * high)


def _draw_controls(axes: Axes, rows: pd.DataFrame, taps: list[str]) -> None:
    ceiling = _along(rows.groupby("tap")["ceiling"].max(), taps)
    axes.plot(ceiling, color=CEILING, lw=0.8, ls="--", label=f"ceiling, up to {np.nanmax(ceiling):.1f}")
    control = rows[rows["weights"] == "untrained"].groupby("tap")["bits"]
    if len(control):
        low, high = _along(control.min(), taps), _along(control.max(), taps)
        seeds = rows.loc[rows["weights"] == "untrained", "seed"].nunique()
        axes.fill_between(range(len(taps)), low, high, color=CONTROL, label=f"untrained, {seeds} seeds")
        axes.plot((low + high) / 2, color=CONTROL, lw=3, zorder=0)


def _draw_curves(axes: Axes, rows: pd.DataFrame, taps: list[str]) -> None:
    curves = list(rows.groupby(["weights", "epoch"], sort=False))
    curves.sort(key=lambda item: (item[0][0] == "best", item[0][1]))
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, max(len(curves), 1)))
    for ((weights, epoch), curve), colour in zip(curves, colours, strict=True):
        curve = curve.set_index("tap")
        bits = _along(curve["bits"], taps)
        best = weights == "best"
        axes.plot(bits, color=colour, lw=1.8 if best else 1, label=f"{'best, ' if best else ''}epoch {epoch}")
        doubtful = curve["reliable"].reindex(taps).eq(False).to_numpy()
        places = np.arange(len(taps))
        axes.scatter(places[~doubtful], bits[~doubtful], 14, color=colour, zorder=3)
        axes.scatter(places[doubtful], bits[doubtful], 14, facecolors="white", edgecolors=[colour], zorder=3)
        if best:
            axes.fill_between(places, _along(curve["low"], taps), _along(curve["high"], taps), color=colour, alpha=0.2)
            if curve["null_mean"].notna().any():
                axes.plot(_along(curve["null_mean"], taps), color=NULL, ls=":", label="null of the best")
    axes.scatter([], [], 14, facecolors="white", edgecolors="0.3", label="not reliable")


def overlaid(profiles: Mapping[str, pd.DataFrame], title: str = "") -> Figure:
    """Mean profiles of several designs over their place along the data's way, one panel a quantity.

    profiles: per design a frame with quantity, place, bits, and control (the untrained mean) of its runs.
    """
    quantities = list(dict.fromkeys(q for frame in profiles.values() for q in frame["quantity"]))
    figure = Figure(figsize=(8, 3.4 * len(quantities)), layout="constrained")
    colours = matplotlib.colormaps["tab10"]
    for axes, quantity in zip(_column(figure, len(quantities)), quantities, strict=True):
        for i, (design, frame) in enumerate(profiles.items()):
            mean = frame[frame["quantity"] == quantity].groupby("place")[["bits", "control"]].mean()
            axes.plot(mean["bits"], marker="o", ms=3, color=colours(i % 10), label=design)
            axes.plot(mean["control"], ls=":", lw=1, color=colours(i % 10))
        axes.plot([], ls=":", color="0.3", label="untrained")
        axes.set_ylabel(f"{quantity} [bits]")
        axes.set_xlabel("place along the data's way (bottleneck of a U-Net: 50)")
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure


def information_plane(frame: pd.DataFrame, title: str = "") -> Figure:
    """I(T;Y) against I(X;T), one panel per tap, a point per epoch joined in order; grey: untrained controls."""
    wide = frame.pivot_table(index=["tap", "order", "weights", "epoch", "seed"], columns="quantity", values="bits")
    wide = wide.dropna().reset_index().sort_values(["order", "epoch"])
    taps = list(dict.fromkeys(wide["tap"]))
    nulls = frame[(frame["quantity"] == "I(T;Y)") & (frame["weights"] == "best")].set_index("tap")["null_mean"]
    columns = min(6, max(len(taps), 1))
    lines = max(-(-len(taps) // columns), 1)
    figure = Figure(figsize=(2.1 * columns, 2.0 * lines + 0.4), layout="constrained")
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid[len(taps) :]:
        axes.set_axis_off()
    for axes, tap in zip(grid, taps, strict=False):
        rows = wide[wide["tap"] == tap]
        control, trained = rows[rows["weights"] == "untrained"], rows[rows["weights"] != "untrained"]
        axes.scatter(control["I(X;T)"], control["I(T;Y)"], 12, color="0.7", label="untrained")
        axes.plot(trained["I(X;T)"], trained["I(T;Y)"], color="0.6", lw=0.8)
        points = axes.scatter(trained["I(X;T)"], trained["I(T;Y)"], 14, c=trained["epoch"], cmap="viridis", zorder=3)
        axes.axhline(nulls.get(tap, np.nan), color=NULL, ls=":", lw=1, label="null of the best")
        axes.set_title(tap, fontsize=7)
    if taps:
        figure.colorbar(points, ax=grid.tolist(), label="epoch", shrink=0.6)
        grid[0].legend(fontsize=5, frameon=False)
    figure.supxlabel("I(X;T) [bits]", fontsize=9)
    figure.supylabel("I(T;Y) [bits]", fontsize=9)
    figure.suptitle(title, fontsize=10)
    return figure


def information_over_epochs(frame: pd.DataFrame, title: str = "") -> Figure:
    """Information against epochs, one curve per tap, coloured along the data's way; dotted: the null's mean."""
    quantities = list(dict.fromkeys(frame["quantity"]))
    figure = Figure(figsize=(8, 3.2 * len(quantities)), layout="constrained")
    trained = frame[frame["weights"] == "epoch"]
    taps = trained.drop_duplicates("tap").sort_values("order")["tap"].tolist()
    colours = matplotlib.colormaps["turbo"](np.linspace(0.05, 0.95, max(len(taps), 1)))
    for axes, quantity in zip(_column(figure, len(quantities)), quantities, strict=True):
        for tap, colour in zip(taps, colours, strict=True):
            rows = trained[(trained["tap"] == tap) & (trained["quantity"] == quantity)].sort_values("epoch")
            control = frame.query("weights == 'untrained' and tap == @tap and quantity == @quantity")["bits"]
            axes.plot(rows["epoch"], rows["bits"], marker="o", ms=3, color=colour, label=tap)
            axes.plot(rows["epoch"], rows["null_mean"], ls=":", lw=0.8, color=colour)
            if len(control):
                axes.vlines(-0.25, control.min(), control.max(), color=colour, lw=2)
        axes.set_ylabel(f"{quantity} [bits]")
        axes.set_xlabel("epoch (bars at the left: untrained controls)")
        axes.legend(fontsize=6, ncols=2, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure


def _column(figure: Figure, panels: int) -> list[Axes]:
    return figure.subplots(panels, 1, squeeze=False)[:, 0].tolist()


def _along(values: pd.Series, taps: list[str]) -> np.ndarray:
    return values.reindex(taps).to_numpy(dtype=float)
