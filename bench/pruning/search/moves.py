"""Moves: shift channels of a lean network from slots of little worth to slots of large worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from math import isinf

from bench.pruning.designs import Design, Slot
from bench.pruning.search.search import Search, Step, narrower, width_in, with_width
from bench.pruning.search.widths import WIDEST, added_cost

LostBetween = Callable[[Sequence[Slot], Design, Design], float]  # tied slots, a wide and a narrow design


def moves(
    search: Search, target: Mapping[str, int], limits: Mapping[str, int], most: int, lost: LostBetween
) -> list[Step]:
    """Move width between the slots of the network that was measured, within limits of cost.

    The worth of a slot is what would be lost without its last channels, divided by their cost. A slot of little worth
    is narrowed by one step. Then a slot of large worth is made as wide as the limits allow. Channels that do not exist
    can't be measured. The worth of the last channels is used in their place.

    Args:
        search: Measures the information in the channels of the network.
        target: Largest costs that the target names, by kind. The cost of channels is the sum of its shares of these.
        limits: Largest costs of a design, by kind, also of a kind that the target does not name.
        most: Largest number of designs. Each widens another slot.
        lost: What is lost: information about the label as by `Search.lost_between`, or `Importance.lost_between`.

    Returns:
        The moves. The information loss of each is that of the channels that it removes.
    """
    return list(islice(_moves(search, target, limits, lost), most))


def _moves(search: Search, target: Mapping[str, int], limits: Mapping[str, int], lost: LostBetween) -> Iterator[Step]:
    """Yield the moves, those to the slot of the largest worth first."""
    design = search.asker.base
    ranked = _by_worth(search, target, design, lost)
    for receiver in reversed(ranked):
        for giver in ranked:
            if giver is not receiver:
                fewer = narrower(giver[0].width)
                option = _widened(search, limits, with_width(design, giver, fewer), receiver)
                if width_in(option, receiver) > receiver[0].width:
                    change = f"{_change(receiver, option)}, {_change(giver, option)}, which have"
                    yield search.step(_name(receiver), change, option, search.channel_loss(giver, fewer))
                    break


def _by_worth(search: Search, target: Mapping[str, int], design: Design, lost: LostBetween) -> list[Sequence[Slot]]:
    """Return the tied slots that can be narrowed and measured, by rising worth."""
    worth = {}
    groups = [slots for slots in design.tied() if narrower(slots[0].width) >= 1]
    for number, slots in enumerate(groups):
        option = with_width(design, slots, narrower(slots[0].width))
        value = lost(slots, design, option)
        if not isinf(value):
            worth[number] = value / added_cost(search.pricing, target, option, design)
    return [groups[number] for number in sorted(worth, key=lambda each: worth[each])]


def _widened(search: Search, limits: Mapping[str, int], design: Design, slots: Sequence[Slot]) -> Design:
    """Make tied slots as wide as the limits allow."""
    width = slots[0].width
    return search.pricing.find_widest(
        limits, lambda more: with_width(design, slots, width + int(more)), (WIDEST - 1) * float(width)
    )


def _change(slots: Sequence[Slot], design: Design) -> str:
    """Describe the new width of tied slots."""
    return f"{_name(slots)} from {slots[0].width} to {width_in(design, slots)} channels"


def _name(slots: Sequence[Slot]) -> str:
    return " and ".join(slot.name for slot in slots)
