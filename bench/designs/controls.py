"""Controls: designs of equal cost that no measurement of information chose."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from bench.designs.base import Design, flat, random_design, scaled, widths_of
from bench.designs.costs import Pricing

EQUAL = ("params", "flops")
WIDEST_SCALE = 4  # of a random design's own widths, so that a thin one can be widened to the cost


def controls(
    proposal: Design, base: Design, network: nn.Module, pricing: Pricing, randoms: int, rng: np.random.Generator
) -> dict[str, Design]:
    """Uniform, flat, magnitude and random designs of a proposal's parameters, and of its FLOPs: `KIND_at_COST`.

    network: the trained base, whose weights are read. Widths are whole numbers: costs are equal as nearly as can be.
    """
    kinds = {
        "uniform": (lambda factor: scaled(base, factor), 1.0),
        "flat": (lambda width: flat(base, 1 + width), float(widths_of(base).max())),
        "magnitude": (by_magnitude(base, network), 1.0),
    }
    for number in range(1, randoms + 1):
        drawn = random_design(base, rng)
        kinds[f"random{number}"] = (_scale(drawn), float(WIDEST_SCALE))
    return {
        f"{kind}_at_{cost}": pricing.at_equal(cost, pricing(proposal)[cost], make, most)
        for kind, (make, most) in kinds.items()
        for cost in EQUAL
    }


def _scale(drawn: Design) -> Callable[[float], Design]:
    return lambda factor: scaled(drawn, factor)


def by_magnitude(base: Design, network: nn.Module) -> Callable[[float], Design]:
    """share -> the design that keeps this share of all channels, those of largest weight.

    The weight of a channel is its normalisation's scale |γ| (Liu et al. 2017, arXiv 1708.06519), or, without one, the
    L1 norm of its filter over that norm's mean in the layer (Li et al. 2017, arXiv 1608.08710); of a place that
    several layers make, the mean over them, each sorted.
    """
    weights = [
        np.mean([np.sort(_magnitude(network, *made))[::-1] for made in place.made_by], axis=0)
        for place in base.places()
    ]
    ranked = np.sort(np.concatenate(weights))[::-1]

    def keep(share: float) -> Design:
        least = ranked[max(0, round(share * len(ranked)) - 1)]
        return base.with_widths([max(1, int((place >= least).sum())) for place in weights])

    return keep


def _magnitude(network: nn.Module, layer: str, norm: str | None) -> np.ndarray:
    """(channels,) weights of what a layer makes."""
    scale = getattr(network.get_submodule(norm), "weight", None) if norm else None
    if scale is not None:
        return scale.detach().abs().cpu().numpy()
    filters = network.get_submodule(layer).weight.detach().flatten(1).abs().sum(dim=1)
    return (filters / filters.mean()).cpu().numpy() if torch.any(filters > 0) else filters.cpu().numpy()
