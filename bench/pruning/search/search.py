"""Search: greedy removal of the part with the least information, which is estimated again after each removal."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.errors import InputError
from bench.pruning.designs import Design, PartKind, Slot
from bench.pruning.designs.costs import Pricing
from bench.pruning.search.asker import Asker
from bench.pruning.search.loss import Loss

NARROWING = 0.8  # factor of a width in one step
EVENLY = {"params": 1.0, "flops": 1.0}
LEAST_LOSS = 1e-4  # bits; among smaller losses the saved cost decides
REMEDY = "train the base longer, raise ask.samples or choose another estimator or view"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """One removal.

    Attributes:
        part: The part of the base that is removed or narrowed.
        change: The change in words.
        design: The design after the removal.
        information_loss: Information about the label in what is removed, given what is kept.
        removable: Whether the information loss is reliable and the upper end of its interval is below the margin.
    """

    part: str
    change: str
    design: Design
    information_loss: Loss
    removable: bool

    def describe(self) -> str:
        """Describe the removal and its loss of information about the label in a sentence."""
        loss, why = self.information_loss, "" if self.removable else "; above the margin, removed only for the target"
        return f"{self.change} {loss.bits:.3f} bits given what is kept ({loss.low:.3f} to {loss.high:.3f}){why}"


def narrower(width: int) -> int:
    """Return the width after one step of narrowing; 0 after a width of 1.

    Examples:
        >>> narrower(32), narrower(2), narrower(1)
        (26, 1, 0)
    """
    return min(width - 1, math.ceil(NARROWING * width))


def last_step_of_each_part(steps: Sequence[Step]) -> list[Step]:
    """Return the last step of each part. It covers all channels that the part has lost."""
    return list({step.part: step for step in steps}.values())


class Search:
    """Find leaner designs with one estimator and view.

    Args:
        asker: Measures the information loss.
        pricing: Counts the costs of designs.
        estimator: Name of the estimator.
        view: Name of the view.
        margin: Share of the peak information. A part may be removed if the upper end of its information loss is below
            this share.

    Raises:
        InputError: No layer has information about the label by this estimator and view. If the interval of the layer
            with most of it includes 0, a warning is logged.
    """

    def __init__(self, asker: Asker, pricing: Pricing, estimator: str, view: str, margin: float):
        self.asker = asker
        self.pricing = pricing
        self.by = (estimator, view)
        most = asker.peak(*self.by)
        self.peak = most.bits
        found = f"the most is {most.bits:.3f} bits, {most.low:.3f} to {most.high:.3f}"
        if not most.bits > 0:
            raise InputError(
                f"estimator: {estimator} finds no information about the label in any layer ({view} view; {found}), so "
                f"it can't rank designs; {REMEDY}"
            )
        if not most.low > 0:
            log.warning(
                "estimator: %s finds no certain information about the label in any layer (%s view; %s), so designs are "
                "mostly ranked by chance; %s", estimator, view, found, REMEDY,
            )  # fmt: skip
        self.most = margin * self.peak
        self.whole = {slot.name: slot.width for slot in asker.base.slots()}

    def losses(self, design: Design) -> tuple[Loss, Loss]:
        """Return the information loss of a design in bits, without and with the charge for its narrowest slot.

        The second value is the rank score.
        """
        bits, charged = (self.asker.loss(design, *self.by, reading) for reading in ("cut", "cut_and_narrowest"))
        return bits, charged

    def parts(self, design: Design) -> Iterator[Step]:
        """Yield the removal of levels and skips that may be removed, one after the other.

        The part whose information loss has the lowest upper end is removed first.
        """
        while options := [step for step in self._without_a_part(design) if step.removable]:
            step = min(options, key=lambda option: option.information_loss.high)
            yield step
            design = step.design

    def bottoms(self, design: Design) -> Iterator[Step]:
        """Yield the removal of the deepest level, one after the other, also above the margin."""
        while levels := [*self._without_a_part(design, PartKind.LEVEL)]:
            yield levels[0]
            design = levels[0].design

    def next_part(self, design: Design) -> list[Step]:
        """Return the removal of the level or skip whose loss has the lowest upper end, also above the margin.

        The list is empty if no part can be removed.
        """
        options = [step for step in self._without_a_part(design) if not math.isnan(step.information_loss.high)]
        return sorted(options, key=lambda option: option.information_loss.high)[:1]

    def channels(self, design: Design, target: Mapping[str, int] | None = None) -> Iterator[Step]:
        """Yield steps that narrow tied slots, each time where the information loss per saved cost is smallest.

        Savings of parameters and FLOPs are weighted by the distance of each cost from its target. If the last steps
        save more than the target needs, some channels are restored.

        Args:
            design: The design to start from.
            target: Costs to reach; channels are then removed also above the margin. None removes only channels that may
                be removed.
        """
        while True:
            if target and self.pricing.is_within(design, target):
                yield from self._restore_channels(design, target)
                return
            costs = self.pricing(design)
            far = {kind: math.log(costs[kind] / most) for kind, most in target.items()} if target else EVENLY
            prices = {}
            for slots, step in self._narrower(design):
                left = self.pricing(step.design)
                saved = sum(max(0, weight) * math.log(costs[kind] / left[kind]) for kind, weight in far.items())
                if saved > 0 and (target or step.removable):
                    prices[step] = max(self.lost_between(slots, design, step.design), LEAST_LOSS) / saved
            if not prices:
                return
            step = min(prices, key=lambda option: prices[option])
            yield step
            design = step.design

    def lost_between(self, slots: Sequence[Slot], wide: Design, narrow: Design) -> float:
        """Return the bits that tied slots lose between two designs, and the added charge for the narrowest slot.

        Returns:
            Bits; inf if they can't be estimated.
        """
        losses = [self.channel_loss(slots, width_in(design, slots)).bits for design in (narrow, wide)]
        charges = [self.asker.charge(design, *self.by) for design in (narrow, wide)]
        lost = losses[0] - losses[1] + charges[0] - charges[1]
        return math.inf if math.isnan(lost) else lost

    def with_widths(self, design: Design, words: str) -> Step:
        """Build the step that gives all slots the widths of a design, which `words` describe."""
        loss = Loss.total([self.asker.width(slot.name, slot.width, *self.by) for slot in design.slots()])
        return self.step("widths", f"{words}: the other channels of the base have", design, loss)

    def _without_a_part(self, design: Design, *kinds: PartKind) -> Iterator[Step]:
        """Yield the removal of each part of these kinds, or of each part."""
        for part, leaner in design.removals().items():
            if not kinds or part.kind in kinds:
                removed = leaner.removed_parts(self.asker.base)
                change = f"without {' and '.join(map(str, removed))}: {'it has' if len(removed) == 1 else 'they have'}"
                yield self.step(str(part), change, leaner, self.asker.structure(leaner, *self.by))

    def _narrower(self, design: Design) -> Iterator[tuple[Sequence[Slot], Step]]:
        """Yield each group of tied slots that can be narrower, with the step that narrows it."""
        for slots in design.tied():
            fewer = narrower(slots[0].width)
            if fewer >= 1:
                yield slots, self._resized(design, slots, fewer)

    def _restore_channels(self, design: Design, target: Mapping[str, int]) -> Iterator[Step]:
        """Restore channels while the design still meets the target, one at a time, the narrowest slots first."""
        while True:
            for slots in sorted(design.tied(), key=lambda slots: slots[0].width):
                wider = slots[0].width + 1
                left = with_width(design, slots, wider)
                if wider < self.whole[slots[0].name] and self.pricing.is_within(left, target):
                    yield self._resized(design, slots, wider)
                    design = left
                    break
            else:
                return

    def channel_loss(self, slots: Sequence[Slot], width: int) -> Loss:
        """Estimate the information in the channels of these slots beyond the first `width`."""
        return Loss.total([self.asker.width(slot.name, width, *self.by) for slot in slots])

    def _resized(self, design: Design, slots: Sequence[Slot], width: int) -> Step:
        """Build the step that gives these slots another width."""
        part = " and ".join(slot.name for slot in slots)
        change = f"{part} with {width} of {self.whole[slots[0].name]} channels: the others have"
        return self.step(part, change, with_width(design, slots, width), self.channel_loss(slots, width))

    def step(self, part: str, change: str, design: Design, loss: Loss) -> Step:
        """Build a step and compare its loss with the margin."""
        return Step(part, change, design, loss, loss.reliable and loss.high < self.most)


def with_width(design: Design, slots: Sequence[Slot], width: int) -> Design:
    """Give these slots another width."""
    names = [slot.name for slot in slots]
    return design.with_widths([width if slot.name in names else slot.width for slot in design.slots()])


def width_in(design: Design, slots: Sequence[Slot]) -> int:
    """Return the width that tied slots have in a design."""
    return next(slot.width for slot in design.slots() if slot.name == slots[0].name)
