"""Phases of training: the slopes of information before and after its peak, with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy

from bench.information.statistics import Interval, t_half_width
from bench.information.tables import Weights

LEAST = 3  # least number of epochs in a phase; two points always lie on a line
MATTERS = 0.05  # share of the peak; a smaller change does not count


def phases(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Compute the slopes before and after the peak of every curve over training, in bits per doubling of epochs.

    A curve is the bits, or the excess over a null, of one tap, quantity and estimator over epochs. Slopes are
    least-squares slopes against log2(1 + epoch), with 95 % intervals from the residuals. The peak is the highest of
    noisy points and belongs to neither phase: with it, even a flat curve would seem to rise and fall.

    The column `verdict` describes the phase after the peak. It is `compresses` or `rises` if the interval of the slope
    excludes 0 and the fitted change exceeds 5 % of the peak. It is `flat` if no slope in the interval changes the curve
    by more than 5 % of the peak, and `undecided` otherwise. With fewer than 3 epochs after the peak, it is `peak at the
    end`.

    Args:
        frame: Rows of a LayerTable.

    Returns:
        The table `phases`, or an empty dictionary if there are no curves.
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
    """Fit a least-squares slope with its 95 % interval; None for fewer than 3 points."""
    if len(x) < LEAST:
        return None
    fit = scipy.stats.linregress(x, y)
    return Interval.around(fit.slope, t_half_width(fit.stderr if fit.stderr > 0 else 0.0, len(x) - 2))
