"""Taps: the modules of a network whose activations are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

Role = Literal["input", "encoder", "bottleneck", "skip", "up", "decoder", "output", "feature", "classifier"]
Point = tuple[str, Role, int]  # path of a module, its role and its level

sigmoid = torch.sigmoid
softmax = partial(torch.softmax, dim=1)


@dataclass(frozen=True)
class Tap:
    """A named module of a network whose output is read.

    Attributes:
        name: Name in tables and figures.
        module: Dotted path for `model.get_submodule`. The module runs exactly once per forward pass.
        role: Role of the module in the network, one of `Role`.
        level: 1 is full resolution. In a CNN it is the number of the stage, and fully connected layers continue the
            numbers.
        order: Position in the forward pass, from 0.
        transform: Applied to the captured output. The output's tap turns logits into probabilities with it.

    Raises:
        ValueError: The role is unknown.

    Examples:
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


def order_taps(points: Iterable[Point], *, output: Callable[[Tensor], Tensor]) -> list[Tap]:
    """Make taps from points in the order of the forward pass. Each has the name of its module.

    Args:
        points: Path, role and level of each tap.
        output: Transform of the tap with the role `output`.
    """
    return [
        Tap(path, path, role, level, order, output if role == "output" else None)
        for order, (path, role, level) in enumerate(points)
    ]
