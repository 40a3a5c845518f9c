"""Loss: the information about the label that a leaner design lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Loss:
    """Information about the label that a design loses, in bits, with a 95 % interval.

    Attributes:
        bits: Information in the removed parts of the base, given the kept parts.
        low, high: Ends of the interval.
        reliable: Whether all estimates in it are reliable.
    """

    bits: float
    low: float
    high: float
    reliable: bool

    def towards(self, other: Loss, share: float) -> Loss:
        """Interpolate linearly: 0 gives this loss and 1 the other.

        Examples:
            >>> Loss(0.0, 0.0, 0.0, True).towards(Loss(4.0, 2.0, 6.0, True), 0.25)
            Loss(bits=1.0, low=0.5, high=1.5, reliable=True)
        """
        bits, low, high = (
            (1 - share) * one + share * two
            for one, two in ((self.bits, other.bits), (self.low, other.low), (self.high, other.high))
        )
        return Loss(bits, low, high, self.reliable and other.reliable)

    @classmethod
    def total(cls, losses: Sequence[Loss]) -> Loss:
        """Add losses. The intervals add up as those of independent errors."""
        bits = sum(loss.bits for loss in losses)
        below = np.sqrt(sum((loss.bits - loss.low) ** 2 for loss in losses))
        above = np.sqrt(sum((loss.high - loss.bits) ** 2 for loss in losses))
        return cls(bits, bits - float(below), bits + float(above), all(loss.reliable for loss in losses))
