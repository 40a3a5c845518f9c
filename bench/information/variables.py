"""Variable: one side of a question, held as what estimators read of it.

A layer's activations over n samples rarely fit in memory, but what an estimator reads of them does: squared distances
add up over slices of columns, and so do row codes. A Reduction folds such slices, one after the other, into an array.
Where the samples themselves are few enough to be held, reductions are folded from them when first read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from bench.errors import EstimationError
from bench.information.coordinates import leading_coordinates, scaled_coordinates
from bench.information.reductions import COLUMNS_PER_FOLD, Distances, Reduction, distinct_rows


@dataclass(frozen=True)
class Coordinates:
    """The `most` leading principal coordinates, (n, most): what a variable keeps of its samples in few columns."""

    most: int


@dataclass(frozen=True)
class Numbers:
    """(n,) integers, equal where rows are."""


@dataclass(frozen=True)
class Refused:
    """What takes the place of a folded array that these samples do not have: the reason."""

    reason: str


SQUARES_FIT = 1e-150, 1e150  # the size of the largest value, so that float64 holds its square
TIED = 1e-14  # of the mean squared distance: below this, two float64 rows may be equal but for rounding


@dataclass(frozen=True)
class Variable:
    """One side of a question over n samples.

    dim: columns of the flattened samples. groups: (n,) which samples belong together (image or patient).
    reductions: what was folded from the columns. labels: (n,) int64 when the variable is discrete, else None.
    samples: (n, dim) the columns themselves, where they are held. deterministic: a function of the input without noise,
    as a network's layer is, so that its information about a continuous input has no bound. maps: feature maps that the
    columns are of, 1 without space. signal: what was captured, activations or the errors of back-propagation. classes:
    (n,) int64 of the samples, which a kernel may be aligned to. parts: the variables that it joins.
    """

    n: int
    dim: int
    groups: np.ndarray
    reductions: dict[Reduction | Coordinates | Numbers, np.ndarray | Refused] = field(default_factory=dict)
    labels: np.ndarray | None = None
    samples: np.ndarray | None = None
    deterministic: bool = False
    maps: int = 1
    signal: Literal["activation", "error"] = "activation"
    classes: np.ndarray | None = None
    parts: tuple[Variable, ...] = ()

    @classmethod
    def joined(cls, parts: Iterable[Variable]) -> Variable:
        """Several variables of the same samples as one, whose squared distances are the sum of theirs.

        >>> Variable.joined([Variable.of(np.eye(2)), Variable.of(np.eye(2))]).read(Distances())
        array([[0., 4.],
               [4., 0.]])
        """
        parts = tuple(parts)
        distances = sum(part.read(Distances()) for part in parts)
        dim, deterministic = sum(part.dim for part in parts), all(part.deterministic for part in parts)
        first = parts[0]
        return replace(
            first, dim=dim, reductions={Distances(): distances}, samples=None, deterministic=deterministic, parts=parts
        )

    @classmethod
    def of(cls, values, groups=None) -> Variable:
        """A Variable of a plain array: integers (n,) are labels, floats (n, ...) are samples.

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
        """Whether it can be read as samples; a discrete variable may be both, as a mask is."""
        return self.samples is not None or bool(self.reductions)

    def read(self, reduction: Reduction) -> np.ndarray:
        """The folded array; raises EstimationError where the variable holds neither it nor its samples."""
        if reduction not in self.reductions:
            if self.samples is None:
                held = list(self.reductions) or "labels alone"
                raise EstimationError(f"got a variable without {reduction}, it holds {held}")
            total = None
            for left in range(0, self.dim, COLUMNS_PER_FOLD):
                total = folded_or_refused(reduction, total, self.samples[:, left : left + COLUMNS_PER_FOLD])
            self.reductions[reduction] = finished_or_refused(reduction, total)
        folded = self.reductions[reduction]
        if isinstance(folded, Refused):
            raise EstimationError(folded.reason)
        return folded

    def coordinates(self, most: int) -> np.ndarray:
        """(n, k) float64, k <= most: the samples where they are held and have so few columns, else the leading
        principal coordinates, from the samples or from the distances alone (classical scaling)."""
        if self.samples is not None and self.dim <= most:
            return self.samples.astype(np.float64)
        key = Coordinates(most)
        if key not in self.reductions:
            few = self.samples is not None and self.dim <= self.n
            self.reductions[key] = (
                leading_coordinates(self.samples, most) if few else scaled_coordinates(self.read(Distances()), most)
            )
        return self.reductions[key]

    def numbered(self) -> np.ndarray:
        """(n,) integers, equal where the rows are: labels, where it has them."""
        if self.labels is not None:
            return self.labels
        if Numbers() not in self.reductions:
            if self.samples is not None:
                numbers = distinct_rows(self.samples + 0.0)  # makes -0.0 equal to 0.0
            else:
                squared = self.read(Distances())
                numbers = (squared <= TIED * squared.mean()).argmax(axis=1)  # the first that is equal
            self.reductions[Numbers()] = numbers
        return self.reductions[Numbers()]

    def shuffled(self, rng: np.random.Generator, discrete: bool) -> np.ndarray:
        """Partners (n,) with the pairing broken, whole groups moved: labels of a discrete variable, else its rows."""
        order = permuted_groups(self.groups, rng)
        return self.labels[order] if discrete else order

    def reordered(self, order: np.ndarray) -> Variable:
        """The samples in another order, in the same groups as before."""
        kept = {
            reduction: array[np.ix_(order, order)] if isinstance(reduction, Distances) else array[order]
            for reduction, array in self.reductions.items()
            if not isinstance(array, Refused)
        }
        labels, samples = (None if side is None else side[order] for side in (self.labels, self.samples))
        return replace(self, reductions=kept, labels=labels, samples=samples)


def folded_or_refused(reduction: Reduction, total: np.ndarray | Refused | None, columns: np.ndarray):
    """The fold of one more slice; Refused where the reduction refuses it, so that others go on."""
    if isinstance(total, Refused):
        return total
    try:
        return reduction.fold(total, columns)
    except EstimationError as error:
        return Refused(str(error))


def finished_or_refused(reduction: Reduction, total: np.ndarray | Refused) -> np.ndarray | Refused:
    """The folded array, or Refused."""
    if isinstance(total, Refused):
        return total
    try:
        return reduction.finish(total)
    except EstimationError as error:
        return Refused(str(error))


def permuted_groups(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A permutation that moves whole groups: (n,) such that row i gets the partner of row order[i].

    Groups are laid end to end in a random order; with one sample a group this is a uniform permutation.
    """
    names, group = np.unique(groups, return_inverse=True)
    place = np.argsort(rng.permutation(len(names)))  # of each group among the partners
    order = np.empty(len(groups), dtype=np.int64)
    order[np.argsort(group, kind="stable")] = np.argsort(place[group], kind="stable")
    return order


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


def require_squares(columns: np.ndarray) -> None:
    largest = float(np.abs(columns).max())
    if largest and not SQUARES_FIT[0] <= largest <= SQUARES_FIT[1]:
        raise EstimationError(
            f"got values of at most {largest:.3g}, wanted them between {SQUARES_FIT[0]:g} and {SQUARES_FIT[1]:g}, "
            "since float64 can't hold the squares of others; rescale them"
        )
