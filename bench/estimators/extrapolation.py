"""Extrapolation of a statistic from parts of the samples to infinitely many samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bench.errors import EstimationError
from bench.estimators.statistic import Statistic
from bench.information.statistics import NORMAL_QUANTILE, jackknife_standard_error

CUTS = 4  # the samples are cut into 1, 2, 3 and 4 parts
ROUNDING = 1e-9  # bits


@dataclass(frozen=True, eq=False)
class Extrapolated(Statistic):
    """A statistic of infinitely many samples, from a straight line through its values on parts of the samples.

    The samples are cut into g disjoint parts of equal size, for g = 1 to 4. The mean of the statistic over g parts
    is plotted against the mean of 1/m over their sizes m. The line of least squares ends at 1/m = 0. All g have equal
    weight, because the mean over g parts reads all samples once: it has the variance of the statistic of all samples.

    A bias of the form a/m is removed. Other biases are not, so that the values must lie on a line (`with_error`).

    Attributes:
        whole: The statistic that is extrapolated.
        groups: (n,) the group of each sample. Groups are not cut.

    References:
        NeuralMI, arXiv 2506.00330; Strong et al. 1998, Phys. Rev. Lett. 80:197.

    Examples:
        >>> from bench.estimators.statistic import FunctionStatistic
        >>> t = np.zeros((60, 1))
        >>> biased = FunctionStatistic.of(lambda t, y: 1 + 6 / len(t), t, t)
        >>> extrapolated = Extrapolated(biased.rows, biased.partners, biased, biased.rows)
        >>> round(biased.observed(), 6), round(extrapolated.observed(), 6)
        (1.1, 1.0)
    """

    whole: Statistic
    groups: np.ndarray

    def bits(self, partners):
        return self.ends(partners)[0]

    def ceiling(self):
        """Return the ceiling of the statistic of all samples."""
        return self.whole.at(self.rows).ceiling()

    def paired(self, rows, partners):
        return replace(super().paired(rows, partners), whole=self.whole.paired(rows, partners))

    def with_error(self, groups, subsamples, rng):
        """Compute the statistic and its standard error, and check that the values lie on a straight line.

        They do not if a parabola ends elsewhere than the line: farther than 1.96 standard errors of the line, and than
        1.96 standard errors of the difference. Both errors are those of the delete-half jackknife.

        Raises:
            EstimationError: The values do not lie on a straight line.
        """
        line, difference = self.ends(self.partners[self.rows])
        error, of_difference = jackknife_standard_error(
            lambda half: self.at(half).ends(self.partners[half]), groups, subsamples, rng
        )
        allowed = NORMAL_QUANTILE * max(error, of_difference) + ROUNDING
        if abs(difference) > allowed:
            raise EstimationError(
                f"got bits that are not linear in 1/n (a line gives {line:.3g} bits for infinitely many samples, a "
                f"parabola {line + difference:.3g}), wanted a difference of at most {allowed:.2g}; take more samples, "
                "or set extrapolate=false"
            )
        return line, error

    def ends(self, partners: np.ndarray) -> np.ndarray:
        """Compute the end of the line, and the end of the parabola minus that of the line, in bits: shape (2,)."""
        means = [np.mean([part.bits(partners[here]) for here, part in cut]) for cut in self.parts]
        inverse = [np.mean([1 / len(here) for here, _ in cut]) for cut in self.parts]
        inverse = np.array(inverse) / inverse[0]  # of order 1, for the numerical accuracy of the fits
        line, parabola = (np.polyfit(inverse, means, degree)[-1] for degree in (1, 2))
        return np.array([line, parabola - line])

    @cached_property
    def parts(self) -> list[list[tuple[np.ndarray, Statistic]]]:
        """For each g, the positions in `rows` and the statistic of each part. The order of the rows is random."""
        _, first, member = np.unique(self.groups[self.rows], return_index=True, return_inverse=True)
        count = len(first)
        if count < CUTS:
            raise EstimationError(
                f"got {count} groups of samples (all, or a half for the interval), wanted at least {CUTS} to "
                "extrapolate from parts; take more samples, or set extrapolate=false"
            )
        order = np.argsort(np.argsort(first))[member]  # the rank of each sample's group, by its first sample
        cuts = [order * g // count for g in range(1, CUTS + 1)]
        return [[self._part(np.flatnonzero(cut == p)) for p in range(cut.max() + 1)] for cut in cuts]

    def _part(self, here: np.ndarray) -> tuple[np.ndarray, Statistic]:
        return here, self.whole.at(self.rows[here])
