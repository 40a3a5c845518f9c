"""Conditional mutual information of channels: planted channels are ranked by what they add, in bits of known truth."""

import numpy as np
import pytest
import torch

from bench.datasets import phantoms
from bench.pruning.rivals.cmi import rank_channels, remaining_information
from models import CNN

LABELS = np.tile([0, 1, 2, 3], 16)
HIGH, LOW = LABELS // 2, LABELS % 2  # one bit each


def planted(*columns):
    return 100.0 * np.stack(columns, axis=1)[..., None]


def test_importances_are_the_bits_that_the_channels_before_leave():
    """Two channels have one bit each, a copy adds nothing after the first, and a constant never adds anything."""
    found = rank_channels(planted(np.zeros(64), HIGH, HIGH, LOW), LABELS)
    assert found[[1, 3]] == pytest.approx([2, 1], abs=0.01)
    assert found[[0, 2]] == pytest.approx([0, 0], abs=0.01)


def test_noise_is_ranked_last():
    rng = np.random.default_rng(0)
    noise = 0.001 * rng.normal(size=(3, 64))
    assert np.argsort(-rank_channels(planted(*noise, HIGH, LOW), LABELS))[:2].tolist() in ([3, 4], [4, 3])


def test_importances_fall_strictly_with_the_rank():
    rng = np.random.default_rng(0)
    found = rank_channels(rng.normal(size=(64, 12, 4)), LABELS)
    assert len(np.unique(found)) == 12


def test_channels_are_read_after_normalisation_and_activation_in_every_layer():
    torch.manual_seed(0)
    network = CNN(1, 2, (3, 4), norm="batch", hidden=(5,), input_size=(16, 16)).eval()
    with torch.no_grad():
        network.get_submodule("conv1.1").weight[1] = 0  # channel 1 is constant
    data = phantoms(n=(32, 8, 8), size=16, task="classification")
    found = remaining_information(network, ["conv1.0", "conv2.0", "fc1.0"], data.train.loaded())
    assert [len(each) for each in found.values()] == [3, 4, 5]
    assert found["conv1.0"].argmin() == 1
