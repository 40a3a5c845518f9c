"""Conditional mutual information of the channels of a layer, to rank them for pruning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial.distance import pdist, squareform

from bench.datasets.splits import Loaded
from bench.estimators.grams import Classes, Samples
from bench.layers.capture import run_batches
from bench.layers.hooks import tap_shapes
from bench.layers.maps import greedy
from bench.layers.selection import taps_of
from models import Tap

ALPHA = 2.0  # order of the entropies
H = 5.0  # factor of the kernel's width


def remaining_information(network: torch.nn.Module, layers: Sequence[str], drawn: Loaded) -> dict[str, np.ndarray]:
    """Rank the channels of each layer by the information about the class that they add to the channels ranked before.

    The channel that adds most is ranked next (`greedy`, which orders 64 channels so and the others by their information
    alone). The importance of a channel is the information that all channels that are not ranked
    yet have about the class, given those that are: I(Y; T | T_ranked), in bits. It falls with the rank. A channel is
    read after the module that contains its layer, with normalisation and activation.

    Args:
        network: The network, in evaluation mode.
        layers: Names of layers, such as `conv1.0`.
        drawn: Images and class numbers.

    Returns:
        Importances (channels,) in bits, by layer.

    References:
        Vu-Van et al. 2024, arXiv 2411.18578, for each layer alone; at alpha 2 instead of 1.01. Kernel widths as in
        Yu et al. 2021, arXiv 1804.06537.
    """
    layer_of = {layer.rpartition(".")[0]: layer for layer in layers}
    taps = [tap for tap in taps_of(network) if tap.module in layer_of]
    read: dict[str, list[np.ndarray]] = {tap.module: [] for tap in taps}

    def receive(tap: Tap, _rows: slice, activation: torch.Tensor) -> None:
        read[tap.module].append(activation.reshape(*activation.shape[:2], -1).clone().numpy())

    run_batches(network, drawn, taps, receive, tap_shapes(network, taps, drawn.images[:1]))
    targets = drawn.targets.numpy()
    return {layer_of[module]: rank_channels(np.concatenate(batches), targets) for module, batches in read.items()}


def rank_channels(channels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the importances of channels, as `remaining_information` defines them.

    Args:
        channels: (n, channels, cells).
        labels: (n,) class numbers.

    Returns:
        (channels,) in bits. They fall with the rank; a rise by the bias of the estimate is cut off.

    Examples:
        >>> labels = np.repeat([0, 1], 8)
        >>> rng = np.random.default_rng(0)
        >>> channels = np.stack([rng.normal(size=16), 20.0 * labels], axis=1)[..., None]
        >>> bool(np.argmax(rank_channels(channels, labels)) == 1)
        True
    """
    n, count, cells = channels.shape
    distances = np.stack([squareform(pdist(channels[:, i], "sqeuclidean")) for i in range(count)])
    width = H * n ** (-1 / (4 + cells))

    def bits(chosen: list[int]) -> float:
        return _information(distances[chosen].sum(axis=0), width, labels) if chosen else 0.0

    order = greedy(count, bits)
    remaining = np.minimum.accumulate([bits(order) - bits(order[:rank]) for rank in range(count)])
    importances = np.empty(count)
    importances[order] = remaining - 1e-12 * np.arange(count)  # ties keep the order of the ranks
    return importances


def _information(distances: np.ndarray, width: float, labels: np.ndarray) -> float:
    """Return I(T;Y) in bits from the squared distances (n, n) of T."""
    rows = np.arange(len(labels))[None]
    sides, classes = Samples(distances, width, ALPHA), Classes(ALPHA)
    joint = classes.joint(sides.at(rows), labels[None])
    return float((sides.entropy(rows) + classes.entropy(labels[None]) - joint)[0])
