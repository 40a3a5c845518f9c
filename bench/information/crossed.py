"""Crossed effects: means over seeds and groups, their intervals and p values, and the seeds that a margin needs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from typing import NamedTuple

import numpy as np
import scipy  # it loads its modules when they are first used; scipy.stats takes a second

from bench.errors import InputError
from bench.information.statistics import NORMAL_QUANTILE, Interval

LEVEL = 0.05  # of two-sided tests, as that of a 95 % interval
POWER = 0.8
SHARES = (np.arange(200) + 0.5) / 200  # probabilities whose quantiles stand for a distribution
MOST_SEEDS = 1000
CERTAIN = 100.0  # times the quantile of the test: a margin of as many standard errors is found with certainty


@dataclass(frozen=True)
class Crossed:
    """The mean of values whose seeds and groups are crossed random effects.

    The variance of the mean is (A + B - C) / (S G) for S seeds and G groups, and at least C / (S G). A, B and C are the
    mean squares between seeds, between groups and of the residuals.

    A has few degrees of freedom, and it may be small by chance. P values and intervals are therefore generalised: the
    tail of Student's t distribution with G - 1 degrees of freedom is averaged over the true values that A allows, which
    are A (S - 1) over the quantiles of the chi-square distribution with S - 1 degrees of freedom.

    Attributes:
        mean: The mean of all values.
        squares: The mean squares A, B and C.
        seeds: Number of seeds.
        groups: Number of groups.

    References:
        Searle, Casella & McCulloch 1992, Variance Components, sections 4.3 and 4.7.
        Tsui & Weerahandi 1989, Journal of the American Statistical Association 84:602 (generalised p values).
        Weerahandi 1993, Journal of the American Statistical Association 88:899 (generalised confidence intervals).

    Examples:
        >>> effect = Crossed.of(np.array([[0.0, 2.0], [2.0, 4.0]]))
        >>> effect.mean, round(effect.error, 3), effect.interval.mean
        (2.0, 1.414, 2.0)
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
        return float(self._errors(np.ones(1))[0])

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the mean, of width 0 where all values are equal."""
        return Interval.around(self.mean, self.half_width())

    def half_width(self, level: float = LEVEL) -> float:
        """Return half the width of the interval with a coverage of 1 - level."""
        if self.error == 0:
            return 0.0
        most = self.error
        while self._tail(most) > level / 2:
            most *= 2
        return float(scipy.optimize.brentq(lambda distance: self._tail(distance) - level / 2, 0.0, most, xtol=1e-12))

    def p_value(self, bound: float = 0.0, above: bool = True) -> float:
        """Compute the p value of a mean above a bound, or below it.

        It is twice the probability in the tail, at most 1. It is below 0.05 if and only if the 95 % interval lies on
        this side of the bound.

        Examples:
            >>> effect = Crossed(0.1, (0.02, 0.01, 0.005), 3, 20)
            >>> round(effect.p_value(), 4), round(effect.p_value(effect.interval.low), 4), effect.p_value(0.1)
            (0.036, 0.05, 1.0)
        """
        distance = self.mean - bound if above else bound - self.mean
        if self.error == 0:
            return 0.0 if distance > 0 else 1.0
        return min(1.0, 2 * self._tail(distance))

    def _tail(self, distance: float) -> float:
        """Return the probability that chance alone moves the mean this far up."""
        errors = self._errors(1 / _spread_of_mean_squares(self.seeds - 1))
        return float(scipy.special.stdtr(self.groups - 1, -distance / errors).mean())

    def _errors(self, factors: np.ndarray) -> np.ndarray:
        """Return the standard errors if the mean square of the seeds is multiplied by each of these factors."""
        of_seeds, of_groups, of_rest = self.squares
        return np.sqrt(np.maximum(of_seeds * factors + of_groups - of_rest, of_rest) / (self.seeds * self.groups))

    @property
    def components(self) -> Components:
        """The variances that the mean squares estimate, at least 0."""
        seeds, groups, rest = self.squares
        return Components(max(0.0, (seeds - rest) / self.groups), max(0.0, (groups - rest) / self.seeds), rest)


@cache
def _spread_of_mean_squares(degrees: int) -> np.ndarray:
    """Return quantiles of a mean square of these degrees of freedom, divided by its expectation: (200,)."""
    return scipy.special.chdtri(degrees, SHARES) / degrees


class Components(NamedTuple):
    """Variances of seeds, of groups, and of the rest.

    Examples:
        >>> found = Components(0.01**2, 0.05**2, 0.1**2)
        >>> found.seeds_needed(0.02, groups=100), found.seeds_needed(0.01, groups=100)
        (10, None)
    """

    seeds: float
    groups: float
    rest: float

    @classmethod
    def mean(cls, several: Sequence[Components]) -> Components:
        """Average the variances of several effects."""
        return cls(*(float(value) for value in np.mean(several, axis=0)))

    def expected(self, seeds: int, groups: int) -> Crossed:
        """Return an effect of 0 with the mean squares that are expected of these numbers of seeds and groups."""
        return Crossed(
            0.0, (self.rest + groups * self.seeds, self.rest + seeds * self.groups, self.rest), seeds, groups
        )

    def power(self, margin: float, seeds: int, groups: int, level: float = LEVEL) -> float:
        """Compute how often a mean that is truly 0 is shown to be above -margin.

        The interval is that of the expected mean squares. Its width varies as a standard error does whose degrees of
        freedom are by Satterthwaite's formula, at least 1.

        Args:
            margin: Margin, above 0.
            seeds: Number of seeds, at least 2.
            groups: Number of groups.
            level: Level of the two-sided test.
        """
        effect = self.expected(seeds, groups)
        if effect.error == 0:
            return 1.0
        quantile = effect.half_width(level) / effect.error
        of_seeds, of_groups, of_rest = effect.squares
        spread = of_seeds**2 / (seeds - 1) + of_groups**2 / (groups - 1) + of_rest**2 / ((seeds - 1) * (groups - 1))
        degrees = max(1.0, (of_seeds + of_groups - of_rest) ** 2 / spread)
        return float(scipy.stats.nct.sf(quantile, degrees, min(margin / effect.error, CERTAIN * quantile)))

    def seeds_needed(self, margin: float, groups: int, level: float = LEVEL) -> int | None:
        """Return the smallest number of seeds with a power of 80 %, or None if no number up to 1000 has it."""
        numbers = range(2, MOST_SEEDS + 1)
        at = bisect_left(numbers, POWER, key=lambda seeds: self.power(margin, seeds, groups, level))
        return numbers[at] if at < len(numbers) else None

    def margin_decided(self, seeds: int, groups: int) -> float:
        """Return the smallest margin that this number of seeds decides with a power of 80 %.

        Examples:
            >>> found = Components(0.01**2, 0.05**2, 0.1**2)
            >>> round(found.margin_decided(10, groups=100), 3), round(found.margin_decided(1000, groups=100), 3)
            (0.02, 0.014)
        """

        def missing(margin: float) -> float:
            return POWER - self.power(margin, seeds, groups)

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
