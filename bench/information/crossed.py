"""Crossed effects: means over seeds and groups, their intervals and p values, and the seeds that a margin needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from typing import NamedTuple

import numpy as np
import scipy  # it loads its modules when they are first used; scipy.stats takes a second

from bench.errors import InputError
from bench.information.statistics import NORMAL_QUANTILE, Interval, t_half_width

LEVEL = 0.05  # of two-sided tests, as that of a 95 % interval
POWER = 0.8
SHARES = (np.arange(200) + 0.5) / 200  # probabilities whose quantiles stand for a distribution
MOST_SEEDS = 1000
CERTAIN = 100.0  # times the quantile of the test: a margin of as many standard errors is found with certainty


@dataclass(frozen=True)
class Crossed:
    """The mean of values whose seeds and groups are crossed random effects.

    The variance of the mean is (A + B - C) / (S G) for S seeds and G groups. A, B and C are the mean squares between
    seeds, between groups and of the residuals. Satterthwaite's formula gives the degrees of freedom, which are at
    least 1. Where C exceeds A + B, the variance is C / (S G).

    Attributes:
        mean: The mean of all values.
        squares: The mean squares A, B and C.
        seeds: Number of seeds.
        groups: Number of groups.

    References:
        Searle, Casella & McCulloch 1992, Variance Components, sections 4.3 and 4.7.

    Examples:
        >>> effect = Crossed.of(np.array([[0.0, 2.0], [2.0, 4.0]]))
        >>> effect.mean, round(effect.error, 3), effect.degrees, effect.interval.mean
        (2.0, 1.414, 2.0, 2.0)
    """

    mean: float
    squares: tuple[float, float, float]
    seeds: int
    groups: int

    @classmethod
    def of(cls, values: np.ndarray) -> Crossed:
        """Compute the mean squares of values of shape (seeds, groups), at least 2 of each.

        Raises:
            InputError: There are fewer than 2 seeds or 2 groups.
        """
        seeds, groups = values.shape
        if seeds < 2 or groups < 2:
            raise InputError(
                f"seeds: got {seeds} seeds and {groups} test images or patients, wanted at least 2 of each: "
                "without spread there is no verdict"
            )
        mean = values.mean()
        of_seeds, of_groups = values.mean(axis=1) - mean, values.mean(axis=0) - mean
        residuals = values - mean - of_seeds[:, None] - of_groups[None]
        squares = (
            float((of_seeds**2).sum() * groups / (seeds - 1)),
            float((of_groups**2).sum() * seeds / (groups - 1)),
            float((residuals**2).sum() / ((seeds - 1) * (groups - 1))),
        )
        return cls(float(mean), squares, seeds, groups)

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return sqrt(max(0.0, sum(self._terms)) / (self.seeds * self.groups))

    @property
    def degrees(self) -> float:
        """Degrees of freedom of the standard error, at least 1."""
        terms, counts = self._terms, (self.seeds - 1, self.groups - 1, (self.seeds - 1) * (self.groups - 1))
        spread = sum(term**2 / count for term, count in zip(terms, counts, strict=True))
        return max(1.0, sum(terms) ** 2 / spread) if spread > 0 else 1.0

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the mean, of width 0 where all values are equal."""
        return Interval.around(self.mean, t_half_width(self.error, self.degrees) if self.error > 0 else 0.0)

    def p_value(self, bound: float = 0.0, above: bool = True) -> float:
        """Compute the p value of a mean above a bound, or below it, by Student's t distribution.

        It is twice the probability in the tail, at most 1. It is below 0.05 if and only if the 95 % interval lies on
        this side of the bound.

        Examples:
            >>> effect = Crossed.of(np.array([[0.0, 2.0], [2.0, 4.0]]))
            >>> round(effect.p_value(effect.interval.low), 6), effect.p_value(2.0)
            (0.05, 1.0)
        """
        distance, error = self.mean - bound if above else bound - self.mean, self.error
        if error == 0:
            return 0.0 if distance > 0 else 1.0
        return min(1.0, 2 * float(scipy.special.stdtr(self.degrees, -distance / error)))

    def tail_p_value(self, bound: float = 0.0, above: bool = True) -> float:
        """Compute a p value that also holds far in the tail and for few seeds, where `p_value` is too small.

        The mean square of the seeds has few degrees of freedom, and it may be small by chance. The p value of Student's
        t, with the degrees of freedom of the groups, is therefore averaged over the true values that this mean square
        allows: it times its degrees of freedom over the quantiles of their chi-square distribution.

        References:
            Tsui & Weerahandi 1989, Journal of the American Statistical Association 84:602 (generalised p values).

        Examples:
            >>> effect = Crossed(0.1, (0.02, 0.01, 0.005), 3, 20)
            >>> round(effect.p_value(), 4), round(effect.tail_p_value(), 4)
            (0.0158, 0.036)
        """
        if self.error == 0:
            return self.p_value(bound, above)
        of_seeds, of_groups, of_rest = self.squares
        allowed = of_seeds / _spread_of_mean_squares(self.seeds - 1)
        errors = np.sqrt(np.maximum(allowed + of_groups - of_rest, of_rest) / (self.seeds * self.groups))
        distance = self.mean - bound if above else bound - self.mean
        return min(1.0, 2 * float(scipy.special.stdtr(self.groups - 1, -distance / errors).mean()))

    @property
    def components(self) -> Components:
        """The variances that the mean squares estimate, at least 0."""
        seeds, groups, rest = self.squares
        return Components(max(0.0, (seeds - rest) / self.groups), max(0.0, (groups - rest) / self.seeds), rest)

    @property
    def _terms(self) -> tuple[float, float, float]:
        """The signed mean squares whose sum is the variance of the mean times S G."""
        of_seeds, of_groups, of_rest = self.squares
        return (of_seeds, of_groups, -of_rest) if of_seeds + of_groups > of_rest else (0.0, 0.0, of_rest)


@cache
def _spread_of_mean_squares(degrees: int) -> np.ndarray:
    """Return quantiles of a mean square of these degrees of freedom, divided by its expectation: (200,)."""
    return scipy.special.chdtri(degrees, SHARES) / degrees


class Components(NamedTuple):
    """Variances of seeds, of groups, and of the rest.

    Examples:
        >>> found = Components(0.01**2, 0.05**2, 0.1**2)
        >>> found.seeds_needed(0.02, groups=100), found.seeds_needed(0.01, groups=100)
        (9, None)
    """

    seeds: float
    groups: float
    rest: float

    @classmethod
    def mean(cls, several: Sequence[Components]) -> Components:
        """Average the variances of several effects."""
        return cls(*(float(value) for value in np.mean(several, axis=0)))

    def power(self, margin: float, seeds: np.ndarray, groups: int, level: float = LEVEL) -> np.ndarray:
        """Compute how often a mean that is truly 0 is shown to be above -margin, for each of these numbers of seeds.

        The degrees of freedom are those of the expected mean squares, and the power is that of Student's t test with
        them.

        Args:
            margin: Margin, above 0.
            seeds: (k,) numbers of seeds, each at least 2.
            groups: Number of groups.
            level: Level of the two-sided test.
        """
        between_seeds, between_groups = self.rest + groups * self.seeds, self.rest + seeds * self.groups
        total = between_seeds + between_groups - self.rest
        spread = between_seeds**2 / (seeds - 1) + between_groups**2 / (groups - 1)
        spread = spread + self.rest**2 / ((seeds - 1) * (groups - 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            degrees = np.where(spread > 0, np.maximum(1, total**2 / spread), 1)
            away = np.where(total > 0, margin / np.sqrt(total / (seeds * groups)), np.inf)
        quantile = scipy.stats.t.ppf(1 - level / 2, degrees)
        return scipy.stats.nct.sf(quantile, degrees, np.minimum(away, CERTAIN * quantile))

    def seeds_needed(self, margin: float, groups: int, level: float = LEVEL) -> int | None:
        """Return the smallest number of seeds with a power of 80 %, or None if no number up to 1000 has it."""
        seeds = np.arange(2, MOST_SEEDS + 1)
        enough = np.flatnonzero(self.power(margin, seeds, groups, level) >= POWER)
        return int(seeds[enough[0]]) if len(enough) else None

    def margin_decided(self, seeds: int, groups: int) -> float:
        """Return the smallest margin that this number of seeds decides with a power of 80 %.

        Examples:
            >>> found = Components(0.01**2, 0.05**2, 0.1**2)
            >>> round(found.margin_decided(9, groups=100), 3), round(found.margin_decided(1000, groups=100), 3)
            (0.02, 0.014)
        """

        def missing(margin: float) -> float:
            return POWER - float(self.power(margin, np.array([seeds]), groups)[0])

        if sum(self) == 0:
            return 0.0
        most = 1e-6
        while missing(most) > 0:
            most *= 10
        return float(scipy.optimize.brentq(missing, 0.0, most, xtol=1e-9))

    def half_width_of_groups(self, groups: int) -> float:
        """Return half the width of the interval with any number of seeds, because of the groups alone."""
        return NORMAL_QUANTILE * sqrt(self.groups / groups)

    def of_folds(self, folds: int) -> Components:
        """Return the variances if each seed trains one network per fold: their errors average out over the folds."""
        return self._replace(seeds=self.seeds / folds, rest=self.rest + self.seeds * (1 - 1 / folds))
