"""Families of comparisons: p values corrected by Holm, and the verdicts that they allow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bench.information.crossed import LEVEL, Crossed
from bench.pruning.judging.judge import Verdict


def holm(p_values: np.ndarray) -> np.ndarray:
    """Correct p values of a family, so that the probability of one or more false rejections is at most their level.

    Args:
        p_values: (tests,).

    Returns:
        (tests,), at most 1.

    References:
        Holm 1979, Scandinavian Journal of Statistics 6:65.

    Examples:
        >>> holm(np.array([0.01, 0.04, 0.03, 0.005])).round(4).tolist()
        [0.03, 0.06, 0.06, 0.02]
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    return np.minimum(1, steps)[np.argsort(order)]


def judged(effects: Mapping[str, Crossed], margin: float) -> pd.DataFrame:
    """Judge the comparisons of one family. Higher scores are better.

    The probability of one or more false verdicts in the family is at most 5 %: 2.5 % for gains and 2.5 % for losses.
    A verdict *better* implies *no worse*. The claim that a design is no worse is therefore tested in a family in which
    the other comparisons claim *better*: this is Holm's rule for the closure of all these claims, and it needs no
    independence. In a family of one, the verdicts are those of the 95 % interval (`judge.verdict`).

    Args:
        effects: The gain over each baseline design.
        margin: A design is no worse if its loss is below the margin.

    Returns:
        A row per baseline design, with the corrected p values of a difference (`p_value`) and of a loss below the
        margin (`p_margin`), and the `verdict`.
    """
    better, no_worse, worse = (
        np.array([effect.p_value(bound, above) for effect in effects.values()])
        for bound, above in ((0.0, True), (-margin, True), (0.0, False))
    )
    at = np.arange(len(effects))
    p_margin = [holm(np.where(at == row, no_worse, better))[row] for row in at]
    better, worse = holm(better), holm(worse)
    columns = {"p_value": np.minimum(better, worse), "p_margin": p_margin}
    columns["verdict"] = [_verdict(*p_values) for p_values in zip(better, p_margin, worse, strict=True)]
    return pd.DataFrame(columns, list(effects))


def _verdict(better: float, no_worse: float, worse: float) -> Verdict:
    """Return the verdict by corrected p values, in the order of `judge.verdict`."""
    if better < LEVEL:
        return "better"
    if no_worse < LEVEL:
        return "no worse"
    return "worse" if worse < LEVEL else "undecided"
