"""Designs: the table of a comparison, a row for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import nan

import pandas as pd

from bench.comparison.layers import IMAGES, SEEDS, reading
from bench.comparison.runs import FIX, Runs
from bench.errors import InputError
from bench.information.statistics import Interval
from bench.information.tables import LayerTable, Weights
from bench.pruning.retraining import judge

COSTS = ("params", "flops")


def designs_table(
    runs: Runs, metric: str, pooled: pd.DataFrame, profile: tuple[str, str] | None, reference: str, margin: float
) -> pd.DataFrame:
    """A row per design, the costliest in FLOPs first.

    score, low, high: of the test data, `over` seeds and images or, of one seed, images alone. narrowest_…, most_…: of
    `layers.reading` in the profile, an estimator and a view. rows: of the best checkpoints that have a number; reliable
    of them; control: that only the untrained control can judge. front.COST: on the Pareto front of score against it.
    gain, gain_low, gain_high, verdict: against the reference, where both have 2 seeds in common.
    """
    rows = []
    for design, frame in runs.frame.groupby("design", sort=False):
        row = {"design": design, "seeds": frame["seed"].nunique()}
        row |= frame[[*COSTS, "latency_ms"]].mean().to_dict() | accuracy(runs, frame, metric)
        row |= reading(pooled[pooled["design"] == design], *profile) if profile else {}
        rows.append(row | reliability(runs.tables[run] for run in frame["run"]) | gain(runs, design, reference, margin))
    table = pd.DataFrame(rows).sort_values("flops", ascending=False, kind="stable", ignore_index=True)
    for cost in COSTS:
        table[f"front.{cost}"] = judge.pareto(table, cost)
    return table


def costliest(runs: Runs, reference: str | None) -> str:
    """The reference, by default the design of most FLOPs; InputError where no run is of it."""
    designs = runs.frame.groupby("design", sort=False)["flops"].mean()
    if reference is None:
        return designs.idxmax()
    if reference not in designs:
        raise InputError(f"reference: got {reference!r}, wanted one of {'; '.join(designs.index)}")
    return reference


def profile_of(tables: Mapping[str, LayerTable], by: str | None) -> tuple[str, str] | None:
    """Estimator and view, ESTIMATOR.VIEW, that all runs have numbers by, the primary ones by default; None without."""
    measured = [table for table in tables.values() if table.rows]
    if not measured and by is None:
        return None
    asked = [set(_numbers([table])["estimator"] + "." + _numbers([table])["view"]) for table in measured]
    first = [f"{estimator}.{view}" for table in measured[:1] for estimator in table.estimators for view in table.views]
    shared = [name for name in first if all(name in names for names in asked)]
    if not shared:
        raise InputError(f"by: got {by or 'none'}, and these runs share no estimator and view; {FIX}")
    if by not in (None, *shared):
        raise InputError(f"by: got {by}, wanted one that all runs measured: {', '.join(shared)}")
    estimator, view = (by or shared[0]).split(".")
    return estimator, view


def accuracy(runs: Runs, frame: pd.DataFrame, metric: str) -> dict[str, object]:
    """score, low, high and what the interval is over, of the runs of one design."""
    design, logged = frame["design"].iloc[0], runs.logged[frame["run"].iloc[0]]
    images = runs.images[runs.images["design"] == design]
    key = f"test/{metric.replace(' ', '_').lower()}"
    if images["group"].nunique() < 2:
        scores = [runs.logged[run][key] for run in frame["run"]]
        return {"score": sum(scores) / len(scores), "low": nan, "high": nan, "over": None}
    if len(frame) > 1:
        effect, over = judge.spread(runs.images, design), SEEDS
    elif f"{key}_low" in logged:
        effect, over = Interval(logged[key], logged[f"{key}_low"], logged[f"{key}_high"]), IMAGES
    else:
        effect, over = judge.over_groups(images), IMAGES
    return {"score": effect.mean, "low": effect.low, "high": effect.high, "over": over}


def reliability(tables: Iterable[LayerTable]) -> dict[str, int]:
    """How many rows have a number, are reliable, or can be judged by the untrained control alone."""
    said = _numbers(tables)["reliable"]
    return {"rows": len(said), "reliable": int(said.eq(True).sum()), "control": int(said.isna().sum())}


def believed(tables: Iterable[LayerTable]) -> list[str]:
    """How many rows of each estimator and view are reliable, in words."""
    asked = _numbers(tables).groupby(["estimator", "view"], sort=False)["reliable"]
    return [f"{estimator}, {view} view: {said.eq(True).sum()} of {len(said)}" for (estimator, view), said in asked]


def unplanted(tables: Iterable[LayerTable]) -> bool:
    """Whether a number is called reliable without truth having been planted beside it.

    >>> row = {"weights": "best", "bits": 1.0, "reliable": True}
    >>> unplanted([LayerTable([row | {"found": True}])]), unplanted([LayerTable([row | {"found": None}])])
    (False, True)
    """
    numbers = _numbers(tables)
    return bool((numbers["reliable"].eq(True) & numbers["found"].isna()).any())


def _numbers(tables: Iterable[LayerTable]) -> pd.DataFrame:
    best = pd.concat([table.select(weights=Weights.BEST) for table in tables])
    return best[best["bits"].notna()]


def gain(runs: Runs, design: str, reference: str, margin: float) -> dict[str, object]:
    """Paired by seed and test image; empty of the reference itself and where it can't be said."""
    both = runs.images[runs.images["design"].isin((design, reference))]
    common = both.groupby("seed")["design"].nunique()
    if design == reference or (common > 1).sum() < 2 or both["group"].nunique() < 2:
        return {"gain": nan, "gain_low": nan, "gain_high": nan, "verdict": None}
    effect = judge.paired(runs.images, design, reference)
    verdict = judge.verdict(effect, margin)
    return {"gain": effect.mean, "gain_low": effect.low, "gain_high": effect.high, "verdict": verdict}
