"""Verdicts: what can be said of each estimate, in one word or two."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import pandas as pd
import scipy  # it loads its modules when they are first used

from bench.information.estimate import BELOW, ROUNDING, SATURATED

FALSE_DISCOVERIES = 0.05  # the largest expected share among the layers of a question that are above their null
QUESTION = ["epoch", "weights", "seed", "quantity", "given", "view", "label_view", "estimator"]  # asked of each layer


class Verdict(StrEnum):
    """What can be said of an estimate."""

    CLEAR = "clear"  # above its null, and known truth is recovered
    NOT_ABOVE_NULL = "not above null"  # known truth is recovered, and there is no information that can be seen
    SATURATED = "saturated"  # at the ceiling of the estimator, or the null leaves no room below it
    NOT_RECOVERED = "not recovered"  # the estimator misses known truth on these samples
    BELOW_NULL = "below null"  # far below it, so that the samples mislead the estimator
    UNCERTAIN = "uncertain"  # the estimator responds too weakly to doses of known truth for their spread
    NO_NULL = "no null"  # there are no pairs to permute; only untrained references can judge the estimate
    NO_ESTIMATE = "no estimate"  # the column `reason` says why


def verdicts(frame: pd.DataFrame) -> pd.Series:
    """Return the verdict of each row of a LayerTable.

    A question is asked of every layer, so that some layers exceed their null by chance. Of the layers whose numbers can
    be read, those are above the null that are significant and that the rule of Benjamini & Hochberg keeps. It holds
    the expected share of false ones among them at 5 %. Rows of earlier runs, without p values, need only be
    significant.

    If no truth was planted (calibration=false), an estimate above its null is clear by this weaker test.

    Args:
        frame: Rows with bits, saturation, recovered_ok, null_mean, limit, significant, with p_value and the columns of
            a question, and with calibrated_low and reliable if there are calibrated bits.

    References:
        Benjamini & Hochberg 1995, J. R. Statist. Soc. B 57:289.

    Examples:
        >>> row = {"bits": 0.3, "saturation": 0.1, "recovered_ok": True, "null_mean": 0.0, "limit": 1.0}
        >>> row |= {"significant": True, "p_value": 0.04}
        >>> verdicts(pd.DataFrame([row])).tolist(), verdicts(pd.DataFrame([row, row | {"p_value": 0.3}])).tolist()
        (['clear'], ['not above null', 'not above null'])
    """
    full = (frame["saturation"] >= SATURATED) | (frame["null_mean"] >= SATURATED * frame["limit"])
    p_values = frame.get("p_value", frame["bits"] * np.nan)
    calibrated = frame.get("calibrated_low", frame["bits"] * np.nan).notna()
    conditions = {
        Verdict.NO_ESTIMATE: frame["bits"].isna(),
        Verdict.SATURATED: full,
        Verdict.NOT_RECOVERED: frame["recovered_ok"].eq(False),
        Verdict.BELOW_NULL: (p_values > BELOW) & (frame["null_mean"] - frame["bits"] > ROUNDING),
        Verdict.UNCERTAIN: calibrated & frame.get("reliable", calibrated).eq(False),
        Verdict.NO_NULL: frame["null_mean"].isna(),
    }
    readable = ~np.any([condition.to_numpy(bool) for condition in conditions.values()], axis=0)
    adjusted = adjusted_p_values(frame[readable]).reindex(frame.index)
    conditions[Verdict.NOT_ABOVE_NULL] = frame["significant"].eq(False) | (adjusted > FALSE_DISCOVERIES)
    chosen = np.select([condition.to_numpy(bool) for condition in conditions.values()], list(conditions), Verdict.CLEAR)
    return pd.Series(chosen, frame.index, dtype=object, name="verdict")


def adjusted_p_values(frame: pd.DataFrame) -> pd.Series:
    """Adjust the p values of each question for its number of layers, by Benjamini & Hochberg; NaN without a p value.

    Args:
        frame: Rows with p_value, and with the columns of a question.

    Examples:
        >>> adjusted_p_values(pd.DataFrame({"tap": ["enc1", "out"], "p_value": [0.01, 0.04]})).tolist()
        [0.02, 0.04]
    """
    known = frame.reindex(columns=[*QUESTION, "p_value"]).dropna(subset="p_value")
    p_values = known["p_value"].astype(float).groupby([known[column] for column in QUESTION], dropna=False)
    return p_values.transform(scipy.stats.false_discovery_control).reindex(frame.index)
