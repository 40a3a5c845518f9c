"""The null of conditional information: which samples are exchanged."""

import numpy as np
from scipy.spatial.distance import cdist

from bench.estimators import KSG
from bench.estimators.resampled import permuted_given
from bench.information.variables import Variable


def test_independent_samples_are_exchanged_with_their_five_nearest_neighbours():
    rng = np.random.default_rng(0)
    given = rng.normal(size=(60, 2))
    nearest = cdist(given, given).argsort(axis=1)[:, :6]  # itself and 5 others
    draws = np.array(list(permuted_given(Variable.of(given), np.arange(60), 300, rng)))
    assert all(set(draws[:, row]) == set(nearest[row]) for row in range(60))
    used = [len(np.unique(draw)) for draw in draws]
    assert np.mean(used) > 50  # of 60; independent choices among six would use about 38


def test_a_discrete_given_keeps_its_classes():
    rng = np.random.default_rng(0)
    classes = np.arange(40) % 4
    for moved in permuted_given(Variable.of(classes), np.arange(40), 20, rng):
        assert sorted(moved) == list(range(40))
        np.testing.assert_array_equal(classes[moved], classes)


def test_whole_groups_are_exchanged_and_their_samples_matched_by_the_nearest_given():
    """Each group has three samples whose given is about 0, 1 and 2, in a random order."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(8), 3)
    levels = np.concatenate([rng.permutation(3) for _ in range(8)])
    given = Variable.of((levels + 0.1 * rng.random(24))[:, None], groups)
    for moved in permuted_given(given, groups, 20, rng):
        np.testing.assert_array_equal(levels[moved], levels)
        sources = groups[moved].reshape(8, 3)
        assert (sources == sources[:, :1]).all()
        assert sorted(sources[:, 0]) == list(range(8))


def test_a_class_that_patients_share_is_no_false_alarm():
    # rows of t in a wrong class would make the null too low: 14 of 20 draws would be significant
    patients, found = np.repeat(np.arange(24), 6), 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        c = rng.integers(0, 2, 144)
        t, y = (c[:, None] + rng.normal(size=(24, 2))[patients] + 0.3 * rng.normal(size=(144, 2)) for _ in range(2))
        given, t, y = (Variable.of(side, patients) for side in (c, t, y))
        found += KSG("mixture", k=3, subsamples=2).estimate(t, y, given=given, rng=rng).significant
    assert found <= 3
