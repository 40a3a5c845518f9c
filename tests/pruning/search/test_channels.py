"""Channels of layers: their order with known truth, and least squares compared with separate fits by NumPy."""

import numpy as np
import pytest
import torch

from bench.datasets.data import Data
from bench.datasets.splits import Split
from bench.layers.maps import FOLDS, RIDGE, LeastSquares
from bench.pruning.search.channels import Channels
from models import CNN, UNet


def split_of(n, size, channels=1, seed=0):
    rng = torch.Generator().manual_seed(seed)
    images = torch.rand(n, channels, size, size, generator=rng)
    return Split(images, (images[:, 0] > 0.7).long(), np.arange(n), tuple(map(str, range(n))))


def data_of(split, task="segmentation"):
    return Data("made", task, ("background", "bright"), split, split, split)


def test_held_out_error_equals_that_of_separate_fits():
    rng = np.random.default_rng(0)
    x, groups = rng.normal(size=(60, 5)), np.repeat(np.arange(20), 3)
    labels = (x[:, 1] + 0.5 * rng.normal(size=60) > 0).astype(int)
    columns = np.array([1, 3])
    fits = LeastSquares(x, labels, groups, np.random.default_rng(7))

    fold = (np.random.default_rng(7).permutation(20) % FOLDS)[groups]
    z = np.concatenate([((x - x.mean(0)) / x.std(0))[:, columns], np.ones((60, 1))], axis=1)
    y = np.stack([labels == 0, labels == 1], axis=1) - np.array([(labels == 0).mean(), (labels == 1).mean()])
    squared = 0
    for f in range(FOLDS):
        a, b = z[fold != f], y[fold != f]
        weights = np.linalg.solve(a.T @ a + RIDGE * len(a) * np.eye(3), a.T @ b)
        squared += ((y[fold == f] - z[fold == f] @ weights) ** 2).sum()
    assert fits.error(columns) == pytest.approx(squared / 60, rel=1e-9)


def test_informative_channels_come_first_and_redundant_ones_last():
    split = split_of(24, 8)
    network = UNet(1, 1, widths=(4, 4), norm="none")
    tap = next(tap for tap in network.taps() if tap.name == "enc1.conv2")
    channels = Channels(network, data_of(split), split, [tap], "pixel", 400, seed=0)
    n, rng = channels.target.n, np.random.default_rng(0)
    signal = channels.target.labels + 0.5 * rng.normal(size=n)
    other = channels.target.labels + 1.0 * rng.normal(size=n)
    columns = np.stack([rng.normal(size=n), signal, signal + 1e-3 * rng.normal(size=n), other], axis=1)
    channels.columns["enc1.conv2"] = columns[:, :, None].astype(np.float32)
    order = channels.order("enc1.conv2", np.random.default_rng(0))
    assert order[0] in (1, 2)  # these two are nearly equal
    assert order[1] == 3  # a weaker signal with independent noise adds more than the near-copy
    assert sorted(order) == [0, 1, 2, 3]


@pytest.mark.parametrize(("view", "each"), [("pixel", 1), ("patch", 9)])
def test_channels_are_read_at_locations(view, each):
    split = split_of(20, 8)
    network = UNet(1, 1, widths=(3, 4))
    channels = Channels(network, data_of(split), split, network.taps(), view, 80, seed=0)
    assert channels.target.n == 80
    assert channels.columns["bottleneck.conv2"].shape == (80, 4, each)
    both = channels.side({"enc1.conv2": (2,), "bottleneck.conv2": (0, 3)})
    assert both.dim == 3 * each
    assert np.array_equal(both.samples[:, :each], channels.columns["enc1.conv2"][:, 2])


def test_maps_of_a_chain_are_averaged_over_cells():
    split = split_of(20, 16)
    split = Split(split.images, split.targets[:, 0, 0], split.groups, split.names)
    network = CNN(1, 2, filters=(3, 4), kernel_size=3, padding="same", hidden=(5,), input_size=(16, 16))
    channels = Channels(network, data_of(split, "classification"), split, network.taps(), "image", 20, seed=0)
    with torch.no_grad():
        wanted = network.conv1(split.images).reshape(20, 3, 4, 4, 4, 4).mean(dim=(3, 5)).flatten(2)
    assert np.allclose(channels.columns["conv1"], wanted, atol=1e-6)
    assert channels.columns["fc1"].shape == (20, 5, 1)


def test_columns_have_each_channel_at_each_location():
    split = split_of(8, 8)
    network = UNet(1, 1, widths=(4, 6), norm="none")
    taps = [tap for tap in network.taps() if tap.name in ("enc1.conv2", "bottleneck.conv2")]
    for view, neighbourhood in (("pixel", 1), ("patch", 9)):
        channels = Channels(network, data_of(split), split, taps, view, 100, seed=0)
        assert channels.all_of(["bottleneck.conv2"]) == {"bottleneck.conv2": (0, 1, 2, 3, 4, 5)}
        assert channels.columns["enc1.conv2"].shape == (channels.target.n, 4, neighbourhood)
        assert channels.side({"enc1.conv2": (0, 2)}).dim == 2 * neighbourhood
