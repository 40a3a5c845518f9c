"""Where in a network an activation is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

Role = Literal["input", "encoder", "bottleneck", "skip", "up", "decoder", "output", "feature", "classifier"]

sigmoid = torch.sigmoid
softmax = partial(torch.softmax, dim=1)


@dataclass(frozen=True)
class Tap:
    """A named place in a network: the output of one of its modules.

    name: what tables and figures show.
    module: dotted path for `model.get_submodule`; called exactly once per forward pass.
    role: what the place does in the network, one of `Role`.
    level: 1 is full resolution; in a CNN the stage, which its fully connected layers continue.
    order: place along the data's way, 0 first.
    transform: applied to the captured output; the output's tap turns logits into probabilities with it.

    Raises ValueError for an unknown role.

    >>> from models import UNet
    >>> [tap.name for tap in UNet(widths=(8, 16), convs_per_level=1).taps()]
    ['enc1.conv1', 'bottleneck.conv1', 'up1', 'skip1', 'dec1.conv1', 'out']
    """

    name: str
    module: str
    role: Role
    level: int
    order: int
    transform: Callable[[Tensor], Tensor] | None = None

    def __post_init__(self):
        if self.role not in get_args(Role):
            raise ValueError(
                f"role: got {self.role!r}, wanted one of {', '.join(get_args(Role))}; correct the spelling"
            )


def along(places: Iterable[tuple[str, Role, int]], *, output: Callable[[Tensor], Tensor]) -> list[Tap]:
    """Taps from (module path, role, level) in the order of the data's way; each is named after its module."""
    return [
        Tap(path, path, role, level, order, output if role == "output" else None)
        for order, (path, role, level) in enumerate(places)
    ]
