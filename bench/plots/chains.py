"""Chains: information along chains of layers, in which it should not rise."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.plots.shared import DAMAGED, NULL, TRAINED, WIDTH, column, finish, styled

TITLES = {
    "forward": "I(X;T) along the layers",
    "cut": "I(X;cut) from the bottleneck on",
    "error": "I(δK;δT) of errors, from the output backward",
}
MARKS = {  # column -> marker, size and label
    "violation": ("o", 8, "rise of the bits"),
    "violation_excess": ("s", 12, "rise of the excess over the null"),
}


@styled
def chains(frame: pd.DataFrame, title: str = "") -> Figure:
    """Draw information with intervals in the order of each chain, one panel for each chain.

    The dotted line is the null. Marks are rises beyond the intervals: a circle for a rise of the bits, a square for a
    rise of the excess over the null.

    Args:
        frame: Rows with chain, tap, bits, low, high, null_mean, violation and violation_excess.
        title: Title of the figure.
    """
    kinds = list(dict.fromkeys(frame["chain"]))
    longest = frame["chain"].value_counts().max()
    figure = Figure(figsize=(max(WIDTH, 0.3 * longest + 1), 2.6 * len(kinds)), layout="constrained")
    for axes, kind in zip(column(figure, len(kinds)), kinds, strict=True):
        rows = frame[frame["chain"] == kind].reset_index(drop=True)
        errors = np.abs(rows[["low", "high"]].to_numpy(dtype=float).T - rows["bits"].to_numpy(dtype=float))
        axes.errorbar(
            rows.index, rows["bits"], errors, marker="o", color=TRAINED, lw=1.2, label="best checkpoint, 95 % interval"
        )
        if rows["null_mean"].notna().any():
            axes.plot(rows["null_mean"].astype(float), color=NULL, ls=":", label="null (shuffled)")
        for name, (mark, size, label) in MARKS.items():
            broken = rows[rows[name].astype(bool)]
            if len(broken):
                axes.plot(broken.index, broken["bits"], mark, ms=size, mfc="none", mec=DAMAGED, label=label)
        axes.set_xticks(rows.index, rows["tap"], rotation=90)
        axes.set_ylabel("information [bits]")
        axes.set_title(TITLES.get(kind, kind), loc="left")
    return finish(figure, title)
