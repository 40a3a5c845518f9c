"""Task: a pair of variables, made from the mutual information that it is wanted to have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np


class Task(ABC):
    """A distribution of pairs (t, target) with I(t; target) = `bits`, exactly.

    dim: the columns that carry the information on either side. Raises ValueError where no such distribution exists.
    """

    def __init__(self, bits: float, dim: int):
        require("bits", bits, 0 <= bits < np.inf, "a finite number of at least 0")
        require("dim", dim, dim >= 1, "at least 1")
        self.bits = bits
        self.dim = dim

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n independent pairs: t (n, ...) float, and the target (n, ...) float or (n,) integer labels."""


def require(name: str, got: Any, holds: bool, wanted: str) -> None:
    if not holds:
        raise ValueError(f"{name}: got {got}, wanted {wanted}")
