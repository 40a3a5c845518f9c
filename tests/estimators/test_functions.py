"""The pure functions on plain arrays return the bits of their classes."""

from typing import ClassVar

import numpy as np
import pytest

from bench.errors import EstimationError
from bench.estimators import (
    KDE,
    KSG,
    LNC,
    Binning,
    Critic,
    Gaussian,
    Latent,
    Matched,
    Renyi,
    VInformation,
    binning,
    critic,
    gaussian,
    kde,
    ksg,
    latent,
    lnc,
    matched,
    probe,
    renyi,
)
from bench.estimators.resampled import Resampled
from bench.estimators.statistic import FunctionStatistic

RNG = np.random.default_rng(0)
C = RNG.normal(size=(90, 1))
T = C + RNG.normal(size=(90, 2))
Y = T[:, :1] + 0.5 * RNG.normal(size=(90, 1))
LABEL = np.digitize(Y[:, 0], [-0.5, 0.7])
FEW = {"permutations": 2, "subsamples": 2}


@pytest.mark.parametrize(
    ("function", "estimator", "target", "given"),
    [
        (lambda *sides: ksg(*sides, k=4), KSG(k=4, **FEW), Y, None),
        (lambda *sides: ksg(*sides, variant=2), KSG(2, **FEW), Y, None),
        (lambda *sides: ksg(*sides, variant="mixture"), KSG("mixture", **FEW), LABEL, None),
        (lambda *sides: ksg(*sides, given=C), KSG(**FEW), Y, C),
        (lambda *sides: ksg(*sides, given=C), KSG(**FEW), LABEL, C),
        (lambda *sides: lnc(*sides, k=6), LNC(k=6, **FEW), Y, None),
        (lambda *sides: matched(*sides, k=2), Matched(k=2, **FEW), Y, None),
        (lambda *sides: gaussian(*sides, components=1), Gaussian(1, **FEW), Y, None),
        (lambda *sides: gaussian(*sides, shrinkage=0.2), Gaussian(shrinkage=0.2, **FEW), LABEL, None),
        (lambda *sides: kde(*sides, bound="lower"), KDE(bound="lower", **FEW), LABEL, None),
        (lambda *sides: kde(sides[0], relative=True), KDE(relative=True, **FEW), Y, None),
        (lambda *sides: binning(*sides, bin_size=1.0), Binning(1.0, **FEW), LABEL, None),
        (lambda *sides: binning(sides[0]), Binning(**FEW), Y, None),
        (lambda *sides: renyi(*sides, alpha=2, width="median"), Renyi(2, "median", **FEW), Y, None),
        (lambda *sides: renyi(*sides, given=C), Renyi(**FEW), LABEL, C),
    ],
)
def test_a_function_returns_the_bits_of_its_class(function, estimator, target, given):
    bits = function(T, target)
    assert isinstance(bits, float)
    expected = estimator.estimate(T, target, given=given, rng=np.random.default_rng(0)).bits
    assert bits == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("function", "estimator", "given", "near"),
    [
        (probe, VInformation(steps=60, permutations=2), None, 0.1),
        (probe, VInformation(steps=60, permutations=2), C, 0.1),
        (critic, Critic("infonce", steps=100, permutations=2), None, 0.3),
        (latent, Latent(steps=50, **FEW), None, 1e-9),
    ],
)
def test_a_trained_function_depends_on_its_rng_alone_and_is_near_its_class(function, estimator, given, near):
    """The class uses more random numbers, because it also trains on permutations."""
    settings = {"steps": estimator.steps} | ({"given": given} if given is not None else {})
    one, same = (function(T, LABEL, rng=np.random.default_rng(0), **settings) for _ in range(2))
    assert one == same
    expected = estimator.estimate(T, LABEL, given=given, rng=np.random.default_rng(0)).bits
    assert one == pytest.approx(expected, abs=near)


def test_a_trained_function_does_not_split_groups():
    images = np.repeat(np.arange(30), 3)
    marks, label = np.eye(30)[images], (RNG.permutation(30) % 2)[images]
    known, unknown = (probe(marks, label, groups=groups, rng=np.random.default_rng(0)) for groups in (None, images))
    assert known > 0.5
    assert unknown < 0.05
    with pytest.raises(EstimationError, match="got 30 groups of samples, wanted at least 40"):
        critic(marks, label, groups=images, rng=np.random.default_rng(0))


def test_sides_of_different_lengths_and_settings_out_of_range_are_refused():
    for sides, message in [((T, Y[:-1]), "90 samples of t and 89 of the target"), ((T, Y, 3, 1, C[:-1]), "the given")]:
        with pytest.raises(EstimationError, match=message):
            ksg(*sides)
    with pytest.raises(ValueError, match="k: got 0"):
        ksg(T, Y, k=0)
    with pytest.raises(ValueError, match="steps: got 0"):
        probe(T, LABEL, steps=0, rng=np.random.default_rng(0))


def agreement(t, target):
    """Return the share of samples whose signs agree."""
    return float(np.mean((t[:, 0] > 0) == ((target if target.ndim == 1 else target[:, 0]) > 0)))


class Agreement(Resampled):
    settings: ClassVar = {}

    def statistic(self, t, target, given):
        side = target.samples if target.labels is None else target.labels
        return FunctionStatistic.of(agreement, t.samples, side, most=1.0)


@pytest.mark.parametrize("labelled", [False, True])
def test_a_function_alone_makes_an_estimator(labelled):
    t = np.where(np.arange(60) % 3 > 0, 1.0, -1.0)[:, None]  # -1 comes first and has label 0
    target = (t[:, 0] > 0).astype(int) if labelled else t
    estimate = Agreement().estimate(t, target, rng=np.random.default_rng(0))
    assert estimate.bits == estimate.ceiling == 1
    assert estimate.null.mean == pytest.approx(5 / 9, abs=0.05)  # (2/3)² + (1/3)² agree by chance
    assert estimate.null.spread > 0
