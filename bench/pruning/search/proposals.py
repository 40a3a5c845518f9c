"""Proposals: a ranked set of leaner designs with their costs, their information loss and the reasons."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan

from bench.errors import InputError
from bench.information.statistics import round_up
from bench.pruning.designs import Design, SwapKind
from bench.pruning.designs.costs import Costs, costs_of, limits_of
from bench.pruning.search.loss import Loss
from bench.pruning.search.predictor import features_of
from bench.pruning.search.search import Search, Step, last_step_of_each_part
from bench.pruning.search.widths import WidthRule, flat_within, steps_to_widths

MOST = 16  # proposals
LEANER = (2, 4)  # divisors of the parameters and FLOPs of the leanest design that the margin allows


@dataclass(frozen=True)
class Proposal:
    """A leaner design and the removals that led to it.

    Attributes:
        name: Name of the proposal.
        design: The design.
        steps: The removals.
        costs: The costs of the design.
        loss: Total information loss, bits.
        score: Loss with the charge for the narrowest slot, by which proposals are ranked.
        swap: The smaller version that replaces a part of the base. The base has no information about it, so loss and
            score are NaN.
        features: What the predictor of the loss of score reads, as by `features_of`. None if the base does not tell.
    """

    name: str
    design: Design
    steps: Sequence[Step]
    costs: Costs
    loss: Loss
    score: Loss
    swap: str | None = None
    features: Mapping[str, float] | None = None

    @property
    def within_margin(self) -> bool:
        """Whether all removals are below the margin."""
        return self.swap is None and all(step.removable for step in last_step_of_each_part(self.steps))

    def reasons(self) -> str:
        """Describe in sentences why the parts were removed."""
        reasons = [step.describe() for step in last_step_of_each_part(self.steps)]
        if self.swap:
            reasons.append(f"smaller version of a part: {self.swap}; the base has no information about this network")
        return "\n".join(reasons)

    def overrides(self) -> str:
        """Return the overrides of `python -m bench` that train this design instead of the base's."""
        return " ".join(_overrides("model", self.design.arguments()))


def propose_designs(
    search: Search,
    base: Design,
    target: Mapping[str, float | None],
    rules: Sequence[WidthRule] = tuple(WidthRule),
    swaps: Collection[str] = tuple(SwapKind),
) -> list[Proposal]:
    """Propose leaner designs, ordered by falling number of parameters.

    With a target of cost, several structures get widths by several rules, as wide as the target allows. A cost that the
    target does not name is at most that of the base. The structures are that of the base, those after each part that
    may be removed and after each further bottom level, and each of them without its next part. The designs with the
    lowest rank scores are proposed, 16 at most. Bits rank designs of one structure better than they rank structures, so
    retraining chooses the structure.

    Without a target of cost, the removals are those that the margin allows. Further designs have half and a quarter of
    the cost of the leanest of these. Retraining then shows how much can be removed.

    Args:
        search: Finds the removals.
        base: The design to start from.
        target: params and flops as shares of the costs of the base; None for no target.
        rules: The rules of the widths, with a target of cost.
        swaps: The kinds of smaller versions that may replace a part.

    Raises:
        InputError: Even with one channel in each slot, no structure and no smaller version meets the target.
    """
    wanted = costs_of(target, search.pricing(base))
    found = _within_target(search, base, wanted, rules) if wanted else _within_margin(search, base)
    swapped = _swapped(search, base, wanted, swaps)
    if wanted and not found and not swapped:
        raise InputError(_nearest(search, base, target, wanted, swaps))
    distinct = {_last_design(steps, base): steps for steps in reversed(found) if steps}
    losses = {design: search.losses(design) for design in distinct}
    best = sorted(distinct, key=lambda design: losses[design][1].bits)[: MOST - len(swapped)]
    ranked = sorted(best, key=lambda design: -search.pricing(design).params)
    features = {design: features_of(design, base, search.pricing, search.asker, *search.by) for design in ranked}
    return [
        Proposal(
            f"lean_{rank}", design, distinct[design], search.pricing(design), *losses[design], features=features[design]
        )
        for rank, design in enumerate(ranked, 1)
    ] + swapped


def _within_margin(search: Search, base: Design) -> list[list[Step]]:
    """Remove what the margin allows, and further channels down to half and a quarter of the costs."""
    parts = list(search.parts(base))
    allowed = [*parts, *search.channels(_last_design(parts, base))]
    start = _last_design(allowed, base)
    halves = ({kind: search.pricing(start)[kind] // times for kind in ("params", "flops")} for times in LEANER)
    return [parts, allowed, *([*allowed, *search.channels(start, most)] for most in halves)]


def _within_target(
    search: Search,
    base: Design,
    wanted: Mapping[str, int],
    rules: Sequence[WidthRule],
) -> list[list[Step]]:
    """Give several structures widths within the target, by each rule. Those that exceed it are left out."""
    structures = [(steps, _last_design(steps, base)) for steps in _structures(search, base)]
    return [
        [*steps, *steps_to_widths(rule, structure, search, wanted)]
        for rule in rules
        for steps, structure in structures
        if search.pricing.is_within(_narrowest(structure), wanted)
    ]


def _structures(search: Search, base: Design) -> list[list[Step]]:
    """Remove the parts that may be removed and further bottom levels, one by one, each also with the next part."""
    parts = list(search.parts(base))
    removed = [*parts, *search.bottoms(_last_design(parts, base))]
    structures = [removed[:count] for count in range(len(removed) + 1)]
    return structures + [[*steps, *search.next_part(_last_design(steps, base))] for steps in structures]


def _swapped(search: Search, base: Design, wanted: Mapping[str, int], kinds: Collection[str]) -> list[Proposal]:
    """Propose the designs in which a smaller version replaces a part, with flat widths if there is a target of cost.

    The versions replace parts of the base, and of the base without the parts that may be removed.
    """
    limits = limits_of(wanted, search.pricing(base))
    fitted = {
        flat_within(design, search.pricing, limits) if wanted else design: (steps, words)
        for design, steps, words in _swaps(search, base, kinds)
    }
    unknown = Loss(nan, nan, nan, False)
    affordable = {design: found for design, found in fitted.items() if search.pricing.is_within(design, limits)}
    return [
        Proposal(f"swap_{rank}", design, steps, search.pricing(design), unknown, unknown, words)
        for rank, (design, (steps, words)) in enumerate(affordable.items(), 1)
    ]


def _swaps(search: Search, base: Design, kinds: Collection[str]) -> Iterator[tuple[Design, list[Step], str]]:
    """Yield each design with a smaller version, the removals that it has beside, and the version in words."""
    for steps in ([], list(search.parts(base))):
        for swap, design in _last_design(steps, base).swaps().items():
            if swap.kind in kinds:
                yield design, steps, str(swap)


def _overrides(path: str, values: Mapping) -> Iterator[str]:
    """Yield an override for each argument, with nested keys."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _overrides(f"++{path.lstrip('+')}.{key}", value)  # a key that the config may not have
        else:
            yield (
                f"{path}.{key}='[{','.join(map(str, value))}]'" if isinstance(value, list) else f"{path}.{key}={value}"
            )


def _last_design(steps: Sequence[Step], base: Design) -> Design:
    """Return the design after the last step."""
    return steps[-1].design if steps else base


def _narrowest(design: Design) -> Design:
    """Return a design with one channel in each slot."""
    return design.with_widths([1] * len(design.slots()))


def _nearest(
    search: Search, base: Design, target: Mapping[str, float | None], wanted: Mapping[str, int], kinds: Collection[str]
) -> str:
    """Describe the leanest possible design, for a target that no design meets."""
    structures = [_narrowest(_last_design(steps, base)) for steps in _structures(search, base)]
    swapped = [_narrowest(design) for design, *_ in _swaps(search, base, kinds)]

    def excess(design: Design) -> tuple[float, str]:
        return max((search.pricing(design)[kind] / most, kind) for kind, most in wanted.items())

    leanest = min(structures + swapped, key=excess)
    missed = excess(leanest)[1]
    least = round_up(search.pricing(leanest)[missed] / search.pricing(base)[missed], digits=3)
    lost = "an unknown part" if leanest in swapped else f"{search.losses(leanest)[0].bits:.3f}"
    return (
        f"target.{missed}: got {target[missed]}, wanted at least {least:g}: the leanest design has "
        f"{search.pricing.shares(leanest, base)} of the base ({leanest.arguments()}), and loses {lost} of "
        f"{search.peak:.3f} bits"
    )
