import numpy as np
import pytest
from scipy.stats import bootstrap, spearmanr

from bench.pruning.judging.judge import verdict
from bench.pruning.judging.ranking import ceiling, rank_correlation


def test_perfect_and_reversed_scores():
    losses = np.random.default_rng(0).normal(size=24)
    assert rank_correlation(np.exp(losses), losses, seed=0).mean == pytest.approx(1)
    assert rank_correlation(-losses, losses, seed=0).mean == pytest.approx(-1)


def test_a_useless_score_has_an_interval_around_zero():
    rng = np.random.default_rng(0)
    held = [verdict(rank_correlation(rng.normal(size=24), rng.normal(size=24), seed), 0) for seed in range(40)]
    assert held.count("better") + held.count("worse") <= 5  # 2 of 40 are expected


def test_the_interval_is_the_middle_95_percent_of_a_bootstrap():
    rng = np.random.default_rng(0)
    losses = rng.normal(size=24)
    scores = losses + rng.normal(size=24)
    got = rank_correlation(scores, losses, seed=0)
    wanted = bootstrap(
        (scores, losses), lambda a, b: spearmanr(a, b).statistic, paired=True, vectorized=False, n_resamples=4000,
        method="percentile", random_state=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert (got.low, got.high) == pytest.approx(tuple(wanted), abs=0.025)


def test_a_constant_score_has_no_rank_correlation():
    assert np.isnan(rank_correlation(np.ones(8), np.arange(8.0), seed=0).mean)


def test_without_noise_the_ceiling_is_one():
    losses = np.repeat(np.arange(12.0)[:, None], 3, axis=1)
    assert ceiling(losses, seed=0).mean == pytest.approx(1)


def test_the_ceiling_is_the_agreement_of_a_perfect_score():
    # known truth: 24 designs whose true losses have spread .01, with three seeds each of spread .01
    rng = np.random.default_rng(0)
    reached, estimated = [], []
    for seed in range(60):
        truth = rng.normal(0, 0.01, 24)
        losses = truth[:, None] + rng.normal(0, 0.01, (24, 3))
        reached.append(rank_correlation(truth, losses.mean(axis=1), seed).mean)
        estimated.append(ceiling(losses, seed).mean)
    assert np.mean(estimated) == pytest.approx(np.mean(reached), abs=0.03)


@pytest.mark.parametrize(("spread", "share"), [(1.0, 0.0), (1.5, 1 - 1 / 2.25), (4.0, 1 - 1 / 16)])
def test_the_ceiling_depends_on_the_variance_that_exceeds_the_noise(spread, share):
    """Three means of variance spread², each with noise of variance 1: the share of true variance is known."""
    means = spread * np.array([-1.0, 0, 1])
    losses = means[:, None] + np.sqrt(3) * np.array([-1.0, 0, 1])
    got = ceiling(losses, seed=0)
    if share == 0:
        assert np.isnan([got.mean, got.low, got.high]).all()
        return
    noise = np.random.default_rng(1).standard_normal((4000, 3))
    wanted = np.mean([spearmanr(means, np.sqrt(share) * means + one).statistic for one in noise])
    assert got.mean == pytest.approx(wanted, abs=0.03)


@pytest.mark.filterwarnings("error")
def test_pure_noise_has_a_low_ceiling_or_none():
    found = [ceiling(np.random.default_rng(seed).normal(size=(24, 3)), seed=0) for seed in range(20)]
    assert sum(np.isnan(one.mean) for one in found) == 9
    assert np.nanmean([one.mean for one in found]) < 0.5
