"""Design: what of a network's architecture can be chosen, as arguments of its class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from torch import nn

LEAST_SHARE = 1 / 8  # of a width, in random designs


@dataclass(frozen=True)
class Place:
    """Where a design chooses a number of channels.

    name: the same in designs that keep the place. tap: what reads its channels. made_by: the convolutions or fully
    connected layers that make them, as (module, the normalisation after it or None).
    """

    name: str
    tap: str
    width: int
    made_by: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Pair:
    """A part of the network and the question whether it can go: what the tap `asked` tells given the tap `given`."""

    part: str
    asked: str
    given: str


@dataclass(frozen=True)
class Cut:
    """The taps that a decoder reads at one level and above, split in those that a leaner design lacks and keeps."""

    gone: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


class Design(Protocol):
    """The choices that make one network of a family; a frozen dataclass, one file each."""

    @classmethod
    def of(cls, network: nn.Module) -> Self:
        """The design of a network that is there."""

    def arguments(self) -> dict:
        """The arguments of the network's class that the design decides."""

    def places(self) -> list[Place]:
        """Every number of channels that it chooses, along the data's way."""

    def tied(self) -> list[list[Place]]:
        """Places of one width that a search narrows together, along the data's way."""

    def with_widths(self, widths: Sequence[int]) -> Self:
        """The same design with other numbers of channels, in the order of `places`."""

    def removals(self) -> dict[str, Self]:
        """The parts that can go as a whole, by name, and the design without each."""

    def swaps(self) -> dict[str, Self]:
        """Parts that can be had leaner, of which a trained base tells nothing, by name, and the design with each."""

    def pairs(self) -> list[Pair]:
        """The question of each such part on its own."""

    def gone_from(self, base: Self) -> list[str]:
        """The parts of a base that this design does without."""

    def cut(self, base: Self) -> Cut:
        """What reaches the decoder in a base down to the deepest level whose parts this design changes."""

    def shuffled(self, rng: np.random.Generator) -> Self:
        """The design with parts removed at random."""


def widths_of(design: Design) -> np.ndarray:
    return np.array([place.width for place in design.places()])


def taps_of(design: Design) -> set[str]:
    """The taps that questions read about what a design, or one made leaner from it step by step, gives up."""
    places = {place.tap for place in design.places()}
    pairs = {tap for pair in design.pairs() for tap in (pair.asked, pair.given)}
    cuts = [leaner.cut(design) for leaner in design.removals().values()]
    return places | pairs | {tap for cut in cuts for tap in (*cut.gone, *cut.kept)}


def scaled(design: Design, factor: float) -> Design:
    """Every width times the factor, 1 at least: uniform narrowing."""
    return design.with_widths([max(1, round(width * factor)) for width in widths_of(design)])


def flat(design: Design, width: float) -> Design:
    """The same width everywhere; of a fraction, so many of the first places have one channel more."""
    count = len(design.places())
    more = round((width % 1) * count)
    return design.with_widths([int(width) + (i < more) for i in range(count)])


def random_design(design: Design, rng: np.random.Generator) -> Design:
    """Parts removed at random, and widths drawn log-uniformly between an eighth of those of the design and all."""
    design = design.shuffled(rng)
    shares = LEAST_SHARE ** rng.random(len(design.places()))
    return design.with_widths(np.maximum(1, np.round(widths_of(design) * shares)).astype(int).tolist())
