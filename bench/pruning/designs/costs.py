"""Costs of designs, and the search for the design of a kind that has a given cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log
from typing import cast

import torch
from omegaconf import DictConfig, OmegaConf

from bench.config.build import build
from bench.errors import InputError
from bench.pruning.designs.base import Design
from bench.training.cost import flops

EQUAL = {"params": "parameters", "flops": "FLOPs"}  # kinds of costs, with their words
HALVINGS = 40


@dataclass(frozen=True)
class Costs:
    """Number of parameters, and FLOPs per image."""

    params: int
    flops: int

    def __getitem__(self, kind: str) -> int:
        return getattr(self, kind)


def costs_of(target: Mapping[str, float | None], whole: Costs) -> dict[str, int]:
    """Return the largest costs that a target names, by kind.

    Args:
        target: Shares of the costs of the base, by kind; None where the target does not name a cost.
        whole: The costs of the base.

    Examples:
        >>> costs_of({"params": 0.25, "flops": None, "loss": 0.01}, Costs(params=100, flops=5000))
        {'params': 25}
    """
    return {kind: max(1, int(share * whole[kind])) for kind, share in target.items() if kind != "loss" and share}


def limits_of(wanted: Mapping[str, int], whole: Costs) -> dict[str, int]:
    """Return the largest costs of a design, by kind: those of a target, and the base's where the target names none.

    Examples:
        >>> limits_of({"params": 10}, Costs(params=100, flops=5000))
        {'params': 10, 'flops': 5000}
    """
    return {"params": whole.params, "flops": whole.flops} | dict(wanted)


class Pricing:
    """Count the costs of designs for one shape of images.

    Networks are built on the `meta` device, without memory or arithmetic, where this is possible.

    Args:
        model: The config of a network of the family.
        shape: Shape of one image, (channels, *spatial).
    """

    def __init__(self, model: DictConfig, shape: tuple[int, ...]):
        self.model = model
        self.shape = shape
        self._known: dict[Design, Costs] = {}

    def config(self, design: Design) -> DictConfig:
        """Return the network's config with the choices of the design."""
        return cast(DictConfig, OmegaConf.merge(self.model, design.arguments()))

    def __call__(self, design: Design) -> Costs:
        """Count the costs of a design. Each design is counted once."""
        if design not in self._known:
            try:
                self._known[design] = self._counted(design, "meta")
            except InputError:  # the network computes while it is built
                self._known[design] = self._counted(design, "cpu")
        return self._known[design]

    def _counted(self, design: Design, device: str) -> Costs:
        """Build the network on a device and count its costs."""
        with torch.device(device):
            network: torch.nn.Module = build(self.config(design), "model").eval()
            image = torch.zeros(1, *self.shape)
            params = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
            return Costs(params, flops(network, image))

    def shares(self, design: Design, base: Design) -> str:
        """Describe the costs of a design as shares of those of the base."""
        costs, whole = self(design), self(base)
        return " and ".join(f"{costs[kind] / whole[kind]:.2g} of the {words}" for kind, words in EQUAL.items())

    def find_equal_cost(self, kind: str, wanted: int, make: Callable[[float], Design], most: float) -> Design:
        """Find the design whose cost is nearest to a wanted cost by ratio.

        Args:
            kind: params or flops.
            wanted: The cost.
            make: Function from x, 0 < x <= most, to a design. The cost must grow with x.
            most: Largest x.
        """
        low, high = 0.0, most
        candidates = [make(most)]
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            design = make(middle)
            candidates.append(design)
            low, high = (low, middle) if self(design)[kind] > wanted else (middle, high)
        return min(candidates, key=lambda design: abs(log(self(design)[kind] / wanted)))

    def find_widest(self, target: Mapping[str, int], make: Callable[[float], Design], most: float) -> Design:
        """Find the design of the largest x whose costs are all within a target.

        Args:
            target: Largest costs, by kind.
            make: Function from x, 0 <= x <= most, to a design. The costs must not fall with x.
            most: Largest x.

        Returns:
            The design; that of x = 0 if even its costs exceed the target.
        """
        if self.is_within(make(most), target):
            return make(most)
        low, high = 0.0, most
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.is_within(make(middle), target) else (low, middle)
        return make(low)

    def is_within(self, design: Design, target: Mapping[str, int]) -> bool:
        """Whether no cost of a design exceeds a target."""
        costs = self(design)
        return all(costs[kind] <= most for kind, most in target.items())
