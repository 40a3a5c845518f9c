"""Scores: errors and intervals of estimates of known information, by estimator and distribution."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.information.estimate import RECOVERED

CELL = ["family", "truth", "dim", "n", "estimator"]
NEAR_ZERO = 0.1  # largest usable excess in bits if the truth is 0


def scored(rows: pd.DataFrame) -> pd.DataFrame:
    """Summarise the repeats of each family, truth, dim, n and estimator.

    Args:
        rows: Estimates (`Estimate.row`) with the columns `family`, `truth`, `repeat` and `estimator`.

    Returns:
        A row for each family, truth, dim, n and estimator. `bias`, `rmse` and `spread` are of the estimate in bits,
        `excess_rmse` is of its excess, and `calibrated_rmse` of its calibrated bits, where they are identifiable.
        `covers_itself` and `covers_truth` are the shares of intervals that contain the mean estimate and the truth, and
        `calibrated_covers` is that of the intervals of calibrated bits. `significant_right` is the share in which
        `significant` is true exactly if the truth is above 0. `reliable_right` is the share in which `reliable` is true
        exactly if the calibrated bits, or else the excess, are `usable`.
        `reason` states why there is no estimate.
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
    calibrated = found["calibrated"].astype(float)
    return {
        "repeats": len(found),
        "mean": mean,
        "bias": mean - truth,
        "rmse": _rms(bits - truth),
        "spread": bits.std(ddof=1),
        "excess_rmse": _rms(found["excess"] - truth),
        "calibrated_rmse": _rms(calibrated - truth),
        "covers_itself": _share((found["low"] <= mean) & (mean <= found["high"])),
        "covers_truth": _share((found["low"] <= truth) & (truth <= found["high"])),
        "calibrated_covers": _share(
            (found["calibrated_low"] <= truth) & (truth <= found["calibrated_high"]), found["calibrated_low"].notna()
        ),
        "significant_right": _share(found["significant"] == (truth > 0), found["significant"].notna()),
        "reliable_right": _share(
            found["reliable"] == usable(calibrated.fillna(found["excess"]), truth), found["reliable"].notna()
        ),
        "usable": _share(usable(found["excess"], truth)),
        "seconds": found["seconds"].mean(),
    }


def usable(excess: pd.Series, truth: float) -> pd.Series:
    """Return whether an excess is within a factor of 2 of the truth, or within 0.1 bits of a truth of 0."""
    if truth == 0:
        return excess.abs() < NEAR_ZERO
    return excess.between(truth / RECOVERED, truth * RECOVERED)


def applicability(scores: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the share of usable estimates, or the reason for none: a row per question, n and dim.

    Each estimator has a column.
    """
    matrix: dict[tuple, dict[str, object]] = {}
    for (question, n, dim, estimator), cell in scores.groupby(["family", "n", "dim", "estimator"], sort=False):
        estimated = cell[cell["repeats"] > 0]
        value = cell["reason"].iloc[0] if estimated.empty else round(float(estimated["usable"].mean()), 2)
        matrix.setdefault((question, n, dim), {})[estimator] = value
    return pd.DataFrame.from_dict(matrix, orient="index").rename_axis(["question", "n", "dim"]).reset_index()


def _rms(values: pd.Series) -> float:
    return float(np.sqrt((values**2).mean()))


def _share(right: pd.Series, among: pd.Series | None = None) -> float:
    return float((right if among is None else right[among]).mean())
