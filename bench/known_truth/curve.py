"""Dose-response curves: the answers of an estimator to known doses of information, and their inversion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri

from bench.errors import EstimationError
from bench.information.estimate import Calibrated, agree
from bench.information.statistics import TAILS

SURE = 0.9  # a number is reliable if at least this share of the doses that fit is close to it
WIDEST = 0.5  # share of all doses that an interval covers at most, unless the number is reliable
DRAWS = 200  # quantiles of the error of an estimate


@dataclass(frozen=True)
class Curves:
    """The answers of an estimator to information that is planted on the same samples, by form of the information.

    Attributes:
        doses: (forms, k) planted information in bits. It rises from 0 in each row.
        responses: (forms, k) the estimate minus its mean for a dose of 0, in bits.
        bound: The largest information that is possible, the entropy of the label, in bits.
    """

    doses: np.ndarray
    responses: np.ndarray
    bound: float

    def invert(self, excess: float, error: float) -> Calibrated:
        """Find the doses that fit an estimate.

        Each form has a monotone curve: the isotonic fit of its responses, linear between the doses. Each curve is
        inverted at the quantiles of a normal distribution around the estimate. A flat part of a curve gives both of
        its ends. The doses of all forms together, with equal weights, give the median and the interval. The interval
        thus has the error of the estimate, divided by the slope of the curve, and the spread between the forms.

        Args:
            excess: The estimate minus the mean of its null, in bits.
            error: The standard error of the estimate, in bits.

        Raises:
            EstimationError: The excess or its error is not a finite number.

        References:
            Isotonic regression: Barlow et al. 1972, Statistical inference under order restrictions, chapter 1.

        Examples:
            >>> halves = Curves(np.array([[0, 0.5, 1]]), np.array([[0, 0.25, 0.5]]), bound=1)
            >>> found = halves.invert(excess=0.3, error=0.02)
            >>> round(found.bits, 2), round(found.low, 2), round(found.high, 2), found.reliable
            (0.6, 0.52, 0.68, True)
        """
        if not np.isfinite([excess, error]).all() or error < 0:
            raise EstimationError(f"got an excess of {excess} ± {error} bits, wanted finite numbers and an error >= 0")
        answers = excess + error * ndtri((np.arange(DRAWS) + 0.5) / DRAWS)
        fits = []
        for doses, responses in zip(self.doses, self.responses, strict=True):
            fitted = monotone(doses, responses)
            fits += [inverse(doses, fitted, answers, side, self.bound) for side in ("left", "right")]
        return self._judge(np.concatenate(fits))

    def _judge(self, fits: np.ndarray) -> Calibrated:
        """Summarise the doses that fit, and say what they allow."""
        low, bits, high = (float(bound) for bound in np.quantile(fits, (TAILS[0], 0.5, TAILS[1])))
        span = f"truths from {low:.2f} to {high:.2f} bits give such an estimate"
        close = agree(fits, bits)
        if close.mean() >= SURE:
            return Calibrated(bits, low, high, True, f"the response is steep enough for its spread: {span}")
        if high - low > WIDEST * self.bound:
            return Calibrated(np.nan, low, high, False, f"not identifiable: {span}, of {self.bound:.2f} possible")
        return Calibrated(bits, low, high, False, f"the response is too flat for its spread: {span}")


def monotone(doses: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Fit responses that do not fall with the dose, by least squares.

    >>> monotone(np.array([0, 1, 2]), np.array([0.0, 0.4, 0.2])).round(2)
    array([0. , 0.3, 0.3])
    """
    from sklearn.isotonic import IsotonicRegression  # here, because scikit-learn takes a second to load

    return IsotonicRegression().fit_transform(doses, responses)


def inverse(
    doses: np.ndarray, fitted: np.ndarray, answers: np.ndarray, side: Literal["left", "right"], bound: float
) -> np.ndarray:
    """Invert a monotone curve that is linear between the doses.

    Args:
        doses: (k,) rising doses.
        fitted: (k,) responses that do not fall.
        answers: (m,) responses to invert.
        side: `left` returns the lowest dose with at least this response, and `right` the highest with at most it.
        bound: What is returned above the curve. Below the curve it is the first dose.

    Examples:
        >>> flat = np.array([0.0, 1, 2]), np.array([0.0, 1, 1])
        >>> [inverse(*flat, np.array([0.5, 1, 1.5]), side, bound=3).tolist() for side in ("left", "right")]
        [[0.5, 1.0, 3.0], [0.5, 3.0, 3.0]]
    """
    after = np.searchsorted(fitted, answers, side=side)
    right = np.clip(after, 1, len(fitted) - 1)
    left = right - 1
    rise = fitted[right] - fitted[left]
    share = np.divide(answers - fitted[left], rise, out=np.zeros(len(answers)), where=rise > 0)
    between = doses[left] + share * (doses[right] - doses[left])
    return np.where(after == 0, doses[0], np.where(after == len(fitted), bound, between))
