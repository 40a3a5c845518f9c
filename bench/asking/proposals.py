"""Proposals: a ranked set of leaner designs, each with what it costs, what it gives up, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.asking.asker import Asker, Loss
from bench.asking.base import Base
from bench.asking.search import Search, Step
from bench.designs import Design
from bench.designs.costs import Costs
from bench.errors import InputError

LEANER = (2, 4)  # how many times fewer parameters and FLOPs than the leanest design that the margin allows


@dataclass(frozen=True)
class Proposal:
    """A design and the removals that led to it. loss: bits given up in all, the rank score."""

    name: str
    design: Design
    steps: Sequence[Step]
    costs: Costs
    loss: Loss

    @property
    def within_margin(self) -> bool:
        """Whether every removal was one that the numbers allow."""
        return all(step.may_go for step in self.steps)

    def overrides(self) -> str:
        """What follows `python -m bench` to train this design in place of the base's."""
        values = self.design.arguments().items()
        return " ".join(f"model.{key}='[{','.join(map(str, value))}]'" for key, value in values)


def propose_designs(search: Search, base: Design, target: Mapping[str, float | None]) -> list[Proposal]:
    """By falling cost: parts gone that may go; then channels that may go; then what the target still asks for.

    target: params and flops as shares of the base's. Without either, designs of half and a quarter of the leanest
    allowed one's cost are added, for retraining to say how far one may go. Raises InputError for a target that not
    even one channel everywhere meets.
    """
    costs = search.pricing(base)
    wanted = {kind: int(share * costs[kind]) for kind, share in target.items() if kind != "loss" and share}
    parts = list(search.parts(base))
    lean = parts[-1].design if parts else base
    found = [parts]
    if wanted:
        found.append([*parts, *search.channels(lean, wanted)])
        _check_met(found[-1], base, search, wanted, target)
    allowed = [*parts, *search.channels(lean)]
    found.append(allowed)
    if not wanted:
        start = allowed[-1].design if allowed else base
        for times in LEANER:
            most = {kind: search.pricing(start)[kind] // times for kind in ("params", "flops")}
            found.append([*allowed, *search.channels(start, most)])
    distinct = {steps[-1].design: steps for steps in reversed(found) if steps}
    ranked = sorted(distinct, key=lambda design: -search.pricing(design).params)
    return [
        Proposal(f"lean_{rank}", design, distinct[design], search.pricing(design), search.loss(design))
        for rank, design in enumerate(ranked, 1)
    ]


def _check_met(
    steps: Sequence[Step], base: Design, search: Search, wanted: Mapping[str, int], target: Mapping[str, float | None]
) -> None:
    leanest = steps[-1].design if steps else base
    costs = search.pricing(leanest)
    if missed := [kind for kind, most in wanted.items() if costs[kind] > most]:
        kind, whole, loss = missed[0], search.pricing(base), search.loss(leanest)
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
            "bits_given_up": proposal.loss.bits,
            "low": proposal.loss.low,
            "high": proposal.loss.high,
            "reliable": proposal.loss.reliable,
            "within_margin": proposal.within_margin,
            "why": "\n".join(step.sentence(told) for step in proposal.steps),
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
