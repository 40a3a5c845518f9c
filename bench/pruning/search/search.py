"""Search: greedy removal of what tells least, asking again after each removal what the rest tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf, isnan, log

from bench.errors import InputError
from bench.pruning.designs import Design, Place
from bench.pruning.designs.costs import Pricing
from bench.pruning.search.asker import Asker, Loss

NARROWING = 0.8  # of a width, in one step
EVENLY = {"params": 1.0, "flops": 1.0}
LEAST_LOSS = 1e-4  # bits: below this, what is saved decides


@dataclass(frozen=True)
class Step:
    """One removal: what of the base is narrower or gone by then, the design after it, and what that tells of the label.

    gain: of all that is gone, given what is kept. may_go: it is reliable and its interval's upper end below the margin.
    """

    part: str
    change: str
    design: Design
    gain: Loss
    may_go: bool

    def sentence(self, told: float) -> str:
        """Why the part went, in words."""
        why = "" if self.may_go else "; above the margin, for the target alone"
        return (
            f"{self.change} {self.gain.bits:.3f} bits of the label given what is kept ({self.gain.low:.3f} to "
            f"{self.gain.high:.3f}; the most telling layer tells {told:.3f}){why}"
        )


def of_each_part(steps: Sequence[Step]) -> list[Step]:
    """The last step of each part, which speaks of all that the part has lost."""
    return list({step.part: step for step in steps}.values())


class Search:
    """Finds designs by one estimator and view.

    margin: the share of what the most telling layer tells that a part may tell, by the upper end, and still go.
    """

    def __init__(self, asker: Asker, pricing: Pricing, estimator: str, view: str, margin: float):
        self.asker = asker
        self.pricing = pricing
        self.by = (estimator, view)
        self.told = asker.told(*self.by)
        if not self.told > 0:
            raise InputError(
                f"estimator: {estimator} finds nothing of the label in any layer ({view} view), so that nothing can be "
                "ranked by it; train the base longer, raise ask.samples or choose another estimator or view"
            )
        self.most = margin * self.told
        self.whole = {place.name: place.width for place in asker.base.places()}

    def losses(self, design: Design) -> tuple[Loss, Loss]:
        """What a design gives up in all, in bits, and with the charge for its narrowest place, the rank score."""
        bits, charged = (self.asker.loss(design, *self.by, reading) for reading in ("cut", "cut_and_narrowest"))
        return bits, charged

    def parts(self, design: Design) -> Iterator[Step]:
        """Levels and skips that may go, one after the other, that which surely tells least first."""
        while options := [step for step in self._without_a_part(design) if step.may_go]:
            step = min(options, key=lambda option: option.gain.high)
            yield step
            design = step.design

    def bottoms(self, design: Design) -> Iterator[Step]:
        """Levels from below, one after the other, whether they may go or not."""
        while levels := [step for step in self._without_a_part(design) if step.part.startswith("level")]:
            yield levels[0]
            design = levels[0].design

    def next_part(self, design: Design) -> list[Step]:
        """The level or skip that surely tells least, whether it may go or not; empty where none is left."""
        options = [step for step in self._without_a_part(design) if not isnan(step.gain.high)]
        return sorted(options, key=lambda option: option.gain.high)[:1]

    def channels(self, design: Design, target: Mapping[str, int] | None = None) -> Iterator[Step]:
        """Channels of tied places one after the other, each time those that tell least for what they save.

        target: the costs to come down to, whether the channels may go or not; None goes as far as they may. What is
        saved of parameters and of FLOPs counts by how far each still is from its target, and what the last steps save
        too much is given back.
        """
        while True:
            costs = self.pricing(design)
            far = {kind: log(costs[kind] / most) for kind, most in target.items()} if target else EVENLY
            if max(far.values()) <= 0:
                yield from self._given_back(design, target)
                return
            prices = {}
            for before, step in self._narrower(design):
                left = self.pricing(step.design)
                saved = sum(max(0, weight) * log(costs[kind] / left[kind]) for kind, weight in far.items())
                if saved > 0 and (target or step.may_go):
                    prices[step] = max(self._lost(design, before, step), LEAST_LOSS) / saved
            if not prices:
                return
            step = min(prices, key=prices.get)
            yield step
            design = step.design

    def _lost(self, design: Design, before: Loss, step: Step) -> float:
        """Bits that a step gives up and the charge that it adds; what can't be estimated goes last."""
        charges = [self.asker.charge(either, *self.by) for either in (step.design, design)]
        lost = step.gain.bits - before.bits + charges[0] - charges[1]
        return inf if isnan(lost) else lost

    def _without_a_part(self, design: Design) -> Iterator[Step]:
        for part, left in design.removals().items():
            gone = left.removed_parts(self.asker.base)
            change = f"without {' and '.join(gone)}: {'it tells' if len(gone) == 1 else 'together they tell'}"
            yield self._step(part, change, left, self.asker.structure(left, *self.by))

    def _narrower(self, design: Design) -> Iterator[tuple[Loss, Step]]:
        """(what the channels gone before tell, the step) of each place that can be narrower."""
        for places in design.tied():
            width = places[0].width
            fewer = min(width - 1, ceil(NARROWING * width))
            if fewer >= 1:
                yield self._untold(places, width), self._resized(design, places, fewer)

    def _given_back(self, design: Design, target: Mapping[str, int]) -> Iterator[Step]:
        """What the last steps saved beyond the target, a channel at a time, the narrowest places first."""
        while True:
            for places in sorted(design.tied(), key=lambda places: places[0].width):
                wider = places[0].width + 1
                left = _with_width(design, places, wider)
                costs = self.pricing(left)
                if wider < self.whole[places[0].name] and all(costs[kind] <= most for kind, most in target.items()):
                    yield self._resized(design, places, wider)
                    design = left
                    break
            else:
                return

    def _untold(self, places: Sequence[Place], width: int) -> Loss:
        return Loss.total([self.asker.width(place.name, width, *self.by) for place in places])

    def _resized(self, design: Design, places: Sequence[Place], width: int) -> Step:
        part = " and ".join(place.name for place in places)
        change = f"{part} with {width} of {self.whole[places[0].name]} channels: the others tell"
        return self._step(part, change, _with_width(design, places, width), self._untold(places, width))

    def _step(self, part: str, change: str, design: Design, gain: Loss) -> Step:
        return Step(part, change, design, gain, gain.reliable and gain.high < self.most)


def _with_width(design: Design, places: Sequence[Place], width: int) -> Design:
    names = [place.name for place in places]
    return design.with_widths([width if place.name in names else place.width for place in design.places()])
