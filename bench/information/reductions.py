"""Reductions: arrays that estimators read of samples, computed from slices of their columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from bench.errors import EstimationError

MOST_IN_MATRIX = 5000  # samples; an n×n matrix of float64 is then 0.2 GB
BLOCK = 256  # rows of a matrix of products that are computed at once
# the smallest and the largest float32 values whose squares and sums of squares keep their precision
SQUARES_FIT = 1e-12, 1e16
COLUMNS_PER_FOLD = 4096  # fixed, so that the order of additions, and with it the last bit, is the same in any grouping


class Reduction(Protocol):
    """Fold column slices (n, k) of a sample matrix (n, d) into an array.

    A reduction is hashable and is the key of its result.
    """

    def fold(self, total: np.ndarray | None, columns: np.ndarray) -> np.ndarray:
        """Add a slice (n, k) to the total of the slices before it; None before the first slice."""

    def finish(self, total: np.ndarray) -> np.ndarray:
        """Return the array of all slices."""


@dataclass(frozen=True)
class Distances:
    """Pairwise squared Euclidean distances, (n, n) float64.

    Products are computed in the precision of the columns and added up in float64.

    >>> Distances().finish(Distances().fold(None, np.array([[0.0], [3.0]])))
    array([[0., 9.],
           [9., 0.]])
    """

    def fold(self, total, columns):
        if len(columns) > MOST_IN_MATRIX:
            raise EstimationError(
                f"got {len(columns)} samples, wanted at most {MOST_IN_MATRIX} for the matrix of their distances"
            )
        columns = torch.from_numpy(columns)
        if not SQUARES_FIT[0] <= float(columns.abs().max()) <= SQUARES_FIT[1]:
            columns = columns.double()
        columns = columns - columns.mean(dim=0)  # small norms keep |a|² + |b|² - 2ab accurate
        if total is None:
            total = np.zeros((len(columns), len(columns)))
        for top in range(0, len(columns), BLOCK):  # entries above the diagonal's blocks follow by symmetry
            products = columns[top:] @ columns[top : top + BLOCK].T
            torch.from_numpy(total)[top:, top : top + BLOCK] += products
        return total

    def finish(self, total):
        below = np.tril_indices(len(total), -1)
        total.T[below] = total[below]
        norms = np.diag(total).copy()
        squared = np.multiply(total, -2, out=total)
        squared += norms[:, None]
        squared += norms[None, :]
        if not np.isfinite(squared).all():
            raise EstimationError("got values whose squared distances overflow, wanted at most 1e150; rescale them")
        np.maximum(squared, 0, out=squared)
        np.fill_diagonal(squared, 0)
        return squared


@dataclass(frozen=True)
class RowCodes:
    """Numbers (n,) int64 of binned rows, equal where the rows are equal.

    Attributes:
        bin_size: Width of the bins.

    >>> RowCodes(0.1).fold(None, np.array([[0.01], [0.52], [0.04]]))
    array([0, 1, 0])
    """

    bin_size: float

    def fold(self, total, columns):
        binned = torch.from_numpy(columns).div(self.bin_size).floor_()
        widest = max(-float(binned.min()), float(binned.max()))
        kinds = (torch.int8, torch.int16, torch.int32, torch.int64)
        kind = next((kind for kind in kinds if widest < torch.iinfo(kind).max), None)
        if kind is None:
            raise EstimationError(
                f"got values up to {np.abs(columns).max():.3g}, wanted below 2^63 bins of {self.bin_size} from 0; "
                "raise bin_size or normalise the activations"
            )
        codes = distinct_rows(binned.to(kind).numpy())
        return codes if total is None else distinct_rows(np.stack([total, codes], axis=1))

    def finish(self, total):
        return total


@dataclass(frozen=True)
class Columns:
    """The columns themselves, (n, d), for readers of single feature maps.

    >>> Columns().finish(Columns().fold(Columns().fold(None, np.zeros((2, 3))), np.ones((2, 1))))
    array([[0., 0., 0., 1.],
           [0., 0., 0., 1.]])
    """

    def fold(self, total, columns):
        return [*(total or []), columns]

    def finish(self, total):
        return np.concatenate(total, axis=1)


def distinct_rows(rows: np.ndarray) -> np.ndarray:
    """Number rows (n, k) by first appearance, (n,) int64. Equal rows have equal numbers."""
    rows = np.ascontiguousarray(rows)
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in rows], dtype=np.int64)
