"""Importance: how much the loss of a network would change without single channels, by its gradients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from bench.datasets.splits import Split
from bench.layers.capture import run_batches
from bench.layers.hooks import Loss, tap_hooks, tap_shapes
from bench.layers.selection import named_rng, taps_of
from bench.pruning.designs import Design, Slot
from bench.pruning.search.base import Base
from bench.pruning.search.search import width_in
from bench.training.train import loss_function
from models import Tap
from models.tracing import device_of

IMAGES = 128  # training and validation images, at most


class Importance:
    """The importance of the channels in each slot of a trained network.

    Args:
        base: The network, with its data and its loss.
        seed: Seed of the draw of images.
    """

    def __init__(self, base: Base, seed: int):
        tap_of = {slot.name: slot.tap for slot in base.design.slots()}
        every = base.data.split("trainval")
        rows = named_rng(seed, "images of importance").choice(len(every), min(len(every), IMAGES), replace=False)
        taps = [tap for tap in taps_of(base.network) if tap.name in tap_of.values()]
        loss = loss_function(base.config.train.loss, base.data)
        of_taps = importances(base.network, every.take(np.sort(rows)).loaded(), taps, loss)
        self.rising = {slot: np.sort(of_taps[tap]) for slot, tap in tap_of.items()}

    def lost_between(self, slots: Sequence[Slot], wide: Design, narrow: Design) -> float:
        """Add the importance of the channels that tied slots lose between two designs, the least important ones."""
        fewer, more = (width_in(design, slots) for design in (narrow, wide))
        return sum(self._lost(slot, fewer) - self._lost(slot, more) for slot in slots)

    def _lost(self, slot: Slot, width: int) -> float:
        """Add the importance of the channels of a slot beyond the `width` most important ones."""
        rising = self.rising[slot.name]
        return float(rising[: max(0, len(rising) - width)].sum())


def importances(
    network: torch.nn.Module, samples: Split, taps: Iterable[Tap], loss: Loss, batch_size: int = 8
) -> dict[str, np.ndarray]:
    """Compute the Taylor importance of each channel at some taps.

    A factor of 1 at a channel, the same at all positions, has a gradient: the sum over positions of activation times
    gradient. It is the change of a sample's loss without the channel, to first order. The importance is its mean square
    over samples.

    Args:
        network: The network. It runs in evaluation mode. The gradients of its parameters do not change.
        samples: Images and targets.
        taps: The taps to read.
        loss: From logits and targets to a mean over samples.
        batch_size: Number of images in a batch, whose activations at all layers are in memory.

    Returns:
        Importance by name of the tap, (channels,), in squared units of the loss.

    Raises:
        InputError: As `tap_hooks`.

    References:
        Molchanov et al., CVPR 2019, arXiv 1906.10771, first-order importance with gates.

    Examples:
        >>> from bench.datasets import phantoms
        >>> from models import CNN
        >>> data = phantoms(n=(8, 4, 4), size=16)
        >>> network = CNN(in_channels=1, input_size=(16, 16))
        >>> found = importances(network, data.train, network.taps()[:2], lambda logits, targets: logits.square().mean())
        >>> {tap: importance.shape for tap, importance in found.items()}
        {'conv1': (6,), 'conv2': (16,)}
    """
    taps = tuple(taps)
    activations: dict[Tap, torch.Tensor] = {}
    squares = {tap.name: torch.zeros((), dtype=torch.float64) for tap in taps}

    def keep(tap: Tap, activation: torch.Tensor) -> None:
        activations[tap] = activation.clone()

    def multiply(tap: Tap, _rows: slice, error: torch.Tensor) -> None:
        product = (activations.pop(tap) * error).double()
        changes = product.flatten(2).sum(dim=2) if product.dim() > 2 else product  # (batch, channels)
        squares[tap.name] = squares[tap.name] + changes.square().sum(dim=0).cpu()

    shapes = tap_shapes(network, taps, samples.images[:1].to(device_of(network)))
    with tap_hooks(network, taps, keep):
        run_batches(network, samples, taps, multiply, shapes, batch_size=batch_size, loss=loss)
    return {name: (total / len(samples)).numpy() for name, total in squares.items()}
