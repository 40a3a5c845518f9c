from dataclasses import replace

import numpy as np
import pytest
from gaussians import gaussians, hidden, reversed_null, rotation

from bench.errors import EstimationError
from bench.estimators import KSG, Variates, ksg, variates
from bench.information.reductions import Distances
from bench.information.variables import Variable

QUICK = {"permutations": 4, "subsamples": 4}


@pytest.mark.parametrize("d", [1, 2])
def test_gaussian_pairs_among_other_columns(d):
    """Neighbours in all columns find less than half of one nat."""
    rng = np.random.default_rng(0)
    sides = hidden(1.0, 1500, d, 30, rng)
    assert variates(*sides, rng=rng) * np.log(2) == pytest.approx(1, abs=0.15)
    assert ksg(*sides, k=5, variant="mixture") * np.log(2) < 0.5


def test_one_variate_of_two_pairs_finds_one_of_them():
    rng = np.random.default_rng(0)
    sides = hidden(2.0, 1500, 2, 10, rng)
    assert variates(*sides, rng=rng, variates=1) * np.log(2) == pytest.approx(1, abs=0.15)
    assert variates(*sides, rng=rng, variates=2) * np.log(2) == pytest.approx(2, abs=0.25)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_label_through_a_noisy_channel(classes):
    rng = np.random.default_rng(0)
    label = rng.integers(0, classes, 800)
    shown = np.where(rng.random(800) < 0.1, (label + 1) % classes, label)
    wrong = (shown != label).mean()
    truth = np.log2(classes) + wrong * np.log2(wrong) + (1 - wrong) * np.log2(1 - wrong)
    t = 6 * np.eye(classes)[label] @ rng.normal(size=(classes, 40)) + rng.normal(size=(800, 40))
    estimate = Variates(**QUICK).estimate(t, shown, rng=rng)
    assert estimate.bits == pytest.approx(truth, abs=0.1)
    assert estimate.interval[0] < estimate.bits < estimate.interval[1]
    assert estimate.significant is True
    assert estimate.label_entropy == pytest.approx(np.log2(classes), abs=0.01)


def test_without_information_the_null_is_about_0_and_p_values_are_uniform():
    """Of 20 uniform p values among 1/10 to 10/10, the mean has a standard deviation of .064."""
    rng = np.random.default_rng(0)
    estimator = Variates(permutations=9, subsamples=2, folds=4)
    p_values, nulls, excesses = [], [], []
    for _ in range(20):
        estimate = estimator.estimate(rng.normal(size=(100, 30)), rng.integers(0, 3, 100), rng=rng)
        p_values.append(estimate.null.p_value(estimate.bits))
        nulls.append(estimate.null.mean)
        excesses.append(estimate.excess)
    assert np.mean(p_values) == pytest.approx(0.55, abs=0.13)
    assert np.mean(np.array(p_values) <= 0.5) == pytest.approx(0.5, abs=0.3)
    assert abs(np.mean(nulls)) < 0.03
    assert abs(np.mean(excesses)) < 3 * np.std(excesses) / np.sqrt(20)


def test_intervals_agree_with_the_spread_over_new_samples():
    rng = np.random.default_rng(0)
    bits, errors = [], []
    for _ in range(12):
        estimate = Variates(folds=4, permutations=2, subsamples=10).estimate(*hidden(0.7, 200, 1, 10, rng), rng=rng)
        bits.append(estimate.bits)
        errors.append((estimate.interval[1] - estimate.interval[0]) / (2 * 1.96))
    assert 0.5 < np.mean(errors) / np.std(bits, ddof=1) < 2


@pytest.mark.parametrize("labelled", [False, True])
def test_rotations_shifts_scales_and_copies_of_columns_change_nothing(labelled):
    rng = np.random.default_rng(0)
    t, y = hidden(1.0, 200, 2, 7, rng)
    target = np.digitize(y[:, 0], [-1, 0, 1]) if labelled else y
    bits = variates(t, target, rng=np.random.default_rng(1))
    assert bits > 0.2
    for same in (t @ rotation(9, rng), 1e3 * t + 5, np.hstack([t, t]), np.hstack([t, np.ones((200, 3))])):
        assert variates(same, target, rng=np.random.default_rng(1)) == pytest.approx(bits, abs=1e-6)
    if not labelled:
        turned = y @ rotation(9, rng)
        assert variates(t, turned, rng=np.random.default_rng(1)) == pytest.approx(bits, abs=1e-6)


def test_one_column_on_each_side_is_ksg():
    """A single column is its own variate. Only its centre and scale differ, and only by fold."""
    rng = np.random.default_rng(0)
    t, y = gaussians(1.0, 2000, 1, rng)
    assert variates(t, y, rng=rng) == pytest.approx(ksg(t, y, k=5, variant="mixture"), abs=0.03)


def test_samples_of_one_group_that_share_a_mark_give_no_excess():
    """Both sides have a random mark of each image. The null permutes whole images, so that it has the marks too."""
    images = np.repeat(np.arange(60), 4)
    rng = np.random.default_rng(0)
    t, y = (rng.normal(size=(60, 4))[images] + 0.01 * rng.normal(size=(240, 4)) for _ in range(2))
    grouped, alone = (
        Variates(**QUICK).estimate(Variable.of(t, groups), y, rng=np.random.default_rng(1)) for groups in (images, None)
    )
    assert alone.excess > 0.4
    assert abs(grouped.excess) < 0.15


def test_each_permutation_has_directions_of_its_own():
    labels = np.sort(np.random.default_rng(0).integers(0, 3, 200))
    t = labels[:, None] + 0.3 * np.random.default_rng(1).normal(size=(200, 1))
    target = reversed_null(labels)
    null = Variates(**QUICK).estimate(t, target, rng=np.random.default_rng(2)).null
    expected = Variates(**QUICK).estimate(t, labels[::-1].copy(), rng=np.random.default_rng(2)).bits
    assert null.mean == pytest.approx(expected, abs=1e-9)
    assert null.spread == pytest.approx(0, abs=1e-9)


def test_each_order_of_the_target_has_directions_of_its_own():
    rng = np.random.default_rng(0)
    t, y = hidden(1.0, 400, 1, 10, rng)
    order = rng.permutation(400)
    orders = [np.arange(400), order, np.argsort(order)]
    there, apart, back = Variates().reordered(Variable.of(t), Variable.of(y[order]), orders, rng)
    assert abs(there) < 0.15
    assert abs(apart) < 0.15
    assert back * np.log(2) == pytest.approx(1, abs=0.3)


def test_a_layer_that_holds_distances_alone_is_read_by_its_principal_coordinates():
    rng = np.random.default_rng(0)
    t, y = gaussians(1.0, 300, 1, rng)
    wide = Variable.of(t @ rng.normal(size=(1, 2000)) + 0.5 * rng.normal(size=(300, 2000)))
    wide.read(Distances())
    found = Variates(**QUICK).estimate(replace(wide, samples=None), y, rng=rng)
    assert found.excess * np.log(2) == pytest.approx(1, abs=0.3)


def test_a_deterministic_layer_needs_a_declared_noise_channel():
    t, _ = gaussians(1.0, 800, 1, np.random.default_rng(0))
    layer = replace(Variable.of(t), deterministic=True)
    with pytest.raises(EstimationError, match=r"infinite; declare a noise channel on t, such as noise=0\.1 of Variate"):
        Variates().estimate(layer, t, rng=np.random.default_rng(0))
    # noise as large as the standard deviation of t: I = .5 bits
    noisy = Variates(noise=1.0, **QUICK).estimate(layer, t, rng=np.random.default_rng(1))
    assert noisy.bits == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("kind", ["label", "numbers"])
def test_the_function_returns_the_bits_of_the_class_and_depends_on_its_rng_alone(kind):
    t, y = hidden(1.0, 120, 1, 5, np.random.default_rng(0))
    target = {"label": (y[:, 0] > 0).astype(int), "numbers": y}[kind]
    groups = np.repeat(np.arange(60), 2)
    one, same, other = (variates(t, target, rng=np.random.default_rng(seed), groups=groups) for seed in (1, 1, 2))
    assert one == same != other
    estimate = Variates(**QUICK).estimate(Variable.of(t, groups), target, rng=np.random.default_rng(1))
    assert estimate.bits == one
    assert estimate.settings == {
        "variates": 2, "shrinkage": 2.0, "components": 64, "k": 5, "folds": 8, "noise": None, "extrapolate": False,
    }  # fmt: skip


def test_the_ceiling_is_that_of_ksg_on_the_variates():
    t, y = gaussians(1.0, 100, 1, np.random.default_rng(0))
    ceilings = [each.estimate(t, y, rng=np.random.default_rng(1)).ceiling for each in (Variates(), KSG("mixture", 5))]
    assert ceilings[0] == ceilings[1]
    label = (y[:, 0] > 0).astype(int)
    assert Variates(**QUICK).estimate(t, label, rng=np.random.default_rng(1)).ceiling == np.inf


def test_bad_input_is_refused_with_the_reason():
    rng = np.random.default_rng(0)
    t, y = gaussians(1.0, 31, 1, rng)
    with pytest.raises(EstimationError, match="got 31 groups of samples, wanted at least 32 for 8 folds"):
        Variates().estimate(t, y, rng=rng)
    with pytest.raises(EstimationError, match="got 31 groups"):
        variates(t, y, rng=rng)
    with pytest.raises(EstimationError, match="got identical rows of t in the training samples of a fold"):
        variates(np.ones((40, 2)), np.arange(40) % 2, rng=rng)
    with pytest.raises(EstimationError, match="got identical rows of the target in the training samples of a fold"):
        variates(rng.normal(size=(40, 2)), (np.arange(40) == 0).astype(int), rng=rng)
    with pytest.raises(EstimationError, match="third variable given, wanted none: Variates"):
        Variates().estimate(t, y, given=y, rng=rng)
    with pytest.raises(ValueError, match="shrinkage: got 0, wanted a number above 0"):
        Variates(shrinkage=0)
