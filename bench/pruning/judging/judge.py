"""Judge retrained designs: paired effects with intervals over seeds and images, verdicts and the Pareto front."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from bench.information.crossed import Crossed
from bench.information.statistics import Interval, t_half_width

SCORES, GAINS = (0.0, 1.0), (-1.0, 1.0)  # Dice and shares of correct images, and their differences
SEEDS, IMAGES = "seeds and images", "images alone"  # sources of variation that an interval covers
LEAST_SEEDS = 3  # for an interval of a score over seeds

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

    The mean is over the images of `in_common`. The interval is that of `Crossed`, also for 2 seeds, where it is wide,
    so that a verdict holds for other seeds. It ends at -1 and 1. This changes no verdict for margins below 1.

    Args:
        images: Rows (design, seed, name, group, score, weight). The weights of the images of a seed add up to 1.
        design: Name of the design.
        baseline: Name of the baseline design.
    """
    return within(effect_of(images, design, baseline).interval, GAINS)


def effect_of(images: pd.DataFrame, design: str, baseline: str) -> Crossed:
    """Compute the effect over seeds and groups whose interval `paired` returns."""
    return _over_seeds_and_groups(in_common(images, design, baseline), "gain")


def in_common(images: pd.DataFrame, design: str, baseline: str) -> pd.DataFrame:
    """Return the gain on each image that both designs were tested on, for each seed that both have.

    An image counts if it is a test image for all of these seeds. Some are not if trainings of folds are missing.

    Args:
        images: As for `paired`.
        design: Name of the design.
        baseline: Name of the baseline design.
    """
    sides = (images[images["design"] == side].set_index(["seed", "name"]) for side in (design, baseline))
    both = next(sides).join(next(sides)["score"], rsuffix="_control", how="inner").reset_index()
    both["gain"] = both["score"] - both["score_control"]
    return for_all_seeds(both)


def for_all_seeds(images: pd.DataFrame) -> pd.DataFrame:
    """Select the images that are test images for every seed in the table."""
    return images[images.groupby("name")["seed"].transform("nunique") == images["seed"].nunique()]


def spread(images: pd.DataFrame, design: str) -> tuple[Interval, str]:
    """Compute the mean score of a design with its interval, and what the interval is over: SEEDS or IMAGES.

    With 3 or more seeds, the interval is that of `Crossed`. Two seeds do not show how much seeds vary, and the
    interval is often wider than the scale. The interval is then over groups alone (`over_groups`), for the networks of
    these seeds, and does not hold for other seeds. It ends at 0 and 1.
    """
    rows = for_all_seeds(images[images["design"] == design])
    if rows["seed"].nunique() < LEAST_SEEDS:
        return over_groups(rows), IMAGES
    return within(_over_seeds_and_groups(rows, "score").interval, SCORES), SEEDS


def over_groups(images: pd.DataFrame) -> Interval:
    """Compute the mean score of one design with its interval over groups alone, for the networks of these seeds.

    The interval uses Student's t distribution with groups - 1 degrees of freedom. It ends at 0 and 1, since scores do.

    Args:
        images: Rows (seed, name, group, score, weight) of one design.

    Examples:
        >>> rows = {"seed": 0, "name": [0, 1], "group": [0, 1], "score": [0.0, 1.0], "weight": [0.5, 0.5]}
        >>> over_groups(pd.DataFrame(rows))
        Interval(mean=0.5, low=0.0, high=1.0)
    """
    means, parts = _parts(images, "score")
    share = pd.Series(parts.mean(axis=0))  # of the deviation of each group from the mean, over the seeds
    half_width = t_half_width(share.std(ddof=1), len(share) - 1) * np.sqrt(len(share))
    return within(Interval.around(means.mean(), half_width), SCORES)


def within(interval: Interval, ends: tuple[float, float]) -> Interval:
    """Cut an interval at the ends of its scale. The truth lies between them, so that the coverage does not change."""
    return Interval(interval.mean, max(interval.low, ends[0]), min(interval.high, ends[1]))


def _over_seeds_and_groups(rows: pd.DataFrame, column: str) -> Crossed:
    """Compute the weighted mean of a column as an effect over seeds and groups."""
    means, parts = _parts(rows, column)
    return Crossed.of(means[:, None] + parts * parts.shape[1])


def _parts(rows: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Compute the weighted mean of each seed (seeds,), and what each group adds to it (seeds, groups).

    A group varies by its distance from its seed's mean, not by its size.
    """
    rows = rows.assign(share=rows["weight"] / rows.groupby("seed")["weight"].transform("sum"))
    means = (rows["share"] * rows[column]).groupby(rows["seed"]).sum()  # (seeds,)
    rows = rows.assign(part=rows["share"] * (rows[column] - rows["seed"].map(means)))
    return means.to_numpy(), rows.pivot_table("part", "seed", "group", "sum", fill_value=0.0).to_numpy()


def learned(runs: pd.DataFrame) -> pd.Series:
    """Return by design whether one of its trainings has taught the network something.

    Args:
        runs: Rows with design and collapsed.
    """
    return runs["collapsed"].ne(1).groupby(runs["design"]).any()


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
