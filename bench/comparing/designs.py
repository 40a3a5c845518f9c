"""Designs: the table of a comparison, a row for each."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from bench.comparing.layers import IMAGES, SEEDS, reading
from bench.comparing.runs import Runs
from bench.errors import InputError
from bench.retraining import judge
from bench.tables import LayerTable

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


def profile_of(tables: Mapping[str, LayerTable], estimator: str | None, view: str | None) -> tuple[str, str] | None:
    """Estimator and view that all runs measured their layers with, by default the primary ones; None without any."""
    measured = [table for table in tables.values() if table.rows]
    if not measured:
        for name, asked in (("estimator", estimator), ("view", view)):
            if asked:
                raise InputError(f"{name}: got {asked!r}, and none of these runs measured its layers; leave it out")
        return None
    wanted = estimator or measured[0].estimators[0], view or measured[0].views[0]
    for name, asked, choices in (
        ("estimator", wanted[0], [table.estimators for table in measured]),
        ("view", wanted[1], [table.views for table in measured]),
    ):
        shared = [choice for choice in choices[0] if all(choice in each for each in choices)]
        if asked not in shared:
            raise InputError(f"{name}: got {asked!r}, wanted one of all runs: {', '.join(shared) or 'they share none'}")
    return wanted


def accuracy(runs: Runs, frame: pd.DataFrame, metric: str) -> dict[str, object]:
    """score, low, high and what the interval is over, of the runs of one design."""
    design, logged = frame["design"].iloc[0], runs.logged[frame["run"].iloc[0]]
    images = runs.images[runs.images["design"] == design]
    key = f"test/{metric.replace(' ', '_').lower()}"
    if images["group"].nunique() < 2:
        scores = [runs.logged[run][key] for run in frame["run"]]
        return {"score": sum(scores) / len(scores), "low": None, "high": None, "over": None}
    if len(frame) > 1:
        effect, over = judge.spread(runs.images, design), SEEDS
    elif f"{key}_low" in logged:
        effect, over = judge.Effect(logged[key], logged[f"{key}_low"], logged[f"{key}_high"]), IMAGES
    else:
        effect, over = judge.over_groups(images), IMAGES
    return {"score": effect.mean, "low": effect.low, "high": effect.high, "over": over}


def reliability(tables) -> dict[str, int]:
    """How many rows have a number, are reliable, or can be judged by the untrained control alone."""
    best = pd.concat([table.select(weights="best") for table in tables])
    said = best.loc[best["bits"].notna(), "reliable"]
    return {"rows": len(said), "reliable": int(said.eq(True).sum()), "control": int(said.isna().sum())}


def gain(runs: Runs, design: str, reference: str, margin: float) -> dict[str, object]:
    """Paired by seed and test image; empty of the reference itself and where it can't be said."""
    both = runs.images[runs.images["design"].isin((design, reference))]
    common = both.groupby("seed")["design"].nunique()
    if design == reference or (common > 1).sum() < 2 or both["group"].nunique() < 2:
        return {"gain": None, "gain_low": None, "gain_high": None, "verdict": None}
    effect = judge.paired(runs.images, design, reference)
    verdict = effect.verdict(margin)
    return {"gain": effect.mean, "gain_low": effect.low, "gain_high": effect.high, "verdict": verdict}
