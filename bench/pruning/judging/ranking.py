"""Ranking: how well a score ranks designs by their loss, and the best correlation that any score can have."""

from __future__ import annotations

import numpy as np

from bench.information.statistics import Interval, bootstrap_rows, percentile_interval, spearman, standard_error

RESAMPLES = 2000


def rank_correlation(scores: np.ndarray, losses: np.ndarray, seed: int) -> Interval:
    """Compute the Spearman correlation of scores and losses with its 95 % bootstrap interval over designs.

    Args:
        scores: (designs,).
        losses: (designs,).
        seed: Seed of the bootstrap.

    Returns:
        The interval; NaN if one side does not vary.

    Examples:
        >>> rank_correlation(np.arange(10.0), np.arange(10.0) ** 2, seed=0).mean
        1.0
    """
    found = float(spearman(scores, losses))
    if np.isnan(found):
        return Interval(found, found, found)
    rows = bootstrap_rows(len(scores), RESAMPLES, np.random.default_rng(seed))
    return Interval(found, *percentile_interval(spearman(scores[rows], losses[rows])))


def ceiling(losses: np.ndarray, seed: int) -> Interval:
    """Estimate the correlation of a perfect score with the losses, which are noisy.

    The true losses of the designs are drawn from normal distributions around the means, which are shrunk. Their
    variance is the variance of the means that the noise of the seeds does not explain. The score is the true loss. The
    measured loss is the true loss with new noise.

    Args:
        losses: (designs, seeds).
        seed: Seed of the draws.

    Returns:
        The interval; NaN if the noise of the seeds explains all differences of the means, so that there is nothing to
            rank.
    """
    rng = np.random.default_rng(seed)
    means, noise = losses.mean(axis=1), np.asarray(standard_error(losses, axis=1))
    total = means.var(ddof=1)
    kept = 1 - float((noise**2).mean()) / total if total > 0 else 0.0
    if kept <= 0:
        return Interval(np.nan, np.nan, np.nan)
    truth = means.mean() + np.sqrt(kept) * (means - means.mean())
    noisy = truth + noise * rng.standard_normal((RESAMPLES, len(losses)))
    draws = spearman(np.broadcast_to(truth, noisy.shape), noisy)
    return Interval(float(np.nanmean(draws)), *percentile_interval(draws))
