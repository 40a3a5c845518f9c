"""Null, interval and refused input of every estimator."""

import time
from functools import partial

import numpy as np
import pytest
from gaussians import reversed_null

from bench.errors import EstimationError
from bench.estimators import KDE, KSG, LNC, Binning, Critic, Gaussian, Latent, Renyi, Variates, VInformation
from bench.estimators.base import Answer, null_of
from bench.information.estimate import Null
from bench.information.permutations import donor_rows, permuted_groups
from bench.information.reductions import RowCodes
from bench.information.variables import Variable

ESTIMATORS = [
    KDE(noise_variance=1.0),
    KDE(relative=True),
    Renyi(width="median"),
    Renyi(alpha=2, width="median", batch_size=50),
    Binning(1.0),
]
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: f"{type(e).__name__}{e.settings}")


@every_estimator
def test_excess_vanishes_under_independence(estimator):
    rng = np.random.default_rng(0)
    excesses, significant = [], []
    for _ in range(20):
        estimate = estimator.estimate(rng.normal(size=(100, 2)), rng.integers(0, 3, 100), rng=rng)
        excesses.append(estimate.excess)
        significant.append(estimate.significant)
    assert abs(np.mean(excesses)) < 3 * np.std(excesses) / np.sqrt(20) + 1e-9
    assert np.mean(significant) <= 0.2  # 5 % by design


@every_estimator
def test_a_planted_effect_is_significant(estimator):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 100)
    estimate = estimator.estimate(rng.normal(size=(100, 2)) + 3 * y[:, None], y, rng=rng)
    assert estimate.significant is True
    assert estimate.reliable is True
    assert estimate.excess > 5 * estimate.null.spread
    assert estimate.bits <= estimate.ceiling


@every_estimator
def test_the_same_rng_gives_the_same_estimate(estimator):
    t, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 3
    one, other = (estimator.estimate(t, y, rng=np.random.default_rng(5)) for _ in range(2))
    assert {**one.row(), "seconds": 0} == {**other.row(), "seconds": 0}


@every_estimator
def test_the_width_of_intervals_agrees_with_the_spread_over_new_samples(estimator):
    rng = np.random.default_rng(0)
    bits, widths = [], []
    for _ in range(30):
        y = rng.integers(0, 2, 120)
        estimate = estimator.estimate(rng.normal(size=(120, 2)) + 1.5 * y[:, None], y, rng=rng)
        bits.append(estimate.bits)
        widths.append((estimate.interval[1] - estimate.interval[0]) / (2 * 1.96))
    assert 0.5 < np.mean(widths) / np.std(bits, ddof=1) < 2


@every_estimator
@pytest.mark.parametrize(
    ("t", "target", "message"),
    [
        (np.zeros((20, 2)), np.arange(21) % 2, "20 samples of t and 21"),
        (np.random.default_rng(0).normal(size=(20, 2)), np.zeros(20, int), "one class"),
        (np.full((20, 2), np.nan), np.arange(20) % 2, "40 values that are NaN"),
        (np.full((20, 2), np.inf), np.arange(20) % 2, "infinite"),
        (np.zeros((3, 2)), np.arange(3) % 2, "4 groups"),
    ],
)
def test_bad_input_is_refused_with_the_reason(estimator, t, target, message):
    with pytest.raises(EstimationError, match=message):
        estimator.estimate(t, target, rng=np.random.default_rng(0))


@every_estimator
def test_a_variable_without_the_reduction_is_refused(estimator):
    empty = Variable(20, 5, np.arange(20))
    with pytest.raises(EstimationError, match="without"):
        estimator.estimate(empty, np.arange(20) % 2, rng=np.random.default_rng(0))


def test_estimates_are_not_clipped_at_zero():
    x, y = np.repeat([[0, 1], [1, 0], [1, 1]], [21, 22, 57], axis=0).T
    estimate = Renyi(alpha=2).estimate(x, y, rng=np.random.default_rng(0))
    assert estimate.bits == pytest.approx(-0.0724, abs=5e-5)


def test_the_null_permutes_whole_groups():
    groups = np.array(["b", "a", "a", "c", "b", "c", "d", "d"])
    for seed in range(20):
        order = permuted_groups(groups, np.random.default_rng(seed))
        assert sorted(order) == list(range(8))
        for group in "abcd":  # whole groups of equal size are exchanged
            assert len(set(groups[order[groups == group]])) == 1


def test_permuting_groups_preserves_dependence_within_groups():
    # samples of a patient share t and the label, which are independent over patients; a null over samples ignores this
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(12), 10)
    false_alarms = {True: 0, False: 0}
    for _ in range(30):
        t = rng.normal(size=(12, 2))[patients] + 0.1 * rng.normal(size=(120, 2))
        y = rng.integers(0, 2, 12)[patients]
        for grouped in false_alarms:
            variable = Variable.of(t, patients if grouped else None)
            false_alarms[grouped] += KDE(1.0).estimate(variable, y, rng=rng).significant
    assert false_alarms[True] <= 6
    assert false_alarms[False] >= 20


@pytest.mark.parametrize("others", [0.0, 0.3])
def test_labels_of_patients_with_different_numbers_of_images_have_no_false_alarms(others):
    # a permuted patient has the labels of one patient again: else the null is too low, and most draws are significant
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(24), rng.permutation(np.arange(24) + 5))
    found = 0
    for _ in range(20):
        t = rng.normal(size=(24, 8))[patients] + 0.3 * rng.normal(size=(len(patients), 8))
        y = rng.permutation(np.arange(24) % 2)[patients]
        y = np.where(rng.random(len(y)) < others, rng.integers(0, 2, len(y)), y)
        found += KSG("mixture", k=5).estimate(Variable.of(t, patients), y, rng=rng).significant
    assert found <= 5


def test_each_group_has_one_donor_and_groups_of_equal_size_are_permuted():
    groups = np.array(["b", "a", "a", "c", "b", "c", "d", "d", "d"])
    for seed in range(20):
        order = donor_rows(groups, np.random.default_rng(seed))
        donors = {group: set(groups[order[groups == group]]) for group in "abcd"}
        assert sorted(donor for names in donors.values() for donor in names) == list("abcd")
        equal = permuted_groups(groups[:6], np.random.default_rng(seed))
        assert donor_rows(groups[:6], np.random.default_rng(seed)).tolist() == equal.tolist()


def test_binning_counts_distinct_rows():
    t = np.array([[0.01, 0.55], [0.02, 0.51], [0.11, 0.55], [0.18, 0.59]])
    assert Binning(0.1).estimate(t, t, rng=np.random.default_rng(0)).bits == 1
    assert Binning(0.01).estimate(t, t, rng=np.random.default_rng(0)).bits == 2
    codes = RowCodes(0.1).fold(RowCodes(0.1).fold(None, t[:, :1]), t[:, 1:])
    np.testing.assert_array_equal(codes, RowCodes(0.1).fold(None, t))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(np.inf, (0.1, 0.3), None, 1.0),
        Answer(0.2, (np.nan, 0.3), None, 1.0),
        Answer(0.2, (0.1, np.inf), None, 1.0),
        Answer(0.2, (0.1, 0.3), Null(0.0, 0.1, np.nan, 20), 1.0),
        Answer(0.2, (0.1, 0.3), None, np.nan),
    ],
)
def test_an_estimate_that_is_not_finite_is_refused(answer):
    class Diverging(KDE):
        def answer(self, t, target, given, rng):
            return answer

    with pytest.raises(EstimationError, match=r"got .* bits from .*, wanted finite numbers: Diverging has diverged"):
        Diverging().estimate(np.arange(40.0)[:, None], np.arange(40) % 2, rng=np.random.default_rng(0))


def test_an_estimate_has_its_settings_and_time():
    started = time.perf_counter()
    estimate = Binning(0.5).estimate(np.arange(40.0)[:, None], np.arange(40) % 2, rng=np.random.default_rng(0))
    assert 0 < estimate.seconds <= time.perf_counter() - started
    assert estimate.settings == {"bin_size": 0.5, "extrapolate": False}


def test_the_spread_of_a_null_is_a_sample_standard_deviation():
    null = null_of([1.0, 2.0, 4.0])  # squared deviations 16/9, 1/9 and 25/9, over 2
    assert (null.mean, null.quantile, null.permutations) == (pytest.approx(7 / 3), 4.0, 3)
    assert null.spread == pytest.approx(np.sqrt(7 / 3))


@pytest.mark.parametrize("kind", [Binning, Gaussian, KDE, KSG, LNC, Latent, Renyi, VInformation, Critic, Variates])
@pytest.mark.parametrize("name", ["permutations", "subsamples"])
def test_at_least_two_draws_are_required(kind, name):
    bound = {"bound": "nwj"} if kind is Critic else {}
    if name == "subsamples" and kind in (VInformation, Critic):  # their intervals use no subsamples
        return
    assert getattr(kind(**bound, **{name: 2}), name) == 2
    with pytest.raises(ValueError, match=f"{name}: got 1, wanted an integer of at least 2"):
        kind(**bound, **{name: 1})


@pytest.mark.parametrize(
    ("kind", "name", "least"),
    [
        (Gaussian, "components", 1),
        (KSG, "k", 1),
        (KSG, "permutations", 2),
        (LNC, "k", 2),
        (Latent, "batch_size", 4),
        (Latent, "components", 1),
        (Latent, "folds", 2),
        (Latent, "hidden", 1),
        (Latent, "k", 1),
        (Latent, "latent", 1),
        (Latent, "steps", 1),
        (Renyi, "batch_size", 4),
        (Variates, "components", 1),
        (Variates, "folds", 2),
        (Variates, "k", 1),
        (Variates, "variates", 1),
        (VInformation, "components", 1),
        (VInformation, "folds", 2),
        (VInformation, "hidden", 1),
        (VInformation, "steps", 1),
        (partial(Critic, "nwj"), "batch_size", 4),
        (partial(Critic, "nwj"), "components", 1),
        (partial(Critic, "nwj"), "embedding", 1),
        (partial(Critic, "nwj"), "hidden", 1),
        (partial(Critic, "nwj"), "steps", 1),
    ],
)
def test_the_minimum_of_each_count_is_accepted_and_one_less_is_refused(kind, name, least):
    assert getattr(kind(**{name: least}), name) == least
    with pytest.raises(ValueError, match=f"{name}: got {least - 1}, wanted an integer of at least {least}"):
        kind(**{name: least - 1})


@pytest.mark.parametrize("estimator", [KSG(), KSG("mixture"), Gaussian(), Binning(), KDE(), Renyi(2)])
def test_the_null_uses_the_pairings_that_the_target_draws(estimator):
    rng = np.random.default_rng(0)
    labels = np.sort(rng.integers(0, 3, 90))
    t = labels[:, None] + 0.3 * rng.normal(size=(90, 1))
    target = reversed_null(labels)
    null = estimator.estimate(t, target, rng=np.random.default_rng(1)).null
    wanted = estimator.estimate(t, labels[::-1].copy(), rng=np.random.default_rng(1)).bits
    assert null.mean == pytest.approx(wanted, abs=1e-9)
    assert null.spread == pytest.approx(0, abs=1e-9)
