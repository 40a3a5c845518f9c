"""Search: greedy removal of what tells least, asking again after each removal what the rest tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, log

from bench.asking.asker import Asker, Loss
from bench.designs import Design
from bench.designs.costs import Costs, Pricing
from bench.errors import InputError

NARROWING = 0.8  # of a width, in one step
LEAST_LOSS = 1e-4  # bits: below this, what is saved decides


@dataclass(frozen=True)
class Step:
    """One removal: the part, the design after it, what that part tells given what remains, and whether it may go.

    may_go: the number is reliable and the upper end of its interval lies below the margin.
    """

    part: str
    design: Design
    gain: Loss
    may_go: bool

    def sentence(self, told: float) -> str:
        """Why the part went, in words."""
        given = "given what remains" if self.part.startswith(("skip", "level")) else "given the channels that stay"
        why = "" if self.may_go else "; above the margin, for the target alone"
        return (
            f"{self.part} tells {self.gain.bits:.3f} bits of the label {given} "
            f"({self.gain.low:.3f} to {self.gain.high:.3f}; the most telling layer tells {told:.3f}){why}"
        )


class Search:
    """Finds designs by one estimator and view.

    margin: the share of what the most telling layer tells that a part may tell, by the upper end, and still go.
    """

    def __init__(self, asker: Asker, pricing: Pricing, estimator: str, view: str, margin: float):
        self.asker = asker
        self.pricing = pricing
        self.by = (estimator, view)
        self.told = asker.told(*self.by)
        if self.told <= 0:
            raise InputError(
                f"estimator: {estimator} finds nothing of the label in any layer ({view} view), so that nothing can be "
                "ranked by it; train the base longer, raise ask.samples or choose another estimator or view"
            )
        self.most = margin * self.told

    def loss(self, design: Design) -> Loss:
        """What a design gives up in all, the rank score."""
        return self.asker.loss(design, *self.by)

    def _step(self, part: str, design: Design, gain: Loss) -> Step:
        return Step(part, design, gain, gain.reliable and gain.high < self.most)

    def parts(self, design: Design) -> Iterator[Step]:
        """Levels and skips that may go, one after the other, that of least gain first."""
        while True:
            options = [self._without(design, part, left) for part, left in design.removals().items()]
            options = [option for option in options if option.may_go]
            if not options:
                return
            step = min(options, key=lambda option: option.gain.high)
            yield step
            design = step.design

    def _without(self, design: Design, part: str, left: Design) -> Step:
        gone = [place for place in design.sources() if place not in left.sources()]
        kept = self.asker.kept(design)
        going, staying = (
            {self.asker.tap_of[place]: tuple(sorted(kept[place])) for place in places}
            for places in (gone, left.sources())
        )
        return self._step(part, left, self.asker.gain(*self.by, part, going, staying))

    def channels(self, design: Design, target: Mapping[str, int] | None = None) -> Iterator[Step]:
        """Channels of tied places one after the other, those that tell least for what they cost first.

        target: the costs to come down to; None goes as far as channels may go.
        """
        while True:
            options = list(self._narrower(design, target))
            if target is None:
                options = [(price, option) for price, option in options if option.may_go]
            elif all(self.pricing(design)[kind] <= wanted for kind, wanted in target.items()):
                return
            if not options:
                return
            _, step = min(options, key=lambda priced: priced[0])
            yield step
            design = step.design

    def _narrower(self, design: Design, target: Mapping[str, int] | None) -> Iterator[tuple[float, Step]]:
        """(bits lost for the logarithm of the cost saved, the step) of each place that can be narrower."""
        for places in design.tied():
            width = places[0].width
            fewer = min(width - 1, ceil(NARROWING * width))
            if fewer < 1:
                continue
            names = [place.name for place in places]
            left = design.with_widths([fewer if p.name in names else p.width for p in design.places()])
            saved = self._saved(self.pricing(design), self.pricing(left), target)
            if saved > 0:
                gain, before = (
                    Loss.total([self.asker.width(name, kept, *self.by) for name in names]) for kept in (fewer, width)
                )
                part = f"{width - fewer} of {width} channels of {' and '.join(names)}"
                yield max(gain.bits - before.bits, LEAST_LOSS) / saved, self._step(part, left, gain)

    def _saved(self, before: Costs, after: Costs, target: Mapping[str, int] | None) -> float:
        """How much cheaper, as a logarithm, in those costs that are still above their target."""
        kinds = ("params", "flops") if target is None else [k for k, most in target.items() if before[k] > most]
        return sum(log(before[kind] / after[kind]) for kind in kinds)
