"""Proposals: a ranked set of leaner designs with their costs, their information loss and the reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import pandas as pd

from bench.errors import InputError
from bench.information.statistics import round_up
from bench.pruning.designs import Design
from bench.pruning.designs.costs import Costs
from bench.pruning.search.asker import Asker, Loss
from bench.pruning.search.base import Base
from bench.pruning.search.search import Search, Step, last_step_of_each_part

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
    """

    name: str
    design: Design
    steps: Sequence[Step]
    costs: Costs
    loss: Loss
    score: Loss
    swap: str | None = None

    @property
    def within_margin(self) -> bool:
        """Whether all removals are below the margin."""
        return self.swap is None and all(step.removable for step in last_step_of_each_part(self.steps))

    def reasons(self) -> str:
        """Describe in sentences why the parts were removed."""
        if self.swap:
            return f"{self.swap} replaces that of the base; the base has no information about this network"
        return "\n".join(step.describe() for step in last_step_of_each_part(self.steps))

    def overrides(self) -> str:
        """Return the overrides of `python -m bench` that train this design instead of the base's."""
        return " ".join(_overrides("model", self.design.arguments()))


def propose_designs(search: Search, base: Design, target: Mapping[str, float | None]) -> list[Proposal]:
    """Propose leaner designs, ordered by falling number of parameters.

    With a target, several structures are narrowed until they meet it. These are the structure of the base, the
    structure after each part that may be removed and after each further bottom level, and each of them without its next
    part. Bits rank designs of one structure better than they rank structures, so retraining chooses the structure.

    Without a target, the removals are those that the margin allows. Further designs have half and a quarter of the cost
    of the leanest of these. Retraining then shows how much can be removed.

    Args:
        search: Finds the removals.
        base: The design to start from.
        target: params and flops as shares of the costs of the base; None for no target.

    Raises:
        InputError: Even one channel in each slot does not meet the target.
    """
    costs = search.pricing(base)
    wanted = {kind: max(1, int(share * costs[kind])) for kind, share in target.items() if kind != "loss" and share}
    parts = list(search.parts(base))
    if wanted:
        removed = [*parts, *search.bottoms(_last_design(parts, base))]
        structures = [removed[:count] for count in range(len(removed) + 1)]
        _check_met(_narrow(structures[-1], base, search, wanted), base, search, wanted, target)
        structures += [[*removed, *search.next_part(_last_design(removed, base))] for removed in structures]
        found = [_narrow(removed, base, search, wanted) for removed in structures]
        found = [steps for steps in found if _exceeded_cost(_last_design(steps, base), search, wanted) is None]
    else:
        allowed = [*parts, *search.channels(_last_design(parts, base))]
        start = _last_design(allowed, base)
        halves = ({kind: search.pricing(start)[kind] // times for kind in ("params", "flops")} for times in LEANER)
        found = [parts, allowed, *([*allowed, *search.channels(start, most)] for most in halves)]
    distinct = {_last_design(steps, base): steps for steps in reversed(found) if steps}
    ranked = sorted(distinct, key=lambda design: -search.pricing(design).params)
    narrower = [
        Proposal(f"lean_{rank}", design, distinct[design], search.pricing(design), *search.losses(design))
        for rank, design in enumerate(ranked, 1)
    ]
    unknown = Loss(nan, nan, nan, False)
    return narrower + [
        Proposal(f"swap_{rank}", design, (), search.pricing(design), unknown, unknown, swap)
        for rank, (swap, design) in enumerate(base.swaps().items(), 1)
        if _exceeded_cost(design, search, wanted) is None
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


def _narrow(removed: Sequence[Step], base: Design, search: Search, wanted: Mapping[str, int]) -> list[Step]:
    """Narrow the slots after these removals until the target is met."""
    return [*removed, *search.channels(_last_design(removed, base), wanted)]


def _exceeded_cost(design: Design, search: Search, wanted: Mapping[str, int]) -> str | None:
    """Return the first kind of cost that exceeds its target, or None."""
    costs = search.pricing(design)
    return next((kind for kind, most in wanted.items() if costs[kind] > most), None)


def _check_met(
    steps: Sequence[Step], base: Design, search: Search, wanted: Mapping[str, int], target: Mapping[str, float | None]
) -> None:
    """Raise InputError if the design after these steps does not meet the target."""
    leanest = _last_design(steps, base)
    if kind := _exceeded_cost(leanest, search, wanted):
        costs, whole, loss = search.pricing(leanest), search.pricing(base), search.losses(leanest)[0]
        nearest = {each: round_up(costs[each] / whole[each], digits=3) for each in ("params", "flops")}
        raise InputError(
            f"target.{kind}: got {target[kind]}, wanted at least {nearest[kind]:g}: the leanest design has "
            f"{nearest['params']:g} of the parameters and {nearest['flops']:g} of the FLOPs of the base "
            f"({leanest.arguments()}), and loses {loss.bits:.3f} of {search.peak:.3f} bits"
        )


def ranked(proposals: Sequence[Proposal], base: Base) -> pd.DataFrame:
    """Build the table of proposals: design, costs, rank score with its interval, information loss and reasons."""
    whole = base.pricing(base.design)
    return pd.DataFrame(
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
