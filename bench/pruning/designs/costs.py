"""What a design costs, and the design of a kind that costs as much as another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log

import torch
from omegaconf import DictConfig, OmegaConf

from bench.config.build import build
from bench.errors import InputError
from bench.pruning.designs.base import Design
from bench.training.cost import flops

HALVINGS = 40


@dataclass(frozen=True)
class Costs:
    """Parameters, and FLOPs an image."""

    params: int
    flops: int

    def __getitem__(self, kind: str) -> int:
        return getattr(self, kind)


class Pricing:
    """The costs of designs on one kind of image; networks are laid out without memory or arithmetic.

    model: the config of a network of the family. shape: of one image, (channels, *spatial).
    """

    def __init__(self, model: DictConfig, shape: tuple[int, ...]):
        self.model = model
        self.shape = shape
        self._known: dict[Design, Costs] = {}

    def config(self, design: Design) -> DictConfig:
        """The network's config with the design's choices."""
        return OmegaConf.merge(self.model, design.arguments())

    def __call__(self, design: Design) -> Costs:
        if design not in self._known:
            try:
                self._known[design] = self._counted(design, "meta")
            except InputError:  # of networks that compute while they are built
                self._known[design] = self._counted(design, "cpu")
        return self._known[design]

    def _counted(self, design: Design, device: str) -> Costs:
        with torch.device(device):
            network = build(self.config(design), "model").eval()
            image = torch.zeros(1, *self.shape)
            params = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
            return Costs(params, flops(network, image))

    def at_equal(self, kind: str, wanted: int, make: Callable[[float], Design], most: float) -> Design:
        """Of `make(x)`, 0 < x <= most, whose cost grows with x, the one nearest to `wanted` by ratio.

        kind: params or flops.
        """
        low, high = 0.0, most
        candidates = [make(most)]
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            design = make(middle)
            candidates.append(design)
            low, high = (low, middle) if self(design)[kind] > wanted else (middle, high)
        return min(candidates, key=lambda design: abs(log(self(design)[kind] / wanted)))
