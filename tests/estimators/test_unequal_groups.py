"""Nulls of groups of different sizes whose target is no label: no false alarms, and what is planted is found."""

import numpy as np
import pytest

from bench.errors import EstimationError
from bench.estimators import KDE, KSG, LNC, Gaussian, Matched, Renyi, Variates
from bench.information.permutations import permuted_groups
from bench.information.variables import Variable

MEMBERS = {
    "ksg_mixture": KSG("mixture", k=5),
    "renyi_2": Renyi(alpha=2, width="median"),
    "gaussian": Gaussian(),
}
STATISTICS = MEMBERS | {
    "ksg": KSG(1),
    "ksg2": KSG(2),
    "renyi": Renyi(width="median", batch_size=20),
    "shrunk": Gaussian(shrinkage=0.1),
    "ledoit_wolf": Gaussian(shrinkage="ledoit_wolf"),
    "extrapolated": Gaussian(extrapolate=True),
    "lnc": LNC(),
    "matched": Matched(),
    "variates": Variates(folds=4),
}


def patients(rng, shared: float = 0.0):
    """Draw 24 patients of 3 to 14 images. Their means of t and of the target are correlated."""
    group = np.repeat(np.arange(24), rng.permutation(np.resize(np.arange(3, 15), 24)))
    mean = rng.normal(size=(24, 2))
    other = shared * mean + np.sqrt(1 - shared**2) * rng.normal(size=(24, 2))
    t, target = (side[group] + 0.3 * rng.normal(size=(len(group), 2)) for side in (mean, other))
    return Variable.of(t, group), Variable.of(target, group)


def significant(estimator, shared: float) -> int:
    """Count the significant estimates among 20 draws."""
    rng, found = np.random.default_rng(0), 0
    for _ in range(20):
        t, target = patients(rng, shared)
        statistic = estimator.statistic(t, target, None).at(rng.permutation(t.n))
        null = [statistic.permuted(permuted_groups(t.groups, rng)) for _ in range(20)]
        found += statistic.observed() > max(null)
    return found


@pytest.mark.parametrize("member", MEMBERS)
def test_patients_without_information_have_no_false_alarms(member):
    # if each row were used once, and a patient had partners of several, 20, 10 and 6 of 20 would be significant
    assert significant(MEMBERS[member], 0.0) <= 3


@pytest.mark.parametrize("member", MEMBERS)
def test_information_of_patients_is_found(member):
    assert significant(MEMBERS[member], 0.95) >= 17


def test_an_estimate_has_this_null():
    rng = np.random.default_rng(1)
    t, target = patients(rng)
    statistic = Gaussian().statistic(t, target).at(np.random.default_rng(2).permutation(t.n))
    null = Gaussian().estimate(t, target, rng=np.random.default_rng(2)).null
    draws = np.random.default_rng(3)
    expected = np.array([statistic.permuted(permuted_groups(t.groups, draws)) for _ in range(200)])
    assert null.mean == pytest.approx(expected.mean(), abs=4 * expected.std() / np.sqrt(20))


def test_rows_are_paired_one_to_one_with_those_of_one_donor():
    groups = np.array(["b", "a", "a", "c", "b", "c", "d", "d", "d"])
    for seed in range(20):
        order = permuted_groups(groups, np.random.default_rng(seed))
        used = order[order >= 0]
        assert len(set(used)) == len(used)
        for group in "abcd":
            own, partners = groups == group, order[groups == group]
            (donor,) = set(groups[partners[partners >= 0]])
            assert (partners >= 0).sum() == min(own.sum(), (groups == donor).sum())


def test_groups_of_equal_size_and_single_samples_are_permuted():
    for groups in (np.repeat(np.arange(6), 3), np.arange(18)):
        order = permuted_groups(groups, np.random.default_rng(0))
        names = np.random.default_rng(0).permutation(len(np.unique(groups)))
        assert order.tolist() == [row for name in names for row in np.flatnonzero(groups == name)]
        t, target = np.random.default_rng(1).normal(size=(2, 18, 1))
        statistic = Gaussian().statistic(Variable.of(t), Variable.of(target))
        assert statistic.permuted(order) == statistic.bits(order)


@pytest.mark.parametrize("name", STATISTICS)
def test_partners_may_come_from_samples_that_are_left_out(name):
    # the same as for some samples of a target in another order
    rng = np.random.default_rng(0)
    t = Variable.of(rng.normal(size=(120, 2)))
    target = Variable.of(t.samples + np.arange(120)[:, None] / 60 + rng.normal(size=(120, 2)))
    order, rows = rng.permutation(120), rng.permutation(120)[:80]
    paired = STATISTICS[name].final(t, target, None).paired(rows, order[rows])
    expected = STATISTICS[name].final(t, target.reordered(order), None).at(rows)
    assert paired.observed() == pytest.approx(expected.observed(), rel=1e-9)


def test_a_statistic_of_few_paired_samples_is_refused():
    rng = np.random.default_rng(0)
    groups = np.r_[np.arange(9), np.full(60, 9), np.full(60, 10)]
    t, target = (Variable.of(side, groups) for side in rng.normal(size=(2, 129, 8)))
    # neither large group is its own donor or that of the other, so that 11 of 129 samples are paired
    order = permuted_groups(groups, np.random.default_rng(0))
    with pytest.raises(EstimationError, match="wanted more than 18"):
        Gaussian().statistic(t, target).permuted(order)


def test_information_about_the_image_itself_still_has_no_null():
    t, target = patients(np.random.default_rng(0))
    assert KDE(1.0).estimate(t, target, rng=np.random.default_rng(0)).null is None
