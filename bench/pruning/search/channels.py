"""Channels: what single channels of a network's layers hold at the same samples, and which to keep first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch

from bench.datasets.data import Data, Split
from bench.errors import InputError
from bench.information.variables import Variable
from bench.layers.labels import classes
from bench.layers.maps import averaged, in_order
from bench.layers.pixels import REACH, Locations, PixelLabels, capture_at
from bench.layers.selection import named_rng
from models import Tap

Selection = Mapping[str, tuple[int, ...]]  # tap -> its channels


class Channels:
    """The channels of some taps at the same samples, and the label there, in one view.

    view: `pixel` or `patch`, where labels are masks: a channel's value or 3×3 neighbourhood at a location; `image`: its
    map, averaged over at most 4 cells a side. samples: images to read. pixels: locations in all.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        data: Data,
        samples: Split,
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
            self.columns = {
                name: c.variable.samples.astype(np.float32).reshape(c.variable.n, c.channels, -1)
                for name, c in captured.items()
            }  # (n, channels, columns of each)
        else:
            self.target = Variable.of(classes(data, samples), samples.groups)
            self.columns = averaged(network, samples, taps)

    def all_of(self, taps: Iterable[str]) -> dict[str, tuple[int, ...]]:
        return {tap: tuple(range(self.columns[tap].shape[1])) for tap in taps}

    def side(self, selection: Selection) -> Variable:
        """The selected channels, joined."""
        parts = [self.columns[tap][:, list(chosen)].reshape(self.target.n, -1) for tap, chosen in selection.items()]
        return Variable.of(np.concatenate(parts, axis=1), self.target.groups)

    def order(self, tap: str, rng: np.random.Generator) -> list[int]:
        """The tap's channels, each next one adding most to what those before it tell of the label."""
        return in_order(self.columns[tap], self.target.labels, self.target.groups, rng)
