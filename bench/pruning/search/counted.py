"""Designs from the numbers of filters that a run's `filter_count` diagnostic recommends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from bench.errors import InputError
from bench.pruning.designs import Slot
from bench.pruning.designs.costs import costs_of
from bench.pruning.search.base import Base
from bench.pruning.search.loss import Loss
from bench.pruning.search.proposals import Proposal
from bench.pruning.search.search import Step


class Counted:
    """Propose designs from the information in the first k feature maps of each layer, in random order.

    Args:
        base: The base, whose run measured the information.
        found: The run's table `filter_count`.
        curves: The run's table `filters`.
        estimator: Name of the estimator whose rows are used.

    Attributes:
        peak: Largest excess information about the label of any layer, bits.

    Raises:
        InputError: This estimator recommends a number of filters for no layer of the base.
    """

    def __init__(self, base: Base, found: pd.DataFrame, curves: pd.DataFrame, estimator: str):
        self.base = base
        self.estimator = estimator
        asked = "estimator == @estimator and about == 'Y' and order == 'random'"
        self.recommended = found.query(asked).set_index("tap")["recommended"].dropna().astype(int)
        self.curves = curves.query(asked).set_index(["tap", "count"]).sort_index()
        self.slots = [slot for slot in base.design.slots() if slot.tap in self.recommended.index]
        if not self.slots:
            others = ", ".join(found.dropna(subset=["recommended"])["estimator"].unique())
            raise InputError(
                f"ask.by: got {estimator}, for which the run's filter_count recommends no number in any layer; "
                f"wanted {f'one of {others}' if others else 'another run'}"
            )
        if strange := [slot.tap for slot in self.slots if (slot.tap, 1) not in self.curves.index]:
            raise InputError(f"run: filters.csv has no row for one filter of {strange[0]}; train the run again")
        self.peak = max(self._excess(slot, slot.width).bits for slot in self.slots)

    def proposals(self, factors: Sequence[float], target: Mapping[str, float | None]) -> list[Proposal]:
        """Multiply the recommended numbers of filters by each factor; order the designs by falling parameters.

        Args:
            factors: The factors.
            target: params and flops as shares of the costs of the base; None for no target. Designs beyond it are left
                out.

        Raises:
            InputError: No design is leaner than the base, or none meets the target.
        """
        pricing = self.base.pricing
        distinct = {steps[-1].design: steps for steps in map(self._steps, factors) if steps}
        if not distinct:
            raise InputError("ask.around: got counts that are nowhere below the base's, wanted a smaller factor")
        wanted = costs_of(target, pricing(self.base.design))
        ranked = sorted(
            (design for design in distinct if pricing.is_within(design, wanted)),
            key=lambda design: -pricing(design).params,
        )
        if not ranked:
            leanest = pricing.shares(min(distinct, key=lambda design: pricing(design).params), self.base.design)
            asked = " and ".join(f"target.{kind}={target[kind]:g}" for kind in wanted)
            raise InputError(
                f"ask.around: got {list(factors)}, whose leanest design has {leanest} of the base, wanted {asked}; "
                "add a smaller factor, or raise the target"
            )
        found = []
        for rank, design in enumerate(ranked, 1):
            lost = self._largest_loss(distinct[design])
            found.append(Proposal(f"lean_{rank}", design, distinct[design], pricing(design), lost, lost))
        return found

    def information(self) -> pd.DataFrame:
        """Build the table of the information in each slot: part, estimator, view, bits, low, high, reliable."""
        found = {slot.name: self._excess(slot, slot.width) for slot in self.slots}
        by = {"estimator": self.estimator, "view": "image"}
        return pd.DataFrame({"part": slot, **by, **vars(bits)} for slot, bits in found.items())

    def _steps(self, factor: float) -> list[Step]:
        """Narrow each slot to the recommended number times the factor."""
        design, steps = self.base.design, []
        for slot in self.slots:
            enough = self.recommended[slot.tap]
            count = min(slot.width, max(1, round(factor * enough)))
            if count < slot.width:
                widths = [count if each.name == slot.name else each.width for each in design.slots()]
                design = design.with_widths(widths)
                change = f"{slot.name} with {count} of {slot.width} channels: the others have"
                steps.append(
                    Step(slot.name, change, design, self._information_loss(slot, count), bool(count >= enough))
                )
        return steps

    def _largest_loss(self, steps: Sequence[Step]) -> Loss:
        """Return the loss of the layer that loses most. Layers share information, so their losses do not add up."""
        return max((step.information_loss for step in steps), key=lambda loss: loss.bits)

    def _information_loss(self, slot: Slot, count: int) -> Loss:
        """Subtract the information of the first `count` maps from that of all maps.

        If `count` was not measured, the next smaller measured number is used.
        """
        every, first = self._excess(slot, slot.width), self._excess(slot, count)
        reach = ((every.high - every.bits) ** 2 + (first.high - first.bits) ** 2) ** 0.5
        bits = every.bits - first.bits
        return Loss(bits, bits - reach, bits + reach, every.reliable and first.reliable)

    def _excess(self, slot: Slot, count: int) -> Loss:
        """Return the information of the first `count` maps over the null."""
        curve = self.curves.loc[slot.tap]
        row = curve[curve.index <= count].iloc[-1]
        null, reliable = row["null_mean"], pd.notna(row["reliable"]) and bool(row["reliable"])
        return Loss(row["excess"], row["low"] - null, row["high"] - null, reliable)
