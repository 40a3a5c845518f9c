"""Variable: n samples of one random variable, held as the arrays that estimators read of them.

The activations of a layer over n samples are often too large for memory. The arrays that estimators read of them are
small. Squared distances can be added up over slices of columns, and so can row codes. A Reduction folds such slices,
one after the other, into an array. If a variable holds its samples, reductions are computed from them when first read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from bench.errors import EstimationError
from bench.information.coordinates import leading_coordinates, scaled_coordinates
from bench.information.permutations import donor_rows
from bench.information.reductions import COLUMNS_PER_FOLD, Distances, Reduction, distinct_rows


@dataclass(frozen=True)
class Coordinates:
    """Key of the `most` leading principal coordinates, (n, most), in `Variable.reductions`."""

    most: int


@dataclass(frozen=True)
class Numbers:
    """Key of integers (n,), equal where the rows are equal, in `Variable.reductions`."""


@dataclass(frozen=True)
class Refused:
    """The reason why these samples have no folded array, in place of the array."""

    reason: str


Folded = np.ndarray | Refused
Signal = Literal["activation", "error"]

SQUARES_FIT = 1e-150, 1e150  # limits of the largest value, so that float64 can hold its square
TIED = 1e-14  # of the mean squared distance: rows that are closer may differ by rounding errors alone


@dataclass(frozen=True)
class Variable:
    """n samples of one random variable.

    Attributes:
        n: Number of samples.
        dim: Columns of the flattened samples.
        groups: (n,) the group of each sample, such as an image or a patient.
        reductions: Arrays that were computed from the columns.
        labels: (n,) int64 if the variable is discrete, else None.
        samples: (n, dim) the columns; None if they are not held.
        deterministic: Whether it is a function of the input without noise, such as a layer of a network. Its mutual
            information with a continuous input is then infinite.
        maps: Number of feature maps of the columns, 1 without spatial dimensions.
        signal: Whether it holds activations or the errors of back-propagation.
        classes: (n,) int64 classes of the samples, to which a kernel may be aligned.
        parts: The variables that it joins.
    """

    n: int
    dim: int
    groups: np.ndarray
    reductions: dict[Reduction | Coordinates | Numbers, Folded] = field(default_factory=dict)
    labels: np.ndarray | None = None
    samples: np.ndarray | None = None
    deterministic: bool = False
    maps: int = 1
    signal: Signal = "activation"
    classes: np.ndarray | None = None
    parts: tuple[Variable, ...] = ()

    @classmethod
    def joined(cls, parts: Iterable[Variable]) -> Variable:
        """Join several variables of the same samples. The squared distances of the result are the sum of theirs.

        >>> Variable.joined([Variable.of(np.eye(2)), Variable.of(np.eye(2))]).read(Distances())
        array([[0., 4.],
               [4., 0.]])
        """
        parts = tuple(parts)
        distances = sum((part.read(Distances()) for part in parts), np.zeros(()))
        dim, deterministic = sum(part.dim for part in parts), all(part.deterministic for part in parts)
        first = parts[0]
        return replace(
            first, dim=dim, reductions={Distances(): distances}, samples=None, deterministic=deterministic, parts=parts
        )

    @classmethod
    def of(cls, values, groups=None) -> Variable:
        """Make a Variable of a plain array. Integers (n,) are labels, floats (n, ...) are samples.

        >>> Variable.of(np.array([0, 1, 1])).labels
        array([0, 1, 1])
        >>> Variable.of(np.zeros((4, 2, 3))).dim
        6
        """
        if isinstance(values, Variable):
            return values
        values = np.asarray(values)
        if values.ndim == 0 or len(values) < 2:
            raise EstimationError(f"got {values.shape} samples, wanted at least 2 along the first axis")
        groups = np.arange(len(values)) if groups is None else np.asarray(groups)
        if values.dtype == bool or np.issubdtype(values.dtype, np.integer):
            labels = distinct_rows(values.reshape(len(values), -1))
            return cls(len(values), 1, groups, labels=labels)
        if not values.size:
            raise EstimationError(f"got samples of shape {values.shape}, wanted at least one column")
        columns = values.reshape(len(values), -1)
        require_finite(columns)
        require_squares(columns)
        return cls(len(values), columns.shape[1], groups, samples=columns)

    @property
    def continuous(self) -> bool:
        """Whether it can be read as samples. A variable may be both discrete and continuous, such as a mask."""
        return self.samples is not None or bool(self.reductions)

    def read(self, reduction: Reduction) -> np.ndarray:
        """Return the array of a reduction. Raise EstimationError if the variable holds neither it nor its samples."""
        if reduction not in self.reductions:
            if self.samples is None:
                held = list(self.reductions) or "labels alone"
                raise EstimationError(
                    f"got a variable without {reduction}, which holds {held}, wanted its samples or this array"
                )
            total: Folded | None = None
            for left in range(0, self.dim, COLUMNS_PER_FOLD):
                total = fold_or_refuse(reduction, total, self.samples[:, left : left + COLUMNS_PER_FOLD])
            assert total is not None  # samples have at least one column
            self.reductions[reduction] = finish_or_refuse(reduction, total)
        return self._held(reduction)

    def coordinates(self, most: int) -> np.ndarray:
        """Return at most `most` columns, (n, k) float64.

        They are the samples, if these are held and have few enough columns. If not, they are the leading principal
        coordinates, from the samples or from their distances.
        """
        if self.samples is not None and self.dim <= most:
            return self.samples.astype(np.float64)
        key = Coordinates(most)
        if key not in self.reductions:
            if self.samples is not None and self.dim <= self.n:
                self.reductions[key] = leading_coordinates(self.samples, most)
            else:
                self.reductions[key] = scaled_coordinates(self.read(Distances()), most)
        return self._held(key)

    def numbered(self) -> np.ndarray:
        """Return integers (n,) that are equal where the rows are equal. A discrete variable returns its labels."""
        if self.labels is not None:
            return self.labels
        if Numbers() not in self.reductions:
            if self.samples is not None:
                numbers = distinct_rows(self.samples + 0.0)  # makes -0.0 equal to 0.0
            else:
                squared = self.read(Distances())
                numbers = (squared <= TIED * squared.mean()).argmax(axis=1)  # the first that is equal
            self.reductions[Numbers()] = numbers
        return self._held(Numbers())

    def _held(self, key: Reduction | Coordinates | Numbers) -> np.ndarray:
        held = self.reductions[key]
        if isinstance(held, Refused):
            raise EstimationError(held.reason)
        return held

    def shuffled(self, rng: np.random.Generator, discrete: bool) -> np.ndarray:
        """Return partners (n,) after a permutation of whole groups: labels if read as discrete, else row numbers.

        Each group has one donor. A larger group gets some rows of its donor twice (`donor_rows`).
        """
        order = donor_rows(self.groups, rng)
        return self.numbered()[order] if discrete else order

    def reordered(self, order: np.ndarray) -> Variable:
        """Return the samples in another order. The groups stay in place."""
        kept = {
            reduction: array[np.ix_(order, order)] if isinstance(reduction, Distances) else array[order]
            for reduction, array in self.reductions.items()
            if not isinstance(array, Refused)
        }
        labels, samples = (None if side is None else side[order] for side in (self.labels, self.samples))
        return replace(self, reductions=kept, labels=labels, samples=samples)


def fold_or_refuse(reduction: Reduction, total: Folded | None, columns: np.ndarray) -> Folded:
    """Fold one more slice. Return Refused if the reduction raises EstimationError, so that other reductions go on."""
    if isinstance(total, Refused):
        return total
    try:
        return reduction.fold(total, columns)
    except EstimationError as error:
        return Refused(str(error))


def finish_or_refuse(reduction: Reduction, total: Folded) -> Folded:
    """Return the array of all slices, or Refused."""
    if isinstance(total, Refused):
        return total
    try:
        return reduction.finish(total)
    except EstimationError as error:
        return Refused(str(error))


def plug_in_entropy(symbols: np.ndarray) -> float:
    """Compute the entropy of the shares of integers (n,), in bits.

    >>> plug_in_entropy(np.array([0, 0, 1, 1]))
    1.0
    """
    shares = np.unique(symbols, return_counts=True)[1] / len(symbols)
    return float(-(shares * np.log2(shares)).sum())


def require_finite(columns: np.ndarray) -> None:
    """Raise EstimationError for values that are NaN or infinite."""
    if not np.isfinite(columns).all():
        raise EstimationError(f"got {int((~np.isfinite(columns)).sum())} values that are NaN or infinite, wanted none")


def require_squares(columns: np.ndarray) -> None:
    """Raise EstimationError for values whose squares float64 cannot hold."""
    largest = float(np.abs(columns).max())
    if largest and not SQUARES_FIT[0] <= largest <= SQUARES_FIT[1]:
        raise EstimationError(
            f"got values of at most {largest:.3g}, wanted a largest value from {SQUARES_FIT[0]:g} to "
            f"{SQUARES_FIT[1]:g}, so that float64 can hold its square; rescale them"
        )
