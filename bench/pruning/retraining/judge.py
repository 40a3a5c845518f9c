"""Judge retrained designs: paired effects with intervals over seeds and images, verdicts and the Pareto front."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from bench.information.statistics import Interval, crossed_interval, t_half_width

Verdict = Literal["better", "no worse", "worse", "undecided", "same design", "not run"]


def verdict(difference: Interval, margin: float) -> Verdict:
    """Judge a difference of scores. Higher scores are better.

    Args:
        difference: Score of a design minus the score of the design that it is compared with.
        margin: A design is no worse if its loss is below the margin with 95 % confidence.

    Examples:
        >>> verdict(Interval(-0.002, -0.006, 0.002), margin=0.01)
        'no worse'
    """
    if difference.low > 0:
        return "better"
    if difference.low > -margin:
        return "no worse"
    return "worse" if difference.high < 0 else "undecided"


def paired(images: pd.DataFrame, design: str, baseline: str) -> Interval:
    """Compute how much higher a design scores than a baseline design.

    The mean is over the seeds, images and groups on which both were tested.

    Args:
        images: Rows (design, seed, name, group, score, weight). The weights of the images of a seed add up to 1.
        design: Name of the design.
        baseline: Name of the baseline design.
    """
    sides = (images[images["design"] == side].set_index(["seed", "name"]) for side in (design, baseline))
    both = next(sides).join(next(sides)["score"], rsuffix="_control", how="inner").reset_index()
    both["gain"] = both["score"] - both["score_control"]
    return _over_groups(both, "gain")


def spread(images: pd.DataFrame, design: str) -> Interval:
    """Compute the mean score of a design with its interval over seeds and groups."""
    return _over_groups(images[images["design"] == design], "score")


def over_groups(images: pd.DataFrame) -> Interval:
    """Compute the score of one design from one seed with its interval over groups alone.

    The interval uses Student's t distribution with groups - 1 degrees of freedom.

    Examples:
        >>> rows = {"name": [0, 1], "group": [0, 1], "score": [0.0, 1.0], "weight": [0.5, 0.5]}
        >>> over_groups(pd.DataFrame(rows)).mean
        0.5
    """
    share = images["weight"] / images["weight"].sum()
    mean = (share * images["score"]).sum()
    parts = (share * (images["score"] - mean)).groupby(images["group"]).sum()
    return Interval.around(mean, t_half_width(parts.std(ddof=1), len(parts) - 1) * np.sqrt(len(parts)))


def _over_groups(rows: pd.DataFrame, column: str) -> Interval:
    """Compute the weighted mean of a column. A group varies by its distance from its seed's mean, not by its size."""
    rows = rows.assign(share=rows["weight"] / rows.groupby("seed")["weight"].transform("sum"))
    means = (rows["share"] * rows[column]).groupby(rows["seed"]).sum()  # (seeds,)
    rows = rows.assign(part=rows["share"] * (rows[column] - rows["seed"].map(means)))
    parts = rows.pivot_table("part", "seed", "group", "sum", fill_value=0.0).to_numpy()  # (seeds, groups)
    return crossed_interval(means.to_numpy()[:, None] + parts * parts.shape[1])


def pareto(table: pd.DataFrame, cost: str, score: str = "score") -> pd.Series:
    """Find the rows on the Pareto front.

    A row is on the front if no other row has at least its score at less cost, or a higher score at no more cost.

    Examples:
        >>> pareto(pd.DataFrame({"params": [1, 2, 3], "score": [0.5, 0.9, 0.8]}), "params").tolist()
        [True, True, False]
    """
    on_front = [
        not (
            ((table[cost] <= row[cost]) & (table[score] > row[score]))
            | ((table[cost] < row[cost]) & (table[score] >= row[score]))
        ).any()
        for _, row in table.iterrows()
    ]
    return pd.Series(on_front, index=table.index)
