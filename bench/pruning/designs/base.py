"""Designs: the parts of a network's architecture that can be chosen, as arguments of its class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

import numpy as np
from torch import nn

LEAST_SHARE = 1 / 8  # smallest share of a width in random designs


@dataclass(frozen=True)
class Slot:
    """A slot of a design: one free number of channels.

    Attributes:
        name: The same in all designs that keep the slot.
        tap: The tap that reads the channels.
        width: Number of channels.
        made_by: The convolutions or fully connected layers that make the channels, as (module, the normalisation after
            it or None).
    """

    name: str
    tap: str
    width: int
    made_by: tuple[tuple[str, str | None], ...]


class PartKind(StrEnum):
    """The kinds of parts that can be removed as a whole."""

    SKIP = "skip"
    LEVEL = "level"


@dataclass(frozen=True)
class Part:
    """A part of a network that can be removed as a whole.

    Examples:
        >>> str(Part(PartKind.SKIP, 1))
        'skip 1'
    """

    kind: PartKind
    level: int

    def __str__(self) -> str:
        return f"{self.kind} {self.level}"


class SwapKind(StrEnum):
    """The kinds of smaller versions that can replace a part."""

    ONE_CONVOLUTION = "one_convolution"  # in place of several
    INTERPOLATION = "interpolation"  # in place of transposed convolutions
    SEPARABLE = "separable"  # depthwise-separable convolutions in place of full ones
    SMALLER_ENCODER = "smaller_encoder"  # of the same family


@dataclass(frozen=True)
class Swap:
    """A smaller version of a part.

    Attributes:
        kind: Its kind.
        words: Its name in reports.

    Examples:
        >>> str(Swap(SwapKind.SMALLER_ENCODER, "encoder resnet18"))
        'encoder resnet18'
    """

    kind: SwapKind
    words: str

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Pair:
    """A part of the network and the two taps that decide whether it can be removed.

    The question is how much information about the label the tap `asked` has, given the tap `given`.
    """

    part: Part
    asked: str
    given: str


@dataclass(frozen=True)
class Cut:
    """The taps that a decoder reads at one level and at the levels above it.

    Attributes:
        removed: The taps that a leaner design lacks.
        kept: The taps that it keeps.
    """

    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


class Design(Protocol):
    """The choices that make one network of a family. Each implementation is a frozen dataclass in its own file."""

    @classmethod
    def of(cls, network: nn.Module) -> Self:
        """Return the design of an existing network."""

    def arguments(self) -> dict:
        """Return the arguments of the network's class that the design decides."""

    def slots(self) -> list[Slot]:
        """Return all slots in the order of the forward pass."""

    def tied(self) -> list[list[Slot]]:
        """Return groups of slots of equal width that a search narrows together, in the order of the forward pass."""

    def with_widths(self, widths: Sequence[int]) -> Self:
        """Return the same design with other numbers of channels, in the order of `slots`."""

    def removals(self) -> dict[Part, Self]:
        """Return the designs without one whole part, by that part."""

    def swaps(self) -> dict[Swap, Self]:
        """Return the designs in which a smaller version replaces a part, by that version.

        A trained base has no information about such a version, so these designs can't be scored.
        """

    def pairs(self) -> list[Pair]:
        """Return the pair of taps of each part that can be removed as a whole."""

    def removed_parts(self, base: Self) -> list[Part]:
        """List the parts of a base that this design lacks."""

    def cut(self, base: Self) -> Cut:
        """Return the input of the base's decoder down to the deepest level whose parts this design changes."""

    def shuffled(self, rng: np.random.Generator) -> Self:
        """Return the design with parts removed at random."""


def widths_of(design: Design) -> np.ndarray:
    """Return the width of each slot, shape (slots,)."""
    return np.array([slot.width for slot in design.slots()])


def search_taps(design: Design) -> set[str]:
    """Collect the taps that a search reads to score this design and all designs that removals lead to."""
    slots = {slot.tap for slot in design.slots()}
    pairs = {tap for pair in design.pairs() for tap in (pair.asked, pair.given)}
    cuts = [leaner.cut(design) for leaner in design.removals().values()]
    return slots | pairs | {tap for cut in cuts for tap in (*cut.removed, *cut.kept)}


def scaled(design: Design, factor: float) -> Design:
    """Narrow a design uniformly: multiply every width by the factor. Each width is at least 1."""
    return design.with_widths([max(1, round(width * factor)) for width in widths_of(design)])


def flat(design: Design, width: float) -> Design:
    """Give all slots the same width.

    If the width has a fraction, this share of the slots, from the first on, gets one more channel.
    """
    count = len(design.slots())
    more = round((width % 1) * count)
    return design.with_widths([int(width) + (i < more) for i in range(count)])


def random_design(design: Design, rng: np.random.Generator) -> Design:
    """Remove parts at random, and draw each width log-uniformly between an eighth and all of its present value."""
    design = design.shuffled(rng)
    shares = LEAST_SHARE ** rng.random(len(design.slots()))
    return design.with_widths(np.maximum(1, np.round(widths_of(design) * shares)).astype(int).tolist())


def convolutions(network: nn.Module, path: str, width: int) -> tuple[str, ...]:
    """Find the convolutions inside a module that have this number of output channels.

    Examples:
        >>> convolutions(nn.Sequential(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))), "0", 4)
        ('0.0',)
    """
    inside = network.get_submodule(path).named_modules()
    kinds = (nn.Conv2d, nn.Conv3d)
    return tuple(f"{path}.{name}" for name, part in inside if isinstance(part, kinds) and part.out_channels == width)
