"""Information loss of designs: information about the label in the removed parts, given the parts that are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import ceil, log

import numpy as np
import pandas as pd
import torch

from bench.datasets.data import Data
from bench.datasets.progress import Progress
from bench.errors import EstimationError
from bench.estimators import Estimator
from bench.information.estimate import Estimate
from bench.layers.selection import named_rng, taps_of
from bench.pruning.designs import Design, Part, search_taps
from bench.pruning.search.channels import Channels, Selection
from bench.pruning.search.loss import Loss
from bench.pruning.search.ways import select_views

READINGS = ("cut_and_narrowest", "cut", "pairs")
SINGLY = 4  # below this width of a slot, each number of channels is asked
CROWDING = 0.5  # share of the peak information that is charged if the narrowest slot has one channel


class Asker:
    """Measure the information about the label that a change of design removes from a trained network.

    Each question has the same form: how much information about the label do the removed channels have, given the kept
    channels? If none is kept, a constant is given. All answers are thus the excess over one null. It exchanges the
    removed channels between images, at locations where the kept ones are alike, so that it keeps what the position says
    about the label. The samples are training and validation data. Answers are stored, as designs share most questions.

    Args:
        network: The trained network.
        data: Its data.
        base: Its design.
        estimators: Estimators by name.
        seed: Seed of all random choices.
        views: Views to measure in. None takes all views of the data.
        samples: Approximate number of samples. For masks a sample is a location, and the number of images is limited so
            that each image has at least 2 locations per axis.
        progress: Counts the questions. None shows nothing.

    Raises:
        InputError: As `select_views`.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        data: Data,
        base: Design,
        estimators: Mapping[str, Estimator],
        *,
        seed: int,
        views: Sequence[str] | None = None,
        samples: int = 2400,
        progress: Progress | None = None,
    ):
        chosen, every = select_views(data, views), data.split("trainval")
        self.base = base
        self.seed = seed
        self.estimators = dict(estimators)
        self.pairs = {pair.part: pair for pair in base.pairs()}
        self.tap_of = {slot.name: slot.tap for slot in base.slots()}
        asked = search_taps(base)
        taps = [tap for tap in taps_of(network) if tap.name in asked]
        most = samples if data.task != "segmentation" else samples // 2 ** len(data.image_size)
        rows = named_rng(seed, "images to ask by").choice(len(every), min(len(every), most), replace=False)
        images = every.take(np.sort(rows)).loaded()
        self.channels = {view: Channels(network, data, images, taps, view, samples, seed) for view in chosen}
        first = next(iter(self.channels.values()))
        self.order = {slot: first.order(tap, named_rng(seed, "order", tap)) for slot, tap in self.tap_of.items()}
        self.progress = progress or Progress("measure parts", "questions")
        self._answers: dict[tuple, Estimate | EstimationError] = {}
        self._rows: list[dict] = []

    @property
    def asked(self) -> pd.DataFrame:
        """All questions so far with their answers."""
        return pd.DataFrame(self._rows)

    def information_loss(self, estimator: str, view: str, what: str, removed: Selection, given: Selection) -> Loss:
        """Estimate the information of the removed channels about the label, given other channels.

        Returns:
            Excess over the null, in bits; NaN if the estimator can't estimate it.
        """
        key = (estimator, view, *(tuple(sorted(side.items())) for side in (removed, given)))
        if key not in self._answers:
            self._answers[key] = self._ask(estimator, view, what, removed, given)
        answer = self._answers[key]
        if isinstance(answer, EstimationError):
            return Loss(np.nan, np.nan, np.nan, False)
        assert answer.excess is not None  # estimators of a target have a null
        shift = answer.excess - answer.bits
        return Loss(answer.excess, answer.interval[0] + shift, answer.interval[1] + shift, bool(answer.reliable))

    def _ask(
        self, estimator: str, view: str, what: str, removed: Selection, given: Selection
    ) -> Estimate | EstimationError:
        """Estimate the answer to one question, and store it as a row of the table."""
        sides = {"removed": _words(removed), "given": _words(given)}
        row = {"what": what, **sides, "view": view, "estimator": estimator}
        channels, rng = self.channels[view], named_rng(self.seed, estimator, view, row["removed"], row["given"])
        answer: Estimate | EstimationError
        try:
            answer = self.estimators[estimator].estimate(
                channels.side(removed), channels.target, given=channels.side(given), rng=rng
            )
            self._rows.append(row | answer.row())
        except EstimationError as error:
            answer = error
            self._rows.append(row | {"reason": str(error)})
        self.progress.update()
        return answer

    def structure(self, design: Design, estimator: str, view: str, reading: str = "cut") -> Loss:
        """Estimate the information in the removed levels and skips, given the other input of the decoder.

        With the reading `pairs`, add the answers of `pair` for each removed part.
        """
        removed = design.removed_parts(self.base)
        if reading == "pairs":
            return Loss.total([self.pair(part, estimator, view) for part in removed])
        cut = design.cut(self.base)
        if not cut.removed:
            return Loss.total([])
        return self._taps(" and ".join(map(str, removed)), cut.removed, cut.kept, estimator, view)

    def pair(self, part: Part, estimator: str, view: str) -> Loss:
        """Estimate the information in a skip given the activation from below it, or the reverse."""
        pair = self.pairs[part]
        return self._taps(str(part), [pair.asked], [pair.given], estimator, view)

    def width(self, slot: str, width: int, estimator: str, view: str) -> Loss:
        """Estimate the information in the channels of a slot beyond the first `width`, given these first channels.

        The widths of `asked_widths` are asked. Between them, the loss is linear in the logarithm of the width.
        """
        if width >= len(self.order[slot]):
            return Loss.total([])
        wide, narrow = around(width, len(self.order[slot]))
        loss = self._beyond(slot, narrow, estimator, view)
        if width == narrow:
            return loss
        return loss.towards(self._beyond(slot, wide, estimator, view), log(width / narrow) / log(wide / narrow))

    def _beyond(self, slot: str, width: int, estimator: str, view: str) -> Loss:
        """Estimate the information in the channels of a slot beyond the first `width` from the samples."""
        order, tap = self.order[slot], self.tap_of[slot]
        if width >= len(order):
            return Loss.total([])
        removed, given = ({tap: tuple(sorted(part))} for part in (order[width:], order[:width]))
        return self.information_loss(estimator, view, f"channels of {slot}", removed, given)

    def loss(self, design: Design, estimator: str, view: str, reading: str = READINGS[0]) -> Loss:
        """Add the losses of a design: its removed levels and skips, and the removed channels of each remaining slot.

        The reading `cut_and_narrowest` adds a charge for the narrowest slot, because narrow layers train badly,
        also if they have much information.
        """
        widths = [self.width(slot.name, slot.width, estimator, view) for slot in design.slots()]
        bits = Loss.total([self.structure(design, estimator, view, reading), *widths])
        if reading != "cut_and_narrowest":
            return bits
        charge = self.charge(design, estimator, view) - self.charge(self.base, estimator, view)
        return replace(bits, bits=bits.bits + charge, low=bits.low + charge, high=bits.high + charge)

    def charge(self, design: Design, estimator: str, view: str) -> float:
        """Return the charge for the narrowest slot, in bits."""
        return CROWDING * self.peak(estimator, view).bits / min(slot.width for slot in design.slots())

    def peak(self, estimator: str, view: str) -> Loss:
        """Return the information about the label of the slot of the base that has most of it, in bits over the null.

        Returns:
            Its interval is that of this slot alone. NaN if there is no estimate for any slot.
        """
        found = [self.slot(slot, estimator, view) for slot in self.tap_of]
        known = [each for each in found if not np.isnan(each.bits)]
        return max(known, key=lambda each: each.bits, default=Loss(np.nan, np.nan, np.nan, False))

    def slot(self, slot: str, estimator: str, view: str) -> Loss:
        """Estimate the information about the label in all channels of a slot."""
        return self._taps(slot, [self.tap_of[slot]], [], estimator, view)

    def diagnostics(self) -> Iterator[tuple[str, str]]:
        """Yield each pair (estimator, view)."""
        for view in self.channels:
            for estimator in self.estimators:
                yield estimator, view

    def _taps(self, what: str, removed: Sequence[str], given: Sequence[str], estimator: str, view: str) -> Loss:
        return self.information_loss(
            estimator, view, what, *(self.channels[view].all_of(side) for side in (removed, given))
        )


def asked_widths(whole: int) -> list[int]:
    """Return the widths at which the channels of a slot are asked: halves of the whole, and all below 4.

    Examples:
        >>> asked_widths(24), asked_widths(5)
        ([12, 6, 3, 2, 1], [3, 2, 1])
    """
    widths, width = [], whole
    while width > 1:
        width = ceil(width / 2) if width > SINGLY else width - 1
        widths.append(width)
    return widths


def around(width: int, whole: int) -> tuple[int, int]:
    """Return the neighbours of a width among those that are asked: one that is larger, one that is not.

    Examples:
        >>> around(5, 32), around(8, 32), around(20, 24)
        ((8, 4), (16, 8), (24, 12))
    """
    steps = pairwise([whole, *asked_widths(whole)])
    return next((wide, narrow) for wide, narrow in steps if narrow <= width)


def _words(selection: Selection) -> str:
    return ", ".join(f"{tap} ({len(chosen)})" for tap, chosen in selection.items())
