"""Ranking: how well a score ranks designs by their loss, and how well any could."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from bench.retraining.judge import Effect

RESAMPLES = 2000


def agreement(scores: np.ndarray, losses: np.ndarray, seed: int) -> Effect:
    """Spearman correlation of (designs,) scores and losses, with its 95 % bootstrap interval over designs.

    NaN where a side does not vary.

    >>> agreement(np.arange(10.0), np.arange(10.0) ** 2, seed=0).mean
    1.0
    """
    found = float(spearman(scores, losses))
    if np.isnan(found):
        return Effect(found, found, found)
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(scores), size=(RESAMPLES, len(scores)))
    low, high = np.nanquantile(spearman(scores[picks], losses[picks]), [0.025, 0.975])
    return Effect(found, float(low), float(high))


def ceiling(losses: np.ndarray, seed: int) -> Effect:
    """What a perfect score would reach: losses (designs, seeds) are noisy, and so are the ranks of their means.

    The designs' true losses are drawn as normal with the variance that their means have beyond the noise of the seeds,
    around means that are shrunk accordingly; the score is the truth, and the loss is truth with new noise. NaN if
    the noise of the seeds explains all differences of the means, because then there is nothing to rank.
    """
    rng = np.random.default_rng(seed)
    designs, seeds = losses.shape
    means, noise = losses.mean(axis=1), losses.std(axis=1, ddof=1) / np.sqrt(seeds)
    total = means.var(ddof=1)
    kept = 1 - float((noise**2).mean()) / total if total > 0 else 0.0
    if kept <= 0:
        return Effect(np.nan, np.nan, np.nan)
    truth = means.mean() + np.sqrt(kept) * (means - means.mean())
    noisy = truth + noise * rng.standard_normal((RESAMPLES, designs))
    draws = spearman(np.broadcast_to(truth, noisy.shape), noisy)
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return Effect(float(np.nanmean(draws)), float(low), float(high))


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation along the last axis, ties at their mean rank; NaN where a side does not vary.

    >>> spearman(np.array([1, 2, 4]), np.array([[1, 2, 3], [3, 2, 1]])).tolist()
    [1.0, -1.0]
    """
    a, b = (rankdata(side, axis=-1) - (side.shape[-1] + 1) / 2 for side in (a, b))
    with np.errstate(invalid="ignore"):
        return (a * b).sum(axis=-1) / np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
