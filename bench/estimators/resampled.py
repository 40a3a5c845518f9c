"""Estimators that are a statistic of the samples: the null permutes it, the interval takes it on halves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.estimators.base import Answer, Estimator, null_of
from bench.estimators.conditional import permuted_given
from bench.information.statistics import jackknife_standard_error, normal_interval
from bench.information.variables import Variable

Movable = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Statistic:
    """What an estimator makes of its variables.

    at(rows): computes once what does not change with the pairing of these samples (m,), and returns a function from
    the side that a null moves to bits. That side is the target's partners of the rows, (m,): labels where it is read as
    discrete, else rows of the target. With a third variable given, target and given stay and it is t's rows, (m,).
    ceiling(rows): the most that it could be for these samples.
    """

    at: Callable[[np.ndarray], Movable]
    ceiling: Callable[[np.ndarray], float]


class Resampled(Estimator):
    """A statistic with its null by permutations of whole groups and its interval by the delete-half jackknife.

    permutations: of the null; with a third variable given, within its neighbours or classes (`permuted_given`).
    subsamples: random halves of the groups, for the interval; at half of the samples without replacement, the spread
    of the statistic is that of the full one.
    """

    subsamples: int = 20

    @abstractmethod
    def statistic(self, t: Variable, target: Variable, given: Variable | None) -> Statistic:
        """The statistic of these variables; what all its values share is computed here, once."""

    def answer(self, t, target, given, rng):
        statistic = self.statistic(t, target, given)
        discrete = given is None and self.discrete(target)
        own = target.labels if discrete else np.arange(t.n)
        rows = rng.permutation(t.n)  # so that consecutive samples make a random mini-batch
        ceiling, here = statistic.ceiling(rows), statistic.at(rows)
        bits = here(own[rows])
        error = jackknife_standard_error(lambda half: statistic.at(half)(own[half]), t.groups, self.subsamples, rng)
        null = None
        if self.pairs(target):
            if given is None:
                moved = (target.shuffled(rng, discrete) for _ in range(self.permutations))
            else:
                moved = permuted_given(given, t.groups, self.permutations, rng)
            null = null_of([here(partners[rows]) for partners in moved])
        return Answer(bits, normal_interval(bits, error).bounds, null, ceiling)
