"""Neighbours among paired samples: the distance to the k-th and the number of closer ones, by matrices or trees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from scipy.spatial.distance import cdist

from bench.information.reductions import Distances, distinct_rows
from bench.information.variables import TIED, Variable

if TYPE_CHECKING:
    from sklearn.neighbors import KDTree

TREE_COLUMNS = 8  # of all variables together; with more columns, the matrix of distances is faster
TREE_SAMPLES = 600  # with fewer samples, the matrix of distances is faster


class Metric(Protocol):
    """Distances among m samples. `block` selects samples, whose neighbours are searched among them alone."""

    def at(self, rows: np.ndarray) -> Metric:
        """Return the distances among the samples `rows`."""

    def joined(self, other: Metric) -> Metric:
        """Return the larger of the two distances."""

    def radius(self, block, k: int) -> np.ndarray:
        """Return the distance to the k-th neighbour."""

    def closer(self, block, radius: np.ndarray) -> np.ndarray:
        """Count the others that are closer than the radius, or that are equal where the radius is 0."""

    def nearest(self, k: int) -> np.ndarray:
        """Return the k nearest samples and the sample itself, (m, k + 1)."""

    def reach(self, neighbours: np.ndarray) -> np.ndarray:
        """Return the distance (m,) to the farthest of the neighbours (m, k)."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """Distances (m, m), squared or not. Only their order is read."""

    distances: np.ndarray

    @classmethod
    def of(cls, variable: Variable) -> Matrix:
        """Make a matrix of squared Euclidean distances."""
        squared = variable.read(Distances())
        squared = squared / max(squared.mean(), np.finfo(float).tiny)
        squared[squared < TIED] = 0
        return cls(squared)

    @classmethod
    def of_columns(cls, variable: Variable) -> Matrix:
        """Make a matrix of the largest differences of any column, the distances of `Columns`."""
        columns = scaled(variable)
        return cls(cdist(columns, columns, "chebyshev"))

    def at(self, rows):
        if np.array_equal(rows, np.arange(len(self.distances))):
            return self
        return Matrix(self.distances.take(rows, axis=0).take(rows, axis=1))

    def joined(self, other):
        return Matrix(np.maximum(self.distances, other.distances))

    def radius(self, block, k):
        nearest = torch.from_numpy(self._among(block)).topk(k + 1, dim=1, largest=False)
        return nearest.values[:, k].numpy()

    def closer(self, block, radius):
        return (self._among(block) < np.maximum(radius, np.nextafter(0, 1))[:, None]).sum(axis=1) - 1

    def nearest(self, k):
        return np.argpartition(self.distances, k, axis=1)[:, : k + 1]

    def reach(self, neighbours):
        return np.take_along_axis(self.distances, neighbours, axis=1).max(axis=1)

    def _among(self, block) -> np.ndarray:
        return self.distances if isinstance(block, slice) else self.distances[np.ix_(block, block)]


@dataclass(frozen=True, eq=False)
class Columns:
    """Samples (m, d) whose distance is the largest difference of any column. Trees are built when they are needed."""

    columns: np.ndarray
    trees: dict[bytes, KDTree] = field(default_factory=dict)

    @classmethod
    def of(cls, variable: Variable) -> Columns:
        """Make the columns of a variable that holds its samples."""
        return cls(scaled(variable))

    def at(self, rows):
        return Columns(self.columns[rows])

    def joined(self, other):
        return Columns(np.hstack([self.columns, other.columns]))

    def radius(self, block, k):
        return self._tree(block).query(self.columns[block], k + 1)[0][:, k]

    def closer(self, block, radius):
        return self._tree(block).query_radius(self.columns[block], np.nextafter(radius, 0), count_only=True) - 1

    def nearest(self, k):
        return self._tree(slice(None)).query(self.columns, k + 1, return_distance=False)

    def reach(self, neighbours):
        return np.abs(self.columns[neighbours] - self.columns[:, None]).max(axis=(1, 2))

    def _tree(self, block) -> KDTree:
        from sklearn.neighbors import KDTree  # here, because scikit-learn takes a second to load

        key = b"" if isinstance(block, slice) else block.tobytes()
        if key not in self.trees:
            self.trees[key] = KDTree(self.columns[block], metric="chebyshev")
        return self.trees[key]


def scaled(variable: Variable) -> np.ndarray:
    """Return the samples (n, d) float64, centred, with root mean square 1."""
    columns = variable.coordinates(variable.dim)  # the samples, which the variable holds
    columns = columns - columns.mean(axis=0)
    return columns / max(np.sqrt((columns**2).mean()), np.finfo(float).tiny)


@dataclass(frozen=True, eq=False)
class Cloud:
    """m samples of one variable, or of several variables with the largest of their distances.

    Attributes:
        m: Number of samples.
        metric: Distances of the continuous variables; None without any.
        classes: (m,) values of the discrete variables; None without any. Samples of one class have distance 0, and
            samples of different classes have an infinite distance.
    """

    m: int
    metric: Metric | None = None
    classes: np.ndarray | None = None

    @classmethod
    def labels(cls, classes: np.ndarray) -> Cloud:
        """Make the samples of a discrete variable."""
        return cls(len(classes), classes=classes)

    def at(self, rows: np.ndarray) -> Cloud:
        """Return the samples `rows`."""
        metric = self.metric and self.metric.at(rows)
        return Cloud(len(rows), metric, None if self.classes is None else self.classes[rows])

    def joined(self, other: Cloud | None) -> Cloud:
        """Return the same samples of both variables together."""
        if other is None:
            return self
        both = self.metric and other.metric and self.metric.joined(other.metric)
        classes = self.classes if other.classes is None else other.classes
        if self.classes is not None and other.classes is not None:
            classes = self.classes * (other.classes.max() + 1) + other.classes
        return Cloud(self.m, both or self.metric or other.metric, classes)

    @cached_property
    def blocks(self) -> list:
        """The rows of each class."""
        if self.classes is None:
            return [slice(None)]
        _, sizes = np.unique(self.classes, return_counts=True)
        return np.split(np.argsort(self.classes, kind="stable"), np.cumsum(sizes)[:-1])

    @cached_property
    def sizes(self) -> np.ndarray:
        """(m,) the number of samples in the class of each sample."""
        sizes = np.full(self.m, self.m)
        for block in self.blocks if self.classes is not None else ():
            sizes[block] = len(block)
        return sizes

    def radius(self, k: int) -> np.ndarray:
        """Return the distance (m,) to the k-th neighbour, or to the last one in a smaller class."""
        radius = np.zeros(self.m)
        if self.metric is None:
            return radius
        for block in self.blocks:
            radius[block] = self.metric.radius(block, min(k, self.sizes[block][0] - 1))
        return radius

    def closer(self, radius: np.ndarray) -> np.ndarray:
        """Count the others (m,) that are closer than the radius, or that are equal where the radius is 0."""
        if self.metric is None:
            return self.sizes - 1
        closer = np.empty(self.m, dtype=np.int64)
        for block in self.blocks:
            closer[block] = self.metric.closer(block, radius[block])
        return closer


def clouds(*variables: Variable | None) -> list[Cloud | None]:
    """Make the Cloud of each variable.

    A label has classes. If all continuous variables hold their samples and have few columns, the distance is the
    largest difference of any column: by a matrix for few samples, else by trees. If not, it is the Euclidean distance.
    """
    continuous = [v for v in variables if v is not None and v.labels is None]
    held = all(v.samples is not None for v in continuous) and sum(v.dim for v in continuous) <= TREE_COLUMNS
    metric: Callable[[Variable], Metric] = Matrix.of
    if held:
        metric = Matrix.of_columns if continuous[0].n < TREE_SAMPLES else Columns.of

    def cloud(v: Variable) -> Cloud:
        return Cloud(v.n, metric(v)) if v.labels is None else Cloud.labels(v.labels)

    return [None if v is None else cloud(v) for v in variables]


def equal_rows(*variables: Variable | None, among=slice(None)) -> np.ndarray:
    """Count, for each of the samples `among`, those that are equal to it in all variables, with the sample itself.

    >>> equal_rows(Variable.of(np.array([[0.5], [1.0], [0.5]])), Variable.of(np.array([1, 1, 2])))
    array([1, 1, 1])
    """
    codes = distinct_rows(np.stack([v.numbered()[among] for v in variables if v is not None], axis=1))
    return np.bincount(codes)[codes]
