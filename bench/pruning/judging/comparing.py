"""Comparisons: the table of the chosen proposal against the base and the baseline designs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from omegaconf import DictConfig

from bench.information.crossed import LEVEL
from bench.pruning.judging import judge
from bench.pruning.judging.failures import compare_failures
from bench.pruning.judging.family import judged
from bench.pruning.judging.results import Retrained
from bench.pruning.search.proposals import Proposal


def comparisons(
    results: Retrained, chosen: Proposal, references: Mapping[str, str], config: DictConfig
) -> pd.DataFrame:
    """Compare the chosen proposal with base and baseline designs.

    The comparison with the base is judged by itself. Those with the baseline designs are one family (`family.judged`),
    in which equal designs count once.

    Args:
        results: Results of retraining, with test images.
        chosen: The chosen proposal.
        references: The name under which each of these designs was trained. Equal designs are trained once.
        config: The config, with `retrain.margin`.

    Returns:
        A row per design with these columns:

        - gain, low, high: the gain over the design with its 95 % interval, which is not corrected.
        - p_value, p_margin: corrected p values of a difference, and of a loss below the margin.
        - verdict.
        - seeds_needed: for undecided verdicts, the number of seeds that would decide if there were no difference; NaN
          if no number up to 1000 would.
        - params_ratio, flops_ratio: costs of the design, divided by those of the chosen proposal.
        - failed, failed_p: difference of the shares of trainings that failed (`compare_failures`).
    """
    margin, name = config.retrain.margin, chosen.name
    costs = results.runs.groupby("design")[["params", "flops"]].first()
    seeds = results.runs.groupby("design")["seed"].nunique()
    others = {trained for trained in references.values() if trained != name and seeds.get(trained, 0) > 1}
    effects = {trained: judge.effect_of(results.images, name, trained) for trained in others}
    families = [{each: effects[each] for each in side} for side in (others & {"base"}, others - {"base"})]
    judgements = pd.concat([judged(family, margin) for family in families])
    rows = []
    for baseline, trained in references.items():
        row: dict[str, Any] = {"proposal": name, "baseline": baseline}
        if seeds.get(trained, 0) < 2:
            rows.append(row | {"gain": float("nan"), "verdict": "not run"})
            continue
        gain = judge.paired(results.images, name, trained)
        row |= {"gain": gain.mean, "low": gain.low, "high": gain.high}
        row |= {"verdict": "same design"} if trained == name else judgements.loc[trained].to_dict()
        if row["verdict"] == "undecided":
            level = LEVEL / len(families[trained != "base"])
            row["seeds_needed"] = effects[trained].components.seeds_needed(margin, effects[trained].groups, level)
        row |= {f"{kind}_ratio": costs[kind][trained] / chosen.costs[kind] for kind in costs}
        rows.append(row | compare_failures(results.runs, name, trained))
    columns = ["proposal", "baseline", "gain", "low", "high", "p_value", "p_margin", "verdict", "seeds_needed"]
    columns += ["params_ratio", "flops_ratio", "failed", "failed_p"]
    return pd.DataFrame(rows, columns=columns).astype({"seeds_needed": float})


def describe_undecided(table: pd.DataFrame, seeds: int) -> str:
    """Describe in a line how many seeds would decide the undecided comparisons; empty if there are none.

    Args:
        table: Result of `comparisons`.
        seeds: Number of seeds that there were.
    """
    undecided = table[table["verdict"] == "undecided"]
    if undecided.empty:
        return ""
    known, never = undecided.dropna(subset="seeds_needed"), undecided[undecided["seeds_needed"].isna()]["baseline"]
    parts = [f"{row.baseline} {row.seeds_needed:.0f}" for row in known.itertuples()]
    line = f"about this many seeds would decide ({seeds} given), if there is no difference: {', '.join(parts)}"
    none = f"no number of seeds decides against {', '.join(never)}: more test images, or retrain.folds"
    return f"undecided: {'; '.join([*([line] if parts else []), *([none] if len(never) else [])])}\n"
