import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from bench.estimators.classifiers import Classifiers


def parts_of(n, folds, rng):
    """Yield training, stopping and test rows of each fold. Test sizes are as 1 : 2 : 3, so that all lengths differ."""
    ends = n * np.cumsum(range(1, folds)) // sum(range(1, folds + 1))
    for test in np.split(rng.permutation(n), ends):
        rest = np.setdiff1d(np.arange(n), test)
        yield rest[::2], rest[1::2], test


def problem(n=60, folds=3, sets=2, classes=3):
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(folds, n, 2))).float()
    y = torch.from_numpy(rng.integers(0, classes, (sets, n)))
    return x, y, classes, list(parts_of(n, folds, rng))


def fitted(*problem, **moving_and_initial):
    # fewer steps than the patience
    return Classifiers(*problem, **moving_and_initial).fit(steps=30, rate=0.1).log_likelihoods()


def test_untrained_classifiers_predict_the_class_shares_of_their_training_part():
    x, y, classes, parts = problem()
    found = Classifiers(x, y, classes, parts).log_likelihoods()
    for training, _, test in parts:
        counts = np.bincount(y[1, training], minlength=classes) + 0.5
        np.testing.assert_allclose(found[1, test], np.log(counts / counts.sum())[y[1, test]], rtol=1e-5)


@pytest.mark.parametrize("hidden", [None, 4])
def test_folds_and_label_sets_fitted_together_equal_those_fitted_alone(hidden):
    x, y, classes, parts = problem()
    initial = None if hidden is None else torch.randn(3, 2, hidden, generator=torch.Generator().manual_seed(0))
    together = fitted(x, y, classes, parts, initial=initial)
    assert len({len(training) for training, *_ in parts}) == 3
    for fold, (training, stopping, test) in enumerate(parts):
        part = training, stopping, np.arange(60)
        for labels in range(2):
            one = None if initial is None else initial[[fold]]
            alone = fitted(x[[fold]], y[[labels]], classes, [part], initial=one)
            np.testing.assert_allclose(together[labels, test], alone[0, test], atol=1e-5)


@pytest.mark.parametrize("hidden", [None, 4])
def test_moving_columns_equal_a_copy_in_their_order(hidden):
    x, y, classes, parts = problem()
    rng = np.random.default_rng(1)
    moving = torch.from_numpy(rng.normal(size=(3, 60, 2))).float() + y[0, :, None]
    repeating = torch.from_numpy(rng.integers(0, 60, 60))  # rows may repeat
    rows = torch.stack([torch.arange(60), repeating])
    initial = None if hidden is None else torch.randn(3, 4, hidden, generator=torch.Generator().manual_seed(0))
    y = y[:1].expand(2, -1)
    found = fitted(x, y, classes, parts, moving=moving, rows=rows, initial=initial)
    for number, order in enumerate(rows):
        copied = torch.cat([moving[:, order], x], dim=2)
        expected = fitted(copied, y[:1], classes, parts, initial=initial)[0]
        np.testing.assert_allclose(found[number], expected, atol=1e-5)
    assert (found[0] - found[1]).abs().mean() > 0.1


def test_linear_classifiers_agree_with_logistic_regression():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 2))
    y = rng.random(3000) < 1 / (1 + np.exp(-2 * x[:, 0] + 1))
    # the stopping rows are the training rows, so that training reaches the minimum
    parts = [(rest, rest, test) for rest, _, test in parts_of(3000, 2, rng)]
    classifiers = Classifiers(
        torch.from_numpy(x).float().expand(2, -1, -1), torch.from_numpy(y[None].astype(int)), 2, parts
    )
    found = classifiers.fit(steps=1000, rate=0.1).log_likelihoods()[0].numpy()
    for training, _, test in parts:
        expected = LogisticRegression(C=np.inf).fit(x[training], y[training]).predict_log_proba(x[test])
        expected = expected[np.arange(len(test)), y[test].astype(int)]
        np.testing.assert_allclose(found[test], expected, atol=0.02)
