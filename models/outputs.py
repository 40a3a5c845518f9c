"""Outputs: the main output of a network that returns a dictionary, a list or a named tuple."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from models.taps import Tap, sigmoid
from models.tracing import in_evaluation, wrap_errors


def main_output(output: Any, key: str | int | None) -> Any:
    """Return the part of an output that a key or an index names.

    Args:
        output: What a network returns.
        key: A key of a dictionary, an index of a list, a field of a named tuple; or several of them with dots, such as
            `out.0`. None returns the output itself.

    Raises:
        ValueError: There is no such part.

    Examples:
        >>> main_output({"out": [1, 2], "aux": 3}, "out.0")
        1
        >>> main_output({"out": 1, "aux": 3}, "mask")
        Traceback (most recent call last):
        ValueError: output: got 'mask', wanted one of out, aux; set model.output
    """
    for part in [] if key is None else str(key).split("."):
        if isinstance(output, Mapping):
            named = {str(name): value for name, value in output.items()}
        elif isinstance(output, Sequence) and not isinstance(output, str):
            named = {str(index): value for index, value in enumerate(output)}
            named |= {name: getattr(output, name) for name in getattr(output, "_fields", ())}
        else:
            raise ValueError(f"output: got {key!r}, and the network gives {described(output)}; leave model.output null")
        if part not in named:
            raise ValueError(f"output: got {key!r}, wanted one of {', '.join(named)}; set model.output")
        output = named[part]
    return output


def described(output: Any) -> str:
    """Describe what a network returns, for messages."""
    if isinstance(output, Mapping):
        return f"a {type(output).__name__} with the keys {', '.join(map(str, output))}"
    if isinstance(output, Sequence):
        return f"a {type(output).__name__} of {len(output)}"
    if isinstance(output, Tensor):
        return f"a tensor of {str(output.dtype).removeprefix('torch.')} and shape {tuple(output.shape)}"
    return f"an object of {type(output).__name__}"


@torch.no_grad()
def output_for(network: nn.Module, image: Tensor, key: str | int | None = None) -> Tensor:
    """Compute the main output of a network for an image, in evaluation mode.

    Raises:
        ValueError: The network refuses the image, or its main output is no tensor.
    """
    with in_evaluation(network), wrap_errors(f"the network, given an image of {tuple(image.shape[1:])},"):
        whole = network(image)
    output = main_output(whole, key)
    if not isinstance(output, Tensor):
        first = next(iter(output), 0) if isinstance(output, Mapping) else 0
        name = first if key is None else f"{key}.{first}"
        raise ValueError(f"output: got {described(output)}, wanted one tensor; choose it, such as model.output={name}")
    return output


class Binary(nn.Module):
    """A network with outputs for background and foreground, as one with a single output: their difference.

    The sigmoid of the difference is the softmax of the foreground.

    Args:
        network: A network with two outputs, with taps.

    Examples:
        >>> from models import UNet
        >>> network = Binary(UNet(1, 2, widths=(4, 8)))
        >>> network(torch.zeros(2, 1, 8, 8)).shape, network.taps()[-1].module
        (torch.Size([2, 1, 8, 8]), 'out')
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network, self.out = network, nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        both = self.network(x)
        return self.out(both[:, 1:] - both[:, :1])

    def taps(self) -> list[Tap]:
        """Return the taps of the network. The output is that of this class."""
        taps: list[Tap] = self.network.taps()  # type: ignore[operator]  # PyTorch declares a tensor or a module
        return [
            replace(tap, module="out", transform=sigmoid)
            if tap.role == "output"
            else replace(tap, module=f"network.{tap.module}")
            for tap in taps
        ]
