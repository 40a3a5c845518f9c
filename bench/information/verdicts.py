"""Verdicts: what can be said of each estimate, in one word or two."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import pandas as pd

from bench.information.estimate import SATURATED


class Verdict(StrEnum):
    """What can be said of an estimate."""

    CLEAR = "clear"  # above its null, and known truth is recovered
    NOT_ABOVE_NULL = "not above null"  # known truth is recovered, and there is no information that can be seen
    SATURATED = "saturated"  # at the ceiling of the estimator, or the null leaves no room below it
    NOT_RECOVERED = "not recovered"  # the estimator misses known truth on these samples
    UNCERTAIN = "uncertain"  # the estimator responds too weakly to doses of known truth for their spread
    NO_NULL = "no null"  # there are no pairs to permute; only untrained references can judge the estimate
    NO_ESTIMATE = "no estimate"  # the column `reason` says why


def verdicts(frame: pd.DataFrame) -> pd.Series:
    """Return the verdict of each row of a LayerTable.

    If no truth was planted (calibration=false), an estimate above its null is clear by this weaker test.

    Args:
        frame: Rows with bits, saturation, recovered_ok, null_mean, limit, significant, and with calibrated_low and
            reliable if there are calibrated bits.

    Examples:
        >>> row = {"bits": 0.3, "saturation": 0.1, "recovered_ok": True, "null_mean": 0.0, "limit": 1.0}
        >>> verdicts(pd.DataFrame([row | {"significant": True}, row | {"significant": False}])).tolist()
        ['clear', 'not above null']
    """
    full = (frame["saturation"] >= SATURATED) | (frame["null_mean"] >= SATURATED * frame["limit"])
    calibrated = frame.get("calibrated_low", frame["bits"] * np.nan).notna()
    conditions = {
        Verdict.NO_ESTIMATE: frame["bits"].isna(),
        Verdict.SATURATED: full,
        Verdict.NOT_RECOVERED: frame["recovered_ok"].eq(False),
        Verdict.UNCERTAIN: calibrated & frame.get("reliable", calibrated).eq(False),
        Verdict.NO_NULL: frame["null_mean"].isna(),
        Verdict.NOT_ABOVE_NULL: frame["significant"].eq(False),
    }
    chosen = np.select([condition.to_numpy(bool) for condition in conditions.values()], list(conditions), Verdict.CLEAR)
    return pd.Series(chosen, frame.index, dtype=object, name="verdict")
