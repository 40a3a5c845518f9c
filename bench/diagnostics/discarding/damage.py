"""A network damaged on purpose: the control that a measure of what layers discard must see."""

from __future__ import annotations

import copy

import torch
from torch import nn

from bench.errors import InputError
from bench.layers.selection import place
from models import Tap

DAMAGED_AT = 25  # place along the data's way of the layer that is damaged where none is named


def damaged(network: nn.Module, name: str | None, seed: int) -> tuple[nn.Module, Tap]:
    """A copy in which the weights of one layer are shuffled, and its tap.

    name: of the tap; None for the layer with weights nearest to a quarter of the data's way. Biases and
    normalisation stay as they are, and so does the distribution of the weights.
    """
    network = copy.deepcopy(network)
    taps = network.taps()
    fit = [tap for tap in taps if _weights(network, tap) and name in (None, tap.name)]
    if not fit:
        names = ", ".join(tap.name for tap in taps if _weights(network, tap))
        raise InputError(f"damage: got {name!r}, wanted a tap with weights, one of {names}; or null")
    tap = min(fit, key=lambda tap: abs(place(tap, taps) - DAMAGED_AT))
    generator = torch.Generator().manual_seed(seed)
    for weight in _weights(network, tap):
        order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
        weight.data = weight.data.flatten()[order].reshape(weight.shape)
    return network, tap


def _weights(network: nn.Module, tap: Tap) -> list[nn.Parameter]:
    return [weight for weight in network.get_submodule(tap.module).parameters() if weight.ndim > 1]
