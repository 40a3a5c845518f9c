"""Designs by how many filters are enough: the counts that a run's filter_count recommends, and around them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.errors import InputError
from bench.pruning.designs import Place
from bench.pruning.search.asker import Loss
from bench.pruning.search.base import Base
from bench.pruning.search.proposals import Proposal
from bench.pruning.search.search import Step


class Counted:
    """Reads what a run measured of its layers' first k feature maps in random order, by one estimator.

    found: its `filter_count` table. curves: its `filters` table. told: excess bits of Y in the most telling layer.
    Raises InputError where no layer of the base has a recommended count by this estimator.
    """

    def __init__(self, base: Base, found: pd.DataFrame, curves: pd.DataFrame, estimator: str):
        self.base = base
        asked = "estimator == @estimator and about == 'Y' and order == 'random'"
        self.recommended = found.query(asked).set_index("tap")["recommended"].dropna().astype(int)
        self.curves = curves.query(asked).set_index(["tap", "count"]).sort_index()
        self.places = [place for place in base.design.places() if place.tap in self.recommended.index]
        if not self.places:
            others = ", ".join(found.dropna(subset=["recommended"])["estimator"].unique())
            raise InputError(
                f"ask.by: got {estimator}, by which the run's filter_count recommends a number for no layer; "
                f"wanted {f'one of {others}' if others else 'another run'}"
            )
        if strange := [place.tap for place in self.places if (place.tap, 1) not in self.curves.index]:
            raise InputError(f"run: filters.csv has no row for one filter of {strange[0]}; train the run again")
        self.told = max(self._excess(place, place.width).bits for place in self.places)

    def proposals(self, factors: Sequence[float]) -> list[Proposal]:
        """The base with the recommended counts times each factor, by falling cost."""
        steps = [step for step in map(self._steps, factors) if step]
        distinct = {each[-1].design: each for each in steps}
        ranked = sorted(distinct, key=lambda design: -self.base.pricing(design).params)
        found = []
        for rank, design in enumerate(ranked, 1):
            lost = self._lost(distinct[design])
            found.append(Proposal(f"lean_{rank}", design, distinct[design], self.base.pricing(design), lost, lost))
        return found

    def _steps(self, factor: float) -> list[Step]:
        design, steps = self.base.design, []
        for place in self.places:
            enough = self.recommended[place.tap]
            count = min(place.width, max(1, round(factor * enough)))
            if count < place.width:
                widths = [count if each.name == place.name else each.width for each in design.places()]
                design = design.with_widths(widths)
                change = f"{place.name} with {count} of {place.width} channels: the others tell"
                steps.append(Step(place.name, change, design, self._given_up(place, count), bool(count >= enough)))
        return steps

    def _lost(self, steps: Sequence[Step]) -> Loss:
        """Of the layer that gives up most: layers tell the same label, so that their losses do not add up."""
        return max((step.gain for step in steps), key=lambda loss: loss.bits)

    def _given_up(self, place: Place, count: int) -> Loss:
        """What all maps tell beyond the first `count`, or as many as were asked next below."""
        every, first = self._excess(place, place.width), self._excess(place, count)
        reach = ((every.high - every.bits) ** 2 + (first.high - first.bits) ** 2) ** 0.5
        bits = every.bits - first.bits
        return Loss(bits, bits - reach, bits + reach, every.reliable and first.reliable)

    def _excess(self, place: Place, count: int) -> Loss:
        curve = self.curves.loc[place.tap]
        row = curve[curve.index <= count].iloc[-1]
        null, reliable = row["null_mean"], pd.notna(row["reliable"]) and bool(row["reliable"])
        return Loss(row["excess"], row["low"] - null, row["high"] - null, reliable)
