from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from bench.estimators import Renyi
from bench.estimators.pairs import READINGS, Maps, PairInformation, over_pairs
from bench.information.variables import Variable


def slow_entropy(*grams, alpha):
    product = np.ones_like(grams[0])
    for one in grams:
        product = product * one
    spectrum = np.linalg.eigvalsh(product / np.trace(product)).clip(0)
    if alpha == 1:
        return -sum(value * np.log2(value) for value in spectrum if value > 0)
    return np.log2(sum(value**alpha for value in spectrum)) / (1 - alpha)


def slow_informations(maps, other, width, alpha):
    """Return I(other; T^i) and I(other; T^i, T^j), each pair from the Hadamard product of its Gram matrices."""
    grams = [np.exp(-cdist(one, one, "sqeuclidean") / (2 * width**2)) for one in maps]

    def information(*chosen):
        joint = slow_entropy(*chosen, other, alpha=alpha)
        return slow_entropy(*chosen, alpha=alpha) + slow_entropy(other, alpha=alpha) - joint

    alone = [information(one) for one in grams]
    return alone, {(i, j): information(grams[i], grams[j]) for i, j in combinations(range(len(maps)), 2)}


def pair_information(maps, target, alpha, width=2.0):
    estimator = Renyi(alpha=alpha, width=width)
    squared = np.stack([cdist(one, one, "sqeuclidean") for one in maps])
    n = len(target)
    rows = np.arange(n)
    target = Variable.of(target)
    side = estimator.side(target, n)
    return Maps(squared, np.full(len(maps), width), alpha).information(side, estimator.codes(target, rows))


@pytest.mark.parametrize("alpha", [0.7, 1, 1.01, 2, 3])
@pytest.mark.parametrize("discrete", [True, False])
def test_pairs_equal_loops_with_eigenvalues(alpha, discrete):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(5, 40, 6))
    if discrete:
        target = rng.integers(0, 3, 40)
        other = (target[:, None] == target).astype(float)
    else:
        target = rng.normal(size=(40, 4))
        other = np.exp(-cdist(target, target, "sqeuclidean") / 8)
    alone, together = slow_informations(maps, other, 2.0, alpha)
    got = pair_information(maps, target, alpha)
    tolerance = 1e-10 if alpha == 2 else 1e-9
    np.testing.assert_allclose(got.alone, alone, atol=tolerance)
    for (i, j), bits in together.items():
        assert got.together[i, j] == got.together[j, i] == pytest.approx(bits, abs=tolerance)
        assert got.trade_off()[i, j] == pytest.approx(alone[i] + alone[j] - bits, abs=2 * tolerance)
        assert got.non_redundant()[i, j] == pytest.approx(2 * bits - alone[i] - alone[j], abs=2 * tolerance)
        assert got.least_redundancy()[i, j] == pytest.approx(min(alone[i], alone[j]), abs=tolerance)
        assert got.least_synergy()[i, j] == pytest.approx(bits - max(alone[i], alone[j]), abs=tolerance)


def test_a_pair_of_equal_widths_has_the_kernel_of_the_concatenated_maps():
    rng = np.random.default_rng(1)
    maps, y = rng.normal(size=(2, 50, 9)), rng.integers(0, 4, 50)
    layer = Renyi(alpha=1.01, width=2.0).estimate(np.concatenate(maps, axis=1), y, rng=rng)
    assert pair_information(maps, y, 1.01).together[0, 1] == pytest.approx(layer.bits, abs=1e-9)


def test_readings_satisfy_the_equations_of_the_decomposition():
    # Unq_i + Rdn = I_i, Unq_j + Rdn = I_j, Unq_i + Unq_j + Rdn + Syn = I_ij, for the least redundancy
    rng = np.random.default_rng(2)
    got = pair_information(rng.normal(size=(4, 40, 3)), rng.integers(0, 3, 40), 1)
    redundancy, synergy = got.least_redundancy(), got.least_synergy()
    unique = got.alone[:, None] - redundancy
    np.testing.assert_allclose(unique + unique.T + redundancy + synergy, got.together, atol=1e-12)
    np.testing.assert_allclose(redundancy - synergy, got.trade_off(), atol=1e-12)
    np.testing.assert_allclose(unique + unique.T + 2 * synergy, got.non_redundant(), atol=1e-12)
    assert unique.min() >= 0


def test_copies_are_redundant_exclusive_or_is_synergy_and_halves_are_unique():
    # order 1 and distant clusters: the Gram matrices are delta kernels, so that information is that of the shares
    bits = np.array([[i >> 1 & 1, i & 1] for i in range(4)] * 16)
    far = [100.0 * column[:, None] for column in bits.T]
    both = 2 * bits[:, 0] + bits[:, 1]
    expected = {  # target: (Rdn - Syn, Unq + Unq + 2 Syn)
        "copies": ([far[0], far[0]], bits[:, 0], 1.0, 0.0),
        "xor": (far, bits[:, 0] ^ bits[:, 1], -1.0, 2.0),
        "halves": (far, both, 0.0, 2.0),
    }
    for maps, target, trade_off, non_redundant in expected.values():
        got = pair_information(maps, target, 1, width=1.0)
        assert over_pairs(got.trade_off()) == pytest.approx(trade_off, abs=1e-9)
        assert over_pairs(got.non_redundant()) == pytest.approx(non_redundant, abs=1e-9)


def test_the_order_of_maps_and_of_samples_does_not_matter():
    rng = np.random.default_rng(3)
    maps, y = rng.normal(size=(4, 30, 2)), rng.integers(0, 2, 30)
    order = rng.permutation(30)
    one, other = pair_information(maps, y, 1.01), pair_information(maps[::-1, order], y[order], 1.01)
    for reading in READINGS.values():
        assert over_pairs(reading(other)) == pytest.approx(over_pairs(reading(one)), abs=1e-9)


def test_a_constant_map_has_no_information_and_adds_none():
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, 30)
    got = pair_information([rng.normal(size=(30, 2)), np.zeros((30, 2))], y, 1)
    assert got.alone[1] == pytest.approx(0, abs=1e-9)
    assert got.together[0, 1] == pytest.approx(got.alone[0], abs=1e-9)


def test_the_information_of_a_pair_is_below_its_ceiling():
    rng = np.random.default_rng(5)
    got: PairInformation = pair_information(rng.normal(size=(6, 30, 2)), rng.normal(size=(30, 3)), 1)
    assert (got.together <= got.ceiling + 1e-9).all()


def test_the_mean_over_pairs_is_taken_for_each_matrix():
    matrix = np.array([[9.0, 1, 2], [1, 9, 3], [2, 3, 9]])
    np.testing.assert_allclose(over_pairs(np.stack([matrix, 10 * matrix])), [2, 20])
