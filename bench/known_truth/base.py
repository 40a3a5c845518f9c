"""Benchmark: a distribution of pairs of variables with a given mutual information."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np


class Benchmark(ABC):
    """A distribution of pairs (t, target) whose mutual information I(t; target) is exactly `bits`.

    Args:
        bits: Mutual information in bits.
        dim: Number of columns that carry the information, on either side.

    Raises:
        ValueError: There is no such distribution.
    """

    def __init__(self, bits: float, dim: int):
        require("bits", bits, 0 <= bits < np.inf, "a finite number of at least 0")
        require("dim", dim, dim >= 1, "at least 1")
        self.bits = bits
        self.dim = dim

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw n independent pairs: t (n, ...) floats, and the target, (n, ...) floats or (n,) integer labels."""


def require(name: str, got: Any, holds: bool, wanted: str) -> None:
    """Raise ValueError unless a condition on an argument holds."""
    if not holds:
        raise ValueError(f"{name}: got {got}, wanted {wanted}")
