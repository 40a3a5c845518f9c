import numpy as np
import pytest
from gaussians import gaussians
from scipy.special import digamma
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

import bench.estimators.neighbours
from bench.errors import EstimationError
from bench.estimators import KSG
from bench.information.reductions import Distances
from bench.information.variables import Variable


def bits(estimator, t, y, c=None):
    """Return the bits of an estimator without null and interval."""
    t, y, c = (side if side is None else Variable.of(side) for side in (t, y, c))
    rows = np.arange(t.n)
    partners = y.labels if y.labels is not None and c is None else rows
    return estimator.statistic(t, y, c).at(rows).bits(partners)


def by_distances(samples):
    """Return a Variable with distances but without samples, as for streamed activations."""
    return Variable(*samples.shape, np.arange(len(samples)), {Distances(): Variable.of(samples).read(Distances())})


def apart(side, by_column):
    if side is None or side.ndim == 1:
        return np.where(side[:, None] == side, 0, np.inf) if side is not None else 0
    difference = np.abs(side[:, None] - side)
    if by_column:
        return difference.max(axis=2) / np.sqrt(((side - side.mean(axis=0)) ** 2).mean())
    distance = np.sqrt((difference**2).sum(axis=2))
    return distance / np.sqrt((distance**2).mean())


def reference(t, y, c=None, variant=1, k=3):
    """Compute the estimate sample by sample, in nats."""
    by_column = sum(s.shape[1] for s in (t, y, c) if s is not None and s.ndim == 2) <= 8
    d_t, d_y, d_c = (apart(side, by_column) for side in (t, y, c))
    joint, n, terms = np.maximum(np.maximum(d_t, d_y), d_c), len(t), []
    for i in range(n):
        others = np.arange(n) != i
        near = sorted(joint[i, others])
        k_i = min(k, int(np.isfinite(near).sum()))
        radius = near[k_i - 1]
        if variant == 2:
            of_neighbours = others & (joint[i] <= radius)
            counts = [(d[i, others] <= d[i, of_neighbours].max()).sum() for d in (d_t, d_y)]
            terms.append(digamma(k) - 1 / k - sum(digamma(count) for count in counts) + digamma(n))
            continue

        def within(d, i=i, others=others, radius=radius):
            return (d[i, others] < radius if radius else d[i, others] == 0).sum() + 1

        whole = np.log(n) if variant == "mixture" else digamma(n)
        whole = whole if c is None else digamma(within(d_c))
        in_both = [np.maximum(d, d_c) for d in (d_t, d_y)]
        terms.append(digamma(within(joint)) - sum(digamma(within(d)) for d in in_both) + whole)
    return np.mean(terms)


@pytest.mark.parametrize("d", [1, 9])
@pytest.mark.parametrize("variant", [1, 2, "mixture"])
def test_equals_a_loop_over_samples(variant, d):
    rng = np.random.default_rng(d)
    c, y = rng.normal(size=(2, 40, d))
    t = y + c + 0.5 * rng.normal(size=(40, d))
    label, coarse = (y[:, 0] > 0).astype(int), (c[:, 0] > 0.5).astype(int)
    for target, given in [(y, None), (label, None), (y, c), (label, c), (y, coarse), (label, coarse)]:
        as_first = variant == 2 and (given is not None or target is label)
        expected = reference(t, target, given, 1 if as_first else variant)
        assert bits(KSG(variant), t, target, given) * np.log(2) == pytest.approx(expected, abs=1e-9)


def test_mixture_equals_a_loop_if_samples_tie():
    rng = np.random.default_rng(0)
    t = np.where(rng.random((40, 1)) < 0.5, 0.0, rng.normal(size=(40, 1)))
    y = np.where(rng.random((40, 1)) < 0.5, t > 0, rng.normal(size=(40, 1)))
    label = rng.integers(0, 2, 40)
    for target, given in [(y, None), (label, None), (y, label), (t, t)]:
        got = bits(KSG("mixture"), t, target, given) * np.log(2)
        assert got == pytest.approx(reference(t, target, given, "mixture"), abs=1e-9)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_ksg_agrees_with_scikit_learn(k):
    rng = np.random.default_rng(0)
    t, y = gaussians(0.5, 200, 1, rng)
    expected = mutual_info_regression(t, y[:, 0], n_neighbors=k, random_state=0)[0]
    assert bits(KSG(k=k), t, y) * np.log(2) == pytest.approx(expected, abs=1e-6)
    label = np.digitize(y[:, 0], [-1, 0, 2])  # 4 or 5 samples in the last class
    label[0] = 9  # a class of one sample
    expected = mutual_info_classif(t, label, n_neighbors=k, random_state=0)[0]
    assert bits(KSG(k=k), t, label) * np.log(2) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("d", "by_column", "euclidean"), [(1, 2.04, 2.04), (4, 1.52, 1.52), (16, 0.47, 0.70), (64, 0.07, 0.2)]
)
def test_two_nats_are_underestimated_in_many_dimensions(monkeypatch, d, by_column, euclidean):
    t, y = gaussians(2, 1000, d, np.random.default_rng(0))
    assert bits(KSG(), t, y) * np.log(2) == pytest.approx(euclidean, abs=0.1)
    monkeypatch.setattr(bench.estimators.neighbours, "TREE_COLUMNS", 128)  # the published norm
    assert bits(KSG(), t, y) * np.log(2) == pytest.approx(by_column, abs=0.07)


@pytest.mark.parametrize("variant", [1, 2, "mixture"])
def test_trees_and_distance_matrices_agree(monkeypatch, variant):
    rng = np.random.default_rng(0)
    t, y = gaussians(1, 300, 1, rng)
    c, label = t + rng.normal(size=t.shape), np.digitize(y[:, 0], [0, 1])
    for target, given in [(y, None), (label, None), (y, c), (label, label[::-1].copy())]:
        streamed = [by_distances(side) if side is not None and side.ndim == 2 else side for side in (target, given)]
        by_matrix = bits(KSG(variant), t, target, given)
        assert bits(KSG(variant), by_distances(t), *streamed) == pytest.approx(by_matrix)
        with monkeypatch.context() as trees:
            trees.setattr(bench.estimators.neighbours, "TREE_SAMPLES", 0)
            assert bits(KSG(variant), t, target, given) == by_matrix


@pytest.mark.parametrize("variant", [1, 2])
def test_is_symmetric_and_invariant_under_scaling_rotation_and_translation(variant):
    rng = np.random.default_rng(0)
    t, y = gaussians(2, 200, 5, rng)
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    expected = bits(KSG(variant), t, y)
    assert bits(KSG(variant), y, t) == pytest.approx(expected)
    assert bits(KSG(variant), 1e3 * t @ rotation + 7, y) == pytest.approx(expected)


@pytest.mark.parametrize("m", [3, 5])
def test_mixture_of_discrete_and_continuous(m):
    rng = np.random.default_rng(0)
    x = rng.integers(0, m, 2000)
    y = x[:, None] + 2 * rng.random((2000, 1))
    truth = np.log2(m) - (m - 1) / m
    assert bits(KSG("mixture", k=5), y, x) == pytest.approx(truth, abs=0.06)
    assert bits(KSG("mixture", k=5), y, x[:, None].astype(float)) == pytest.approx(truth, abs=0.06)


def test_mixture_of_counts():
    rng = np.random.default_rng(0)
    x = rng.poisson(5, (400, 1)).astype(float)
    y = x + rng.poisson(2, (400, 1))
    assert bits(KSG("mixture", k=5), x, y) * np.log(2) == pytest.approx(0.674, abs=0.07)  # truth by summation


def test_a_variable_and_itself_reach_the_ceiling():
    x = np.random.default_rng(0).normal(size=(100, 1))
    for variant, expected in [(1, digamma(100) - digamma(3)), (2, digamma(100) - digamma(3) - 1 / 3)]:
        ceiling = KSG(variant).statistic(Variable.of(x), Variable.of(x), None).ceiling()
        assert ceiling == pytest.approx(expected / np.log(2))
        assert bits(KSG(variant), x, x) == pytest.approx(ceiling)
    label = np.repeat([0, 1, 2], [20, 30, 50])
    apart = x + 1e3 * label[:, None]
    assert 0 < bits(KSG(), apart, label) - 1.485 < 0.05  # above the entropy of the label, because ψ(m) < log m
    assert KSG().statistic(Variable.of(apart), Variable.of(label), None).ceiling() == np.inf


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("variant", [1, 2, "mixture"])
def test_excess_vanishes_under_independence(variant, labelled):
    rng = np.random.default_rng(1)
    excesses = []
    estimator = KSG(variant, permutations=10, subsamples=2)
    for _ in range(12):
        target = rng.integers(0, 3, 80) if labelled else rng.normal(size=(80, 1))
        excesses.append(estimator.estimate(rng.normal(size=(80, 2)), target, rng=rng).excess)
    assert abs(np.mean(excesses)) < 3 * np.std(excesses) / np.sqrt(12)
    assert min(excesses) < 0


def common_cause(dependent, grouped, rng):
    """Return t, y and c. t and y depend on c alone, or y also on t (`dependent`); groups may share an offset."""
    groups = np.repeat(np.arange(30), 5) if grouped else np.arange(150)
    offsets = 0.5 * grouped * rng.normal(size=(2, 150, 1))[:, groups]
    c, of_t, of_y = rng.normal(size=(3, 150, 1))
    t = c + of_t + offsets[0]
    y = c + of_y + offsets[1] + dependent * (t - c)
    return (Variable.of(side, groups) for side in (t, y, c))


@pytest.mark.parametrize("grouped", [False, True])
def test_conditional_information_is_significant_only_if_y_depends_on_t(grouped):
    rng = np.random.default_rng(0)
    found = {0: [], 1: []}
    for dependent, trials in [(0, 30), (1, 5)]:
        for _ in range(trials):
            t, y, c = common_cause(dependent, grouped, rng)
            found[dependent].append(KSG(subsamples=2).estimate(t, y, given=c, rng=rng).significant)
    assert np.mean(found[0]) <= 0.15
    assert all(found[1])


def test_bad_input_is_refused_with_the_reason():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 20, 1))
    twice = np.concatenate([x[:17], x[:3]])
    label = np.arange(20) % 2
    for t, target, message in [
        (twice, y, "6 duplicated rows of t, .* use variant=mixture"),
        (y, twice, "6 duplicated rows of the target"),
        (by_distances(twice), label, "6 duplicated rows of t"),
        (np.zeros((20, 2)), y, "identical rows of t"),
        (label, label, "labels alone"),
        (x[:8], y[:8], "got 4 samples .* wanted at least 5"),
        (x, np.r_[0, np.arange(19)], "got 2 samples in classes of at least 2, wanted at least 5"),
        (Variable(20, 5, np.arange(20)), y, "without"),
    ]:
        with pytest.raises(EstimationError, match=message):
            KSG().estimate(t, target, rng=rng)
    KSG("mixture").estimate(twice, y, rng=rng)
    with pytest.raises(ValueError, match="variant: got 3"):
        KSG(variant=3)


def test_a_class_of_one_sample_does_not_change_the_ceiling():
    t, y = np.random.default_rng(0).normal(size=(2, 41, 1))
    given = np.append(np.repeat([0, 1], 20), 2)
    ceilings = [KSG().statistic(*map(Variable.of, (t[:n], y[:n], given[:n]))).ceiling() for n in (41, 40)]
    assert ceilings[0] == pytest.approx(ceilings[1])
    assert ceilings[1] == pytest.approx((digamma(20) - digamma(3)) / np.log(2))
