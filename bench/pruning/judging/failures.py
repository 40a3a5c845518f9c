"""Trainings that failed: their share in each design with exact intervals and tests, and classes never predicted."""

from __future__ import annotations

import pandas as pd
import scipy  # it loads its modules when they are first used

from bench.information.statistics import TAILS, Interval


def share_of_failed(failed: int, trained: int) -> Interval:
    """Compute the share of trainings that failed, with its exact 95 % interval.

    References:
        Clopper & Pearson 1934, Biometrika 26:404.

    Examples:
        >>> share_of_failed(0, 5).low, round(share_of_failed(0, 5).high, 4)
        (0.0, 0.5218)
    """
    low = scipy.stats.beta.ppf(TAILS[0], failed, trained - failed + 1) if failed else 0.0
    high = scipy.stats.beta.ppf(TAILS[1], failed + 1, trained - failed) if failed < trained else 1.0
    return Interval(failed / trained, float(low), float(high))


def compare_failures(runs: pd.DataFrame, design: str, baseline: str) -> dict[str, float]:
    """Compare the shares of trainings that failed by Fisher's exact test.

    Args:
        runs: Rows with design and collapsed (1, 0, or NaN if it is not known).
        design: Name of the design.
        baseline: Name of the baseline design.

    Returns:
        `failed`: the share of the design minus that of the baseline design; `failed_p`: the two-sided p value. NaN if
        one of them has no training that tells.
    """
    sides = [runs.loc[runs["design"] == side, "collapsed"].dropna() for side in (design, baseline)]
    if any(side.empty for side in sides):
        return {"failed": float("nan"), "failed_p": float("nan")}
    table = [[side.sum(), len(side) - side.sum()] for side in sides]
    p_value = float(scipy.stats.fisher_exact(table).pvalue)
    return {"failed": float(sides[0].mean() - sides[1].mean()), "failed_p": p_value}


def describe_failures(runs: pd.DataFrame) -> str:
    """Describe in a line the designs that have failed trainings. The text is empty if there are none.

    Examples:
        >>> describe_failures(pd.DataFrame({"design": "base", "collapsed": [1, 0, 0, 0, 0]}))
        'failed to train: base 1 of 5 (95 %: 1 to 72 %)\\n'
    """
    known = runs.dropna(subset="collapsed").groupby("design", sort=False)["collapsed"]
    parts = []
    for design, collapsed in known:
        if failed := int(collapsed.sum()):
            low, high = share_of_failed(failed, len(collapsed)).bounds
            parts.append(f"{design} {failed} of {len(collapsed)} (95 %: {100 * low:.0f} to {100 * high:.0f} %)")
    return f"failed to train: {', '.join(parts)}\n" if parts else ""


def missing_classes(runs: pd.DataFrame) -> str:
    """Describe the designs with trainings that never predict a class. The text is empty if there are none.

    Trainings that have taught the network nothing are those of `describe_failures`, and do not count here.

    Args:
        runs: Rows with design, collapsed and missed: names of the classes.

    Examples:
        >>> runs = pd.DataFrame({"design": "flat", "collapsed": 0, "missed": ["", "tumour", "", "", ""]})
        >>> missing_classes(runs)
        'flat 1 of 5 (tumour)'
    """
    parts = []
    for design, trained in runs.groupby("design", sort=False):
        missed = trained.loc[trained["missed"].ne("") & trained["collapsed"].ne(1), "missed"]
        if len(missed):
            parts.append(f"{design} {len(missed)} of {len(trained)} ({'; '.join(missed.unique())})")
    return ", ".join(parts)


def describe_missing_classes(runs: pd.DataFrame) -> str:
    """Write `missing_classes` as a line of the report, which is empty if there are none."""
    missing = missing_classes(runs)
    return f"never predict a class of the validation data: {missing}\n" if missing else ""
