"""Any network, with taps that are named by the paths of its modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor, nn

from models import checks
from models.layouts import LAYOUTS, channels_to_front, layouts
from models.taps import Role, Tap
from models.tracing import device_of, place, traced_taps


class Custom(nn.Module):
    """A network of anyone's, images (N, in_channels, *input_size) to logits, and where its activations are read.

    network: the module itself.
    taps: along the data's way, each with `module`, its dotted path in the network, `role`, and a `name` if it is not to
        be called by its path; the last is the output. A network with skip connections should name them too: without
        taps of the role `skip`, all is taken for one chain. The axis of the channels is found by `layouts`; where it
        can't be found, `channels: first` or `channels: last` says it.
    in_channels, input_size: of the images that levels are found by.
    multilabel: whether outputs are independent probabilities.

    Raises ValueError for taps that name no module, offering the nearest, or one that does not run once.

    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1))
    >>> taps = [{"module": "1", "role": "feature"}, {"module": "2", "role": "output", "name": "out"}]
    >>> [(tap.name, tap.level) for tap in Custom(network, taps, in_channels=1, input_size=(8, 8)).taps()]
    [('1', 1), ('out', 1)]
    """

    def __init__(
        self,
        network: nn.Module,
        taps: Sequence[Mapping[str, str]] | None,
        in_channels: int = 3,
        input_size: Sequence[int] = (64, 64),
        multilabel: bool = False,
    ):
        super().__init__()
        if not isinstance(network, nn.Module):
            raise ValueError(f"network: got {network!r}, wanted the _target_ of a torch.nn.Module with its arguments")
        self.network = network
        self.places = [_place(tap) for tap in taps or ()]
        self.in_channels = checks.count("in_channels", in_channels)
        self.input_size = checks.counts("input_size", input_size)
        self.multilabel = multilabel
        if self.places and self.places[-1].role != "output":
            raise ValueError("taps: wanted a list that ends in the output; give the last one the role output")
        self.taps()  # so that what is wrong with a path is said first
        self._read_channels({tap["module"]: tap["channels"] for tap in taps or () if "channels" in tap})

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)

    def taps(self) -> list[Tap]:
        """Those that were asked for, with the levels at which they lie."""
        taps = traced_taps(self.network, self._image(), self.places, self.multilabel)
        return [replace(tap, module=f"network.{tap.module}") for tap in taps]

    def _read_channels(self, given: Mapping[str, str]) -> None:
        """Have taps with their channels on the last axis read with these on the second."""
        unknown = [tap.module for tap in self.places if tap.role != "output" and tap.module not in given]
        found = layouts(self.network, self._image(), unknown) | given
        self.places = [
            replace(tap, transform=channels_to_front) if found.get(tap.module) == "last" else tap for tap in self.places
        ]

    def _image(self) -> Tensor:
        return torch.zeros(1, self.in_channels, *self.input_size, device=device_of(self))


def _place(tap: Mapping[str, str]) -> Tap:
    if not isinstance(tap, Mapping) or not {"module", "role"} <= set(tap) <= {"module", "role", "name", "channels"}:
        raise ValueError(f"taps: got {tap!r}, wanted module and role, such as {{module: layer1, role: encoder}}")
    role = checks.choice("role", tap["role"], get_args(Role))
    checks.choice("channels", tap.get("channels", "first"), LAYOUTS)
    return place(tap.get("name") or tap["module"], tap["module"], role)
