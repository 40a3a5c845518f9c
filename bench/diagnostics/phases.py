"""Phases of training: does information rise to a peak and then fall, and is the fall more than noise?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import linregress

from bench.information.statistics import Interval, t_half_width
from bench.information.tables import Weights

LEAST = 3  # epochs of a phase; two points always lie on a line
MATTERS = 0.05  # of the peak: a smaller fall or rise is none


def phases(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Slopes before and after the peak of every curve over training, bits per doubling of epochs; empty without curves.

    frame: rows of a LayerTable; a curve is a tap's, quantity's and estimator's bits in training, or excess over a null.
    Least-squares slopes against log2(1 + epoch) with 95 % intervals from the residuals. The peak, chosen as the highest
    of noisy points, belongs to neither phase: with it, even a flat curve would seem to rise and fall. verdict, of what
    follows the peak: `compresses` or `rises` where the slope's interval excludes 0 and amounts to more than 5 % of the
    peak, `flat` where no slope in it does, else `undecided`; `peak at the end` with fewer than 3 epochs after it.
    """
    frame = frame[(frame["weights"] == Weights.EPOCH) & (frame["role"] != "input")].sort_values(
        ["order", "epoch"], kind="stable"
    )
    rows = []
    for curve, points in frame.groupby(["estimator", "tap", "quantity"], sort=False):
        for column in ("bits", "excess"):
            values = points[["epoch", column]].dropna().to_numpy(dtype=float)
            if len(values):
                key = dict(zip(("estimator", "tap", "quantity", "of"), (*curve, column), strict=True))
                rows.append(key | _phases(*values.T))
    return {"phases": pd.DataFrame(rows)} if rows else {}


def _phases(epochs: np.ndarray, values: np.ndarray) -> dict:
    peak = int(values.argmax())
    doublings = np.log2(1 + epochs)
    before = _slope(doublings[:peak], values[:peak])
    after = _slope(doublings[peak + 1 :], values[peak + 1 :])
    missing = (np.nan, np.nan, np.nan)
    names = ("slope", "low", "high")
    return {
        "peak_epoch": int(epochs[peak]),
        "peak": values[peak],
        "last": values[-1],
        **{f"fitting_{name}": value for name, value in zip(names, before or missing, strict=True)},
        **{f"compression_{name}": value for name, value in zip(names, after or missing, strict=True)},
        "verdict": "peak at the end"
        if after is None
        else _verdict(after, doublings[-1] - doublings[peak], values[peak]),
    }


def _verdict(slope: Interval, doublings: float, peak: float) -> str:
    fitted, low, high = (each * doublings / abs(peak) if peak else np.nan for each in slope)
    if high < 0 and fitted < -MATTERS:
        return "compresses"
    if low > 0 and fitted > MATTERS:
        return "rises"
    return "flat" if low > -MATTERS and high < MATTERS else "undecided"


def _slope(x: np.ndarray, y: np.ndarray) -> Interval | None:
    """Least-squares slope with its 95 % interval; None of fewer than 3 points."""
    if len(x) < LEAST:
        return None
    fit = linregress(x, y)
    return Interval.around(fit.slope, t_half_width(fit.stderr if fit.stderr > 0 else 0.0, len(x) - 2))
