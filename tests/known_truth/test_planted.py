"""Planted truth agrees with counts over many samples, and estimators recover it."""

from itertools import product

import numpy as np
import pytest

from bench.errors import EstimationError
from bench.estimators import KDE, Renyi
from bench.information.reductions import Distances
from bench.information.variables import Variable
from bench.known_truth import channel_bits, plant


def rng(seed=0):
    return np.random.default_rng(seed)


def bits_of(joint):
    """Compute the information of a joint table by a sum over its cells."""
    joint = joint / joint.sum()
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    cells = product(range(len(rows)), range(len(columns)))
    return sum(joint[i, j] * np.log2(joint[i, j] / rows[i] / columns[j]) for i, j in cells if joint[i, j] > 0)


def table(a, b):
    joint = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1)
    return joint


def ranks(values):
    return np.argsort(np.argsort(values, kind="stable"), kind="stable")


def line(n, seed=0):
    """Return a variable of one column, so that any projection keeps or reverses its order."""
    return Variable.of(rng(seed).normal(size=(n, 1)))


def distances_alone(variable):
    return Variable(variable.n, variable.dim, variable.groups, {Distances(): variable.read(Distances())})


@pytest.mark.parametrize("kappa", [0, 0.3, 1])
@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.7, 0.2, 0.1]])
def test_channel_bits_equal_the_sum_over_the_joint_table(shares, kappa):
    k = len(shares)
    joint = [[p * (kappa * (i == j) + (1 - kappa) * shares[j]) for j in range(k)] for i, p in enumerate(shares)]
    assert channel_bits(np.diag(shares), kappa) == pytest.approx(bits_of(np.array(joint)), abs=1e-12)


@pytest.mark.parametrize("wanted", [0, 0.2, 1, 1.4])
def test_planted_labels_have_the_stated_bits(wanted):
    t = line(40_000)
    label = rng(1).choice(3, t.n, p=[0.5, 0.3, 0.2])
    planted, bits = plant(t, Variable.of(label), rng(2), wanted)
    assert bits == pytest.approx(wanted, abs=1e-3)
    counts = np.bincount(Variable.of(label).labels)
    np.testing.assert_array_equal(np.bincount(planted.labels), counts)
    cells = [np.searchsorted(np.cumsum(counts), ranks(sign * t.samples[:, 0]), side="right") for sign in (1, -1)]
    assert max(bits_of(table(cell, planted.labels)) for cell in cells) == pytest.approx(bits, abs=0.015)
    fine = ranks(t.samples[:, 0]) * 200 // t.n  # finer cells of t add no information
    assert bits_of(table(fine, planted.labels)) == pytest.approx(bits, abs=0.02)


@pytest.mark.parametrize("wanted", [0, 1, 2.8])
def test_planted_continuous_targets_have_the_stated_bits_and_are_used_once(wanted):
    t, target = line(40_000), line(40_000, seed=1)
    planted, bits = plant(t, target, rng(2), wanted)
    assert bits == pytest.approx(wanted, abs=1e-3)
    np.testing.assert_array_equal(np.sort(planted.samples[:, 0]), np.sort(target.samples[:, 0]))
    for cells, tolerance in ((8, 0.015), (32, 0.04)):  # finer cells than the planted ones add no information
        joint = table(ranks(t.samples[:, 0]) * cells // t.n, ranks(planted.samples[:, 0]) * cells // t.n)
        assert bits_of(joint) == pytest.approx(bits, abs=tolerance)


def test_the_truth_is_exact_for_few_samples():
    t, label = line(6), Variable.of(np.repeat([0, 1, 2], 2))
    middle = np.isin(ranks(t.samples[:, 0]), (2, 3))  # in either direction along t
    plants = [plant(t, label, rng(seed), 0.5) for seed in range(800)]
    share = np.mean([(planted.labels[middle] == 1).mean() for planted, _ in plants])
    kappa = (share - 1 / 3) / (1 - 1 / 3)
    assert kappa == pytest.approx(3 / 5, abs=0.05)
    assert {bits for _, bits in plants} == {channel_bits(np.eye(3) / 3, 3 / 5)}


@pytest.mark.parametrize("discrete", [True, False])
def test_truth_is_planted_with_samples_or_with_distances_of_t(discrete):
    columns = rng().normal(size=(300, 40)).astype(np.float32)
    target = np.arange(300) % 4 if discrete else rng(1).normal(size=(300, 5))
    groups = np.repeat(np.arange(100), 3)
    held = Variable.of(columns, groups)
    for t in (held, distances_alone(held)):
        planted, bits = plant(t, Variable.of(target), rng(2))
        again, same = plant(t, Variable.of(target), rng(2))
        assert bits == same == pytest.approx(1, abs=0.01)
        np.testing.assert_array_equal(planted.groups, groups)
        for side, other in ((planted.labels, again.labels), (planted.samples, again.samples)):
            np.testing.assert_array_equal(side, other)
    if not discrete:
        far = distances_alone(Variable.of(target))
        planted, bits = plant(held, far, rng(2))
        kept = np.sort(planted.read(Distances()), axis=None)
        np.testing.assert_array_equal(kept, np.sort(far.read(Distances()), axis=None))
        assert planted.samples is None


def test_ties_limit_the_planted_bits():
    values = np.maximum(rng().normal(size=40_000), 0)[:, None] * np.array([1.0, 2.0, 0.5])
    t, label = Variable.of(values), Variable.of(np.arange(40_000) % 4)
    planted, bits = plant(t, label, rng(1), 1)
    fine = np.where(values[:, 0] > 0, 1 + ranks(values[:, 0]) * 100 // t.n, 0)
    assert bits == pytest.approx(1, abs=1e-3)
    assert bits_of(table(fine, planted.labels)) == pytest.approx(bits, abs=0.02)
    with pytest.raises(EstimationError, match=r"got 1\.6 bits to plant, wanted 0 to 1\.49"):
        plant(t, label, rng(1), 1.6)  # half of the rows, in two of the four cells, are equal


def test_ties_on_either_side_are_counted():
    t, target = (Variable.of(np.floor(rng(seed).uniform(0, 5, size=(40_000, 1)))) for seed in (0, 1))
    planted, bits = plant(t, target, rng(2), 0.8)
    assert bits == pytest.approx(0.8, abs=1e-3)
    assert bits_of(table(*(side.samples[:, 0].astype(int) for side in (t, planted)))) == pytest.approx(bits, abs=0.02)


def test_default_bits_are_one_or_half_of_the_maximum():
    t = line(4000)
    for classes, wanted in ((2, 0.5), (4, 1), (16, 1)):
        assert plant(t, Variable.of(np.arange(4000) % classes), rng())[1] == pytest.approx(wanted, abs=1e-3)
    assert plant(t, t, rng())[1] == pytest.approx(1, abs=1e-3)
    assert plant(line(16), line(16), rng())[1] == pytest.approx(0.5, abs=0.1)  # 2 cells
    assert plant(line(40), line(40), rng())[1] == pytest.approx(1, abs=0.1)  # 5 cells


@pytest.mark.parametrize(
    ("estimator", "discrete"), [(KDE(), True), (Renyi(2, "median"), True), (Renyi(2, "median"), False)]
)
def test_estimators_recover_planted_truth_and_find_none_if_0_bits_are_planted(estimator, discrete):
    t = Variable.of(rng().normal(size=(200, 3)))
    target = Variable.of(np.arange(200) % 4 if discrete else rng(1).normal(size=(200, 2)))
    strong, _ = plant(t, target, rng(2), 1.9)
    empty, bits = plant(t, target, rng(2), 0)
    found, none = (estimator.estimate(t, side, rng=rng(3)) for side in (strong, empty))
    assert bits == 0
    assert found.excess > 4 * found.null.spread
    assert abs(none.excess) < 3 * none.null.spread


def test_unsuitable_variables_are_refused():
    t, same = line(100), Variable.of(np.ones((100, 3)))
    with pytest.raises(EstimationError, match="one class"):
        plant(t, Variable.of(np.zeros(100, int)), rng())
    for pair in ((same, t), (t, same), (distances_alone(same), t), (same, Variable.of(np.arange(100) % 2))):
        with pytest.raises(EstimationError, match="identical rows"):
            plant(*pair, rng())
    with pytest.raises(EstimationError, match="wanted 0 to 1, what the cells can carry"):
        plant(t, Variable.of(np.arange(100) % 2), rng(), 1.1)
    with pytest.raises(EstimationError, match="without Distances"):
        plant(Variable.of(np.arange(100) % 2), t, rng())
