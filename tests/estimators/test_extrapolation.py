"""Extrapolation to infinitely many samples: exact for a bias of a/n, and refused for biases of another form."""

import numpy as np
import pytest

from bench.errors import EstimationError
from bench.estimators import KDE, KSG, LNC, Binning, Gaussian, Matched, Renyi, Variates
from bench.estimators.resampled import Resampled
from bench.estimators.statistic import FunctionStatistic
from bench.information.variables import Variable


class Made(Resampled):
    """Estimator whose value is a function of the samples t alone."""

    settings = {"made": True}  # noqa: RUF012
    extrapolate = True

    def __init__(self, function):
        self.function = function

    def statistic(self, t, target, given=None):
        return FunctionStatistic.of(lambda t, y: self.function(t), t.samples, target.samples, most=9.0)


def estimate(function, n=103, groups=None):
    t = np.random.default_rng(1).normal(size=(n, 1))
    target = Variable.of(t[::-1].copy(), groups)
    return Made(function).estimate(Variable.of(t, groups), target, rng=np.random.default_rng(0))


@pytest.mark.parametrize("groups", [None, np.arange(103) // 2])
def test_a_bias_of_a_over_n_is_removed_exactly(groups):
    found = estimate(lambda t: 1.5 + 40 / len(t), groups=groups)
    assert found.bits == pytest.approx(1.5, abs=1e-9)
    assert found.interval == pytest.approx((1.5, 1.5), abs=1e-9)
    assert found.null.mean == pytest.approx(1.5, abs=1e-9)
    assert found.ceiling == 9


def test_a_bias_of_another_form_is_refused():
    with pytest.raises(EstimationError) as error:
        estimate(lambda t: 1.5 + 4 / np.sqrt(len(t)))
    assert str(error.value).startswith(
        "got bits that are not linear in 1/n (a line gives 1.78 bits for infinitely many samples, a parabola 1.71"
    )
    assert str(error.value).endswith("take more samples, or set extrapolate=false")


def test_saturated_entropies_are_refused():
    t = np.random.default_rng(0).normal(size=(200, 1))
    with pytest.raises(EstimationError, match="not linear in 1/n"):
        Binning(1e-9, extrapolate=True).estimate(t, t, rng=np.random.default_rng(0))


def test_few_groups_are_refused():
    t = np.random.default_rng(0).normal(size=(90, 1))
    with pytest.raises(EstimationError, match=r"^got 3 groups of samples \(all, or a half for the interval\), wanted"):
        Gaussian(extrapolate=True).estimate(
            Variable.of(t, np.arange(90) // 13), t[::-1].copy(), rng=np.random.default_rng(0)
        )


def test_groups_are_not_cut():
    groups = np.repeat(np.arange(40), 3)
    sizes = set()

    def count(t):
        sizes.update(np.unique(t, return_counts=True)[1])
        return 0.0

    t = Variable.of(groups[:, None].astype(float), groups)
    Made(count).estimate(t, t, rng=np.random.default_rng(0))
    assert sizes == {3}


def draw(rng):
    """Draw 600 samples of 4 bins and of 3 classes that do not depend on each other."""
    return rng.integers(0, 4, (600, 1)).astype(float), rng.integers(0, 3, 600)


BIAS = 6 / (1200 * np.log(2))  # Miller and Madow: (bins - 1) (classes - 1) / (2 n ln 2)


def test_the_bias_of_plug_in_entropies_is_removed():
    rng = np.random.default_rng(0)
    draws = [draw(rng) for _ in range(300)]
    plain, without = (
        np.array([estimator.final(Variable.of(t), Variable.of(y), None).observed() for t, y in draws])
        for estimator in (Binning(1.0), Binning(1.0, extrapolate=True))
    )
    assert plain.mean() == pytest.approx(BIAS, rel=0.1)
    assert abs(without.mean()) < 3 * np.std(without) / np.sqrt(300) < BIAS / 4


def test_permutations_and_orders_are_extrapolated_too():
    t, y = draw(np.random.default_rng(0))
    plain, without = (Binning(1.0, permutations=200, subsamples=2, extrapolate=on) for on in (False, True))
    rng = np.random.default_rng(1)
    assert plain.estimate(t, y, rng=rng).null.mean == pytest.approx(BIAS, rel=0.15)
    assert abs(without.estimate(t, y, rng=rng).null.mean) < BIAS / 4
    orders = [rng.permutation(600) for _ in range(200)]
    assert abs(without.reordered(Variable.of(t), Variable.of(y), orders, rng).mean()) < BIAS / 4


@pytest.mark.parametrize("kind", [Binning, Gaussian, KDE, KSG, LNC, Matched, Renyi, Variates])
def test_the_setting(kind):
    assert kind().settings["extrapolate"] is False
    assert kind(extrapolate=True).settings["extrapolate"] is True
    with pytest.raises(ValueError, match=r"^extrapolate: got 'no', wanted true or false$"):
        kind(extrapolate="no")


@pytest.mark.parametrize("kind", [KSG, LNC, Gaussian, Matched, Variates])
def test_estimates_of_gaussians_remain_near_the_truth(kind):
    t, noise = np.random.default_rng(0).normal(size=(2, 400, 1))
    estimator = kind(permutations=5, subsamples=10, extrapolate=True)
    found = estimator.estimate(t, t + noise, rng=np.random.default_rng(0))
    assert found.interval[0] < 0.5 < found.interval[1]
    assert found.bits == pytest.approx(0.5, abs=0.2)
    assert found.significant


def test_each_part_has_enough_groups_for_the_folds_of_variates():
    t, noise = np.random.default_rng(0).normal(size=(2, 127, 1))
    with pytest.raises(EstimationError) as error:
        Variates(extrapolate=True).estimate(t, t + noise, rng=np.random.default_rng(0))
    assert str(error.value) == (
        "got 127 groups of samples, wanted at least 128 for 8 folds of 4 parts, or extrapolate=false"
    )
    t, noise = np.random.default_rng(0).normal(size=(2, 128, 1))
    found = Variates(extrapolate=True, permutations=2, subsamples=2).estimate(
        t, t + noise, rng=np.random.default_rng(0)
    )
    assert np.isfinite(found.bits)
