"""Dose-response curves: the answers of an estimator to known doses of information, and their inversion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from bench.errors import EstimationError
from bench.information.estimate import RECOVERED

CLOSE = 0.1  # bits; a difference that is usable whatever the truth
WIDEST = 0.5  # an interval that covers more than this share of the doses identifies nothing
DRAWS = 200  # quantiles of the error of an estimate
INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class Calibrated:
    """The information for which an estimator is likely to answer as it did.

    Attributes:
        bits: The median of the doses that fit the estimate; NaN where they are not identifiable.
        low: The lower end of the 95 % interval of the doses that fit.
        high: The upper end. It is infinite if the estimate of a continuous target is above the curve.
        reliable: Whether the whole interval is within a factor of 2 or 0.1 bits of `bits`.
        reason: Why it is reliable or not, in words.
    """

    bits: float
    low: float
    high: float
    reliable: bool
    reason: str


@dataclass(frozen=True)
class Curves:
    """The mean answers of an estimator to information that is planted on the same samples, by form of the information.

    Attributes:
        doses: (forms, doses) planted information in bits. It rises from 0 in each row.
        responses: (forms, doses) the estimate minus its mean for a dose of 0, in bits.
        bound: The largest information that is possible in bits: the entropy of a label, else infinite.
        forms: The name of each form, such as `random direction`.
    """

    doses: np.ndarray
    responses: np.ndarray
    bound: float
    forms: tuple[str, ...] = ()
    weights: np.ndarray | None = None

    def invert(self, excess: float, error: float) -> Calibrated:
        """Find the doses that fit an estimate.

        Each form has a monotone curve: the isotonic fit of its responses, linear between the doses. Each curve is
        inverted at the quantiles of a normal distribution around the estimate. A flat part of a curve returns both of
        its ends. The doses of all forms together, with equal weights, give the median and the interval.

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
            raise EstimationError(f"got an excess of {excess} ± {error} bits, wanted finite numbers, error at least 0")
        at = excess + error * ndtri((np.arange(DRAWS) + 0.5) / DRAWS)
        fits = np.sort(np.concatenate([self._doses(form, at) for form in range(len(self.doses))]))
        low, bits, high = (float(_quantile(fits, q)) for q in (INTERVAL[0], 0.5, INTERVAL[1]))
        return self._judge(bits, low, high)

    def _doses(self, form: int, at: np.ndarray) -> np.ndarray:
        """Return the lowest and the highest dose of one form that fits each of the answers `at`."""
        doses, fitted = self.doses[form], monotone(self.doses[form], self.responses[form])
        return np.concatenate([inverse(doses, fitted, at, side, self.bound) for side in ("left", "right")])

    def _judge(self, bits: float, low: float, high: float) -> Calibrated:
        most = self.doses.max()
        span = f"any truth from {low:.2f} to {high:.2f} bits gives such an estimate"
        if min(high, most) - min(low, most) > WIDEST * most:
            return Calibrated(
                np.nan, low, high, False, f"not identifiable: {span}, and {most:.2f} was the largest dose"
            )
        if not np.isfinite(high):
            return Calibrated(np.nan, low, high, False, f"not identifiable: the estimate is above the curve; {span}")
        narrow = low >= min(bits / RECOVERED, bits - CLOSE) and high <= max(bits * RECOVERED, bits + CLOSE)
        if narrow:
            return Calibrated(bits, low, high, True, f"the curve is steep enough: {low:.2f} to {high:.2f} bits")
        return Calibrated(bits, low, high, False, f"the spread is too large for the slope of the curve: {span}")


def monotone(doses: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Fit responses that do not fall with the dose, by least squares.

    >>> monotone(np.array([0, 1, 2]), np.array([0.0, 0.4, 0.2])).round(2)
    array([0. , 0.3, 0.3])
    """
    from sklearn.isotonic import IsotonicRegression  # here, because scikit-learn takes a second to load

    return IsotonicRegression().fit_transform(doses, responses)


def inverse(doses: np.ndarray, fitted: np.ndarray, at: np.ndarray, side: str, bound: float) -> np.ndarray:
    """Invert a monotone curve that is linear between the doses.

    Args:
        doses: (k,) rising doses.
        fitted: (k,) responses that do not fall.
        at: (m,) responses to invert.
        side: `left` returns the lowest dose with at least this response, and `right` the highest with at most it.
        bound: What is returned above the curve. Below the curve it is the first dose.

    Examples:
        >>> flat = np.array([0.0, 1, 2]), np.array([0.0, 1, 1])
        >>> [inverse(*flat, np.array([0.5, 1, 1.5]), side, bound=3).tolist() for side in ("left", "right")]
        [[0.5, 1.0, 3.0], [0.5, 3.0, 3.0]]
    """
    after = np.searchsorted(fitted, at, side=side)
    inside = np.clip(after, 1, len(fitted) - 1)
    left, right = inside - 1, inside
    rise = fitted[right] - fitted[left]
    share = np.divide(at - fitted[left], rise, out=np.zeros(len(at)), where=rise > 0)
    between = doses[left] + share * (doses[right] - doses[left])
    return np.where(after == 0, doses[0], np.where(after == len(fitted), bound, between))


def _quantile(ordered: np.ndarray, q: float) -> float:
    """Return a quantile of sorted values, of which some may be infinite."""
    last = len(ordered) - 1
    return ordered[int(q * last) if q < 0.5 else last - int((1 - q) * last)]
