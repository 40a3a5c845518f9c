"""Asking: what the parts of a network that a design gives up tell of the label, given the parts that it keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from bench.datasets.data import Data
from bench.errors import EstimationError, InputError
from bench.estimators import Estimator
from bench.information.estimate import Estimate
from bench.layers.pixels import REACH
from bench.layers.selection import named_rng
from bench.pruning.designs import Design, Pair, taps_of
from bench.pruning.search.channels import Channels, Selection

READINGS = ("cut_and_narrowest", "cut", "pairs")
CROWDING = 0.5  # of what the most telling place tells, charged to a design whose narrowest place has one channel
LEAST_IMAGES = 32


@dataclass(frozen=True)
class Loss:
    """Bits that a design gives up of what the base's layers tell of the label, with a 95 % interval.

    reliable: whether every number in it is.
    """

    bits: float
    low: float
    high: float
    reliable: bool

    @classmethod
    def total(cls, gains: Sequence[Loss]) -> Loss:
        """The sum; the intervals add up as those of independent errors."""
        bits = sum(gain.bits for gain in gains)
        below = np.sqrt(sum((gain.bits - gain.low) ** 2 for gain in gains))
        above = np.sqrt(sum((gain.high - gain.bits) ** 2 for gain in gains))
        return cls(bits, bits - float(below), bits + float(above), all(gain.reliable for gain in gains))


def askable(data: Data, views: Sequence[str] | None) -> list[str]:
    """The views to ask in; InputError where these data can't be asked by."""
    images = len(data.train) + len(data.val)
    if images < LEAST_IMAGES:
        raise InputError(
            f"dataset {data.name}: got {images} images to train and validate on, wanted at least {LEAST_IMAGES} to ask "
            "by; add images or raise their share"
        )
    return views_of(data, views)


class Asker:
    """Asks a trained network, on training and validation data, what a change of its design would give up.

    samples: about how many; where labels are masks, locations in as many images as leave at least 2 an axis in each.
    A question is always: what do the channels that go tell of the label, given those that stay? Every answer is kept,
    for the table, and because designs share most questions.
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
    ):
        chosen, images = askable(data, views), data.split("trainval")
        self.base = base
        self.seed = seed
        self.estimators = dict(estimators)
        self.pairs = {pair.part: pair for pair in base.pairs()}
        self.tap_of = {place.name: place.tap for place in base.places()}
        asked = taps_of(base)
        taps = [tap for tap in network.taps() if tap.name in asked]
        most = samples if data.task != "segmentation" else samples // 2 ** len(data.image_size)
        rows = named_rng(seed, "images to ask by").choice(len(images), min(len(images), most), replace=False)
        images = images.take(np.sort(rows))
        self.channels = {view: Channels(network, data, images, taps, view, samples, seed) for view in chosen}
        first = next(iter(self.channels.values()))
        self.order = {place: first.order(tap, named_rng(seed, "order", tap)) for place, tap in self.tap_of.items()}
        self._answers: dict[tuple, Estimate | EstimationError] = {}
        self._rows: list[dict] = []

    @property
    def asked(self) -> pd.DataFrame:
        """Every question that was asked, with its answer."""
        return pd.DataFrame(self._rows)

    def gain(self, estimator: str, view: str, what: str, going: Selection, given: Selection) -> Loss:
        """What the going channels tell of the label given others; NaN where the estimator refused."""
        key = (estimator, view, *(tuple(sorted(side.items())) for side in (going, given)))
        if key not in self._answers:
            self._answers[key] = self._ask(estimator, view, what, going, given)
        answer = self._answers[key]
        if isinstance(answer, EstimationError):
            return Loss(np.nan, np.nan, np.nan, False)
        shift = answer.excess - answer.bits
        return Loss(answer.excess, answer.interval[0] + shift, answer.interval[1] + shift, bool(answer.reliable))

    def _ask(
        self, estimator: str, view: str, what: str, going: Selection, given: Selection
    ) -> Estimate | EstimationError:
        row = {
            "what": what,
            "going": _words(going),
            "given": _words(given),
            "view": view,
            "estimator": estimator,
        }
        channels, rng = self.channels[view], named_rng(self.seed, estimator, view, row["going"], row["given"])
        try:
            answer = self.estimators[estimator].estimate(
                channels.side(going), channels.target, given=channels.side(given) if given else None, rng=rng
            )
            self._rows.append(row | answer.row())
        except EstimationError as error:
            answer = error
            self._rows.append(row | {"reason": str(error)})
        return answer

    def structure(self, design: Design, estimator: str, view: str, reading: str = "cut") -> Loss:
        """What the levels and skips that a design gives up tell, given what else is decoded; or pair by pair."""
        gone = design.removed_parts(self.base)
        if reading == "pairs":
            return Loss.total([self.pair(part, estimator, view) for part in gone])
        cut = design.cut(self.base)
        if not cut.gone:
            return Loss.total([])
        return self._taps(" and ".join(gone), cut.gone, cut.kept, estimator, view)

    def pair(self, part: str, estimator: str, view: str) -> Loss:
        """The question of a skip given what comes from below, or of what comes from below given the skip."""
        pair: Pair = self.pairs[part]
        return self._taps(part, [pair.asked], [pair.given], estimator, view)

    def width(self, place: str, width: int, estimator: str, view: str) -> Loss:
        """What the channels of a place beyond the first `width` tell given these."""
        order, tap = self.order[place], self.tap_of[place]
        if width >= len(order):
            return Loss.total([])
        going, given = ({tap: tuple(sorted(part))} for part in (order[width:], order[:width]))
        return self.gain(estimator, view, f"channels of {place}", going, given)

    def loss(self, design: Design, estimator: str, view: str, reading: str = READINGS[0]) -> Loss:
        """What a design gives up in all: its levels and skips, and the channels of every place that it keeps.

        By the first reading with a charge for the narrowest place, since narrow layers train badly whatever they tell.
        """
        widths = [self.width(place.name, place.width, estimator, view) for place in design.places()]
        bits = Loss.total([self.structure(design, estimator, view, reading), *widths])
        if reading != "cut_and_narrowest":
            return bits
        charge = self.charge(design, estimator, view) - self.charge(self.base, estimator, view)
        return replace(bits, bits=bits.bits + charge, low=bits.low + charge, high=bits.high + charge)

    def charge(self, design: Design, estimator: str, view: str) -> float:
        """Bits charged for the narrowest place."""
        return CROWDING * self.told(estimator, view) / min(place.width for place in design.places())

    def told(self, estimator: str, view: str) -> float:
        """Bits of the label that the most telling place of the base has, over its null; NaN without any answer."""
        bits = [self.place(place, estimator, view).bits for place in self.tap_of]
        return max((told for told in bits if not np.isnan(told)), default=np.nan)

    def place(self, place: str, estimator: str, view: str) -> Loss:
        """What all channels of a place tell of the label."""
        return self._taps(place, [self.tap_of[place]], [], estimator, view)

    def diagnostics(self) -> Iterator[tuple[str, str]]:
        """(estimator, view) of every way to ask."""
        for view in self.channels:
            for estimator in self.estimators:
                yield estimator, view

    def _taps(self, what: str, going: Sequence[str], given: Sequence[str], estimator: str, view: str) -> Loss:
        return self.gain(estimator, view, what, *(self.channels[view].all_of(side) for side in (going, given)))


def views_of(data: Data, views: Sequence[str] | None) -> list[str]:
    """The views asked for, or all that the data have: locations of masks, or whole images."""
    known = list(REACH) if data.task == "segmentation" else ["image"]
    if unknown := set(views or known) - set(known):
        raise InputError(f"ask.views: got {min(unknown)!r} for {data.task}, wanted any of {', '.join(known)}")
    return list(dict.fromkeys(views or known))


def way_of(by: str | None, estimators: Sequence[str], views: Sequence[str]) -> tuple[str, str]:
    """Estimator and view that decide what may go: those named, as `estimator.view`, or the first.

    >>> way_of("probe.patch", ["probe"], ["pixel", "patch"])
    ('probe', 'patch')
    """
    ways = {f"{estimator}.{view}": (estimator, view) for view in views for estimator in estimators}
    by = by or next(iter(ways))
    if by not in ways:
        raise InputError(f"ask.by: got {by!r}, wanted one of {', '.join(ways)}")
    return ways[by]


def _words(selection: Selection) -> str:
    return ", ".join(f"{tap} ({len(chosen)})" for tap, chosen in selection.items())
