"""Proposals: a ranked set of leaner designs, each with what it costs, what it gives up, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import pandas as pd

from bench.errors import InputError
from bench.pruning.designs import Design
from bench.pruning.designs.costs import Costs
from bench.pruning.search.asker import Asker, Loss
from bench.pruning.search.base import Base
from bench.pruning.search.search import Search, Step, of_each_part

LEANER = (2, 4)  # how many times fewer parameters and FLOPs than the leanest design that the margin allows


@dataclass(frozen=True)
class Proposal:
    """A design and the removals that led to it. loss: bits given up in all; score: with the charge, to rank by.

    swap: what it has in place of a part of the base, of which nothing can be asked; its loss and score are NaN.
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
        """Whether every removal was one that the numbers allow."""
        return self.swap is None and all(step.may_go for step in of_each_part(self.steps))

    def why(self, told: float) -> str:
        """Why its parts went, in sentences."""
        if self.swap:
            return f"{self.swap} in place of the base's: another network, of which the base can't be asked"
        return "\n".join(step.sentence(told) for step in of_each_part(self.steps))

    def overrides(self) -> str:
        """What follows `python -m bench` to train this design in place of the base's."""
        return " ".join(_overrides("model", self.design.arguments()))


def propose_designs(search: Search, base: Design, target: Mapping[str, float | None]) -> list[Proposal]:
    """Designs by falling cost, each from the parts that may go and the channels that tell least.

    target: params and flops as shares of the base's. With either: several structures, from the base's own over the
    parts that may go to further bottom levels, and each without the next part too, are narrowed until the target is
    met: bits rank designs of one structure better than structures, so that retraining is to choose.
    Without: what may go, and half and a quarter of that design's cost, for retraining to say how far one may go.
    Raises InputError for a target that not even one channel everywhere meets.
    """
    costs = search.pricing(base)
    wanted = {kind: max(1, int(share * costs[kind])) for kind, share in target.items() if kind != "loss" and share}
    parts = list(search.parts(base))
    if wanted:
        removed = [*parts, *search.bottoms(_after(parts, base))]
        structures = [removed[:count] for count in range(len(removed) + 1)]
        _check_met(_narrowed(structures[-1], base, search, wanted), base, search, wanted, target)
        structures += [[*gone, *search.next_part(_after(gone, base))] for gone in structures]
        found = [_narrowed(gone, base, search, wanted) for gone in structures]
        found = [steps for steps in found if _missed(_after(steps, base), search, wanted) is None]
    else:
        allowed = [*parts, *search.channels(_after(parts, base))]
        start = _after(allowed, base)
        halves = ({kind: search.pricing(start)[kind] // times for kind in ("params", "flops")} for times in LEANER)
        found = [parts, allowed, *([*allowed, *search.channels(start, most)] for most in halves)]
    distinct = {_after(steps, base): steps for steps in reversed(found) if steps}
    ranked = sorted(distinct, key=lambda design: -search.pricing(design).params)
    narrower = [
        Proposal(f"lean_{rank}", design, distinct[design], search.pricing(design), *search.losses(design))
        for rank, design in enumerate(ranked, 1)
    ]
    unknown = Loss(nan, nan, nan, False)
    return narrower + [
        Proposal(f"swap_{rank}", design, (), search.pricing(design), unknown, unknown, swap)
        for rank, (swap, design) in enumerate(base.swaps().items(), 1)
        if _missed(design, search, wanted) is None
    ]


def _overrides(path: str, values: Mapping) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _overrides(f"++{path.lstrip('+')}.{key}", value)  # a key that the config may not have
        else:
            yield (
                f"{path}.{key}='[{','.join(map(str, value))}]'" if isinstance(value, list) else f"{path}.{key}={value}"
            )


def _after(steps: Sequence[Step], base: Design) -> Design:
    return steps[-1].design if steps else base


def _narrowed(gone: Sequence[Step], base: Design, search: Search, wanted: Mapping[str, int]) -> list[Step]:
    return [*gone, *search.channels(_after(gone, base), wanted)]


def _missed(design: Design, search: Search, wanted: Mapping[str, int]) -> str | None:
    """The first cost that a design has too much of."""
    costs = search.pricing(design)
    return next((kind for kind, most in wanted.items() if costs[kind] > most), None)


def _check_met(
    steps: Sequence[Step], base: Design, search: Search, wanted: Mapping[str, int], target: Mapping[str, float | None]
) -> None:
    leanest = _after(steps, base)
    if kind := _missed(leanest, search, wanted):
        costs, whole, loss = search.pricing(leanest), search.pricing(base), search.losses(leanest)[0]
        raise InputError(
            f"target.{kind}: got {target[kind]}, wanted at least {costs[kind] / whole[kind]:.3g}, as "
            f"the leanest design has ({leanest.arguments()}); it gives up {loss.bits:.3f} of {search.told:.3f} bits"
        )


def ranked(proposals: Sequence[Proposal], base: Base, told: float) -> pd.DataFrame:
    """A row per proposal: its choices, costs, the rank score with its interval, and the sentences why."""
    whole = base.pricing(base.design)
    return pd.DataFrame(
        {
            "design": proposal.name,
            "overrides": proposal.overrides(),
            "params": proposal.costs.params,
            "flops": proposal.costs.flops,
            "latency_ms": base.latency_ms(proposal.design),
            "params_fewer": whole.params / proposal.costs.params,
            "flops_fewer": whole.flops / proposal.costs.flops,
            "rank_score": proposal.score.bits,
            "score_low": proposal.score.low,
            "score_high": proposal.score.high,
            "bits_given_up": proposal.loss.bits,
            "low": proposal.loss.low,
            "high": proposal.loss.high,
            "reliable": proposal.loss.reliable,
            "within_margin": proposal.within_margin,
            "why": proposal.why(told),
        }
        for proposal in proposals
    )


def answers(asker: Asker) -> pd.DataFrame:
    """The question of every part of a network on its own, and of every place, by every estimator and view."""
    rows = []
    for estimator, view in asker.diagnostics():
        questions = {part: asker.pair(part, estimator, view) for part in asker.pairs}
        questions |= {place: asker.place(place, estimator, view) for place in asker.tap_of}
        rows += [
            {"estimator": estimator, "view": view, "part": part, "bits": gain.bits, "low": gain.low, "high": gain.high,
             "reliable": gain.reliable}
            for part, gain in questions.items()
        ]  # fmt: skip
    return pd.DataFrame(rows)
