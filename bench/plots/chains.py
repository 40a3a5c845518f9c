"""Chains: information along chains of layers, in which it should not rise."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.plots.shared import NULL, column


def chains(frame: pd.DataFrame, title: str = "") -> Figure:
    """Draw information with intervals in the order of each chain, one panel for each chain.

    The dotted line is the null. Red marks are rises beyond the intervals: a circle for a rise of the bits, a square for
    a rise of the excess over the null.

    Args:
        frame: Rows with chain, tap, bits, low, high, null_mean, violation and violation_excess.
        title: Title of the figure.
    """
    kinds = list(dict.fromkeys(frame["chain"]))
    longest = frame["chain"].value_counts().max()
    figure = Figure(figsize=(max(6, 0.4 * longest + 2), 2.8 * len(kinds)), layout="constrained")
    for axes, kind in zip(column(figure, len(kinds)), kinds, strict=True):
        rows = frame[frame["chain"] == kind].reset_index(drop=True)
        errors = np.abs(rows[["low", "high"]].to_numpy(dtype=float).T - rows["bits"].to_numpy(dtype=float))
        axes.errorbar(rows.index, rows["bits"], errors, marker="o", ms=3, lw=1, capsize=2, label="bits")
        axes.plot(rows["null_mean"].astype(float), color=NULL, ls=":", label="null")
        for mark, size, name in (("o", 9, "violation"), ("s", 13, "violation_excess")):
            broken = rows[rows[name].astype(bool)]
            axes.plot(
                broken.index, broken["bits"], mark, ms=size, mfc="none", mec="tab:red", label=name.replace("_", ", ")
            )
        axes.set_xticks(rows.index, rows["tap"], rotation=90, fontsize=7)
        axes.set_ylabel(f"{kind} [bits]")
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure
