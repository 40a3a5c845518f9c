"""Resampled: the wrapper that adds a null by permutations and an interval by subsamples to a statistic."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import scipy  # it loads its modules when they are first used

from bench.estimators.base import Answer, Estimator, null_of
from bench.estimators.extrapolation import Extrapolated
from bench.estimators.statistic import Statistic
from bench.information.permutations import permuted_groups
from bench.information.statistics import normal_interval
from bench.information.variables import Variable

NEIGHBOURS = 5
COLUMNS = 16  # of the given variable, which neighbours are found by


class Resampled(Estimator):
    """Estimator of a statistic, with a null by permutations and an interval by the delete-half jackknife.

    Attributes:
        permutations: Number of permutations of the null. Whole groups move. With a third variable given, samples move
            among its neighbours or within its classes (`permuted_given`).
        subsamples: Number of random halves of the groups for the interval. Half of the samples are drawn without
            replacement, so that the spread of the statistic over halves is that of the statistic of all samples.
        extrapolate: Whether the statistic is extrapolated from parts of the samples to infinitely many samples
            (`Extrapolated`).
    """

    subsamples: int = 20
    extrapolate: bool = False

    @abstractmethod
    def statistic(self, t: Variable, target: Variable, given: Variable | None) -> Statistic:
        """Make the statistic of these variables."""

    def final(self, t: Variable, target: Variable, given: Variable | None) -> Statistic:
        """Make the statistic of these variables, extrapolated if the estimator is set so."""
        statistic = self.statistic(t, target, given)
        if not self.extrapolate:
            return statistic
        return Extrapolated(statistic.rows, statistic.partners, statistic, t.groups)

    def answer(self, t, target, given, rng):
        statistic = self.final(t, target, given)
        whole = statistic.at(rng.permutation(t.n))  # so that consecutive samples make a random mini-batch
        ceiling = whole.ceiling()
        bits, error = whole.with_error(t.groups, self.subsamples, rng)
        null = None
        if self.pairs(target):
            if given is None:
                moved = (self.shuffled(target, rng) for _ in range(self.permutations))
            else:
                moved = within_classes(given, permuted_given(given, t.groups, self.permutations, rng))
            null = null_of([whole.permuted(partners) for partners in moved])
        return Answer(bits, normal_interval(bits, error).bounds, null, ceiling)

    def shuffled(self, target: Variable, rng: np.random.Generator) -> np.ndarray:
        """Return partners (n,) after a permutation of whole groups. Labels are repeated, row numbers are not."""
        return target.shuffled(rng, True) if self.discrete(target) else permuted_groups(target.groups, rng)

    def bits_of_orders(self, t, target, orders, rng):
        statistic = self.final(t, target, None)
        whole = statistic.at(rng.permutation(t.n))
        return np.array([whole.bits(statistic.partners[order][whole.rows]) for order in orders])


def permuted_given(given: Variable, groups: np.ndarray, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield `count` permutations of t that keep its dependence on the given variable, for the null of I(T;Y|C).

    If each sample is a group of its own, t is permuted within the classes of a discrete given variable, or among the 5
    nearest neighbours of a continuous one. Each row is then used once where its neighbours allow it. If groups have
    several samples, each group takes t from one other group, because the samples of one image depend on each other.
    The samples of the two groups are matched one to one so that the sum of their squared distances in the given
    variable is least.

    Args:
        given: The third variable C.
        groups: (n,) the group of each sample.
        count: Number of permutations.
        rng: Generator of the permutations.

    Yields:
        moved: (n,) row numbers. Sample i has t of sample moved[i].

    References:
        Runge 2018, AISTATS, algorithm 1.
    """
    near = given.coordinates(COLUMNS) if given.labels is None else given.labels[:, None].astype(np.float64)
    if len(np.unique(groups)) < len(groups):
        draw = partial(_from_other_groups, near, groups)
    elif given.labels is not None:
        draw = partial(_within_classes, given.labels)
    else:
        tree = scipy.spatial.cKDTree(near)
        neighbours = tree.query(near, min(NEIGHBOURS + 1, len(near)))[1]  # (n, 6), with the sample itself
        draw = partial(_within_neighbours, neighbours)
    for _ in range(count):
        yield draw(rng)


def within_classes(given: Variable, draws: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield permutations (n,) of t without the rows that leave their class of a discrete given variable: -1 there.

    Two groups may have different numbers of samples in a class. Rows of t in a wrong class would make the null too low.
    """
    for moved in draws:
        yield moved if given.labels is None else np.where(given.labels[moved] == given.labels, moved, -1)


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
        apart = np.tile(apart, -(-len(own) // len(theirs)))  # samples of a smaller group are used more than once
        apart += 1e-9 * rng.random(apart.shape)  # equal distances are ordered at random
        moved[own] = theirs[scipy.optimize.linear_sum_assignment(apart)[1] % len(theirs)]
    return moved
