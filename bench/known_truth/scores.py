"""Scores: how estimates of known truth went, per estimator and task."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.information.estimate import RECOVERED

CELL = ["family", "truth", "dim", "n", "estimator"]
NEAR_ZERO = 0.1  # bits that an excess may be off where the truth is 0


def scored(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per family, truth, dim, n and estimator, over the repeats; bits.

    rows: estimates (`Estimate.row`) with family, truth, repeat, estimator. bias, rmse, spread: of the estimate, and
    excess_rmse of its excess. covers_itself: share of intervals that hold the mean estimate. covers_truth: share that
    hold the truth. significant_right: share where `significant` says whether there is any information. reliable_right:
    share where `reliable` says whether the excess is usable, within a factor of 2 of the truth, or 0.1 bits of 0.
    reason: why there is no estimate.
    """
    rows = rows.assign(excess=rows["excess"].fillna(rows["bits"]))
    return pd.DataFrame(
        [dict(zip(CELL, key, strict=True)) | _score(cell) for key, cell in rows.groupby(CELL, sort=False, dropna=False)]
    )


def _score(cell: pd.DataFrame) -> dict:
    found = cell[cell["bits"].notna()]
    if found.empty:
        return {"repeats": 0, "reason": cell["reason"].iloc[0]}
    truth, bits, mean = found["truth"].iloc[0], found["bits"], found["bits"].mean()
    return {
        "repeats": len(found),
        "mean": mean,
        "bias": mean - truth,
        "rmse": _rms(bits - truth),
        "spread": bits.std(ddof=1),
        "excess_rmse": _rms(found["excess"] - truth),
        "covers_itself": _share((found["low"] <= mean) & (mean <= found["high"])),
        "covers_truth": _share((found["low"] <= truth) & (truth <= found["high"])),
        "significant_right": _share(found["significant"] == (truth > 0), found["significant"].notna()),
        "reliable_right": _share(found["reliable"] == usable(found["excess"], truth), found["reliable"].notna()),
        "usable": _share(usable(found["excess"], truth)),
        "seconds": found["seconds"].mean(),
    }


def usable(excess: pd.Series, truth: float) -> pd.Series:
    """Whether an excess is within a factor of 2 of the truth, or within 0.1 bits of 0."""
    if truth == 0:
        return excess.abs() < NEAR_ZERO
    return excess.between(truth / RECOVERED, truth * RECOVERED)


def applicability(scores: pd.DataFrame) -> pd.DataFrame:
    """Per question, n and dim a column per estimator: the share of usable estimates, or why there are none."""
    matrix: dict[tuple, dict[str, object]] = {}
    for (question, n, dim, estimator), cell in scores.groupby(["family", "n", "dim", "estimator"], sort=False):
        answered = cell[cell["repeats"] > 0]
        value = cell["reason"].iloc[0] if answered.empty else round(float(answered["usable"].mean()), 2)
        matrix.setdefault((question, n, dim), {})[estimator] = value
    return pd.DataFrame.from_dict(matrix, orient="index").rename_axis(["question", "n", "dim"]).reset_index()


def _rms(values: pd.Series) -> float:
    return float(np.sqrt((values**2).mean()))


def _share(right: pd.Series, asked: pd.Series | None = None) -> float:
    return float((right if asked is None else right[asked]).mean())
