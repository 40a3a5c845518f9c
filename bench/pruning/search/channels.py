"""Channels: the values of single channels of a network's layers at the same samples, and their order by information."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch

from bench.datasets.data import Data
from bench.datasets.splits import Loaded
from bench.errors import InputError
from bench.information.variables import Variable
from bench.layers.capture import Captured
from bench.layers.labels import classes
from bench.layers.maps import averaged, order_maps
from bench.layers.pixels import REACH, Locations, PixelLabels, capture_at
from bench.layers.selection import named_rng
from models import Tap

Selection = Mapping[str, tuple[int, ...]]  # tap -> its channels


class Channels:
    """The channels of some taps and the label at the same samples, in one view.

    In the views `pixel` and `patch`, which need masks, a sample is a location: the value of a channel or its 3×3
    neighbourhood. In the view `image` a sample is an image: the map of a channel, averaged over at most 4 cells per
    side.

    Args:
        network: The trained network.
        data: Its data.
        samples: The images to read.
        taps: The taps.
        view: `pixel`, `patch` or `image`.
        pixels: Number of locations in all images together.
        seed: Seed of the locations.

    Raises:
        InputError: A tap can't be read at locations.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        data: Data,
        samples: Loaded,
        taps: Iterable[Tap],
        view: str,
        pixels: int,
        seed: int,
    ):
        self.view = view
        taps = list(taps)
        if view in REACH:
            rng = named_rng(seed, "locations of channels")
            locations = Locations.draw(data, samples, pixels, rng)
            self.target: Variable = PixelLabels.at(samples, locations)
            captured = {c.tap.name: c for c in capture_at(network, samples, taps, locations, view)}
            if refused := next((c for c in captured.values() if c.reason), None):
                raise InputError(f"tap {refused.tap.name}: {refused.reason}")
            self.columns = {name: _by_channel(c) for name, c in captured.items()}
        else:
            self.target = Variable.of(classes(data, samples), samples.groups)
            self.columns = averaged(network, samples, taps)

    def all_of(self, taps: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """Select all channels of these taps."""
        return {tap: tuple(range(self.columns[tap].shape[1])) for tap in taps}

    def side(self, selection: Selection) -> Variable:
        """Join the selected channels into one Variable, a constant if none is selected."""
        if not selection:
            return Variable.of(np.zeros(self.target.n, dtype=np.int64), self.target.groups)
        parts = [self.columns[tap][:, list(chosen)].reshape(self.target.n, -1) for tap, chosen in selection.items()]
        return Variable.of(np.concatenate(parts, axis=1), self.target.groups)

    def order(self, tap: str, rng: np.random.Generator) -> list[int]:
        """Order the channels of a tap greedily: each next channel adds most information about the label."""
        return order_maps(self.columns[tap], self.target.numbered(), self.target.groups, rng)


def _by_channel(captured: Captured) -> np.ndarray:
    """Return the activations of a tap, (n, channels, columns of each)."""
    samples = captured.present.samples
    assert samples is not None  # at locations, activations are held
    return samples.astype(np.float32).reshape(len(samples), captured.channels, -1)
