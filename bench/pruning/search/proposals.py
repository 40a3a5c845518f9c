"""Proposals: a ranked set of leaner designs with their costs, their information loss and the reasons."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import pandas as pd

from bench.errors import InputError
from bench.information.statistics import round_up
from bench.pruning.designs import Design, SwapKind
from bench.pruning.designs.costs import Costs, costs_of, limits_of
from bench.pruning.search.asker import Asker
from bench.pruning.search.base import Base
from bench.pruning.search.loss import Loss
from bench.pruning.search.predictor import FEATURES, Predictor, features_of
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
            reasons.append(f"{self.swap} replaces that of the base; the base has no information about this network")
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
        InputError: Even one channel in each slot does not meet the target.
    """
    wanted = costs_of(target, search.pricing(base))
    found = _within_target(search, base, target, wanted, rules) if wanted else _within_margin(search, base)
    swapped = _swapped(search, base, wanted, swaps)
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
    target: Mapping[str, float | None],
    wanted: Mapping[str, int],
    rules: Sequence[WidthRule],
) -> list[list[Step]]:
    """Give several structures widths within the target, by each rule. Those that exceed it are left out."""
    parts = list(search.parts(base))
    removed = [*parts, *search.bottoms(_last_design(parts, base))]
    structures = [removed[:count] for count in range(len(removed) + 1)]
    _check_met(_last_design(removed, base), search, wanted, target)
    structures += [[*steps, *search.next_part(_last_design(steps, base))] for steps in structures]
    found = [
        [*steps, *steps_to_widths(rule, _last_design(steps, base), search, wanted)]
        for rule in rules
        for steps in structures
    ]
    return [steps for steps in found if search.pricing.is_within(_last_design(steps, base), wanted)]


def _swapped(search: Search, base: Design, wanted: Mapping[str, int], kinds: Collection[str]) -> list[Proposal]:
    """Propose the designs in which a smaller version replaces a part, with flat widths if there is a target of cost.

    The versions replace parts of the base, and of the base without the parts that may be removed.
    """
    parts, limits = list(search.parts(base)), limits_of(wanted, search.pricing(base))
    fitted = {}
    for steps in ([], parts):
        for swap, design in _last_design(steps, base).swaps().items():
            if swap.kind in kinds:
                fitted[flat_within(design, search.pricing, limits) if wanted else design] = (steps, str(swap))
    unknown = Loss(nan, nan, nan, False)
    affordable = {design: found for design, found in fitted.items() if search.pricing.is_within(design, limits)}
    return [
        Proposal(f"swap_{rank}", design, steps, search.pricing(design), unknown, unknown, words)
        for rank, (design, (steps, words)) in enumerate(affordable.items(), 1)
    ]


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


def _check_met(
    structure: Design, search: Search, wanted: Mapping[str, int], target: Mapping[str, float | None]
) -> None:
    """Raise InputError if no widths of a structure meet the target."""
    leanest = structure.with_widths([1] * len(structure.slots()))
    costs, whole = search.pricing(leanest), search.pricing(search.asker.base)
    for kind, most in wanted.items():
        if costs[kind] > most:
            loss = search.losses(leanest)[0]
            nearest = {each: round_up(costs[each] / whole[each], digits=3) for each in ("params", "flops")}
            raise InputError(
                f"target.{kind}: got {target[kind]}, wanted at least {nearest[kind]:g}: the leanest design has "
                f"{nearest['params']:g} of the parameters and {nearest['flops']:g} of the FLOPs of the base "
                f"({leanest.arguments()}), and loses {loss.bits:.3f} of {search.peak:.3f} bits"
            )


def ranked(proposals: Sequence[Proposal], base: Base) -> pd.DataFrame:
    """Build the table of proposals: design, costs, rank score, information loss, predicted loss and reasons."""
    whole = base.pricing(base.design)
    features = [proposal.features or dict.fromkeys(FEATURES, nan) for proposal in proposals]
    predicted = Predictor.shipped().predict(pd.DataFrame(features, columns=FEATURES))
    table = pd.DataFrame(
        {
            "design": proposal.name,
            "overrides": proposal.overrides(),
            "params": proposal.costs.params,
            "flops": proposal.costs.flops,
            "latency_ms": base.latency_ms(proposal.design),
            "params_ratio": whole.params / proposal.costs.params,
            "flops_ratio": whole.flops / proposal.costs.flops,
            "rank_score": proposal.score.bits,
            "score_low": proposal.score.low,
            "score_high": proposal.score.high,
            "information_loss": proposal.loss.bits,
            "low": proposal.loss.low,
            "high": proposal.loss.high,
            "reliable": proposal.loss.reliable,
            "within_margin": proposal.within_margin,
            "why": proposal.reasons(),
        }
        for proposal in proposals
    )
    return table.join(predicted)


def answers(asker: Asker) -> pd.DataFrame:
    """Build the table of the information in each part and in each slot alone, by all estimators and views."""
    rows = []
    for estimator, view in asker.diagnostics():
        questions = {str(part): asker.pair(part, estimator, view) for part in asker.pairs}
        questions |= {slot: asker.slot(slot, estimator, view) for slot in asker.tap_of}
        rows += [
            {"estimator": estimator, "view": view, "part": part, "bits": loss.bits, "low": loss.low, "high": loss.high,
             "reliable": loss.reliable}
            for part, loss in questions.items()
        ]  # fmt: skip
    return pd.DataFrame(rows)
