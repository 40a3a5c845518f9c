"""Widths: rules that give the slots of a structure their numbers of channels within a target of cost."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import numpy as np

from bench.pruning.designs import Design, flat, widths_of
from bench.pruning.designs.costs import Pricing, limits_of
from bench.pruning.search.search import LEAST_LOSS, Search, Step, narrower, width_in, with_width

WIDEST = 4  # largest width, in units of the base's, of a rule that does not narrow the base


class WidthRule(StrEnum):
    """The rules by which the widths of a structure are chosen."""

    PRUNED = "pruned"  # narrowed where the information lost per saved cost is smallest
    GROWN = "grown"  # from 1 channel on, widened where the information gained per added cost is largest
    RANK = "rank"  # in proportion to the effective rank of the channels of the base
    FLAT = "flat"  # one width for all slots


WORDS = {
    WidthRule.GROWN: "widths grown by information per cost",
    WidthRule.RANK: "widths in proportion to the effective rank",
    WidthRule.FLAT: "flat widths",
}


def steps_to_widths(rule: WidthRule, structure: Design, search: Search, target: Mapping[str, int]) -> list[Step]:
    """Choose the widths of a structure by a rule, as wide as the target allows.

    A cost that the target does not name is at most that of the base. It is not weighed where information per cost
    decides.

    Args:
        rule: The rule.
        structure: The base, or the base without some parts.
        search: Measures the information in the channels of the base.
        target: Largest costs, by kind.

    Returns:
        The steps from the structure to the design. The design exceeds the target if even one channel in each slot does.
    """
    limits = limits_of(target, search.pricing(search.asker.base))
    match rule:
        case WidthRule.PRUNED:
            return list(search.channels(structure, target))
        case WidthRule.GROWN:
            design = _grown(structure, search, target)
        case WidthRule.RANK:
            design = _by_rank(structure, search, limits)
        case WidthRule.FLAT:
            design = flat_within(structure, search.pricing, limits)
    return [search.with_widths(design, f"{WORDS[rule]} ({', '.join(map(str, widths_of(design)))})")]


def flat_within(structure: Design, pricing: Pricing, limits: Mapping[str, int]) -> Design:
    """Give all slots of a structure one width, the largest within the limits."""
    most = WIDEST * float(widths_of(structure).max())
    return pricing.find_widest(limits, lambda width: flat(structure, 1 + width), most)


def _by_rank(structure: Design, search: Search, limits: Mapping[str, int]) -> Design:
    """Give all slots widths in proportion to the effective rank of their channels in the base."""
    columns = search.asker.channels[search.by[1]].columns
    ranks = np.array([effective_rank(columns[search.asker.tap_of[slot.name]]) for slot in structure.slots()])
    most = WIDEST * float((widths_of(structure) / ranks).max())
    return search.pricing.find_widest(limits, lambda factor: _at_least_one(structure, factor * ranks), most)


def effective_rank(columns: np.ndarray) -> float:
    """Compute the effective rank of channels: the exponential of the entropy of their principal variances' shares.

    Args:
        columns: (n, channels, columns of each channel). The columns of a channel count as further samples.

    Returns:
        Between 1 and the number of channels; 1 if no channel varies.

    References:
        Roy & Vetterli, EUSIPCO 2007, eq. 3, of the covariance instead of the matrix itself.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> round(effective_rank(rng.normal(size=(10_000, 3, 1))), 2)
        3.0
        >>> effective_rank(np.ones((5, 3, 1)))
        1.0
    """
    samples = np.moveaxis(columns, 1, -1).reshape(-1, columns.shape[1]).astype(np.float64)
    variances = np.linalg.eigvalsh(np.atleast_2d(np.cov(samples, rowvar=False))).clip(0)
    if not variances.sum() > 0:
        return 1.0
    shares = variances[variances > 0] / variances.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _grown(structure: Design, search: Search, target: Mapping[str, int]) -> Design:
    """Widen tied slots from 1 channel on, each time where the information gained per added cost is largest.

    Slots take the widths that narrowing goes through. A slot whose information can't be estimated is widened first, as
    it is narrowed last.
    """
    grids = [(slots, _widths_of_narrowing(slots[0].width)) for slots in structure.tied()]
    design = structure.with_widths([1] * len(structure.slots()))
    while True:
        worth = {}
        for slots, wider in grids:
            width = width_in(design, slots)
            if width in wider:
                option = with_width(design, slots, wider[width])
                if search.pricing.is_within(option, target):
                    gained = max(search.lost_between(slots, option, design), LEAST_LOSS)
                    worth[option] = gained / added_cost(search.pricing, target, design, option)
        if not worth:
            return design
        design = max(worth, key=lambda option: worth[option])


def added_cost(pricing: Pricing, target: Mapping[str, int], narrow: Design, wide: Design) -> float:
    """Return the costs that a wider design adds, as shares of their targets, added up."""
    costs, less = pricing(wide), pricing(narrow)
    return sum((costs[kind] - less[kind]) / most for kind, most in target.items())


def _widths_of_narrowing(width: int) -> dict[int, int]:
    """Return the next wider width of each width that narrowing goes through.

    Examples:
        >>> _widths_of_narrowing(5)
        {4: 5, 3: 4, 2: 3, 1: 2}
    """
    wider = {}
    while width > 1:
        wider[narrower(width)] = width
        width = narrower(width)
    return wider


def _at_least_one(design: Design, widths: np.ndarray) -> Design:
    return design.with_widths(np.maximum(1, np.round(widths)).astype(int).tolist())
