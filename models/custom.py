"""Taps for any network, named by the paths of its modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import torch
from torch import Tensor, nn

from models import checks
from models.finding import found_layers, named_layers
from models.layouts import LAYOUTS, readers
from models.outputs import main_output, output_for
from models.taps import Role, Tap, sigmoid, softmax
from models.tracing import device_of, level, make_tap, traced_taps

OPTIONAL = ("name", "channels", "grid")  # settings of a tap beside its module and role


class Custom(nn.Module):
    """Any network, images (N, in_channels, *input_size) to logits, with taps.

    Args:
        network: The network.
        taps: None finds the blocks of the network and its skips (`models.finding`). Paths or patterns of modules, such
            as `encoder.*`, select these and the output. Or taps in the order of the forward pass; the last is the
            output. Each has `module`, its dotted path in the network, and `role`. It can have a `name`; the default is
            the path. A network with skip connections should have taps with the role `skip`; without them it counts as
            a chain. `readers` finds the axis of the channels, and the places of a sequence of tokens. If it can't, set
            `channels: first` or `channels: last`, or `grid: [h, w]`.
        in_channels: Channels of the images.
        input_size: Size of the images that determine the levels of the taps.
        multilabel: Whether the outputs are independent probabilities.
        output: The logits, if the network returns several tensors: a key of a dictionary, an index of a list or a field
            of a named tuple, such as `out`, 0 or `out.0`.

    Raises:
        ValueError: A tap's path is no module, and the message lists the nearest names; the module does not run exactly
            once; or the network has no such output.

    Examples:
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1))
        >>> [(tap.name, tap.role) for tap in Custom(network, None, in_channels=1, input_size=(8, 8)).taps()]
        [('1', 'feature'), ('2', 'output')]
        >>> taps = [{"module": "1", "role": "feature"}, {"module": "2", "role": "output", "name": "out"}]
        >>> [(tap.name, tap.level) for tap in Custom(network, taps, in_channels=1, input_size=(8, 8)).taps()]
        [('1', 1), ('out', 1)]
    """

    def __init__(
        self,
        network: nn.Module,
        taps: Sequence[str | Mapping] | None,
        in_channels: int = 3,
        input_size: Sequence[int] = (64, 64),
        multilabel: bool = False,
        output: str | int | None = None,
    ):
        super().__init__()
        if not isinstance(network, nn.Module):
            raise ValueError(f"network: got {network!r}, wanted the _target_ of a torch.nn.Module with its arguments")
        self.network, self.out = network, nn.Identity()
        self.in_channels = checks.count("in_channels", in_channels)
        self.input_size = checks.counts("input_size", input_size)
        self.multilabel, self.output = multilabel, output
        given = self._find(taps)
        self.points = [_make_tap(tap) for tap in given]
        if self.points and self.points[-1].role != "output":
            raise ValueError("taps: wanted a list that ends in the output; give the last one the role output")
        self.taps()  # errors in a path come first
        self._read_layouts(given)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(main_output(self.network(x), self.output))

    def taps(self) -> list[Tap]:
        """Return the given taps with their levels. An output that is not that of a module has the module `out`."""
        ends = [tap for tap in self.points if not tap.module]
        taps = traced_taps(self.network, self._image(), self.points[: len(self.points) - len(ends)], self.multilabel)
        taps = [replace(tap, module=f"network.{tap.module}") for tap in taps]
        for tap in ends:
            shape = output_for(self.network, self._image(), self.output).shape[1:]
            at = level(shape, self.input_size, otherwise=taps[-1].level + 1 if taps else 1)
            transform = sigmoid if self.multilabel or shape[0] == 1 else softmax
            taps.append(replace(tap, module="out", level=at, order=len(taps), transform=transform))
        return taps

    def library_name(self, name: str) -> str:
        """Return the name of a weight in the network itself, as its checkpoints have it."""
        return name.removeprefix("network.")

    def _find(self, taps: Sequence[str | Mapping] | None) -> Sequence[Mapping]:
        """Return the settings of taps: those given, or those of the layers that are found or that patterns name."""
        if taps is None:
            return found_layers(self.network, self._image(), self.output)
        if taps and all(isinstance(tap, str) for tap in taps):
            return named_layers(self.network, self._image(), [str(tap) for tap in taps], self.output)
        return taps  # type: ignore[return-value]  # a mixture is refused by _make_tap

    def _read_layouts(self, given: Sequence[Mapping]) -> None:
        """Set the transform of taps whose output is not yet maps with the channels on the second axis."""
        channels = {tap["module"]: tap["channels"] for tap in given if "channels" in tap}
        grids = {tap["module"]: tap["grid"] for tap in given if "grid" in tap}
        asked = [tap.module for tap in self.points if tap.role != "output"]
        found = readers(self.network, self._image(), list(dict.fromkeys(asked)), channels, grids)
        self.points = [replace(tap, transform=found.get(tap.module)) for tap in self.points]

    def _image(self) -> Tensor:
        """Make an image of zeros."""
        return torch.zeros(1, self.in_channels, *self.input_size, device=device_of(self))


def _make_tap(tap: Any) -> Tap:
    """Make a tap from its settings."""
    if not isinstance(tap, Mapping) or not {"module", "role"} <= set(tap) <= {"module", "role", *OPTIONAL}:
        raise ValueError(f"taps: got {tap!r}, wanted module and role, such as {{module: layer1, role: encoder}}")
    role = checks.choice("role", tap["role"], get_args(Role))
    checks.choice("channels", tap.get("channels", "first"), LAYOUTS)
    checks.counts("grid", tap.get("grid", [1]), fix="give the places per axis, such as [14, 14]")
    return make_tap(tap.get("name") or tap["module"], tap["module"], role)
