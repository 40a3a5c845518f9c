import numpy as np
import pytest
from scipy.spatial.distance import cdist

from bench.estimators.entropies import delta, entropy, entropy_of_labels, gram, joint

ALPHAS = [0.5, 1, 1.01, 2, 3, np.inf]


def random_gram(seed, n=30, d=3):
    points = np.random.default_rng(seed).normal(size=(n, d))
    return gram(cdist(points, points, "sqeuclidean"), 1.0)


def information(a, b, alpha):
    return entropy(a, alpha) + entropy(b, alpha) - entropy(joint(a, b), alpha)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_identical_points_have_no_entropy_and_orthogonal_ones_log2_n(alpha):
    assert entropy(np.ones((16, 16)), alpha) == pytest.approx(0, abs=1e-9)
    assert entropy(np.eye(16), alpha) == pytest.approx(4, abs=1e-9)


@pytest.mark.parametrize(("alpha", "bits"), [(1, 0.811278), (1.01, 0.809649), (2, 0.678072)])
def test_two_points_of_similarity_one_half(alpha, bits):
    # eigenvalues of [[1, 1/2], [1/2, 1]] / 2 are 3/4 and 1/4
    assert entropy(np.array([[1, 0.5], [0.5, 1]]), alpha) == pytest.approx(bits, abs=1e-6)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_balanced_labels_have_the_logarithm_of_the_number_of_classes(alpha):
    assert entropy(delta(np.repeat(np.arange(10), 10)), alpha) == pytest.approx(3.321928, abs=1e-6)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_entropy_of_labels_equals_that_of_their_delta_kernel(alpha):
    labels = np.random.default_rng(0).integers(0, 4, (3, 30))
    assert entropy_of_labels(labels, alpha) == pytest.approx(entropy(delta(labels), alpha), abs=1e-9)


def test_integer_orders_are_traces_of_powers():
    a = random_gram(0)
    a = a / np.trace(a)
    assert entropy(a, 2) == pytest.approx(-np.log2((a**2).sum()), abs=1e-12)
    assert entropy(a, 3) == pytest.approx(np.log2((a @ a * a).sum()) / -2, abs=1e-10)
    assert entropy(a, 4) == pytest.approx(np.log2(((a @ a) ** 2).sum()) / -3, abs=1e-10)


def test_entropy_is_continuous_at_order_1_and_at_infinity():
    a = random_gram(1)
    assert entropy(a, 1 + 1e-6) == pytest.approx(entropy(a, 1), abs=1e-4)
    largest = np.linalg.eigvalsh(a / np.trace(a))[-1]
    assert entropy(a, np.inf) == pytest.approx(-np.log2(largest), abs=1e-12)
    assert entropy(a, 500) == pytest.approx(entropy(a, np.inf), rel=0.01)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("seed", range(3))
def test_joint_entropy_is_at_least_each_of_its_parts(alpha, seed):
    a, b = random_gram(seed), random_gram(seed + 10)
    assert entropy(joint(a, b), alpha) >= max(entropy(a, alpha), entropy(b, alpha)) - 1e-9


def test_information_of_a_contingency_table_may_be_negative_unless_the_order_is_1():
    # counts [[0, 21], [22, 57]] with delta kernels: the entropies are those of the shares of cells
    x, y = np.repeat([[0, 1], [1, 0], [1, 1]], [21, 22, 57], axis=0).T
    assert information(delta(x), delta(y), 2) == pytest.approx(-0.0724, abs=5e-5)
    assert information(delta(x), delta(y), 1.01) == pytest.approx(0.0836, abs=5e-5)
    shares = np.array([0.21, 0.22, 0.57])
    h = [-(p * np.log2(p)).sum() for p in (np.array([0.21, 0.79]), np.array([0.22, 0.78]), shares)]
    assert information(delta(x), delta(y), 1) == pytest.approx(h[0] + h[1] - h[2], abs=1e-9)


def test_information_of_order_1_never_falls_as_variables_are_added():
    x, maps = random_gram(0), [random_gram(seed) for seed in range(1, 6)]
    bits = [information(x, joint(*maps[:count]), 1) for count in range(1, 6)]
    assert bits[0] >= 0
    assert np.diff(bits).min() >= -1e-9


def test_hadamard_product_of_equal_widths_is_the_kernel_of_the_concatenation():
    one, other = np.random.default_rng(0).normal(size=(2, 20, 4))
    both = np.concatenate([one, other], axis=1)
    grams = [gram(cdist(p, p, "sqeuclidean"), 1.3) for p in (one, other, both)]
    np.testing.assert_allclose(joint(grams[0], grams[1]), grams[2] / 20, atol=1e-12)


def test_the_published_width_limits_the_entropy_of_a_one_hot_label():
    labels = np.repeat(np.arange(10), 10)
    one_hot = np.eye(10)[labels]
    width = 5 * 100 ** (-1 / 14)
    assert entropy(gram(cdist(one_hot, one_hot, "sqeuclidean"), width), 1.01) == pytest.approx(0.556, abs=1e-3)


@pytest.mark.parametrize("alpha", [0, -2])
def test_entropy_refuses_orders_that_do_not_exist(alpha):
    with pytest.raises(ValueError, match="alpha"):
        entropy(np.eye(3), alpha)
