"""Fixtures: a small trained network, an untrained network, and their data."""

import pytest
import torch

from bench.datasets import phantoms
from bench.training.train import fit, loss_function
from models import UNet


@pytest.fixture(scope="module")
def data():
    return phantoms(n=(32, 16, 8), size=16, difficulty=0.0)


@pytest.fixture(scope="module")
def trained(data):
    torch.manual_seed(0)
    network = UNet(1, 1, (4, 8, 8), convs_per_level=1, norm="batch")
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    best = fit(
        network, data, epochs=6, batch_size=4, optimizer=optimizer, schedule=None, loss=loss_function("dice_ce", data),
        amp=False, seed=0, on_epoch=lambda *_: None,
    )  # fmt: skip
    assert best.val_score > 0.8
    return network.eval()


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(1)
    return UNet(1, 1, (4, 8, 8), convs_per_level=1, norm="batch").eval()
