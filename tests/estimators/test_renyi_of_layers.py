from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from bench.errors import EstimationError
from bench.estimators import Renyi
from bench.estimators.entropies import delta, entropy, gram, joint
from bench.information.variables import Variable


@pytest.mark.parametrize("alpha", [1.01, 2])
def test_a_layer_of_maps_equals_the_chain_of_their_hadamard_products(alpha):
    # published width: each map has a width for its dimension; here 9 maps of 4×4
    rng = np.random.default_rng(0)
    maps, x = rng.normal(size=(60, 9, 16)), rng.normal(size=(60, 20))
    layer = replace(Variable.of(maps), maps=9)
    got = Renyi(alpha=alpha).estimate(layer, x, rng=np.random.default_rng(0))
    chain = [gram(cdist(one, one, "sqeuclidean"), 5 * 60 ** (-1 / 20)) for one in maps.swapaxes(0, 1)]
    k_x = gram(cdist(x, x, "sqeuclidean"), 5 * 60 ** (-1 / 24))
    k_t = joint(*chain)
    expected = entropy(k_x, alpha) + entropy(k_t, alpha) - entropy(joint(k_t, k_x), alpha)
    assert got.bits == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("width", ["silverman", "median"])
def test_each_of_several_joined_variables_has_its_own_width(width):
    rng = np.random.default_rng(0)
    one, other, y = rng.normal(size=(40, 3)), 100 * rng.normal(size=(40, 30)), rng.integers(0, 2, 40)
    estimator = Renyi(width=width)
    parts = [Variable.of(one), Variable.of(other)]
    k = joint(*(gram(cdist(p.samples, p.samples, "sqeuclidean"), estimator.width_of(p, 40)) for p in parts))
    expected = entropy(k, 1.01) + entropy(delta(y), 1.01) - entropy(joint(k, delta(y)), 1.01)
    got = estimator.estimate(Variable.joined(parts), y, rng=np.random.default_rng(0))
    assert got.bits == pytest.approx(expected, abs=1e-9)
    assert got.dims == (33, 1)


def test_errors_of_back_propagation_have_another_width():
    errors = replace(Variable.of(np.random.default_rng(0).normal(size=(50, 6))), signal="error")
    assert Renyi(h=5).width_of(errors, 50) == pytest.approx(0.1 * 50 ** (-1 / 10))
    assert Renyi(h=5).width_of(replace(errors, signal="activation"), 50) == pytest.approx(5 * 50 ** (-1 / 10))


def test_the_aligned_width_has_the_highest_alignment_and_needs_classes():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 40)
    t = rng.normal(size=(40, 5)) + 2 * np.eye(3)[y] @ rng.normal(size=(3, 5))
    distances = cdist(t, t)
    mean = distances[np.triu_indices(40, 1)].mean()
    like = delta(y)
    alignment = {}
    for width in mean * np.geomspace(0.1, 10, 75):
        k = np.exp(-(distances**2) / (2 * width**2))
        alignment[width] = (k * like).sum() / np.linalg.norm(k) / np.linalg.norm(like)
    estimator = Renyi(width="alignment")
    aligned = replace(Variable.of(t), classes=y)
    assert estimator.width_of(aligned, 40) == pytest.approx(max(alignment, key=alignment.get), rel=1e-12)
    of_label, of_input = (estimator.estimate(aligned, target, rng=rng) for target in (y, replace(aligned)))
    assert of_label.significant
    assert of_input.bits > of_label.bits
    with pytest.raises(EstimationError, match="without classes"):
        estimator.estimate(t, t[:, :2], rng=rng)


def test_unequal_widths_equal_one_kernel_on_maps_divided_by_their_widths():
    rng = np.random.default_rng(0)
    maps, widths = rng.normal(size=(3, 20, 4)), np.array([0.5, 1.0, 3.0])
    chain = joint(*(gram(cdist(one, one, "sqeuclidean"), width) for one, width in zip(maps, widths, strict=True)))
    scaled = np.concatenate([one / width for one, width in zip(maps, widths, strict=True)], axis=1)
    np.testing.assert_allclose(chain, gram(cdist(scaled, scaled, "sqeuclidean"), 1.0) / 20, atol=1e-12)


@pytest.mark.parametrize(
    ("x_side", "side", "maps", "share"), [(7, 7, 1, 0.945), (7, 7, 4, 1.0), (28, 4, 1, 0.65), (28, 4, 4, 0.995)]
)
def test_the_published_width_makes_independent_noise_seem_informative(x_side, side, maps, share):
    # h = 5, N = 100, X and every map independent noise: I / S(X)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, x_side**2))
    layer = replace(Variable.of(rng.normal(size=(100, maps * side**2))), maps=maps)
    bits = Renyi().estimate(layer, x, rng=rng).bits
    s_x = entropy(gram(cdist(x, x, "sqeuclidean"), 5 * 100 ** (-1 / (4 + x_side**2))), 1.01)
    assert bits / s_x == pytest.approx(share, abs=0.02)


def test_the_information_of_a_variable_with_itself_is_not_its_entropy():
    points = np.random.default_rng(0).normal(size=(40, 3))
    own = gram(cdist(points, points, "sqeuclidean"), 1.0)
    assert 2 * entropy(own, 1.01) - entropy(joint(own, own), 1.01) < entropy(own, 1.01) - 0.1
