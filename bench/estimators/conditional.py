"""The null of a conditional question: t is exchanged among samples that have about the same given."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from bench.information.variables import Variable, permuted_groups

NEIGHBOURS = 5
COLUMNS = 16  # of the given that neighbours are found by


def permuted_given(given: Variable, groups: np.ndarray, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """`count` arrays of rows (n,): t of row moved[i] stands in for t of row i, and tells nothing more of i than given.

    Each sample a group of its own: a permutation within the classes of a discrete given, or within the 5 nearest
    neighbours of a continuous one, each row used once where its neighbours allow (Runge 2018, AISTATS, algorithm 1).
    Groups of several samples: each group takes t from one other group, samples matched one to one so that their given
    is nearest in all, and so samples of one image, which are not independent, move together.
    """
    grouped = len(np.unique(groups)) < len(groups)
    near = _nearness(given)
    neighbours = None if grouped or given.labels is not None else _neighbours(near)
    for _ in range(count):
        if grouped:
            yield _from_other_groups(near, groups, rng)
        elif neighbours is None:
            yield _within_classes(given.labels, rng)
        else:
            yield _within_neighbours(neighbours, rng)


def _nearness(given: Variable) -> np.ndarray:
    """(n, k) columns in which samples with about the same given are near."""
    if given.labels is not None:
        return given.labels[:, None].astype(np.float64)
    return given.coordinates(COLUMNS)


def _neighbours(near: np.ndarray) -> np.ndarray:
    return cKDTree(near).query(near, min(NEIGHBOURS + 1, len(near)))[1]  # (n, 6), itself among them


def _within_classes(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    moved = np.arange(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        moved[rows] = rng.permutation(rows)
    return moved


def _within_neighbours(neighbours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    moved, used = np.empty(len(neighbours), dtype=np.int64), np.zeros(len(neighbours), dtype=bool)
    for row in rng.permutation(len(neighbours)):
        choices = rng.permutation(neighbours[row])
        free = choices[~used[choices]]
        moved[row] = free[0] if len(free) else choices[0]
        used[moved[row]] = True
    return moved


def _from_other_groups(near: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    names, sizes = np.unique(groups, return_counts=True)
    rows_of = dict(zip(names, np.split(np.argsort(groups, kind="stable"), np.cumsum(sizes)[:-1]), strict=True))
    moved = np.empty(len(groups), dtype=np.int64)
    for name, donor in zip(names, names[permuted_groups(np.arange(len(names)), rng)], strict=True):
        own, theirs = rows_of[name], rows_of[donor]
        apart = ((near[own][:, None] - near[theirs][None]) ** 2).sum(axis=2)  # (own, theirs)
        apart = np.tile(apart, -(-len(own) // len(theirs)))  # a smaller group's samples stand in more than once
        apart += 1e-9 * rng.random(apart.shape)  # among equals, any
        moved[own] = theirs[linear_sum_assignment(apart)[1] % len(theirs)]
    return moved
