import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import ortho_group
from test_entropies import information

from bench.errors import EstimationError
from bench.estimators import Renyi
from bench.estimators.entropies import delta, entropy, gram, joint
from bench.estimators.grams import Samples
from bench.information.variables import Variable


def test_invariance_under_rotation_translation_and_order_of_samples():
    rng = np.random.default_rng(0)
    t, y = rng.normal(size=(40, 3)), rng.integers(0, 3, 40)
    rotated = t @ ortho_group.rvs(3, random_state=0) + 5
    estimator = Renyi(width="median")
    bits = estimator.estimate(t, y, rng=np.random.default_rng(1)).bits
    assert estimator.estimate(rotated, y, rng=np.random.default_rng(1)).bits == pytest.approx(bits, abs=1e-9)
    order = rng.permutation(40)
    assert estimator.estimate(t[order], y[order], rng=np.random.default_rng(2)).bits == pytest.approx(bits, abs=1e-9)


def test_with_the_published_width_independent_noise_is_saturated_and_not_reliable():
    # h = 5, N = 100, independent X and T (7×7): I / S(X) = .945 with 1 map and 1.000 with 4
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 49))
    one, four = (Renyi().estimate(rng.normal(size=(100, 49 * maps)), x, rng=rng) for maps in (1, 4))
    s_x = entropy(gram(cdist(x, x, "sqeuclidean"), 5 * 100 ** (-1 / 53)), 1.01)
    assert one.bits / s_x == pytest.approx(0.945, abs=0.02)
    assert four.bits / s_x == pytest.approx(1, abs=1e-3)
    assert four.null.mean == pytest.approx(four.bits, abs=0.01)
    assert four.reliable is False


def test_estimate_equals_a_slow_reference_in_mini_batches():
    rng = np.random.default_rng(0)
    t, x = rng.normal(size=(60, 5)), rng.normal(size=(60, 7))
    got = Renyi(alpha=1.01, batch_size=25).estimate(t, x, rng=np.random.default_rng(3))
    rows = np.random.default_rng(3).permutation(60)
    expected, most = [], []
    for batch in (rows[:25], rows[25:50]):  # the remaining ten are not used
        entropies = []
        for sides in ([t], [x], [t, x]):
            k = np.ones((25, 25))
            for side in sides:
                sigma = 5 * 25 ** (-1 / (4 + side.shape[1]))
                for i, row in enumerate(batch):
                    for j, other in enumerate(batch):
                        k[i, j] *= np.exp(-((side[row] - side[other]) ** 2).sum() / (2 * sigma**2))
            eigenvalues = np.linalg.eigvalsh(k / 25)
            entropies.append(np.log2((eigenvalues.clip(0) ** 1.01).sum()) / -0.01)
        expected.append(entropies[0] + entropies[1] - entropies[2])
        most.append(min(entropies[:2]))
    assert got.bits == pytest.approx(np.mean(expected), abs=1e-9)
    assert got.ceiling == pytest.approx(np.mean(most), abs=1e-9)


def test_mini_batches_are_random_for_samples_sorted_by_class():
    clusters = np.repeat(np.arange(4), 25)[:, None] * 10.0  # mini-batches of 25 in this order would be identical rows
    estimate = Renyi(alpha=1.01, width=1.0, batch_size=25).estimate(clusters, clusters, rng=np.random.default_rng(0))
    assert estimate.bits == pytest.approx(estimate.ceiling)
    assert 1.8 < estimate.ceiling < 2


@pytest.mark.parametrize("alpha", [1.01, 2])
@pytest.mark.parametrize("batch_size", [None, 25])
@pytest.mark.parametrize("classes", [None, 3])
def test_a_null_draw_equals_the_statistic_of_permuted_samples(alpha, batch_size, classes):
    rng = np.random.default_rng(0)
    t, partners = rng.normal(size=(80, 5)), rng.permutation(80)
    y = rng.normal(size=(80, 7)) if classes is None else rng.integers(0, classes, 80)
    estimator = Renyi(alpha=alpha, width=1.5, batch_size=batch_size)
    rows = rng.permutation(80)
    moved = partners if classes is None else y[partners]
    drawn = estimator.statistic(Variable.of(t), Variable.of(y), None).at(rows).bits(moved[rows])
    batches = [rows] if batch_size is None else [rows[first : first + 25] for first in (0, 25, 50)]
    expected = []
    for batch in batches:
        a = gram(cdist(t[batch], t[batch], "sqeuclidean"), 1.5)
        side = y[partners[batch]]
        b = delta(side) if classes else gram(cdist(side, side, "sqeuclidean"), 1.5)
        expected.append(information(a, b, alpha))
    assert drawn == pytest.approx(np.mean(expected), abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0}, "alpha: got 0"),
        ({"alpha": -1.0}, "alpha: got -1.0"),
        ({"width": "wide"}, "width: got 'wide'"),
        ({"width": 0}, "width: got 0"),
        ({"h": 0}, "h: got 0"),
        ({"batch_size": 3}, "batch_size: got 3"),
        ({"permutations": 1}, "permutations: got 1"),
    ],
)
def test_settings_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Renyi(**arguments)


def test_identical_rows_are_refused_with_the_reason():
    labels = np.arange(20) % 2
    with pytest.raises(EstimationError, match="identical"):
        Renyi().estimate(np.zeros((20, 3)), labels, rng=np.random.default_rng(0))
    mostly = np.zeros((20, 3))
    mostly[0] = 1
    with pytest.raises(EstimationError, match="median"):
        Renyi(width="median").estimate(mostly, labels, rng=np.random.default_rng(0))


def test_conditional_information_equals_a_slow_reference():
    # I(T;Y|C) = S(T,C) + S(Y,C) - S(T,Y,C) - S(C)
    rng = np.random.default_rng(0)
    t, y, c = rng.normal(size=(30, 2)), rng.integers(0, 3, 30), rng.normal(size=(30, 1))
    for alpha in (1.01, 2):
        k_t, k_c = (gram(cdist(side, side, "sqeuclidean"), 0.8) for side in (t, c))
        k_y = delta(y)
        parts = ((k_t, k_c), (k_y, k_c), (k_t, k_y, k_c), (k_c,))
        expected = np.dot([entropy(joint(*part), alpha) for part in parts], [1, 1, -1, -1])
        got = Renyi(alpha=alpha, width=0.8).estimate(t, y, given=c, rng=np.random.default_rng(0))
        assert got.bits == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("grouped", [False, True])
def test_conditional_information_is_significant_only_if_y_depends_on_t(grouped):
    # t and y depend on c; y also depends on the private part of t if `own` is 1. Groups share offsets of t and y.
    rng = np.random.default_rng(0)
    significant = {0: 0, 1: 0}
    for _ in range(20):
        groups = np.repeat(np.arange(24), 5) if grouped else np.arange(120)
        for own in significant:
            c, private = rng.normal(size=(2, 120))
            offsets = 0.7 * rng.normal(size=(2, 24))[:, groups] if grouped else np.zeros((2, 120))
            t = c + private + offsets[0]
            y = (c + 2 * own * private + 0.5 * rng.normal(size=120) + offsets[1] > 0).astype(int)
            sides = [Variable.of(side[:, None], groups) for side in (t, c)]
            estimate = Renyi(alpha=2, width="median", subsamples=2).estimate(sides[0], y, given=sides[1], rng=rng)
            significant[own] += estimate.significant
    assert significant[0] <= 4
    assert significant[1] >= 16


def test_an_estimate_has_the_settings_of_its_estimator():
    t = np.random.default_rng(0).normal(size=(40, 2))
    estimate = Renyi(alpha=2, width=0.5, batch_size=20).estimate(t, t > 0, rng=np.random.default_rng(0))
    assert estimate.settings.items() >= {"alpha": 2, "width": 0.5, "batch_size": 20}.items()


@pytest.mark.parametrize("alpha", [1.01, 2])
def test_the_entropy_of_a_batch_with_repeated_samples(alpha):
    squared = cdist(*[np.random.default_rng(0).normal(size=(6, 2))] * 2, "sqeuclidean")
    rows = np.array([0, 0, 1, 1, 2, 2])
    wanted = Samples(squared[np.ix_(rows, rows)], 1.0, alpha).entropy(np.arange(6)[None])
    np.testing.assert_allclose(Samples(squared, 1.0, alpha).entropy(rows[None]), wanted, atol=1e-12)


@pytest.mark.parametrize(("alpha", "bits"), [(2, -np.log2(0.75**2 + 0.25**2)), (1.0001, 2 - 0.75 * np.log2(3))])
def test_entropy_of_the_label_is_of_the_order_of_the_estimator(alpha, bits):
    label = Variable.of(np.repeat([0, 1], [30, 10]))
    assert Renyi(alpha=alpha).label_entropy(label) == pytest.approx(bits, abs=1e-3)
