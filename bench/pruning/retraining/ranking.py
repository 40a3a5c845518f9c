"""Ranking: how well a score ranks designs by their loss, and how well any could."""

from __future__ import annotations

import numpy as np

from bench.information.statistics import Interval, bootstrap_rows, percentile_interval, spearman, standard_error

RESAMPLES = 2000


def agreement(scores: np.ndarray, losses: np.ndarray, seed: int) -> Interval:
    """Spearman correlation of (designs,) scores and losses, with its 95 % bootstrap interval over designs.

    NaN where a side does not vary.

    >>> agreement(np.arange(10.0), np.arange(10.0) ** 2, seed=0).mean
    1.0
    """
    found = float(spearman(scores, losses))
    if np.isnan(found):
        return Interval(found, found, found)
    rows = bootstrap_rows(len(scores), RESAMPLES, np.random.default_rng(seed))
    return Interval(found, *percentile_interval(spearman(scores[rows], losses[rows])))


def ceiling(losses: np.ndarray, seed: int) -> Interval:
    """What a perfect score would reach: losses (designs, seeds) are noisy, and so are the ranks of their means.

    The designs' true losses are drawn as normal with the variance that their means have beyond the noise of the seeds,
    around means that are shrunk accordingly; the score is the truth, and the loss is truth with new noise. NaN where
    the means differ no more than the noise of the seeds explains: then there is nothing to rank.
    """
    rng = np.random.default_rng(seed)
    means, noise = losses.mean(axis=1), standard_error(losses, axis=1)
    total = means.var(ddof=1)
    kept = 1 - float((noise**2).mean()) / total if total > 0 else 0.0
    if kept <= 0:
        return Interval(np.nan, np.nan, np.nan)
    truth = means.mean() + np.sqrt(kept) * (means - means.mean())
    noisy = truth + noise * rng.standard_normal((RESAMPLES, len(losses)))
    draws = spearman(np.broadcast_to(truth, noisy.shape), noisy)
    return Interval(float(np.nanmean(draws)), *percentile_interval(draws))
