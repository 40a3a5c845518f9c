"""Designs: the table of a comparison, with one row for each design."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import nan

import pandas as pd

from bench.comparison.layers import reading
from bench.comparison.runs import FIX, Runs
from bench.errors import InputError
from bench.information.statistics import Interval
from bench.information.tables import LayerTable, Weights
from bench.pruning.judging import judge

COSTS = ("params", "flops")


def designs_table(
    runs: Runs, metric: str, pooled: pd.DataFrame, profile: tuple[str, str] | None, reference: str, margin: float
) -> pd.DataFrame:
    """Build the table of designs.

    Args:
        runs: The compared runs.
        metric: Name of the score.
        pooled: Result of `layers.pool_seeds`.
        profile: Estimator and view of the narrowest and the most informative layer, or None.
        reference: Name of the reference.
        margin: Margin of the verdict "no worse", in units of the score.

    Returns:
        One row for each design, in order of falling FLOPs, with these columns:

        - score, low, high: Score on test data with its 95 % interval, `over` seeds and images, or over images alone if
          the design has fewer than 3 seeds.
        - narrowest_…, most_…: Result of `layers.reading`, in bits.
        - rows: Number of estimates of the best checkpoints. reliable: how many of them are reliable. reference_only:
          how many of them only untrained references can judge.
        - folds, trainings: Number of folds and of trainings, if there are folds.
        - collapsed: Number of trainings that have taught the network nothing. They remain in the means.
        - front.COST: Whether the design is on the Pareto front of score against this cost. A design whose trainings
          all collapsed is not.
        - gain, gain_low, gain_high, verdict: Gain of score over the reference, if both have 2 seeds in common.
    """
    rows = []
    for design, frame in runs.frame.groupby("design", sort=False):
        row = {"design": design, "seeds": frame["seed"].nunique(), "collapsed": int(frame["collapsed"].sum())}
        row |= {"folds": frame["fold"].nunique(), "trainings": len(frame)} if "fold" in frame else {}
        row |= frame[[*COSTS, "latency_ms"]].mean().to_dict() | accuracy(runs, frame, metric)
        row |= reading(pooled[pooled["design"] == design], *profile) if profile else {}
        rows.append(row | reliability(runs.tables[run] for run in frame["run"]) | gain(runs, design, reference, margin))
    table = pd.DataFrame(rows).sort_values("flops", ascending=False, kind="stable", ignore_index=True)
    for cost in COSTS:
        table[f"front.{cost}"] = judge.pareto(table, cost) & table["design"].map(judge.learned(runs.frame))
    return table


def choose_reference(runs: Runs, reference: str | None) -> str:
    """Return the name of the reference, by default the design with the most FLOPs.

    Raises:
        InputError: If no run has this design.
    """
    designs = runs.frame.groupby("design", sort=False)["flops"].mean()
    if reference is None:
        return designs.idxmax()
    if reference not in designs:
        raise InputError(f"reference: got {reference!r}, wanted one of {'; '.join(designs.index)}")
    return reference


def profile_of(tables: Mapping[str, LayerTable], by: str | None) -> tuple[str, str] | None:
    """Return an estimator and a view that all runs have in common, by default the primary ones.

    Args:
        tables: LayerTable of each run.
        by: ESTIMATOR.VIEW, or None.

    Returns:
        Estimator and view, or None if no run measured its layers and `by` is None.

    Raises:
        InputError: If the runs have no estimator and view in common, or not the one of `by`.
    """
    measured = [table for table in tables.values() if table.rows]
    if not measured and by is None:
        return None
    asked = [set(_numbers([table])["estimator"] + "." + _numbers([table])["view"]) for table in measured]
    first = [f"{estimator}.{view}" for table in measured[:1] for estimator in table.estimators for view in table.views]
    shared = [name for name in first if all(name in names for names in asked)]
    if not shared:
        raise InputError(f"by: got {by or 'none'}, but these runs share no estimator and view; {FIX}")
    if by not in (None, *shared):
        raise InputError(f"by: got {by}, wanted one that all runs measured: {', '.join(shared)}")
    estimator, view = (by or shared[0]).split(".")
    return estimator, view


def accuracy(runs: Runs, frame: pd.DataFrame, metric: str) -> dict[str, object]:
    """Compute the score on test data of a design, with its 95 % interval.

    Args:
        runs: The compared runs.
        frame: Rows of `runs.frame` of the design.
        metric: Name of the score.

    Returns:
        score, low, high, and `over`: whether the interval is over seeds and images, or over images alone.
    """
    design, logged = frame["design"].iloc[0], runs.logged[frame["run"].iloc[0]]
    images = runs.images[runs.images["design"] == design]
    key = f"test/{metric.replace(' ', '_').lower()}"
    if judge.for_all_seeds(images)["group"].nunique() < 2:
        scores = [runs.logged[run][key] for run in frame["run"]]
        return {"score": sum(scores) / len(scores), "low": nan, "high": nan, "over": None}
    if len(frame) > 1:
        effect, over = judge.spread(runs.images, design)
    elif f"{key}_low" in logged:
        effect, over = Interval(logged[key], logged[f"{key}_low"], logged[f"{key}_high"]), judge.IMAGES
    else:
        effect, over = judge.over_groups(images), judge.IMAGES
    return {"score": effect.mean, "low": effect.low, "high": effect.high, "over": over}


def reliability(tables: Iterable[LayerTable]) -> dict[str, int]:
    """Count the estimates, those that are reliable, and those that only untrained references can judge."""
    reliable = _numbers(tables)["reliable"]
    return {
        "rows": len(reliable),
        "reliable": int(reliable.eq(True).sum()),
        "reference_only": int(reliable.isna().sum()),
    }


def describe_reliability(tables: Iterable[LayerTable]) -> list[str]:
    """Describe how many estimates of each estimator and view are reliable."""
    groups = _numbers(tables).groupby(["estimator", "view"], sort=False)["reliable"]
    return [f"{estimator}, {view} view: {rows.eq(True).sum()} of {len(rows)}" for (estimator, view), rows in groups]


def lacks_planted_truth(tables: Iterable[LayerTable]) -> bool:
    """Return whether an estimate is called reliable although no truth was planted.

    Examples:
        >>> row = {"weights": "best", "bits": 1.0, "reliable": True}
        >>> lacks_planted_truth([LayerTable([row | {"recovered_ok": True}])])
        False
        >>> lacks_planted_truth([LayerTable([row | {"recovered_ok": None}])])
        True
    """
    numbers = _numbers(tables)
    planted = numbers["recovered_ok"].notna() | numbers["calibrated_low"].notna()
    return bool((numbers["reliable"].eq(True) & ~planted).any())


def _numbers(tables: Iterable[LayerTable]) -> pd.DataFrame:
    """Return the rows of the best checkpoints that have an estimate."""
    best = pd.concat([table.select(weights=Weights.BEST) for table in tables])
    return best[best["bits"].notna()]


def gain(runs: Runs, design: str, reference: str, margin: float) -> dict[str, object]:
    """Compute the gain of score over the reference, paired by seed and test image, and its verdict.

    Test images of all folds are pooled. The gain is NaN for the reference itself, for fewer than 2 seeds in common, and
    for fewer than 2 groups of images in common.

    Args:
        runs: The compared runs.
        design: Name of the design.
        reference: Name of the reference.
        margin: Margin of the verdict "no worse", in units of the score.
    """
    common = judge.in_common(runs.images, design, reference)
    if design == reference or common["seed"].nunique() < 2 or common["group"].nunique() < 2:
        return {"gain": nan, "gain_low": nan, "gain_high": nan, "verdict": None}
    effect = judge.paired(runs.images, design, reference)
    verdict = judge.verdict(effect, margin)
    return {"gain": effect.mean, "gain_low": effect.low, "gain_high": effect.high, "verdict": verdict}
