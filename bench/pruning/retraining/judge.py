"""Judging retrained designs: paired effects with intervals over seeds and images, verdicts, the Pareto front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import t as student

from bench.errors import InputError

Verdict = Literal["better", "no worse", "worse", "undecided", "same design", "not run"]
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Effect:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float

    def verdict(self, margin: float) -> Verdict:
        """Of a difference, more being better: no worse is a loss below the margin, with 95 % confidence.

        >>> Effect(-0.002, -0.006, 0.002).verdict(margin=0.01)
        'no worse'
        """
        if self.low > 0:
            return "better"
        if self.low > -margin:
            return "no worse"
        return "worse" if self.high < 0 else "undecided"


def crossed(values: np.ndarray) -> Effect:
    """The mean of (seeds, groups) values with an interval for other seeds and other groups than these.

    Seeds and groups are crossed random effects: the variance of the mean is (A + B - C) / (S G) for S seeds and G
    groups, A, B and C the mean squares between seeds, between groups and of the rest; degrees of freedom by
    Satterthwaite. Where C exceeds A + B, it stands alone. Source: Searle, Casella & McCulloch 1992, Variance
    Components, sections 4.3 and 4.7.

    >>> effect = crossed(np.array([[0.0, 2.0], [2.0, 4.0]]))
    >>> effect.mean
    2.0
    """
    seeds, groups = values.shape
    if seeds < 2 or groups < 2:
        raise InputError(
            f"seeds: got {seeds} seeds and {groups} test images or patients, wanted at least 2 of each: "
            "without spread there is no verdict"
        )
    mean = values.mean()
    of_seeds, of_groups = values.mean(axis=1) - mean, values.mean(axis=0) - mean
    rest = values - mean - of_seeds[:, None] - of_groups[None]
    squares = (
        (of_seeds**2).sum() * groups / (seeds - 1),
        (of_groups**2).sum() * seeds / (groups - 1),
        (rest**2).sum() / ((seeds - 1) * (groups - 1)),
    )
    free = (seeds - 1, groups - 1, (seeds - 1) * (groups - 1))
    signs = (1, 1, -1) if squares[0] + squares[1] > squares[2] else (0, 0, 1)
    variance = sum(sign * square for sign, square in zip(signs, squares, strict=True)) / (seeds * groups)
    if variance <= 0:
        return Effect(float(mean), float(mean), float(mean))
    spent = sum((sign * square) ** 2 / df for sign, square, df in zip(signs, squares, free, strict=True))
    degrees = max(1.0, (variance * seeds * groups) ** 2 / spent)
    reach = student.ppf((1 + CONFIDENCE) / 2, degrees) * np.sqrt(variance)
    return Effect(float(mean), float(mean - reach), float(mean + reach))


def paired(images: pd.DataFrame, design: str, control: str) -> Effect:
    """How much higher a design scores than a control, over the seeds, images and groups that both were tested on.

    images: rows (design, seed, name, group, score, weight), the weights of a seed's images adding up to 1.
    """
    sides = (images[images["design"] == side].set_index(["seed", "name"]) for side in (design, control))
    both = next(sides).join(next(sides)["score"], rsuffix="_control", how="inner").reset_index()
    both["gain"] = both["score"] - both["score_control"]
    return _over_groups(both, "gain")


def spread(images: pd.DataFrame, design: str) -> Effect:
    """A design's own score with its interval over seeds and groups."""
    return _over_groups(images[images["design"] == design], "score")


def over_groups(images: pd.DataFrame) -> Effect:
    """The score of one design from one seed with its interval over groups alone: t of groups - 1 degrees of freedom.

    >>> rows = {"name": [0, 1], "group": [0, 1], "score": [0.0, 1.0], "weight": [0.5, 0.5]}
    >>> over_groups(pd.DataFrame(rows)).mean
    0.5
    """
    share = images["weight"] / images["weight"].sum()
    mean = (share * images["score"]).sum()
    parts = (share * (images["score"] - mean)).groupby(images["group"]).sum()
    reach = student.ppf((1 + CONFIDENCE) / 2, len(parts) - 1) * parts.std(ddof=1) * np.sqrt(len(parts))
    return Effect(float(mean), float(mean - reach), float(mean + reach))


def _over_groups(rows: pd.DataFrame, column: str) -> Effect:
    """The weighted mean of a column. A group varies by its distance from its seed's mean, not by its size."""
    rows = rows.assign(share=rows["weight"] / rows.groupby("seed")["weight"].transform("sum"))
    means = (rows["share"] * rows[column]).groupby(rows["seed"]).sum()  # (seeds,)
    rows = rows.assign(part=rows["share"] * (rows[column] - rows["seed"].map(means)))
    parts = rows.pivot_table("part", "seed", "group", "sum", fill_value=0.0).to_numpy()  # (seeds, groups)
    return crossed(means.to_numpy()[:, None] + parts * parts.shape[1])


def pareto(table: pd.DataFrame, cost: str, score: str = "score") -> pd.Series:
    """Whether each row is on the front: no other row has as much score for less cost, or more for as much.

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
