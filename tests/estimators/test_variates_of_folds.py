"""Variates of held-out samples: directions, signs, ridge and folds."""

import numpy as np
import pytest
from gaussians import hidden

from bench.estimators import Variates
from bench.estimators.variates import parts_in_order, whiten
from bench.information.variables import Variable


def test_held_out_variates_are_canonical_variates_of_the_other_folds():
    """Directions of ridge regression, by a solver of generalised eigenvalues, for each fold."""
    from scipy.linalg import eigh

    rng = np.random.default_rng(0)
    t, y = hidden(1.0, 120, 1, 3, rng)
    statistic = Variates(variates=1, folds=3).statistic(*map(Variable.of, (t, y)))
    of_t, of_y = statistic.held_out(np.arange(120))
    for test, training, _ in statistic.whitened:
        a, b = (side - side[training].mean(axis=0) for side in (t, y))
        c_t, c_y = (np.cov(side[training].T, bias=True) for side in (a, b))
        r_t, r_y = (c + 2 / 80 * np.trace(c) * np.eye(4) for c in (c_t, c_y))
        cross = a[training].T @ b[training] / 80
        direction = eigh(cross @ np.linalg.solve(r_y, cross.T), r_t)[1][:, -1]
        partner = np.linalg.solve(r_y, cross.T @ direction)
        for side, axis, found in ((a, direction, of_t), (b, partner, of_y)):
            wanted = side[test] @ axis / (side[training] @ axis).std()
            sign = np.sign(found[test, 0] @ wanted)
            assert found[test, 0] == pytest.approx(sign * wanted, abs=1e-6)


def test_the_folds_take_the_sign_with_which_variates_of_y_agree():
    rng = np.random.default_rng(0)
    t, y = rng.normal(size=(90, 6)), rng.normal(size=(90, 1))
    statistic = Variates(folds=3).statistic(*map(Variable.of, (t, y)))
    of_t, of_y = statistic.held_out(np.arange(90))
    assert of_t.shape == of_y.shape == (90, 1)
    assert abs(np.corrcoef(of_y[:, 0], y[:, 0])[0, 1]) > 0.99
    shown = []
    for test, training, _ in statistic.whitened:
        slope = (t[training] - t[training].mean(axis=0)).T @ (y[training] - y[training].mean())
        ridge = np.cov(t[training].T, bias=True) + 2 / 60 * np.trace(np.cov(t[training].T, bias=True)) * np.eye(6)
        shown.append(of_t[test, 0] @ (t[test] - t[training].mean(axis=0)) @ np.linalg.solve(ridge, slope)[:, 0])
    assert abs(np.sign(shown).sum()) == 3


def test_a_label_of_two_classes_has_one_variate():
    t, label = np.random.default_rng(0).normal(size=(60, 5)), np.arange(60) % 2
    statistic = Variates(folds=3).statistic(*map(Variable.of, (t, label)))
    assert statistic.held_out(label)[0].shape == (60, 1)
    assert statistic.held_out(np.arange(60) % 4)[0].shape == (60, 2)


def test_a_ridge_of_half_the_variance():
    """Of 2 uncorrelated columns with variances 4 and 1, a ridge of 2 (4 + 1) / n leaves 4 / (4 + 10 / n) of each."""
    columns = np.array([[2.0, 1], [2, -1], [-2, 1], [-2, -1]])
    whitened = whiten(columns, np.arange(4), 2.0, "t")
    np.testing.assert_allclose(np.sort(whitened.var(axis=0)), [1 / (1 + 2.5), 4 / (4 + 2.5)], rtol=1e-8)


def test_groups_stay_whole():
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat(np.arange(40), 5))
    rows = rng.permutation(200)
    parts = parts_in_order(groups, rows, 8)
    assert sorted(np.concatenate(parts)) == list(range(200))
    owners = [set(groups[rows[part]]) for part in parts]
    assert [len(owner) for owner in owners] == [5] * 8
    assert len(set.union(*owners)) == 40


def test_the_folds_are_uniform_over_groups_of_all_sizes():
    groups, rng = np.repeat([0, 1, 2, 3], [1, 1, 1, 97]), np.random.default_rng(0)
    first = [len(parts_in_order(groups, rng.permutation(100), 4)[0]) > 1 for _ in range(400)]
    assert np.mean(first) == pytest.approx(1 / 4, abs=0.07)
