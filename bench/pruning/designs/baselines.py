"""Baseline designs: designs of equal cost that are chosen without any measurement of information."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

import numpy as np
import torch
from torch import nn

from bench.pruning.designs.base import Design, flat, random_design, scaled, widths_of
from bench.pruning.designs.costs import EQUAL, Pricing

log = logging.getLogger(__name__)

EQUAL_WITHIN = 1.1  # a larger ratio of costs is logged as a warning
WIDEST_SCALE = 4  # factor by which a narrow random design can be widened to reach the cost

Narrowing = Callable[[float], Design]


class BaselineKind(StrEnum):
    """How the widths of a baseline design are chosen."""

    UNIFORM = "uniform"  # one factor for all widths
    FLAT = "flat"  # one width for all slots
    MAGNITUDE = "magnitude"  # the channels of largest weight
    RANDOM = "random"


@dataclass(frozen=True)
class Baseline:
    """A design with the parameters or the FLOPs of a proposal.

    Attributes:
        kind: How its widths are chosen.
        cost: The cost that equals the proposal's, `params` or `flops`.
        design: The design.
        start: Id of the run from whose weights it is trained; None for random weights.
    """

    kind: BaselineKind
    cost: str
    design: Design
    start: str | None = None

    @property
    def name(self) -> str:
        return f"{self.kind}_at_{self.cost}"

    @property
    def words(self) -> str:
        """Kind and cost, such as `flat at equal FLOPs`."""
        return f"{self.kind} at equal {EQUAL[self.cost]}"


def baseline_designs(
    proposal: Design,
    base: Design,
    network: nn.Module,
    pricing: Pricing,
    kinds: Sequence[str],
    rng: np.random.Generator,
) -> list[Baseline]:
    """Build the baseline designs of a proposal.

    Each kind of design is built once with the proposal's parameters and once with its FLOPs. Widths are whole numbers,
    so costs are only as equal as possible. If a base costs too much even at its smallest widths, as
    one with an encoder of fixed widths can, parts are removed first.

    Args:
        proposal: The design whose costs are wanted.
        base: The design from which the baseline designs are made.
        network: The trained base, whose weights are read.
        pricing: Counts costs.
        kinds: Any of uniform, flat, magnitude and random.
        rng: Source of the random design.
    """
    magnitudes, widest = magnitudes_of(base, network), float(widths_of(base).max())
    starts: dict[BaselineKind, tuple[Design, Callable[[Design], Narrowing], float]] = {
        BaselineKind.UNIFORM: (base, _uniform, 1.0),
        BaselineKind.FLAT: (base, _flat, widest),
        BaselineKind.MAGNITUDE: (base, lambda design: by_magnitude(design, magnitudes), 1.0),
        BaselineKind.RANDOM: (random_design(base, rng), _uniform, float(WIDEST_SCALE)),
    }
    baselines = []
    for kind in map(BaselineKind, kinds):
        start, narrowed, most = starts[kind]
        for cost in EQUAL:
            wanted = pricing(proposal)[cost]
            narrowing = narrowed(affordable(start, cost, wanted, pricing))
            baseline = Baseline(kind, cost, pricing.find_equal_cost(cost, wanted, narrowing, most))
            baselines.append(baseline)
            ratio = pricing(baseline.design)[cost] / wanted
            if not 1 / EQUAL_WITHIN <= ratio <= EQUAL_WITHIN:
                message = "baseline design %s: no such design costs the same; its %s are %.2f times the proposal's"
                log.warning(message, baseline.name, cost, ratio)
    return baselines


def affordable(design: Design, cost: str, wanted: int, pricing: Pricing) -> Design:
    """Remove parts until narrowing alone can reach a cost. The part that saves most is removed first."""
    while pricing(flat(design, 1))[cost] > wanted and (leaner := design.removals()):
        design = min(leaner.values(), key=lambda without: pricing(without)[cost])
    return design


def _uniform(design: Design) -> Narrowing:
    """Return the function from a factor to the uniformly narrowed design."""
    return lambda factor: scaled(design, factor)


def _flat(design: Design) -> Narrowing:
    """Return the function from a width, less 1, to the flat design."""
    return lambda width: flat(design, 1 + width)


def magnitudes_of(base: Design, network: nn.Module) -> dict[str, np.ndarray]:
    """Compute the weights of the channels of each slot of a trained base, by the slot's name, largest first.

    The weight of a channel is the scale |γ| of its normalisation. Without a scale it is the L1 norm of the channel's
    filter, divided by the mean of that norm in the layer. If several layers make a slot, their weights are sorted and
    averaged.

    References:
        Scales: Liu et al. 2017, arXiv 1708.06519. Filters: Li et al. 2017, arXiv 1608.08710.
    """
    return {
        slot.name: np.mean([np.sort(_magnitude(network, *made))[::-1] for made in slot.made_by], axis=0)
        for slot in base.slots()
    }


def by_magnitude(design: Design, magnitudes: Mapping[str, np.ndarray]) -> Narrowing:
    """Return the function from a share to the design that keeps this share of all channels, those of largest weight."""
    weights = [magnitudes[slot.name] for slot in design.slots()]
    ranked = np.sort(np.concatenate(weights))[::-1]

    def keep(share: float) -> Design:
        least = ranked[max(0, round(share * len(ranked)) - 1)]
        return design.with_widths([max(1, int((slot >= least).sum())) for slot in weights])

    return keep


def _magnitude(network: nn.Module, layer: str, norm: str | None) -> np.ndarray:
    """Return the weights of the channels that a layer makes, shape (channels,)."""
    scale = getattr(network.get_submodule(norm), "weight", None) if norm else None
    if scale is not None:
        return scale.detach().abs().cpu().numpy()
    weight = cast(torch.Tensor, network.get_submodule(layer).weight)  # PyTorch declares tensor or module
    filters = weight.detach().flatten(1).abs().sum(dim=1)
    return (filters / filters.mean()).cpu().numpy() if torch.any(filters > 0) else filters.cpu().numpy()
