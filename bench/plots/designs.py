"""Designs after retraining: score against cost, training curves, and the loss of score against its prediction."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, StrMethodFormatter

COSTS = {"params": "parameters", "flops": "FLOPs an image", "latency_ms": "latency [ms]"}
COLOURS = {"base": "black", "chosen": "tab:red", "proposal": "tab:orange"}
SHOWN = 5  # designs lower than the base by more than this many half widths of its interval are drawn as triangles
LEAST_REACH = 0.01  # units of the score, where there is no interval
MOST = 1.01  # scores are at most 1
MARGIN = 0.25  # space below the triangles, in half widths of the base's interval


def pareto(table: pd.DataFrame, score: str) -> Figure:
    """Draw the score with its interval against parameters, FLOPs and latency. A line joins the Pareto front.

    Args:
        table: Rows with design, kind, score, low, high, collapsed, params, flops, latency_ms, and front.COST for each
            cost.
        score: Name of the score.
    """
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    lowest, limits = score_range(table, table[table["kind"] == "base"].iloc[0])
    kinds = [kind for kind in dict.fromkeys(table["kind"]) if kind not in COLOURS]
    colours = COLOURS | {kind: matplotlib.colormaps["tab10"]((i + 4) % 10) for i, kind in enumerate(kinds)}
    for axes, cost in zip(figure.subplots(1, 3, sharey=True), COSTS, strict=True):
        for kind, rows in table.groupby("kind", sort=False):
            errors = np.abs(rows[["low", "high"]].to_numpy().T - rows["score"].to_numpy())
            style = {"ms": 5, "color": colours[kind], "zorder": 3 if kind == "chosen" else 2}
            axes.errorbar(rows[cost], rows["score"], errors, fmt="o", capsize=2, lw=1, label=kind, **style)
            below = rows[rows["score"] < lowest]
            axes.plot(below[cost], np.full(len(below), lowest), "v", **style)
            for row in below.itertuples():
                text = f" {row.design}: {row.score:.2f}{' (collapsed)' if row.collapsed else ''}"
                axes.annotate(text, (getattr(row, cost), lowest), rotation=90, fontsize=6, ha="center", va="bottom")
        axes.set_ylim(limits)
        front = table[table[f"front.{cost}"]].sort_values(cost)
        axes.step(front[cost], front["score"], where="post", color="0.6", lw=0.8, zorder=0)
        cost_axis(axes, cost)
    figure.axes[0].set_ylabel(f"{score} on test data")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=8, frameon=False)
    return figure


def score_range(table: pd.DataFrame, base: pd.Series) -> tuple[float, tuple[float | None, float | None]]:
    """Compute the limits of the axis of the score from the interval of the base.

    Without limits, a design that failed to train or has a very wide interval would hide the differences between the
    other designs. Designs with collapsed trainings do not set the limits.

    Args:
        table: Rows with score, low and collapsed.
        base: Row of the base, with score, high and collapsed. If it collapsed, the design with the best score is used.

    Returns:
        The score below which designs are drawn as triangles, and the limits of the axis. There are no limits if no
        design has trained, or if the base has no interval and no design collapsed.
    """
    trained = table[table["collapsed"] == 0]
    if trained.empty or (len(trained) == len(table) and not base["high"] > base["score"]):
        return -np.inf, (None, None)
    if base["collapsed"]:
        base = trained.loc[trained["score"].idxmax()]
    reach, lows = base["high"] - base["score"], trained["low"].fillna(trained["score"])
    lowest = lows.min()
    if reach > 0:
        lowest = max(lowest, base["score"] - SHOWN * reach)
    else:
        reach = max(LEAST_REACH, trained["score"].max() - lowest)
    return lowest, (lowest - MARGIN * reach, min(trained["score"].max() + 2 * reach, MOST))


def cost_axis(axes: Axes, cost: str) -> None:
    """Format the x axis as a logarithmic axis of a cost, with its label."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}") if cost == "latency_ms" else EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=8)
    axes.set_xlabel(COSTS[cost])


def training_curves(curves: pd.DataFrame) -> Figure:
    """Draw the mean and the range over seeds of the validation score against the epoch, one panel for each design.

    Args:
        curves: Rows with design, seed, epoch and score.
    """
    designs = list(dict.fromkeys(curves["design"]))
    lines = -(-len(designs) // 4)
    figure = Figure(figsize=(12, 2.3 * lines), layout="constrained")
    grid = figure.subplots(lines, 4, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid[len(designs) :]:
        axes.set_axis_off()
    for axes, design in zip(grid, designs, strict=False):
        over_seeds = curves[curves["design"] == design].groupby("epoch")["score"]
        axes.fill_between(over_seeds.min().index, over_seeds.min(), over_seeds.max(), color="0.85")
        axes.plot(over_seeds.mean(), color="tab:blue", lw=1)
        axes.set_title(design, fontsize=8)
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("validation score", fontsize=9)
    return figure


def predicted_loss(table: pd.DataFrame, titles: dict[str, str]) -> Figure:
    """Draw the measured loss of score against the information that a design loses, one panel for each diagnostic.

    Args:
        table: Rows with design, diagnostic, bits, low, high and loss.
        titles: Title of the panel of each diagnostic.
    """
    lines = -(-len(titles) // 4)
    figure = Figure(figsize=(12, 3 * lines), layout="constrained")
    grid = figure.subplots(lines, 4, squeeze=False).ravel()
    for axes in grid[len(titles) :]:
        axes.set_axis_off()
    for axes, (diagnostic, title) in zip(grid, titles.items(), strict=False):
        _scatter(axes, table[table["diagnostic"] == diagnostic])
        axes.set_title(title, fontsize=8)
    figure.supxlabel("information loss [bits]; panels named baseline: minus the logarithm of the size", fontsize=9)
    figure.supylabel("loss of score after retraining", fontsize=9)
    return figure


def _scatter(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the designs of one diagnostic, with the intervals of their bits."""
    errors = np.abs(rows[["low", "high"]].to_numpy().T - rows["bits"].to_numpy())
    axes.errorbar(rows["bits"], rows["loss"], xerr=errors, fmt="o", ms=3, lw=0.6, color="tab:blue")
    axes.set_yscale("symlog", linthresh=0.02)
    axes.axhline(0, color="0.7", lw=0.6)
    axes.tick_params(labelsize=7)
