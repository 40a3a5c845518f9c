"""Statistic: a function of paired samples that is computed for many pairings and many subsets of the same samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bench.information.statistics import jackknife_standard_error


@dataclass(frozen=True, eq=False)
class Statistic(ABC):
    """A statistic of paired samples in bits, made to be computed for many pairings of the same samples.

    Fields of a subclass hold what all samples share, such as their distances. Cached properties hold what samples
    `rows` share in every pairing. `bits` computes the rest.

    Attributes:
        rows: (m,) row numbers of the samples that the statistic is computed from.
        partners: (n,) the side that a permutation moves, as observed: labels of a target that is read as discrete, else
            row numbers. They are row numbers of the target, or of t where a third variable is given.
    """

    rows: np.ndarray
    partners: np.ndarray

    @abstractmethod
    def bits(self, partners: np.ndarray) -> float:
        """Compute the statistic of samples `rows` with these partners (m,), in bits."""

    def ceiling(self) -> float:
        """Return the largest value in bits that the statistic of samples `rows` can have."""
        return np.inf

    def at(self, rows: np.ndarray) -> Statistic:
        """Return the same statistic of the samples `rows` (m,)."""
        return replace(self, rows=rows)

    def observed(self) -> float:
        """Compute the statistic of samples `rows` with their own partners, in bits."""
        return float(self.bits(self.partners[self.rows]))

    def paired(self, rows: np.ndarray, partners: np.ndarray) -> Statistic:
        """Return the same statistic of the samples `rows` (m,), as if these partners (m,) had been observed."""
        observed = self.partners.copy()
        observed[rows] = partners
        return replace(self, rows=rows, partners=observed)

    def permuted(self, partners: np.ndarray) -> float:
        """Compute the statistic of samples `rows` for a null, with other partners (n,), in bits.

        Some samples may have no partner: a number below 0. Without them the statistic has another bias. So it is
        computed twice for the other samples, with these and with their own partners. The difference is added to the
        statistic of all samples. If groups are independent, both have the same distribution without information.
        """
        rows = self.rows[partners[self.rows] >= 0]
        if len(rows) == len(self.rows):
            return float(self.bits(partners[rows]))
        return self._bits + self.paired(rows, partners[rows]).observed() - self.at(rows).observed()

    @cached_property
    def _bits(self) -> float:
        return self.observed()

    def with_error(self, groups: np.ndarray, subsamples: int, rng: np.random.Generator) -> tuple[float, float]:
        """Compute the statistic, and its standard error by the delete-half jackknife over groups, in bits.

        Args:
            groups: (n,) the group of each of all samples.
            subsamples: Number of random halves of the groups.
            rng: Generator of the halves.
        """
        bits = self.observed()
        return bits, jackknife_standard_error(lambda half: self.at(half).observed(), groups, subsamples, rng)


@dataclass(frozen=True, eq=False)
class FunctionStatistic(Statistic):
    """A function of two arrays, called anew for each pairing.

    Attributes:
        function: Takes t (m, ...) and the target, labels (m,) or columns (m, d), and returns bits.
        t: (n, ...) what the function reads of t.
        target: (n, d) the columns of a continuous target; None where the target is read as labels.
        most: The largest value that the function can return, in bits.
    """

    function: Callable[[np.ndarray, np.ndarray], float]
    t: np.ndarray
    target: np.ndarray | None
    most: float

    @classmethod
    def of(cls, function, t: np.ndarray, target: np.ndarray, most: float = np.inf) -> FunctionStatistic:
        """Make the statistic.

        Args:
            function: Takes samples of t and of the target, and returns bits.
            t: (n, ...) what the function reads of t.
            target: (n,) labels or (n, d) columns.
            most: The largest value that the function can return, in bits.
        """
        rows = np.arange(len(t))
        labelled = target.ndim == 1
        return cls(rows, target if labelled else rows, function, t, None if labelled else target, most)

    def bits(self, partners):
        return self.function(self.t[self.rows], partners if self.target is None else self.target[partners])

    def ceiling(self):
        return self.most
