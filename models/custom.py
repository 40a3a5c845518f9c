"""Taps for any network, named by the paths of its modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor, nn

from models import checks
from models.layouts import LAYOUTS, channels_to_front, layouts
from models.taps import Role, Tap
from models.tracing import device_of, make_tap, traced_taps


class Custom(nn.Module):
    """Any network, images (N, in_channels, *input_size) to logits, with taps.

    Args:
        network: The network.
        taps: Taps in the order of the forward pass; the last is the output. Each has `module`, its dotted path in the
            network, and `role`. It can have a `name`; the default is the path. A network with skip connections should
            have taps with the role `skip`; without them it counts as a chain. `layouts` finds the axis of the channels.
            If it can't, set `channels: first` or `channels: last`.
        in_channels: Channels of the images.
        input_size: Size of the images that determine the levels of the taps.
        multilabel: Whether the outputs are independent probabilities.

    Raises:
        ValueError: A tap's path is no module, and the message lists the nearest names; or the module does not run
            exactly once.

    Examples:
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
        self.points = [_make_tap(tap) for tap in taps or ()]
        self.in_channels = checks.count("in_channels", in_channels)
        self.input_size = checks.counts("input_size", input_size)
        self.multilabel = multilabel
        if self.points and self.points[-1].role != "output":
            raise ValueError("taps: wanted a list that ends in the output; give the last one the role output")
        self.taps()  # errors in a path come first
        self._read_channels({tap["module"]: tap["channels"] for tap in taps or () if "channels" in tap})

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)

    def taps(self) -> list[Tap]:
        """Return the given taps with their levels."""
        taps = traced_taps(self.network, self._image(), self.points, self.multilabel)
        return [replace(tap, module=f"network.{tap.module}") for tap in taps]

    def _read_channels(self, given: dict[str, str]) -> None:
        """Set the transform of taps whose channels are on the last axis, so that they move to the second."""
        unknown = [tap.module for tap in self.points if tap.role != "output" and tap.module not in given]
        found = layouts(self.network, self._image(), unknown) | given
        self.points = [
            replace(tap, transform=channels_to_front) if found.get(tap.module) == "last" else tap for tap in self.points
        ]

    def _image(self) -> Tensor:
        """Make an image of zeros."""
        return torch.zeros(1, self.in_channels, *self.input_size, device=device_of(self))


def _make_tap(tap: Mapping[str, str]) -> Tap:
    """Make a tap from its settings."""
    if not isinstance(tap, Mapping) or not {"module", "role"} <= set(tap) <= {"module", "role", "name", "channels"}:
        raise ValueError(f"taps: got {tap!r}, wanted module and role, such as {{module: layer1, role: encoder}}")
    role = checks.choice("role", tap["role"], get_args(Role))
    checks.choice("channels", tap.get("channels", "first"), LAYOUTS)
    return make_tap(tap.get("name") or tap["module"], tap["module"], role)
