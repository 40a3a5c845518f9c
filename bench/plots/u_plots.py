"""U-plots: information against the layer, and profiles of several designs in one panel."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots.shared import (
    CEILING,
    NULL,
    TRAINED,
    UNTRAINED,
    WIDTH,
    column,
    finish,
    layer_axis,
    layers_of,
    order_by_tap,
    styled,
)
from bench.plots.styles import design_styles, styles_of_some

HIGHEST_CEILING = 1.5  # a ceiling that is higher than the curves by more than this factor is not drawn
BANDS = 4  # maximal number of designs with a band


@styled
def u_plot(frame: pd.DataFrame, title: str = "", *, epochs: bool = False) -> Figure:
    """Draw information against the layer, one panel for each quantity and view.

    The curve is the best checkpoint with its interval. The grey band is the range of the untrained networks: the
    network at epoch 0 and the untrained references. The dotted line is the null of the best checkpoint, if it has one,
    and the dashed line is the ceiling, if it is near. Hollow points are not reliable.

    Args:
        frame: Rows of a LayerTable of one estimator.
        title: Title of the figure.
        epochs: Also draw a curve for each measured epoch of training.
    """
    frame = frame.assign(panel=[_panel(row) for row in frame.itertuples()])
    panels = frame.loc[frame["bits"].notna(), "panel"].drop_duplicates().tolist()
    layers = layers_of(frame)
    size = (max(WIDTH, 0.27 * len(layers) + 1), 2.2 * max(len(panels), 1) + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    grid = column(figure, max(len(panels), 1), sharex=True)
    for axes, panel in zip(grid, panels, strict=False):
        rows, taps = frame[frame["panel"] == panel], layers["tap"].tolist()
        in_training = rows["weights"] == "epoch"
        at_start = in_training & (rows["epoch"] == 0)
        _draw_best(axes, rows[rows["weights"] == "best"], taps)
        _draw_untrained(axes, rows[(rows["weights"] == "untrained") | at_start], taps)
        if epochs:
            _draw_epochs(axes, rows[in_training & ~at_start], taps)
        _draw_ceiling(axes, rows["ceiling"].groupby(rows["tap"]).max(), taps)
        axes.set_ylabel(f"{panel} [bits]")
        layer_axis(axes, layers, first=axes is grid[0])
    return finish(figure, title)


def _panel(row) -> str:
    """Name the panel of a row."""
    if pd.isna(row.label_view):
        return row.quantity
    return row.quantity.replace(
        ";Y", f"; {row.label_view}" if row.view == "image" else f"; {row.view} {row.label_view}"
    )


def _draw_untrained(axes: Axes, rows: pd.DataFrame, taps: list[str]) -> None:
    """Draw the range of the untrained networks."""
    by_tap = rows.groupby("tap")["bits"]
    low, high = order_by_tap(by_tap.min(), taps), order_by_tap(by_tap.max(), taps)
    if np.isfinite(low).any():
        seeds = rows["seed"].nunique()
        label = "untrained" if seeds == 1 else f"untrained, range of {seeds} seeds"
        axes.fill_between(range(len(taps)), low, high, color=UNTRAINED, lw=3, zorder=0, label=label)


def _draw_epochs(axes: Axes, rows: pd.DataFrame, taps: list[str]) -> None:
    """Draw a thin curve for each epoch, in colours that become darker."""
    curves = list(rows.groupby("epoch"))
    colours = matplotlib.colormaps["YlOrBr"](np.linspace(0.3, 0.85, max(len(curves), 1)))
    for (epoch, curve), colour in zip(curves, colours, strict=False):
        axes.plot(order_by_tap(curve.set_index("tap")["bits"], taps), color=colour, lw=1, label=f"epoch {epoch}")


def _draw_best(axes: Axes, rows: pd.DataFrame, taps: list[str]) -> None:
    """Draw the best checkpoint with interval, null and reliability."""
    rows = rows.set_index("tap")
    bits, places = order_by_tap(rows["bits"], taps), np.arange(len(taps))
    low, high = order_by_tap(rows["low"], taps), order_by_tap(rows["high"], taps)
    axes.fill_between(places, low, high, color=TRAINED, alpha=0.2, lw=0)
    trained = sorted(rows["epoch"].unique())
    label = f"best checkpoint, epoch {trained[0]}" if trained and trained[0] > 0 else "network"
    label = f"{label}, 95 % interval" if np.isfinite(low).any() else label
    axes.plot(bits, color=TRAINED, marker="o", zorder=3, label=label)
    doubtful = rows["reliable"].reindex(taps).eq(False).to_numpy() & np.isfinite(bits)
    if doubtful.any():
        axes.scatter(
            places[doubtful], bits[doubtful], 18, facecolors="white", edgecolors=TRAINED, zorder=4, label="not reliable"
        )
    if rows["null_mean"].notna().any():
        axes.plot(order_by_tap(rows["null_mean"], taps), color=NULL, ls=":", lw=1.2, label="null (shuffled)")


def _draw_ceiling(axes: Axes, ceiling: pd.Series, taps: list[str]) -> None:
    """Draw the ceiling where it is near, and limit the axis to the curves. The axis contains 0."""
    low, high = axes.get_ylim()
    top, heights = high, order_by_tap(ceiling, taps)
    near = np.where(heights <= HIGHEST_CEILING * high, heights, np.nan)
    if np.isfinite(near).any():
        axes.plot(near, color=CEILING, lw=0.9, ls="--", label="ceiling of the estimator")
        top = max(high, 1.03 * np.nanmax(near))
    axes.set_ylim(min(low, -0.02 * high), top)


@styled
def overlaid(profiles: Mapping[str, pd.DataFrame], title: str = "", styles: Mapping[str, dict] | None = None) -> Figure:
    """Draw the profiles of several designs against relative depth, one panel for each quantity, one curve per design.

    A curve is the mean over the runs of a design. If every estimate of a quantity has a null, the excess over the null
    is drawn, else the bits. Dotted lines are untrained networks. For at most 4 designs, bands show the 95 % interval of
    a single run, or the range over several runs.

    Args:
        profiles: Profiles of the runs of each design, see `LayerTable.profile_and_untrained`.
        title: Title of the figure.
        styles: Colour and marker of each design, by default those of `design_styles`. If two of the drawn designs share
            a colour without need, they get others.
    """
    styles = styles_of_some(profiles, styles) if styles else design_styles(profiles)
    every = pd.concat(profiles.values())
    quantities = list(dict.fromkeys(every["quantity"]))
    figure = Figure(figsize=(WIDTH, 2.5 * len(quantities) + 0.4), layout="constrained")
    for axes, quantity in zip(column(figure, len(quantities), sharex=True), quantities, strict=True):
        has_null = every.loc[every["quantity"] == quantity, "excess"].notna().all()
        value = "excess" if has_null else "bits"
        for design, frame in profiles.items():
            rows = frame[frame["quantity"] == quantity]
            if len(rows):
                _draw_profile(axes, rows, value, styles[design], band=len(profiles) <= BANDS)
        if every["untrained"].notna().any():
            axes.plot([], ls=":", lw=1, color="0.3", label="untrained")
        axes.axhline(0, color="0.6", lw=0.7, zorder=0)
        axes.set_ylabel(f"{quantity} above the null [bits]" if has_null else f"{quantity} [bits]")
        _name_depths(axes, every["role"].eq("bottleneck").any(), first=quantity == quantities[0])
    figure.axes[-1].set_xlabel("relative depth [%]")
    return finish(figure, title)


def _draw_profile(axes: Axes, rows: pd.DataFrame, value: str, style: dict, band: bool) -> None:
    """Draw the mean over the runs of a design, its untrained reference, and its band."""
    shift = rows["null_mean"] if value == "excess" else 0
    rows = rows.assign(low=rows["low"] - shift, high=rows["high"] - shift)
    by_depth = rows.groupby("relative_depth")
    mean = by_depth[[value, "untrained", "untrained_excess", "low", "high"]].mean()
    axes.plot(mean[value], **style)
    axes.plot(mean["untrained_excess" if value == "excess" else "untrained"], ls=":", lw=1, color=style["color"])
    if band:
        several = by_depth.size().max() > 1
        ends = by_depth[value].agg(["min", "max"]) if several else mean[["low", "high"]]
        axes.fill_between(mean.index, *ends.to_numpy(dtype=float).T, color=style["color"], alpha=0.12, lw=0)


def _name_depths(axes: Axes, has_bottleneck: bool, first: bool) -> None:
    """Mark the bottleneck of a U-Net at 50 %, and name the parts before and after it."""
    axes.set_xlim(-3, 103)
    if not has_bottleneck:
        return
    axes.axvline(50, color="0.8", lw=0.8, zorder=0)
    if first:
        for x, name in ((25, "encoder"), (50, "bottleneck"), (75, "decoder")):
            axes.text(x, 1.01, name, transform=axes.get_xaxis_transform(), ha="center", va="bottom", color="0.3")
