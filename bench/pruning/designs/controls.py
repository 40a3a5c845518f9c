"""Controls: designs of equal cost that no measurement of information chose."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from bench.pruning.designs.base import Design, flat, random_design, scaled, widths_of
from bench.pruning.designs.costs import Pricing

log = logging.getLogger(__name__)

EQUAL = ("params", "flops")
EQUAL_WITHIN = 1.1  # a control whose cost is off by more is told of
WIDEST_SCALE = 4  # of a random design's own widths, so that a thin one can be widened to the cost

Narrowing = Callable[[float], Design]


def controls(
    proposal: Design, base: Design, network: nn.Module, pricing: Pricing, randoms: int, rng: np.random.Generator
) -> dict[str, Design]:
    """Uniform, flat, magnitude and random designs of a proposal's parameters, and of its FLOPs: `KIND_at_COST`.

    network: the trained base, whose weights are read. Widths are whole numbers: costs are equal as nearly as can be. A
    base that costs more by its narrowest widths, such as one whose encoder has none to choose, loses parts first.
    """
    magnitudes = magnitudes_of(base, network)
    kinds = {
        "uniform": (base, _uniform, 1.0),
        "flat": (base, _flat, float(widths_of(base).max())),
        "magnitude": (base, lambda design: by_magnitude(design, magnitudes), 1.0),
    }
    kinds |= {f"random{i}": (random_design(base, rng), _uniform, float(WIDEST_SCALE)) for i in range(1, randoms + 1)}
    found = {}
    for kind, (start, narrowed, most) in kinds.items():
        for cost in EQUAL:
            wanted = pricing(proposal)[cost]
            narrowing = narrowed(_affordable(start, cost, wanted, pricing))
            found[f"{kind}_at_{cost}"] = control = pricing.at_equal(cost, wanted, narrowing, most)
            ratio = pricing(control)[cost] / wanted
            if not 1 / EQUAL_WITHIN <= ratio <= EQUAL_WITHIN:
                told = (
                    "control %s_at_%s: no design of its kind costs the same; it has %.2f times the %s of the proposal"
                )
                log.warning(told, kind, cost, ratio, cost)
    return found


def _affordable(design: Design, cost: str, wanted: int, pricing: Pricing) -> Design:
    """The design with as many parts gone, those that save most first, as it takes to reach a cost by narrowing."""
    while pricing(flat(design, 1))[cost] > wanted and (leaner := design.removals()):
        design = min(leaner.values(), key=lambda without: pricing(without)[cost])
    return design


def _uniform(design: Design) -> Narrowing:
    return lambda factor: scaled(design, factor)


def _flat(design: Design) -> Narrowing:
    return lambda width: flat(design, 1 + width)


def magnitudes_of(base: Design, network: nn.Module) -> dict[str, np.ndarray]:
    """The weights of the channels of each place of a trained base, by its name, largest first.

    The weight of a channel is its normalisation's scale |γ| (Liu et al. 2017, arXiv 1708.06519), or, without one, the
    L1 norm of its filter over that norm's mean in the layer (Li et al. 2017, arXiv 1608.08710); of a place that
    several layers make, the mean over them, each sorted.
    """
    return {
        place.name: np.mean([np.sort(_magnitude(network, *made))[::-1] for made in place.made_by], axis=0)
        for place in base.places()
    }


def by_magnitude(design: Design, magnitudes: Mapping[str, np.ndarray]) -> Narrowing:
    """share -> the design that keeps this share of all its channels, those of largest weight."""
    weights = [magnitudes[place.name] for place in design.places()]
    ranked = np.sort(np.concatenate(weights))[::-1]

    def keep(share: float) -> Design:
        least = ranked[max(0, round(share * len(ranked)) - 1)]
        return design.with_widths([max(1, int((place >= least).sum())) for place in weights])

    return keep


def _magnitude(network: nn.Module, layer: str, norm: str | None) -> np.ndarray:
    """(channels,) weights of what a layer makes."""
    scale = getattr(network.get_submodule(norm), "weight", None) if norm else None
    if scale is not None:
        return scale.detach().abs().cpu().numpy()
    filters = network.get_submodule(layer).weight.detach().flatten(1).abs().sum(dim=1)
    return (filters / filters.mean()).cpu().numpy() if torch.any(filters > 0) else filters.cpu().numpy()
