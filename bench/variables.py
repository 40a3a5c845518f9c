"""Variable: one side of a question, held as the reductions that estimators read.

A layer's activations over n samples rarely fit in memory, but what an estimator reads of them does: squared distances
add up over slices of columns, and so do row codes. A Reduction folds such slices, one after the other, into an array.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from bench.errors import EstimationError


class Reduction(Protocol):
    """Folds column slices (n, k) of a sample matrix (n, d) into an array; hashable, so that it names its result."""

    def fold(self, total: np.ndarray | None, columns: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Distances:
    """Pairwise squared Euclidean distances, (n, n) float64.

    >>> Distances().fold(None, np.array([[0.0], [3.0]]))
    array([[0., 9.],
           [9., 0.]])
    """

    def fold(self, total, columns):
        columns = columns.astype(np.float64)
        columns -= columns.mean(axis=0)  # small norms keep |a|² + |b|² - 2ab accurate
        norms = np.einsum("nd,nd->n", columns, columns)
        squared = columns @ columns.T
        squared *= -2
        squared += norms[:, None] + norms[None, :]
        np.maximum(squared, 0, out=squared)
        np.fill_diagonal(squared, 0)
        return squared if total is None else np.add(total, squared, out=total)


@dataclass(frozen=True)
class RowCodes:
    """The number of each sample's row when values are cut into bins of `bin_size`: (n,) int64, equal rows alike.

    >>> RowCodes(0.1).fold(None, np.array([[0.01], [0.52], [0.04]]))
    array([0, 1, 0])
    """

    bin_size: float

    def fold(self, total, columns):
        binned = np.floor(columns.astype(np.float64) / self.bin_size).astype(np.int64)
        codes = distinct_rows(binned)
        return codes if total is None else distinct_rows(np.stack([total, codes], axis=1))


def distinct_rows(rows: np.ndarray) -> np.ndarray:
    """(n, k) -> (n,) int64: rows numbered by first appearance, equal rows alike."""
    rows = np.ascontiguousarray(rows)
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in rows], dtype=np.int64)


@dataclass(frozen=True)
class Variable:
    """One side of a question over n samples.

    dim: columns of the flattened samples. groups: (n,) which samples belong together (image or patient).
    reductions: what was folded from the columns. labels: (n,) int64 when the variable is discrete, else None.
    """

    n: int
    dim: int
    groups: np.ndarray
    reductions: dict[Reduction, np.ndarray] = field(default_factory=dict)
    labels: np.ndarray | None = None

    @classmethod
    def of(cls, values, reductions: Iterable[Reduction] = (), groups=None) -> Variable:
        """A Variable of a plain array: integers (n,) are labels, floats (n, ...) are samples to fold.

        >>> Variable.of(np.array([0, 1, 1])).labels
        array([0, 1, 1])
        >>> Variable.of(np.zeros((4, 2, 3)), [Distances()]).dim
        6
        """
        if isinstance(values, cls):
            return values
        values = np.asarray(values)
        if values.ndim == 0 or len(values) < 2:
            raise EstimationError(f"got {values.shape} samples, wanted at least 2 along the first axis")
        groups = np.arange(len(values)) if groups is None else np.asarray(groups)
        if values.dtype == bool or np.issubdtype(values.dtype, np.integer):
            labels = distinct_rows(values.reshape(len(values), -1))
            return cls(len(values), 1, groups, labels=labels)
        columns = values.reshape(len(values), -1)
        require_finite(columns)
        folded = {reduction: reduction.fold(None, columns) for reduction in reductions}
        return cls(len(values), columns.shape[1], groups, folded)

    def read(self, reduction: Reduction) -> np.ndarray:
        """The folded array; raises EstimationError where the variable was not folded this way."""
        if reduction not in self.reductions:
            raise EstimationError(
                f"got a variable without {reduction}, it holds {list(self.reductions) or 'labels alone'}"
            )
        return self.reductions[reduction]


def plug_in_entropy(symbols: np.ndarray) -> float:
    """Entropy of the shares of (n,) integers, bits.

    >>> plug_in_entropy(np.array([0, 0, 1, 1]))
    1.0
    """
    shares = np.unique(symbols, return_counts=True)[1] / len(symbols)
    return float(-(shares * np.log2(shares)).sum())


def require_finite(columns: np.ndarray) -> None:
    if not np.isfinite(columns).all():
        raise EstimationError(f"got {int((~np.isfinite(columns)).sum())} values that are NaN or infinite, wanted none")
