import numpy as np
import pytest
import torch

from bench.estimators.held_out import features, trained
from bench.information.variables import Variable

RATE, STEPS = 0.1, 10


def final_weight(gradients, **settings):
    """Train a weight from 0 with these gradients, where each step counts as an improvement, and return the weight."""
    weight, given, reached = torch.zeros(1, 1, 1, dtype=torch.float64), iter(gradients), iter(range(0, -1000, -1))
    trained(
        [weight],
        lambda: next(given) * weight.sum(dim=(1, 2)),
        lambda: torch.tensor([float(next(reached))]),
        len(gradients) - 1,
        RATE,
        **settings,
    )
    return weight.item()


def test_columns_are_centred_and_scaled_by_the_training_rows():
    columns = np.array([[0.0, 5], [4, 5], [10, 6]])  # the training rows have means 2 and 5, variances 4 and 0
    scaled = features(Variable.of(columns), 2, np.array([0, 1]))
    np.testing.assert_allclose(np.sinh(scaled), [[-1, 0], [1, 0], [4, 1]])


def test_principal_coordinates_share_one_scale():
    samples = np.random.default_rng(0).normal(size=(50, 6)) * [9, 3, 1, 1, 1, 1]
    rows = np.arange(50)
    variance = np.sinh(features(Variable.of(samples), 2, rows)).var(axis=0)
    assert variance.mean() == pytest.approx(1)
    assert variance[0] > 4 * variance[1]


@pytest.mark.parametrize("gradient", [0.01, 1.0, 300.0])
def test_a_constant_gradient_moves_a_weight_by_the_rate_independently_of_its_size(gradient):
    """The rate falls as a cosine, whose mean over the steps is (STEPS + 1) / 2 STEPS."""
    assert final_weight([gradient] * (STEPS + 1)) == pytest.approx(-RATE * (STEPS + 1) / 2)


def test_a_gradient_much_larger_than_recent_ones_is_clipped_to_spike_times_their_size():
    usual, spiked, clipped = [3.0] * STEPS, [3.0] * STEPS, [3.0] * STEPS
    spiked[4], clipped[4] = 3000.0, 6.0
    assert final_weight(spiked, spike=2.0) == pytest.approx(final_weight(clipped), rel=1e-12)
    assert final_weight(spiked, spike=2.0) != pytest.approx(final_weight(usual), rel=1e-3)
    assert final_weight(usual, spike=2.0) == final_weight(usual)
