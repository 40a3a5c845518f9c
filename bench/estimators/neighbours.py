"""Neighbours among paired samples: how far the k-th is and how many are closer, by distance matrices or k-d trees."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from scipy.spatial.distance import cdist
from sklearn.neighbors import KDTree

from bench.information.reductions import Distances, distinct_rows
from bench.information.variables import TIED, Variable

TREE_COLUMNS = 8  # of all variables together; with more, the matrix of distances is faster
TREE_SAMPLES = 600  # with fewer, it is faster too


class Metric(Protocol):
    """Distances among m samples; `block` names some of them, and their neighbours are looked for among them alone."""

    def at(self, rows: np.ndarray) -> Metric: ...

    def joined(self, other: Metric) -> Metric:
        """The larger of the two distances."""

    def radius(self, block, k: int) -> np.ndarray:
        """Distance to the k-th neighbour."""

    def closer(self, block, radius: np.ndarray) -> np.ndarray:
        """How many others are closer than the radius; where it is 0, how many are equal."""

    def nearest(self, k: int) -> np.ndarray:
        """(m, k + 1) the nearest, itself among them."""

    def reach(self, neighbours: np.ndarray) -> np.ndarray:
        """(m,) distance to the farthest of the neighbours (m, k)."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """Distances (m, m), squared or not; only their order is read."""

    distances: np.ndarray

    @classmethod
    def of(cls, variable: Variable) -> Matrix:
        """Squared Euclidean ones."""
        squared = variable.read(Distances())
        squared = squared / max(squared.mean(), np.finfo(float).tiny)
        squared[squared < TIED] = 0
        return cls(squared)

    @classmethod
    def of_columns(cls, variable: Variable) -> Matrix:
        """The largest differences of any column, as `Columns` finds them."""
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
    """Samples (m, d), d small, under the largest difference of any column; trees are grown when first asked for."""

    columns: np.ndarray
    trees: dict[bytes, KDTree] = field(default_factory=dict)

    @classmethod
    def of(cls, variable: Variable) -> Columns:
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
        key = b"" if isinstance(block, slice) else block.tobytes()
        if key not in self.trees:
            self.trees[key] = KDTree(self.columns[block], metric="chebyshev")
        return self.trees[key]


def scaled(variable: Variable) -> np.ndarray:
    """(n, d) float64, centred, of root mean square 1."""
    columns = variable.samples.astype(np.float64)
    columns = columns - columns.mean(axis=0)
    return columns / max(np.sqrt((columns**2).mean()), np.finfo(float).tiny)


@dataclass(frozen=True, eq=False)
class Cloud:
    """m samples of one variable, or of several as one under the largest of their distances.

    classes: (m,) the value of the discrete ones; samples of different classes are infinitely far apart, those of one
    class no distance. metric: that of the others. None where there are none.
    """

    m: int
    metric: Metric | None = None
    classes: np.ndarray | None = None

    @classmethod
    def labels(cls, classes: np.ndarray) -> Cloud:
        return cls(len(classes), classes=classes)

    def at(self, rows: np.ndarray) -> Cloud:
        metric = self.metric and self.metric.at(rows)
        return Cloud(len(rows), metric, None if self.classes is None else self.classes[rows])

    def joined(self, other: Cloud | None) -> Cloud:
        if other is None:
            return self
        both = self.metric and other.metric and self.metric.joined(other.metric)
        classes = self.classes if other.classes is None else other.classes
        if self.classes is not None and other.classes is not None:
            classes = self.classes * (other.classes.max() + 1) + other.classes
        return Cloud(self.m, both or self.metric or other.metric, classes)

    @cached_property
    def blocks(self) -> list:
        """Rows of each class."""
        if self.classes is None:
            return [slice(None)]
        _, sizes = np.unique(self.classes, return_counts=True)
        return np.split(np.argsort(self.classes, kind="stable"), np.cumsum(sizes)[:-1])

    @cached_property
    def sizes(self) -> np.ndarray:
        """(m,) samples in the own class."""
        sizes = np.full(self.m, self.m)
        for block in self.blocks if self.classes is not None else ():
            sizes[block] = len(block)
        return sizes

    def radius(self, k: int) -> np.ndarray:
        """(m,) distance to the k-th neighbour, or to the last in a class of fewer."""
        radius = np.zeros(self.m)
        for block in self.blocks if self.metric else ():
            radius[block] = self.metric.radius(block, min(k, self.sizes[block][0] - 1))
        return radius

    def closer(self, radius: np.ndarray) -> np.ndarray:
        """(m,) how many others are closer than the radius; where it is 0, how many are equal."""
        if self.metric is None:
            return self.sizes - 1
        closer = np.empty(self.m, dtype=np.int64)
        for block in self.blocks:
            closer[block] = self.metric.closer(block, radius[block])
        return closer


def clouds(*variables: Variable | None) -> list[Cloud | None]:
    """The Cloud of each: labels by classes; columns, where all hold them and they are few, by trees, or by a matrix of
    few samples; else by the distances held."""
    continuous = [v for v in variables if v is not None and v.labels is None]
    held = all(v.samples is not None for v in continuous) and sum(v.dim for v in continuous) <= TREE_COLUMNS
    metric = Matrix.of
    if held:
        metric = Matrix.of_columns if continuous[0].n < TREE_SAMPLES else Columns.of
    return [v and (Cloud(v.n, metric(v)) if v.labels is None else Cloud.labels(v.labels)) for v in variables]


def equal_rows(*variables: Variable | None, among=slice(None)) -> np.ndarray:
    """Of each of the samples `among` all, how many of them are equal to it in all of the variables, itself too.

    >>> equal_rows(Variable.of(np.array([[0.5], [1.0], [0.5]])), Variable.of(np.array([1, 1, 2])))
    array([1, 1, 1])
    """
    codes = distinct_rows(np.stack([v.numbered()[among] for v in variables if v is not None], axis=1))
    return np.bincount(codes)[codes]
