"""Closing sentences of `propose`: what the chosen design saves, and its score against base and baseline designs."""

from __future__ import annotations

import pandas as pd

from bench.pruning.designs.costs import EQUAL
from bench.pruning.verify import Verified

SIMILAR = 1.05  # costs count as similar below this ratio


def closing(verified: Verified, metric: str) -> str:
    """Describe in a line what the chosen design saves and what it loses or gains.

    Args:
        verified: Results of retraining.
        metric: Name of the score.
    """
    compared = verified.comparisons.set_index("baseline")
    chosen, base = verified.chosen.name, compared.loc["base"]
    words = {each.name: each.words for each in verified.baselines}
    return f"{_against_base(chosen, base, metric)} {_against_baselines(compared.drop(index='base'), words, metric)}"


def _against_base(chosen: str, base: pd.Series, metric: str) -> str:
    """Describe ratios of costs and the difference of scores between the chosen design and the base."""
    if base["verdict"] == "not run":
        return f"{chosen} has no verdict against the base, which was not retrained from 2 seeds or more."
    costs = " and ".join(describe_ratio(base[f"{kind}_ratio"], name) for kind, name in EQUAL.items())
    return f"{chosen} has {costs} compared with the base; its {metric} is {_difference(base)}."


def _against_baselines(rows: pd.DataFrame, words: dict[str, str], metric: str) -> str:
    """Describe the difference of scores between the chosen design and the baseline design with the best score."""
    trained = rows[rows["verdict"] != "not run"]
    if trained.empty:
        return "No baseline design was retrained from 2 seeds or more, so there is no verdict against one."
    best = trained.loc[trained["gain"].idxmin()]
    of = "" if len(trained) == len(rows) else f" of the {len(trained)} of {len(rows)} that were retrained"
    name = f"best baseline design{of}, {words[str(best.name)]},"
    if best["verdict"] == "same design":
        return f"The {name} is the same design."
    return f"Against the {name} its {metric} is {_difference(best)}."


def describe_ratio(ratio: float, name: str) -> str:
    """Describe the ratio of a cost of the base to that of the design.

    Examples:
        >>> describe_ratio(91.04, "parameters"), describe_ratio(0.5, "FLOPs"), describe_ratio(1.01, "FLOPs")
        ('91 times fewer parameters', '2.0 times more FLOPs', 'about as many FLOPs')
    """
    larger = max(ratio, 1 / ratio)
    if larger < SIMILAR:
        return f"about as many {name}"
    return f"{larger:.{0 if larger >= 10 else 1}f} times {'fewer' if ratio > 1 else 'more'} {name}"


def _difference(row: pd.Series) -> str:
    """Describe the gain of the chosen design with its interval and its verdict."""
    gain, verdict = row["gain"], row["verdict"]
    size = "equal" if round(gain, 3) == 0 else f"{abs(gain):.3f} {'higher' if gain > 0 else 'lower'}"
    interval = "no interval" if pd.isna(row["low"]) else f"{row['low']:.3f} to {row['high']:.3f}"
    return f"{size} ({interval}; verdict: {verdict})"
