"""Conditional mutual information of the channels of a layer, to rank them for pruning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial.distance import pdist, squareform

from bench.datasets.splits import Loaded
from bench.estimators.grams import Classes, Samples

ALPHA = 2.0  # order of the entropies
H = 5.0  # factor of the kernel's width


def remaining_information(network: torch.nn.Module, layers: Sequence[str], drawn: Loaded) -> dict[str, np.ndarray]:
    """Rank the channels of each layer by the information about the class that they add to the channels ranked before.

    The channel that adds most is ranked next. Its importance is the information that all channels that are not ranked
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
    blocks = {layer: network.get_submodule(layer.rpartition(".")[0]) for layer in layers}
    read: dict[str, torch.Tensor] = {}
    hooks = [
        block.register_forward_hook(lambda module, given, output, layer=layer: read.update({layer: output.detach()}))
        for layer, block in blocks.items()
    ]
    try:
        with torch.no_grad():
            network(drawn.images)
    finally:
        for hook in hooks:
            hook.remove()
    return {layer: rank_channels(_columns(read[layer]), drawn.targets.numpy()) for layer in layers}


def _columns(activations: torch.Tensor) -> np.ndarray:
    """Return activations (n, channels, ...) as (n, channels, cells)."""
    return activations.reshape(*activations.shape[:2], -1).numpy()


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
    every = _information(distances.sum(axis=0), width, labels)
    ranked, importances, bits = np.zeros((n, n)), np.empty(count), 0.0
    left = list(range(count))
    least = np.inf
    while left:
        gained = {i: _information(ranked + distances[i], width, labels) for i in left}
        best = max(left, key=lambda i: gained[i])
        least = min(least, every - bits)
        importances[best] = least - 1e-12 * (count - len(left))  # ties keep the order of the ranks
        ranked, bits = ranked + distances[best], gained[best]
        left.remove(best)
    return importances


def _information(distances: np.ndarray, width: float, labels: np.ndarray) -> float:
    """Return I(T;Y) in bits from the squared distances (n, n) of T."""
    rows = np.arange(len(labels))[None]
    sides, classes = Samples(distances, width, ALPHA), Classes(ALPHA)
    joint = classes.joint(sides.at(rows), labels[None])
    return float((sides.entropy(rows) + classes.entropy(labels[None]) - joint)[0])
