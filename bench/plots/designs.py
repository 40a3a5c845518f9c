"""Designs after retraining: score against cost, training curves, and the loss of score against its prediction."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, NullFormatter, NullLocator, StrMethodFormatter

from bench.plots.shared import MARKERS, PALETTE, TRAINED, UNTRAINED, WIDTH, finish, grid, label_grid, mark_below, styled

COSTS = {"params": "parameters", "flops": "FLOPs an image", "latency_ms": "latency [ms]"}
LOOKS = {  # by the kind of a design
    "base": {"color": "black", "marker": "o"},
    "chosen": {"color": PALETTE[1], "marker": "*", "ms": 9},
    "proposal": {"color": PALETTE[4], "marker": "s"},
}
OTHERS = (0, 2, 3, 5)  # places in the palette of the other kinds
GAP = 0.2  # scores that a gap of more than this separates from all better ones are far below
LEAST_REACH = 0.01  # least reach of the axis beyond the scores
STEPS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), tuple(1 + i / 10 for i in range(90)))  # ticks of a decade
TICKS = 4  # wanted number of ticks of a cost
COLUMNS = 4  # of panels


@styled
def pareto(table: pd.DataFrame, score: str, title: str = "") -> Figure:
    """Draw the score with its interval against parameters, FLOPs and latency. A line joins the Pareto front.

    Designs that collapsed, or whose scores are far below the others, are triangles at the lower edge.

    Args:
        table: Rows with design, kind, score, low, high, params, flops, latency_ms, and front.COST for each cost; and
            collapsed, if it is known.
        score: Name of the score.
        title: Title of the figure.
    """
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    others = [kind for kind in dict.fromkeys(table["kind"]) if kind not in LOOKS]
    looks = LOOKS | {
        kind: {"color": PALETTE[OTHERS[i % len(OTHERS)]], "marker": MARKERS[(i + 2) % len(MARKERS)]}
        for i, kind in enumerate(others)
    }
    below = is_below(table)
    for axes, cost in zip(figure.subplots(1, 3, sharey=True), COSTS, strict=True):
        cost_axis(axes, cost, table[cost])
        axes.set_ylim(score_limits(table, below))
        for kind, rows in table.groupby("kind", sort=False):
            inside = rows[~below[rows.index]]
            errors = np.nan_to_num(np.abs(inside[["low", "high"]].to_numpy(dtype=float).T - inside["score"].to_numpy()))
            order = 3 if kind == "chosen" else 2
            axes.errorbar(inside[cost], inside["score"], errors, ls="", elinewidth=1, zorder=order, **looks[kind])
        mark_below(axes, [(getattr(row, cost), row.score, looks[row.kind]) for row in table[below].itertuples()])
        draw_front(axes, table[~below], cost)
    figure.axes[0].set_ylabel(f"{score} on test data")
    for kind in dict.fromkeys(table["kind"]):
        figure.axes[0].plot([], ls="", label=kind, **looks[kind])
    return finish(figure, title)


def is_below(table: pd.DataFrame) -> pd.Series:
    """Return whether each design collapsed, or has a score that a gap of 0.2 separates from all better scores.

    Such a design would hide the differences between the other designs. At least one design is not below.

    Args:
        table: Rows with score, and collapsed if it is known.

    Examples:
        >>> is_below(pd.DataFrame({"score": [0.9, 0.72, 0.3, 0.1]})).tolist()
        [False, False, True, True]
        >>> is_below(pd.DataFrame({"score": [0.5, 0.4], "collapsed": [False, True]})).tolist()
        [False, True]
    """
    collapsed = table["collapsed"].astype(bool) if "collapsed" in table else pd.Series(False, table.index)
    if collapsed.all():
        collapsed = pd.Series(False, table.index)
    ordered = table.loc[~collapsed, "score"].sort_values(ascending=False)
    after_gap = (-ordered.diff() > GAP).cummax()
    return collapsed | after_gap.reindex(table.index, fill_value=False)


def score_limits(table: pd.DataFrame, below: pd.Series) -> tuple[float, float]:
    """Compute the limits of the axis of the score. Intervals that are wider than the range of scores are cut off.

    Args:
        table: Rows with score, low and high.
        below: Whether each design lies below the axis.
    """
    shown = table[~below]
    least, most = shown["score"].min(), shown["score"].max()
    widest = np.nan_to_num(
        np.nanmax([shown["score"] - shown["low"], shown["high"] - shown["score"], 0 * shown["score"]])
    )
    reach = 1.15 * max(LEAST_REACH, min(widest, max(most - least, 0.05)))
    low, high = least - reach, most + reach
    return low - (0.15 * (high - low) if below.any() else 0), high


def draw_front(axes: Axes, table: pd.DataFrame, cost: str) -> None:
    """Join the designs of the Pareto front of a cost by steps."""
    front = table[table[f"front.{cost}"]].sort_values(cost)
    axes.step(front[cost], front["score"], where="post", color="0.6", lw=0.9, zorder=0, label="Pareto front")


def cost_axis(axes: Axes, cost: str, values: pd.Series) -> None:
    """Format the x axis as a logarithmic axis of a cost, with its label and at least 3 ticks."""
    low, high = values.min() / 1.35, values.max() * 1.35
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in STEPS:
        ticks = np.sort(np.outer(decades, steps).ravel())
        ticks = ticks[(ticks >= low) & (ticks <= high)]
        if len(ticks) >= TICKS - 1:
            break
    ticks = ticks[:: -(-len(ticks) // (TICKS + 1))]
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(ticks.tolist()))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.3g}") if cost == "latency_ms" else EngFormatter(sep=""))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(COSTS[cost])


@styled
def gains(compared: pd.DataFrame, score: str, margin: float, title: str = "") -> Figure:
    """Draw the gain of a design over other designs with its interval. The grey range is the margin.

    Intervals that are much wider than the gains go beyond the axis.

    Args:
        compared: Rows with name, gain, low, high and verdict.
        score: Name of the score.
        margin: Margin of the verdict "no worse".
        title: Title of the figure.
    """
    rows = compared[compared["gain"].notna()]
    figure = Figure(figsize=(WIDTH, 0.24 * len(rows) + 0.75), layout="constrained")
    axes, places = figure.subplots(), np.arange(len(rows))[::-1]
    gain, low, high = (rows[column].to_numpy(dtype=float) for column in ("gain", "low", "high"))
    largest, widest = np.abs(gain).max(), np.nan_to_num(np.abs([low, high])).max()
    reach = 1.25 * max(margin, largest, min(widest, 3 * largest + 2 * margin))
    axes.axvspan(-margin, 0, color=UNTRAINED, alpha=0.5, lw=0, zorder=0)
    axes.axvline(0, color="0.3", lw=0.7, zorder=1)
    axes.errorbar(gain, places, xerr=[gain - low, high - gain], fmt="o", elinewidth=1.2, color=TRAINED)
    axes.set(xlim=(-reach, reach), ylim=(-0.6, len(rows) - 0.4), xlabel=f"gain in {score} over this design")
    axes.set_yticks(places, rows["name"].tolist())
    axes.tick_params(axis="y", length=0)
    for place, verdict in zip(places, rows["verdict"], strict=True):
        axes.text(1.02, place, verdict, transform=axes.get_yaxis_transform(), va="center")
    return finish(figure, title)


@styled
def training_curves(curves: pd.DataFrame, title: str = "") -> Figure:
    """Draw the mean and the range over seeds of the validation score against the epoch, one panel for each design.

    Args:
        curves: Rows with design, seed, epoch and score.
        title: Title of the figure.
    """
    designs = list(dict.fromkeys(curves["design"]))
    figure = Figure(figsize=(WIDTH, 1.6 * -(-len(designs) // COLUMNS) + 0.3), layout="constrained")
    columns = min(len(designs), COLUMNS)
    panels = grid(figure, len(designs), columns, sharex=True, sharey=True)
    for axes, design in zip(panels, designs, strict=True):
        by_epoch = curves[curves["design"] == design].groupby("epoch")["score"]
        axes.fill_between(by_epoch.min().index, by_epoch.min(), by_epoch.max(), color=UNTRAINED, label="range of seeds")
        axes.plot(by_epoch.mean(), color=TRAINED, label="mean")
        axes.set_title(textwrap.fill(design, 26))
    label_grid(panels, columns, "epoch", "validation score")
    return finish(figure, title)


@styled
def predicted_loss(table: pd.DataFrame, titles: dict[str, str], title: str = "") -> Figure:
    """Draw the measured loss of score against the information that a design loses, one panel for each diagnostic.

    Baselines have minus the logarithm of the size of the design in place of the information.

    Args:
        table: Rows with design, diagnostic, bits, low, high and loss.
        titles: Title of the panel of each diagnostic.
        title: Title of the figure.
    """
    figure = Figure(figsize=(WIDTH, 1.9 * -(-len(titles) // COLUMNS) + 0.3), layout="constrained")
    columns = min(len(titles), COLUMNS)
    panels = grid(figure, len(titles), columns)
    for axes, (diagnostic, name) in zip(panels, titles.items(), strict=True):
        rows = table[table["diagnostic"] == diagnostic]
        errors = np.abs(rows[["low", "high"]].to_numpy(dtype=float).T - rows["bits"].to_numpy(dtype=float))
        axes.errorbar(rows["bits"], rows["loss"], xerr=errors, fmt="o", ms=3, elinewidth=0.6, color=TRAINED)
        axes.set_yscale("symlog", linthresh=0.02)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.axhline(0, color="0.7", lw=0.6)
        axes.set_title(name)
    label_grid(panels, columns, "information loss [bits]", "loss of score")
    return finish(figure, title)
